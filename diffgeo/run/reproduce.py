"""All experiments of a preset, one after another, from wherever their folders stand."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from diffgeo import report
from diffgeo.costs import by_hand
from diffgeo.experiment import Experiment
from diffgeo.host.disk import local_path
from diffgeo.logs import Logs
from diffgeo.results import open_workdir
from diffgeo.run.folder import settle
from diffgeo.run.run import Run
from diffgeo.run.train_grid import execute


def reproduce(
    experiments: Sequence[Experiment],
    preset: str,
    folder: str | Path,
    provenance: Callable[[], Mapping[str, str]] = dict,
    logs: Logs = Logs(),
    say: Callable[[str], None] = print,
) -> dict[str, report.Report | None]:
    """Train, analyze and report every experiment that has a preset, cheapest first, in FOLDER/NAME.

    A run whose report is written is complete and is skipped; any other goes on where it stopped. Before the first it
    says how long all that is left will take, and after each how long at the pace so far. Progress is that of the
    current run, under a line that says which of how many it is.

    Args:
      experiments: what to run.
      preset: name of the preset; experiments without it are left out.
      folder: parent of the work folders.
      provenance: gives the strings stored with the results of a new run.
      logs: how each run tells of its progress.
      say: where lines go.

    Returns:
      Name -> its report, None where it was there already.

    Raises:
      UserError: as `execute`, for a folder of another configuration among others.
      Interrupted: after SIGTERM, SIGHUP or SIGINT, with the state saved: call again to go on.
    """
    chosen = [declared for declared in experiments if preset in declared.presets]
    minutes = {declared.name: _minutes(declared, preset) for declared in chosen}
    chosen.sort(key=lambda declared: minutes[declared.name])
    done = {declared.name for declared in chosen if _is_done(declared, preset, folder)}
    ahead = {name: predicted for name, predicted in minutes.items() if name not in done}
    already = f", {len(done)} of them done" if done else ""
    say(
        f"{len(chosen)} experiments, preset {preset}, in {folder}{already}: about {sum(ahead.values()):.0f} minutes on "
        "two cores"
    )
    made: dict[str, report.Report | None] = {}
    spent = predicted = 0.0
    for number, declared in enumerate(chosen, 1):
        workdir = local_path(folder) / declared.name
        head = f"[{number}/{len(chosen)}] {declared.name}"
        if declared.name in done:
            say(f"{head}: done, see {workdir / report.PAGE}")
            made[declared.name] = None
            continue
        run = Run.of(declared, preset).with_logs(logs)
        say(f"{head}: {declared.figure}, about {minutes[declared.name]:.0f} minutes on two cores")
        start = time.monotonic()
        results = execute(run.without_plots(), workdir, provenance(), say=say)  # the report draws
        made[declared.name] = None if results is None else report.report(declared, results, workdir, say=say)
        spent, predicted = spent + (time.monotonic() - start) / 60, predicted + ahead.pop(declared.name)
        if ahead and predicted > 0:  # what trains nothing has no pace
            left = sum(ahead.values()) * spent / predicted
            say(f"{head}: finished; the {len(ahead)} left take about {left:.0f} minutes at the pace so far")
    return made


def _is_done(declared: Experiment, preset: str, folder: str | Path) -> bool:
    """Return whether an experiment's report is written; raise `UserError` if its folder is of another configuration."""
    workdir = local_path(folder) / declared.name
    return settle(Run.of(declared, preset), open_workdir(workdir)) is not None and (workdir / report.PAGE).exists()


def _minutes(declared: Experiment, preset: str) -> float:
    settings = declared.settings(preset)
    return by_hand.describe(settings, declared.trained, declared.analyses)["two_core_minutes"]
