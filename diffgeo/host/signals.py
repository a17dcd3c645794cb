"""Signals and the clock: when a run saves its state, and when it stops."""

import contextlib
import signal
import threading
import time
from collections.abc import Callable

from diffgeo.host import distributed

SAVE_SECONDS = 600
"""Longest time that training goes on between two saves of the state: what a kill without warning may cost."""

SAVE = 0
"""A wish to save and go on; below the numbers of the signals that a run stops by, which outrank it."""
NOTHING = -1
"""No wish."""

UNHANDLED = {
    signal.SIGTERM: signal.SIG_DFL,
    signal.SIGHUP: signal.SIG_DFL,  # a terminal or a connection that closes; ignored under nohup
    signal.SIGINT: signal.default_int_handler,
}
"""Signals that a run stops by, and what answers each where nobody asked for anything else."""


class Stopper(contextlib.AbstractContextManager):
    """Lets the loop save and stop after SIGTERM, SIGHUP or SIGINT, and save in time; a second signal acts at once.

    Signals that are ignored or that another handler answers stay so, as does every signal outside of the main thread.
    """

    def __init__(self):
        self.signum: int | None = None
        self._before: dict = {}
        self._answer: Callable[[], int] | None = None
        self.saved()

    def saved(self) -> None:
        """Note that the state was saved just now."""
        self._saved_at = time.monotonic()

    @property
    def _wish(self) -> int:
        late = time.monotonic() - self._saved_at >= SAVE_SECONDS
        return self.signum or (SAVE if late else NOTHING)

    def ask(self) -> None:
        """Start asking all processes for a signal, so that they stop or save at one step; see `agreed`."""
        self._answer = distributed.all_max(self._wish) if distributed.is_multiprocess() else None

    @property
    def agreed(self) -> int | None:
        """The signal to stop by, or `SAVE`: this process's, or of several, what some had when all last asked."""
        wish = self._wish if self._answer is None else self._answer()
        return None if wish == NOTHING else wish

    def _note(self, signum: int, _frame: object) -> None:
        self.signum = signum
        signal.signal(signum, self._before[signum])

    def __enter__(self) -> "Stopper":
        if threading.current_thread() is threading.main_thread():  # no other may handle signals
            for signum, default in UNHANDLED.items():
                if signal.getsignal(signum) == default:  # else ignored by our parent, or another library's to answer
                    self._before[signum] = signal.signal(signum, self._note)
        return self

    def __exit__(self, *_: object) -> None:
        for signum, handler in self._before.items():
            if signal.getsignal(signum) == self._note:
                signal.signal(signum, handler)
