"""All experiments of a preset, one after another, from wherever their folders stand."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from diffgeo import cost, report, run, untrained
from diffgeo.experiment import Experiment
from diffgeo.mapping import Layout
from diffgeo.workdir import Workdir


def reproduce(
    experiments: Sequence[Experiment],
    preset: str,
    folder: str | Path,
    provenance: Callable[[], Mapping[str, str]] = dict,
    layout: Layout | None = None,
    say=print,
) -> dict[str, report.Report | None]:
    """Trains, analyses and reports every experiment that has a preset, cheapest first, in FOLDER/NAME.

    A run whose report is written is complete and is skipped; any other goes on where it stopped. Progress is that of
    the run in hand, under a line that says which of how many it is.

    Args:
      experiments: what to run.
      preset: name of the preset; experiments without it are left out.
      folder: parent of the work folders.
      provenance: gives the strings stored with the results of a new run.
      layout: how devices are used.
      say: where lines go.

    Returns:
      Name -> its report, None where it was there already.

    Raises:
      UserError: as `run.train`, for a folder of another configuration among others.
      Interrupted: after SIGTERM or SIGINT, with the state saved: call again to go on.
    """
    asked = [one for one in experiments if preset in one.presets]
    minutes = {one.name: _minutes(one, preset) for one in asked}
    asked.sort(key=lambda one: minutes[one.name])
    total = sum(minutes.values())
    say(f"{len(asked)} experiments, preset {preset}, in {folder}: about {total:.0f} minutes on two cores")
    made: dict[str, report.Report | None] = {}
    for number, declared in enumerate(asked, 1):
        place = Path(folder) / declared.name
        planned = run.Run(
            declared.name, preset, declared.settings(preset), layout or Layout(), analyses=declared.analyses
        )
        found = run.settle(planned, Workdir(place))
        head = f"[{number}/{len(asked)}] {declared.name}"
        if found is not None and (place / report.PAGE).exists():
            say(f"{head}: done, see {place / report.PAGE}")
            made[declared.name] = None
            continue
        say(f"{head}: {declared.figure}, about {minutes[declared.name]:.0f} minutes on two cores")
        if declared.compute is not None:
            results = untrained.compute(planned, place, declared.compute, provenance=provenance(), say=say)
        else:
            results = run.train(planned, place, provenance=provenance(), say=say)
        made[declared.name] = report.report(declared, results, place, say=say)
    return made


def _minutes(declared: Experiment, preset: str) -> float:
    settings = declared.settings(preset)
    return cost.describe(settings, declared.compute is None, declared.analyses)["two_core_minutes"]
