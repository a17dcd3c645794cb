"""Host work that goes on behind training."""

import contextlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor


class Background(contextlib.AbstractContextManager):
    """One thread that runs the functions it is given, in order, while the caller goes on.

    After an error nothing more runs; the error is raised by the next call of `submit` or `join`.
    """

    def __init__(self):
        self._thread = ThreadPoolExecutor(1)
        self._pending: deque[Future] = deque()
        self._failed = False

    def submit(self, function: Callable[[], object], max_pending: int | None = None) -> None:
        """Queue `function`. Block first until at most `max_pending` earlier ones are unfinished."""
        while max_pending is not None and len(self._pending) > max_pending:
            self._pending.popleft().result()
        self._pending.append(self._thread.submit(self._call, function))

    def _call(self, function: Callable[[], object]) -> None:
        if self._failed:
            return
        try:
            function()
        except BaseException:
            self._failed = True
            raise

    def join(self) -> None:
        """Wait until every function has run; raise the error of the first that failed."""
        while self._pending:
            self._pending.popleft().result()

    def __exit__(self, kind, *_):
        try:
            if kind is None:
                self.join()
        finally:
            self._thread.shutdown(cancel_futures=True)
