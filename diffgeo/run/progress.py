"""The progress of a run: one bar on a terminal, whole lines now and then elsewhere, and the files of `logs`."""

import contextlib
import dataclasses
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from diffgeo.errors import UserError
from diffgeo.host import distributed
from diffgeo.logs.files import LogFile, Logs
from diffgeo.logs.status import FILE, FINISHED, STARTING, STOPPED, Status, duration, models, plain

Task = TypeVar("Task")

LINE_SECONDS, STATUS_SECONDS, BEAT_SECONDS = 30.0, 5.0, 0.5
"""Least time between two lines of a log, between two writings of the status, and between two looks at the numbers."""
TRAINING, COMPILING, EVALUATING, SAVING, ANALYSIS = "training", "compiling", "evaluating", "saving", "analysis"
"""Phases of a run."""
DONE = " done"
"""Behind the phase that a part of a run is named after, when it ends."""
COLUMNS = 100
"""Width of a bar in a notebook."""
SMOOTHING = 0.98
"""What a unit of work counts for the speed once another is done."""


class Progress(contextlib.AbstractContextManager):
    """What a run says while it works; every method may be called from any thread.

    The caller notes numbers, and a thread of this class writes them: training waits for no terminal and no disk. Only
    process 0 of several writes. Without a folder nothing is shown.
    """

    def __init__(self, logs: Logs = Logs(), run: str = "", folder: Path | None = None):
        self._logs, self._folder = logs, folder
        self._state, self._output = threading.RLock(), threading.RLock()  # the first is taken within the second
        # under _state
        self._status, self._meter = Status(run), _Meter(TRAINING)
        self._records: list[dict[str, Any]] = []
        self._phase_at = 0.0
        # under _output
        self._bar: Any = None
        self._files: list[LogFile] = []
        self._line_at = self._status_at = 0.0
        self._said: set[str] = set()
        self._say: Callable[[str], None] = distributed.say
        self._ended, self._thread = threading.Event(), None

    def start(self, total: int, unit: str, phase: str = TRAINING) -> None:
        """Begin a part of the run that takes `total` units, most of them done in a phase."""
        if self._folder is None or not distributed.is_coordinator():
            return
        self.close()
        with self._state:
            self._meter = _Meter(phase)
            self._status = Status(self._status.run, unit=unit, total=total)
        if self._thread is None:
            self._files = self._logs.open(self._folder)
            self._thread = threading.Thread(target=self._beat, name="progress", daemon=True)
            self._thread.start()

    def phase(self, name: str) -> None:
        """Say what is done from now on; the first time of each is a line at once."""
        with self._state:
            if self._thread is None or name == self._status.phase:
                return
            self._meter.phase(name)
            self._status = dataclasses.replace(self._status, phase=name)
            self._phase_at = time.monotonic()
            self._record("phase", phase=name)
        if name not in self._said:
            self._show(at_once=True)

    def note(self, **values: Any) -> None:
        """Set fields of the status: wave, waves, members, step, last_step, accuracy."""
        with self._state:
            self._status = dataclasses.replace(self._status, **values)

    def note_loss(self, loss: float) -> None:
        """Note the mean loss of the chunk of steps before, for the files of --log as well."""
        with self._state:
            self.note(loss=plain(loss))
            self._record("training", loss=loss, steps_per_second=self._meter.per_second)

    def note_evaluation(self, step: int, **by_member: Mapping[str, float]) -> None:
        """Note numbers of an evaluation, name -> member -> value; the mean accuracy is shown."""
        with self._state:
            accuracy = by_member["accuracy"].values()
            self.note(accuracy=sum(accuracy) / len(accuracy))
            self._record("evaluation", **{"step": step, **by_member})

    def advance(self, count: int, worked: bool = True) -> None:
        """Count units that are done, or that were done before (`worked` false), which say nothing of the speed."""
        with self._state:
            if worked:
                self._meter.advance(count)
            done = self._status.done + count
            step = self._status.step + (count if self._status.last_step else 0)
            self._status = dataclasses.replace(self._status, done=done, step=step)

    def track(self, tasks: Sequence[Task], unit: str, phase: str) -> Iterator[Task]:
        """Yield tasks as a part of the run of their own; none is shown if there are no tasks."""
        if tasks:
            self.start(len(tasks), unit, phase)
            self.phase(phase)
        for task in tasks:
            yield task
            self.advance(1)
        self.close()

    def beside(self, say: Callable[[str], None]) -> Callable[[str], None]:
        """Return `say` such that its lines do not fall into the bar."""

        def said(message: str) -> None:
            shown = contextlib.nullcontext() if self._bar is None else tqdm.external_write_mode()
            with self._output, shown:
                say(message)

        self._say = said
        return said

    def close(self) -> None:
        """End the part of the run that was started last, with its last numbers shown."""
        self._finish(self._meter.work + DONE)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._thread is None:
            return
        self._ended.set()
        self._thread.join()
        self._finish(FINISHED if kind is None else STOPPED)
        for file in self._files:
            file.close()
        self._thread, self._files = None, []

    def _record(self, kind: str, **values: Any) -> None:
        """Keep a record for the files of --log; the thread writes it."""
        if self._files:
            place = {"run": self._status.run, "wave": self._status.wave, "step": self._status.step}
            self._records.append({"time": time.time(), "kind": kind} | place | values)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SECONDS):
            self._show()

    def _finish(self, phase: str) -> None:
        """Show the last numbers of what was done, if anything was."""
        with self._output, self._state:
            shown = self._status.phase != STARTING and not self._status.phase.endswith(DONE)
            if not self._said or (phase.endswith(DONE) and not shown):
                return
            self._status = dataclasses.replace(self._status, phase=phase)
            self._record("phase", phase=phase)
            self._show(at_once=True, visible=shown)
            if self._bar is not None:
                self._bar.close()
                self._bar = None

    def _show(self, at_once: bool = False, visible: bool = True) -> None:
        """Bring bar or log, status and files up to date, as far as each is due."""
        with self._output:
            now = time.monotonic()
            with self._state:
                seconds_left = self._meter.seconds_left(self._status.total - self._status.done)
                self._status = status = dataclasses.replace(
                    self._status, per_second=self._meter.per_second, seconds_left=seconds_left, written=time.time()
                )
                records, self._records = self._records, []
            if status.phase == STARTING:
                return
            self._said.add(status.phase)
            if visible and not self._logs.quiet:
                if sys.stderr.isatty() or "ipykernel" in sys.modules:  # a notebook redraws a line, too
                    self._draw(status, now)
                elif at_once or now - self._line_at >= LINE_SECONDS:
                    self._line_at = now
                    with contextlib.suppress(OSError):  # nobody reads it any more, and there is no one else to tell
                        print(status.line(), file=sys.stderr, flush=True)
            if at_once or now - self._status_at >= STATUS_SECONDS:
                self._status_at = now
                self._write_status(status)
            if records:
                self._write_records(records)

    def _draw(self, status: Status, now: float) -> None:
        if self._bar is None:
            self._bar = tqdm(
                total=status.total,
                bar_format="{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}{postfix}",
                delay=1e-9,  # not drawn before its numbers are set
                nrows=2,  # it shows nothing on a terminal that does not know its height
            )
        # nor on one that does not know its width
        self._bar.ncols = (os.get_terminal_size(sys.stderr.fileno()).columns if sys.stderr.isatty() else 0) or COLUMNS
        wave = [f"wave {status.wave}/{status.waves}"] if status.waves > 1 else []
        phase = [] if status.phase == TRAINING else [status.phase]
        if status.phase == COMPILING:
            phase = [f"{COMPILING} for {duration(now - self._phase_at)}"]
        self._bar.n = min(status.done, status.total)
        members = [models(status.members)] if status.members else []
        self._bar.set_description_str(", ".join([*members, *wave, *phase]), refresh=False)
        self._bar.set_postfix_str(", ".join(reversed(status.numbers())), refresh=False)
        self._bar.refresh()

    def _write_status(self, status: Status) -> None:
        if self._folder is not None:
            try:
                status.write(self._folder)
            except UserError as error:
                self._folder = None
                self._say(f"the run goes on, but its {FILE} is no longer written: {error}")

    def _write_records(self, records: list[dict[str, Any]]) -> None:
        for file in list(self._files):
            try:
                file.write(records)
            except UserError as error:
                self._files.remove(file)
                self._say(f"the run goes on, but its {file.name} is no longer written: {error}")


class _Meter:
    """The clock of a part of a run: it starts when the first work is done, and stands while programs are compiled."""

    def __init__(self, work: str):
        self.work = work  # the phase that the speed is of
        self._started: float | None = None
        self._compiling_since: float | None = None
        self._counted = 0
        self._last: float | None = None
        self._units = self._seconds = 0.0

    def advance(self, count: int) -> None:
        """Count units."""
        now = time.monotonic()
        if self._started is None:
            self._started = now
        else:
            self._counted += count
            if self._last is not None:
                self._units = SMOOTHING * self._units + count
                self._seconds = SMOOTHING * self._seconds + now - self._last
        self._last = now

    def phase(self, name: str) -> None:
        """Leave other phases out of the speed, and compiling out of the time left, too."""
        now = time.monotonic()
        if self._compiling_since is not None and self._started is not None:
            self._started += now - self._compiling_since
        self._compiling_since = now if name == COMPILING else None
        self._last = now if name == self.work else None

    @property
    def per_second(self) -> float | None:
        """Units a second of late; None before there are some."""
        return self._units / self._seconds if self._seconds > 0 else None

    def seconds_left(self, units: int) -> float | None:
        """Return the seconds that units will take as things went so far; None before anything is known."""
        if self._started is None or not self._counted:
            return None
        now = time.monotonic() if self._compiling_since is None else self._compiling_since
        return units * (now - self._started) / self._counted
