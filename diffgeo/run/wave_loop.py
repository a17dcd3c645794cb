"""Training and evaluation of one wave."""

import functools
from typing import Any

import numpy as np

from diffgeo.costs.storage import ALL, kept_steps
from diffgeo.errors import Interrupted
from diffgeo.host import distributed
from diffgeo.host.signals import SAVE
from diffgeo.results.schema import LOSS
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.run.evaluation import evaluate
from diffgeo.run.progress import COMPILING, EVALUATING, SAVING, TRAINING
from diffgeo.run.session import Session
from diffgeo.run.waves import Wave
from diffgeo.settings.allowed import NEVER
from diffgeo.training import Ensemble


def train_wave(session: Session, wave: Wave, ensemble: Ensemble) -> None:
    """Train and evaluate one wave from its newest state to its last step.

    An evaluation is read out behind the training of the next steps, and is written before their state is saved: a run
    killed at any moment goes on from a state that is no later than the first evaluation that it lacks.

    A damaged state is set aside, and the one before it used.

    Raises:
      UserError: for a state that cannot be restored for another reason.
      Interrupted: after a signal, with the state saved.
    """
    with session.checkpoints(wave) as checkpoints:
        checkpoints.settle_state()
        _Loop(session, wave, ensemble, checkpoints).run()


def thin(session: Session, wave: Wave, checkpoints: Checkpoints, finished: bool) -> None:
    """Delete the checkpoints of a wave that its run does not keep; all processes call together.

    Those stay whose evaluation is not recorded, and the newest. Of a finished wave the training states go, too.
    """
    keep = session.run.keep
    if keep is None or keep == ALL or not checkpoints.params_steps:
        return
    missing = session.missing(wave)
    kept = kept_steps(keep, wave.evaluation_steps)
    checkpoints.keep_params({*kept, *missing, checkpoints.params_steps[-1]})
    if finished and not missing:
        checkpoints.delete_states()


class _Loop:
    """The loop over the evaluation steps of a wave."""

    def __init__(self, session: Session, wave: Wave, ensemble: Ensemble, checkpoints: Checkpoints):
        self.session, self.wave, self.ensemble, self.checkpoints = session, wave, ensemble, checkpoints
        self.settings = wave.members[0].settings
        self.step, self.last = checkpoints.state_step or 0, wave.evaluation_steps[-1]
        self.stopped: set[int] = set()
        self.nonfinite: set[int] = set()

    def run(self) -> None:
        """Train to the last step."""
        session, store = self.session, self.session.store
        place = {"wave": self.wave.index + 1, "waves": len(session.waves), "members": len(self.wave.members)}
        session.progress.note(**place, step=0, last_step=self.last, loss=None, accuracy=None)
        if self.step < self.last:
            session.progress.phase(COMPILING)  # or reading what was compiled from the cache
            self.ensemble.compile_ahead()
        if self.checkpoints.state_step is None:
            self.ensemble.initialize()
        else:
            self.ensemble.load(self.checkpoints.restore_state(self.ensemble.abstract_state))
        session.progress.advance(self.step, worked=False)
        # a loss may be missing where launch.analyze has filled in the rest
        missing = set(store.missing(self.wave.members)) | set(store.missing(self.wave.members, LOSS)) - {0}
        self.stop_members()
        for target in self.wave.evaluation_steps:
            if target < self.step or (self.all_stopped and target < self.last):
                continue
            self.train_to(target)
            self.save_and_evaluate(evaluated=target in missing)
            self.stop_members()
        session.writer.join()
        self.checkpoints.wait()
        thin(session, self.wave, self.checkpoints, finished=True)

    def stop_members(self) -> None:
        """Stop members that have reached their `train.stop_when` by evaluations up to this step, and say which."""
        if all(member.settings.train.stop_when is None for member in self.wave.members):
            return
        self.session.writer.join()
        for index, step in self.session.store.stop(self.wave.members).items():
            if index not in self.stopped:
                self.ensemble.stop(index, step)
                self.session.say(f"member {self.wave.members[index]}: stopped at step {step}, as train.stop_when says")
                self.stopped.add(index)

    @property
    def all_stopped(self) -> bool:
        """Whether no member trains on: what is left is to store the last state."""
        return len(self.stopped) == len(self.wave.members)

    def train_to(self, target: int) -> None:
        """Train up to an evaluation step; save on the way if that is due, stop if a signal asks for it."""
        if self.all_stopped:
            self.session.progress.advance(target - self.step, worked=False)
            self.step = target
        chunk, stopper, progress = self.session.run.placement.chunk, self.session.stopper, self.session.progress
        running: tuple[Any, int] | None = None  # the chunk before, and its steps
        progress.phase(TRAINING)
        while self.step < target:
            steps = min(chunk - self.step % chunk, target - self.step)
            stopper.ask()
            # the loss of the chunk before is fetched while this one runs
            before, running = running, (self.ensemble.train_steps(steps), steps)
            self.step += steps
            self.note(before)
            wish = stopper.agreed
            if wish is not None:
                self.note(running)
                running = None
                self.save_state()
                if wish == SAVE:
                    self.checkpoints.release()
                    progress.phase(TRAINING)
                    continue
                self.checkpoints.wait()
                raise Interrupted(wish, f"stopped at step {self.step} of {self.last}, state saved: run again to go on")
        self.note(running)

    def note(self, chunk: tuple[Any, int] | None) -> None:
        """Wait for a chunk of training, if there is one; note its loss and that its steps are done."""
        if chunk is not None:
            losses = self.ensemble.losses(chunk[0])
            self.session.progress.advance(chunk[1])
            self.session.progress.note_loss(float(np.mean(losses)) if losses.size else np.nan)

    def save_state(self) -> None:
        """Save the full state, once all earlier evaluations are written."""
        self.session.progress.phase(SAVING)
        self.session.writer.join()
        self.checkpoints.save_state(self.step, self.ensemble.state())
        self.session.stopper.saved()

    def save_and_evaluate(self, evaluated: bool) -> None:
        """Save parameters and state of an evaluation step, and evaluate them if that is missing."""
        session, ensemble = self.session, self.ensemble
        session.progress.phase(SAVING)
        session.writer.join()
        thin(session, self.wave, self.checkpoints, finished=False)
        state = ensemble.state()
        self.checkpoints.save_params(self.step, state.params, state.ema)
        self.save_state()
        loss, nonfinite_step = ensemble.loss_and_nonfinite()
        if evaluated:
            session.progress.phase(EVALUATING)
            params = ensemble.params(self.settings.evaluation.use_ema)
            evaluate(session, self.wave, ensemble, params, self.step, loss if self.step else None)
        self.report_nonfinite(nonfinite_step)
        self.checkpoints.release()

    def report_nonfinite(self, steps: np.ndarray) -> None:
        """Name members whose loss was no longer finite since the last look, in the log and the results."""
        new = [i for i, at in enumerate(steps) if at != NEVER and i not in self.nonfinite]
        for i in new:
            self.session.say(
                f"member {self.wave.members[i]}: loss not finite at step {steps[i]}, stopped there; the others go on"
            )
        self.nonfinite |= set(new)
        if new and distributed.is_coordinator():
            write = functools.partial(self.session.store.write, self.wave.members, {"nonfinite_step": steps})
            self.session.writer.submit(write)
