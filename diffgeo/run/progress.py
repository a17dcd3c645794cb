"""The one progress bar of a run: on a terminal redrawn, in a log file a line now and then."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, TypeVar

from tqdm import tqdm

from diffgeo.host import distributed

Task = TypeVar("Task")


class Progress:
    """A progress bar with values beside it; `note` may be called from any thread."""

    def __init__(self):
        self._bar: Any = None
        self._shown: dict[str, Any] = {}

    def start(self, total: int, unit: str) -> None:
        """Show a new bar."""
        self.close()
        interactive = sys.stderr.isatty() or "ipykernel" in sys.modules  # a notebook redraws a line, too
        self._bar = tqdm(
            total=total,
            unit=unit,
            dynamic_ncols=True,
            mininterval=0.5 if interactive else 30.0,
            smoothing=0.1,
            disable=not distributed.is_coordinator(),
        )

    def note(self, **values: Any) -> None:
        """Set values shown beside the bar from its next advance on."""
        self._shown.update(values)

    def advance(self, count: int) -> None:
        """Advance the bar."""
        if self._bar is not None:
            self._bar.set_postfix(self._shown, refresh=False)
            self._bar.update(count)

    def track(self, tasks: Sequence[Task], unit: str, description: str | None = None) -> Iterator[Task]:
        """Yield tasks under a bar of their own; none is shown if there are no tasks."""
        hidden = not tasks or not distributed.is_coordinator()
        yield from tqdm(tasks, unit=unit, desc=description, disable=hidden, dynamic_ncols=True)

    def close(self) -> None:
        """Close the bar, with its last values shown."""
        if self._bar is not None:
            self._bar.set_postfix(self._shown)
            self._bar.close()
            self._bar = None
