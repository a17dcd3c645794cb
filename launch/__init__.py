"""Programs: `python -m launch.NAME` or `diffgeo NAME`. Each parses flags, and calls the library once."""

import sys
from types import TracebackType
from typing import Any


def _quietly(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Report an interruption before `program.run` has begun, while packages are imported, by one word."""
    if issubclass(kind, KeyboardInterrupt):
        print("stopped", file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, trace)


def _unless_late(unraisable: Any) -> None:
    """Leave out calls of tensorstore's threads into the event loop that orbax has closed after a save failed.

    The save's own error is raised, and reported by `program.run`.
    """
    if str(unraisable.exc_value) != "Event loop is closed":
        sys.__unraisablehook__(unraisable)


# as it reads while `python -m` looks for the program; the other name is that of the command `diffgeo`
if sys.argv[:1] == ["-m"] or __name__ == "diffgeo.launch":
    sys.excepthook, sys.unraisablehook = _quietly, _unless_late
