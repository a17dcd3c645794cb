"""The status of a run: a line of its log, and DIR/progress.json, which another terminal reads."""

import dataclasses
import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from diffgeo.errors import DamagedError, one_line
from diffgeo.host.disk import refusals
from diffgeo.host.files import write_json

FILE = "progress.json"
STARTING, FINISHED, STOPPED = "starting", "finished", "stopped"
"""First phase of a run, and its last: by itself, or by a signal or an error."""
MOST_BYTES = 65_536
"""More than a status takes."""


@dataclass(frozen=True)
class Status:
    """Where a run is.

    Attributes:
      run: experiment and preset.
      phase: training, compiling, evaluating, ...
      unit: what is counted: step, checkpoint, cloud.
      done, total: units of the whole part of the run, over all waves.
      wave, waves: number of the wave, from 1, and of all; 0 before the first.
      members: models of the wave.
      step, last_step: training steps of the wave; 0 where the unit is another.
      loss: mean over the wave's models.
      accuracy: the same, of the last evaluation.
      per_second: units a second, while they are worked on.
      seconds_left: of this part of the run, evaluations included.
      written: seconds since 1970.
    """

    run: str
    phase: str = STARTING
    unit: str = "step"
    done: int = 0
    total: int = 0
    wave: int = 0
    waves: int = 0
    members: int = 0
    step: int = 0
    last_step: int = 0
    loss: float | None = None
    accuracy: float | None = None
    per_second: float | None = None
    seconds_left: float | None = None
    written: float = 0.0

    def line(self) -> str:
        """Return it in words: all that a line of a log needs to be understood alone."""
        said = [f"wave {self.wave} of {self.waves}"] if self.waves > 1 and self.wave else []
        said += [models(self.members)] if self.members else []
        if self.last_step:
            said.append(f"step {self.step:,} of {self.last_step:,}")
        elif self.total:
            said.append(f"{self.unit} {self.done:,} of {self.total:,}")
        head = f"{clock(self.written)} {self.run}: {self.phase}"
        return ", ".join([head, *said, *self.numbers()])

    def numbers(self) -> list[str]:
        """Return loss, accuracy, speed and time left in words, as far as they are known."""
        said = []
        if self.loss is not None:
            said.append(f"loss {self.loss:.4f}")
        if self.accuracy is not None:
            said.append(f"accuracy {self.accuracy:.2f}")
        if self.per_second:
            rate = self.per_second
            fast = f"{rate:,.{0 if rate >= 10 else 1}f} {self.unit}s/s"
            said.append(fast if rate >= 1 else f"{1 / rate:,.1f} s/{self.unit}")
        if self.seconds_left is not None and self.done < self.total:
            said.append(f"{duration(self.seconds_left)} left")
        return said

    def write(self, folder: Path) -> None:
        """Write DIR/progress.json by one rename; numbers that are not finite as null."""
        write_json(folder / FILE, {name: plain(value) for name, value in dataclasses.asdict(self).items()})


def read_status(folder: Path) -> Status | None:
    """Return what DIR/progress.json says, None if there is none.

    Raises:
      UserError: if it cannot be read.
      DamagedError: if it is not what a run writes.
    """
    with refusals(folder):
        try:
            with open(folder / FILE, "rb") as file:
                content = file.read(MOST_BYTES)
        except FileNotFoundError:
            return None
    try:
        tree = json.loads(content)
        return Status(**{name: _checked(name, value) for name, value in tree.items()})
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        raise DamagedError(f"{FILE}: {one_line(error)}") from error


def _checked(name: str, value: Any) -> Any:
    """Return a field's value; raise TypeError or ValueError unless it is of the field's type."""
    kind = {field.name: field.type for field in dataclasses.fields(Status)}.get(name)
    kinds = {str: str, int: int, float: (int, float), float | None: (int, float, type(None))}
    if kind not in kinds or isinstance(value, bool) or not isinstance(value, kinds[kind]):
        raise TypeError(f"{name} is {json.dumps(value)[:60]}")
    if kind is str and (len(value) > 300 or not value.isprintable()):
        raise ValueError(f"{name} is {value[:60]!r}")
    if kind is not str and value is not None and not 0 <= value < 1e15:
        raise ValueError(f"{name} is {json.dumps(value)[:60]}")
    return value


def plain(value: Any) -> Any:
    """Return a value as JSON has it: None for a number that is not finite."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def models(count: int) -> str:
    """Return "1 model" or "9 models"."""
    return f"{count} model{'s' if count != 1 else ''}"


def clock(seconds: float) -> str:
    """Return local date and time of seconds since 1970."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(seconds))


def duration(seconds: float) -> str:
    """Return "45 s", "12 min", "3 h 20 min" or "2 d 3 h"."""
    whole = max(0, round(seconds))
    if whole < 100:
        return f"{whole} s"
    minutes = round(whole / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 24 else f"{hours // 24} d {hours % 24} h"
