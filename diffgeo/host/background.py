"""Host work that goes on behind training."""

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background(contextlib.AbstractContextManager):
    """One thread that does what it is given, in order, while the caller goes on.

    After an error nothing more is done; it is raised by the next call of `do` or `settle`.
    """

    def __init__(self):
        self._thread = ThreadPoolExecutor(1)
        self._given: deque[Future] = deque()
        self._failed = False

    def do(self, function: Callable[[], object], waiting: int | None = None) -> None:
        """Has a function called after all given before it; first waits until at most so many of those are not done."""
        while waiting is not None and len(self._given) > waiting:
            self._given.popleft().result()
        self._given.append(self._thread.submit(self._call, function))

    def _call(self, function: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            function()
        except BaseException:
            self._failed = True
            raise

    def settle(self) -> None:
        """Waits until all is done; raises the error that there was."""
        while self._given:
            self._given.popleft().result()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.settle()
        finally:
            self._thread.shutdown(cancel_futures=True)
