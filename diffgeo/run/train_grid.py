"""Training of a grid in a work folder, wave after wave, to its figures."""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr

from diffgeo import readout
from diffgeo.costs.storage import ALL
from diffgeo.errors import UserError, require
from diffgeo.host import distributed, runtime
from diffgeo.report.figures import draw
from diffgeo.results import load_results, open_workdir
from diffgeo.run import folder as run_folder
from diffgeo.run import untrained
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.run.measure import measure
from diffgeo.run.measure_models import measure_models
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.run.wave_loop import thin, train_wave
from diffgeo.run.waves import Wave, build_tables, plan_waves


def execute(
    run: Run,
    folder: str | Path,
    provenance: Mapping[str, str] | None = None,
    waves: int | None = None,
    say: Callable[[str], None] = distributed.say,
) -> xr.Dataset | None:
    """Train a grid in a work folder to its end, or compute a run that trains nothing, and draw its figures.

    It goes on from wherever the folder stands. Several processes call it together, on one folder that all of them see;
    process 0 draws and analyzes at the end.

    Args:
      run: what to run.
      folder: the work folder, made if need be.
      provenance: strings stored with the results of a new run (command, commit, ...).
      waves: number of waves of a new run; None takes as few as fit the devices.
      say: where one-line messages go.

    Returns:
      The results, loaded but for snapshots; of several processes as far as they are on all but process 0, and None
      there if nothing is trained.

    Raises:
      UserError: for a folder of another configuration or in use, or a damaged checkpoint.
      Interrupted: after SIGTERM, SIGHUP or SIGINT, with the state saved.
    """
    if run.compute is not None:
        return untrained.compute(run, folder, provenance, say) if distributed.shutdown() else None
    runtime.prepare()
    readout.load_packages()
    workdir = open_workdir(folder)
    source = list(run.source or ())
    if distributed.broadcast(lambda: source) != source:
        raise UserError(f"{source} is not the experiment's file of process 0: give all processes the same")
    config = distributed.broadcast(lambda: run_folder.settle(run, workdir))
    tables = build_tables(run.grid)
    new = config is None
    if config is None:
        config = run_folder.new_config(run, run_folder.members_at_once(run, tables, waves))
    run = dataclasses.replace(run, keep=run.keep or config.get("keep", ALL))
    require("members_at_once" in config, f"config.json in {str(folder)!r} has no 'members_at_once': restore the file")
    at_once: int = config["members_at_once"]
    planned = plan_waves(run.grid, tables, config)
    # refuses before the disk is touched
    ensembles = {wave.index: run.placement.place(wave.members, wave.tables) for wave in planned}
    needed = run_folder.storage_of(run, at_once)
    workdir.needs = f"and the run takes {needed}"
    if new:
        distributed.broadcast(lambda: run_folder.check_room(needed, workdir, say))
    config = config | {"keep": run.keep}
    with run_folder.open_session(run, workdir, planned, config, provenance, say) as session:
        complete = _complete_waves(session)
        session.progress.start(sum(wave.evaluation_steps[-1] for wave in planned), "step")
        for wave in planned:
            ensemble = ensembles.pop(wave.index)  # a wave's state is not kept while the next one trains
            if wave.index in complete:
                session.progress.advance(wave.evaluation_steps[-1], worked=False)
            else:
                train_wave(session, wave, ensemble)
        session.progress.close()
        return finish(session, f"the run in {folder} is complete: nothing left to train", len(complete) < len(planned))


def _complete_waves(session: Session) -> set[int]:
    """Return the waves that have nothing left to do.

    Raises:
      UserError: if one that has is of another run's checkpoints; before progress is shown.
    """
    complete: set[int] = set()
    for wave in session.waves:
        missing = session.store.missing(wave.members)
        with session.checkpoints(wave) as checkpoints:
            require(
                not (missing and checkpoints.borrowed),
                f"{str(checkpoints.folder)!r} are another run's checkpoints, which are not trained on here: "
                "run launch.analyze for what their results lack",
            )
            if not missing and _trained(wave, checkpoints):
                complete.add(wave.index)
                thin(session, wave, checkpoints, finished=True)  # a kill may have left more
    return complete


def _trained(wave: Wave, checkpoints: Checkpoints) -> bool:
    """Return whether a wave's last step is done; of a run that does not keep them, the states are gone then.

    Its parameters may be missing beside its state: both are written behind its evaluation, each by itself.
    """
    last = wave.evaluation_steps[-1]
    stored = checkpoints.borrowed or last in checkpoints.params_steps
    return stored and checkpoints.state_step in (None, last)


def finish(session: Session, nothing_done: str, worked: bool) -> xr.Dataset:
    """Measure what is not measured yet and draw the figures, if the run is to; on process 0 alone.

    Args:
      session: the open run, all of it trained.
      nothing_done: message if nothing was left to do.
      worked: whether something was done before.
    """
    if not distributed.shutdown():
        return load_results(session.workdir.path)
    measured = session.run.finish and (measure_models(session) | measure(session))
    if not worked and not measured:
        session.say(nothing_done)
    results = load_results(session.workdir.path)
    if session.run.finish:
        draw(results, session.run.plots, session.workdir.figures, session.say)
    return results
