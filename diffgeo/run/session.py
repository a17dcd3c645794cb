"""A run opened in a folder."""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from diffgeo.host import distributed
from diffgeo.host.background import Background
from diffgeo.host.signals import Stopper
from diffgeo.results import Results, Workdir
from diffgeo.results.schema import EVALUATION, SNAPSHOT, on_true_images
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.run.progress import Progress
from diffgeo.run.run import Run
from diffgeo.run.waves import Wave


@dataclass(frozen=True)
class Session(contextlib.AbstractContextManager):
    """A run that holds its folder; made by `folder.open_session`, entered once with `with`.

    Attributes:
      run: the run.
      workdir: the locked folder.
      waves: all waves of the run's grid.
      store: the results, open for writing.
      writer: thread that reads samples out and writes results behind training.
      stopper: notes signals, says when to save.
      progress: what is said of the run while it works.
      say: where one-line messages go.
    """

    run: Run
    workdir: Workdir
    waves: tuple[Wave, ...]
    store: Results
    writer: Background = field(default_factory=Background)
    stopper: Stopper = field(default_factory=Stopper)
    progress: Progress = field(default_factory=Progress)
    say: Callable[[str], None] = distributed.say
    _stack: contextlib.ExitStack = field(default_factory=contextlib.ExitStack, repr=False)

    def __enter__(self) -> "Session":
        self._stack.push(self.progress)
        self._stack.enter_context(self.stopper)
        self._stack.enter_context(self.writer)
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.__exit__(*error)

    def missing(self, wave: Wave) -> set[int]:
        """Return the evaluation steps whose results, or snapshots to analyze, a wave lacks; all processes together."""
        snapshot = (SNAPSHOT,) if self.run.analyses else ()
        measured = (metric.variable for metric in self.run.metrics if not metric.of_model)
        groups = (EVALUATION, *on_true_images(self.run.settings), *snapshot, *measured)
        return {step for group in groups for step in self.store.missing(wave.members, group)}

    def checkpoints(self, wave: Wave) -> Checkpoints:
        """Return the checkpoints of one wave, a context manager."""
        return Checkpoints(self.workdir.checkpoints(wave.index), self.say)
