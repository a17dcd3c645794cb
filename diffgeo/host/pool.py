"""Host work on several cores: processes of their own, since numpy and numba code holds Python's lock."""

import functools
import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ProcessPoolExecutor
from typing import Any

import threadpoolctl

from diffgeo.host.runtime import usable_cores

MOST = 16  # processes; each may hold a gigabyte


def map_ordered(
    function: Callable[..., Any], calls: Iterable[tuple], processes: int
) -> Generator[Callable[[], Any], None, None]:
    """Yield, in input order, a zero-argument callable per call that returns its result or re-raises its exception.

    Args:
      function: importable by its name, as pickle requires.
      calls: its arguments, taken a few ahead of those that are asked for.
      processes: worker processes, each on one thread: linear algebra of a few hundred points takes many times as long
        on threads that wait for a busy core. With one, this process works, when a result is asked for.
    """
    if processes == 1:
        for call in calls:
            yield functools.cache(functools.partial(function, *call))
        return
    # not forked: this process has threads
    pool = ProcessPoolExecutor(processes, multiprocessing.get_context("spawn"), _start_worker)
    pending: deque[Future] = deque()
    finished = False
    try:
        for call in calls:
            pending.append(pool.submit(_on_one_thread, function, *call))
            if len(pending) > 2 * processes:
                yield pending.popleft().result
        while pending:
            yield pending.popleft().result
        finished = True
    finally:
        pool.shutdown(cancel_futures=not finished)


def default_processes() -> int:
    """Return the number of worker processes to use: the usable cores, up to `MOST`."""
    return min(MOST, usable_cores())


def _on_one_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    with threadpoolctl.threadpool_limits(1):
        return function(*arguments)


def _start_worker() -> None:
    """Leave signals to the parent process, and end with it."""
    for signum in (signal.SIGINT, signal.SIGTERM):
        signal.signal(signum, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(multiprocessing.parent_process(),), daemon=True).start()


def _end_with(parent: Any) -> None:
    parent.join()
    os._exit(1)
