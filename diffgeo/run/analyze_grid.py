"""Evaluation and analysis of a run's stored checkpoints."""

from collections.abc import Callable
from pathlib import Path

import xarray as xr

from diffgeo import readout
from diffgeo.host import distributed, runtime
from diffgeo.results.workdir import read_run
from diffgeo.run import folder as run_folder
from diffgeo.run import untrained
from diffgeo.run.evaluation import evaluate
from diffgeo.run.progress import EVALUATING
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.run.train_grid import finish
from diffgeo.run.waves import Wave, build_tables, plan_waves
from diffgeo.training import Ensemble


def analyze(run: Run, folder: str | Path, say: Callable[[str], None] = distributed.say) -> xr.Dataset | None:
    """Evaluate every stored checkpoint of a run whose results lack it, then draw the figures.

    Needs no training state, and any number of devices will do. A run that trains nothing is computed if it is not.

    Args:
      run: what was run.
      folder: its work folder.
      say: where one-line messages go.

    Returns:
      As `execute`.

    Raises:
      UserError: if the folder holds no run, one of another configuration, or damaged results.
      Interrupted: after SIGTERM, SIGHUP or SIGINT.
    """
    workdir, _ = read_run(folder)
    if run.compute is not None:
        return untrained.compute(run, folder, say=say) if distributed.shutdown() else None
    runtime.prepare()
    readout.load_packages()
    config = distributed.broadcast(lambda: run_folder.settle(run, workdir))
    assert config is not None
    waves = plan_waves(run.grid, build_tables(run.grid), config)
    with run_folder.open_session(run, workdir, waves, say=say) as session:
        _say_what_is_gone(session)
        todo = [(wave, step) for wave in waves for step in _missing_steps(session, wave)]
        if todo:
            session.progress.start(len(todo), "checkpoint", EVALUATING)
        for wave in waves:
            if any(wave is one for one, _ in todo):
                analyze_wave(session, wave, run.placement.place(wave.members, wave.tables))
        session.progress.close()
        return finish(session, f"every checkpoint in {folder} is analyzed already", bool(todo))


def analyze_wave(session: Session, wave: Wave, ensemble: Ensemble) -> None:
    """Evaluate the stored checkpoints of one wave that its results lack."""
    name = "ema" if session.run.settings.evaluation.use_ema else "params"
    target = getattr(ensemble.abstract_state, name)
    session.progress.note(wave=wave.index + 1, waves=len(session.waves), members=len(wave.members))
    session.progress.phase(EVALUATING)
    for step in _missing_steps(session, wave):
        with session.checkpoints(wave) as checkpoints:
            if not checkpoints.settle_params(step):
                session.say(f"what the results of step {step} lack stays missing, unless the run is trained again")
                continue
            params = ensemble.device_put(checkpoints.restore_params(target, step, name))
        evaluate(session, wave, ensemble, params, step)
        session.progress.advance(1)
    session.writer.join()


def _missing_steps(session: Session, wave: Wave) -> list[int]:
    """Return the evaluation steps of a wave that have a checkpoint and lack results."""
    with session.checkpoints(wave) as checkpoints:
        return sorted(session.missing(wave) & set(checkpoints.params_steps))


def _say_what_is_gone(session: Session) -> None:
    """Name evaluations that results lack and no checkpoint can give any more."""
    for wave in session.waves:
        missing = session.missing(wave)
        with session.checkpoints(wave) as checkpoints:
            stored = checkpoints.params_steps
        gone = sorted(step for step in missing - set(stored) if stored and step < stored[-1])
        if gone:
            steps = ", ".join(map(str, gone))
            session.say(f"no checkpoint of steps {steps} was kept (--keep): what their results lack stays missing")
