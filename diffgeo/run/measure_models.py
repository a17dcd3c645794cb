"""Metrics of models: each member's parameters read from its checkpoints and given to functions of the experiment."""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from diffgeo.errors import Interrupted
from diffgeo.experiment import Metric
from diffgeo.model.trained_member import TrainedMember
from diffgeo.results import open_results
from diffgeo.results.checkpoint_files import read_member, stored_steps
from diffgeo.results.schema import COMPLETE, EVALUATION, IMPOSSIBLE, MISSING
from diffgeo.run.progress import ANALYSIS
from diffgeo.run.session import Session
from diffgeo.settings import Member


class _Task(NamedTuple):
    """One metric of one member at one step, which is a row of a wave's checkpoints."""

    metric: Metric
    wave: int
    row: int
    member: Member
    step: int


def measure_models(session: Session) -> bool:
    """Measure every evaluation that lacks a metric of models and whose checkpoint is kept; write them as they come.

    Returns:
      Whether there was any.

    Raises:
      Interrupted: after a signal.
      UserError: if a metric returns another shape than it is declared with, or a checkpoint is damaged.
    """
    tasks = [task for metric in session.run.metrics if metric.of_model for task in _tasks(session, metric)]
    for metric, wave, row, member, step in session.progress.track(tasks, "model", ANALYSIS):
        name = "ema" if member.settings.evaluation.use_ema else "params"
        params = read_member(session.workdir.checkpoints(wave), row, step, name)
        model = TrainedMember(member.settings, member.coordinates, step, params)
        session.store.write([member], {metric.variable: [metric.of(model)]}, step, metric.variable)
        if session.stopper.signum is not None:
            raise Interrupted(session.stopper.signum, "stopped while models are measured: run again to go on")
    return bool(tasks)


def _tasks(session: Session, metric: Metric) -> Iterator[_Task]:
    """Yield what lacks a metric, by wave, member and step; say of which steps no checkpoint is there.

    Of a metric of the last step, the others are recorded as not to be measured.
    """
    recorded = open_results(session.workdir.path)["group_complete"].load()
    steps, gone = recorded["step"].values, set[int]()
    for wave in session.waves:
        kept = stored_steps(session.workdir.checkpoints(wave.index))
        for row, member in enumerate(wave.members):
            of_member = recorded.sel(member.labels)
            lacks = (of_member.sel(group=metric.variable) == MISSING).values
            evaluated = of_member.sel(group=EVALUATION).values
            if metric.only_last:
                if (evaluated == MISSING).any():
                    continue  # not trained to its end
                last = np.flatnonzero(evaluated == COMPLETE)[-1]
                for step in steps[lacks & (np.arange(len(steps)) != last)]:
                    session.store.record([member], int(step), metric.variable, IMPOSSIBLE)
                lacks &= np.arange(len(steps)) == last
            wanted = [int(step) for step in steps[lacks & (evaluated == COMPLETE)]]
            gone |= set(wanted) - set(kept)
            yield from (_Task(metric, wave.index, row, member, step) for step in wanted if step in kept)
    if gone:
        listed = ", ".join(map(str, sorted(gone)))
        session.say(f"no checkpoint of steps {listed} was kept (--keep): metric {metric.name!r} stays missing there")
