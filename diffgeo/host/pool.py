"""Host work on several cores: processes of their own, since numpy and numba code holds Python's lock."""

import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor

import threadpoolctl

MOST = 16  # processes; each may hold a gigabyte


def in_order(
    function: Callable[..., object], calls: Iterable[tuple], processes: int
) -> Generator[Callable[[], object], None, None]:
    """Yields for every call, in order, what returns its result or raises its error, any number of times.

    Args:
      function: to be found by its name in its module, as for pickle.
      calls: its arguments, taken a few ahead of those that are asked for.
      processes: that work side by side, each on one thread: linear algebra of a few hundred points takes many times as
        long on threads that wait for a busy core. With one, this process works, when the result is asked for.
    """
    if processes == 1:
        for call in calls:
            yield functools.cache(functools.partial(function, *call))
        return
    # not forked: this process has threads
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _belong)
    waiting: deque[Future] = deque()
    given = False
    try:
        for call in calls:
            waiting.append(pool.submit(_on_one_thread, function, *call))
            if len(waiting) > 2 * processes:
                yield waiting.popleft().result
        while waiting:
            yield waiting.popleft().result
        given = True
    finally:
        pool.shutdown(cancel_futures=not given)


def most_processes() -> int:
    """As many as there are cores, up to `MOST`."""
    return min(MOST, os.cpu_count() or 1)


def _on_one_thread(function: Callable[..., object], *given) -> object:
    with threadpoolctl.threadpool_limits(1):
        return function(*given)


def _belong() -> None:
    """A worker leaves signals to the process that it works for, and ends with it."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent) -> None:
    parent.join()
    os._exit(1)
