"""Host work on several cores: processes of their own, since numpy and numba code holds Python's lock.

They are started as `python -c`, not by multiprocessing, which would run the caller's main module in each: a script
needs no main guard, may come from a pipe, and may itself be a worker of Dask, Ray or multiprocessing.
"""

import contextlib
import functools
import json
import os
import pickle
import queue
import signal
import subprocess
import sys
import threading
import traceback
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import threadpoolctl

from diffgeo.errors import UserError
from diffgeo.host.runtime import usable_cores

MOST = 16  # processes; each may hold a gigabyte

_WORKER = """
import json, sys
sys.path[:] = json.loads(sys.argv[2])
from diffgeo.host import pool
pool.serve(int(sys.argv[1]))
"""


class LostWorkerError(UserError):
    """A worker process ended before its result was there."""


def map_ordered(
    function: Callable[..., Any], calls: Iterable[tuple], processes: int
) -> Generator[Callable[[], Any], None, None]:
    """Yield, in input order, a zero-argument callable per call that returns its result or re-raises its exception.

    Args:
      function: importable by its name, as pickle requires, and not of the main module.
      calls: its arguments, taken a few ahead of those that are asked for.
      processes: worker processes, each on one thread: linear algebra of a few hundred points takes many times as long
        on threads that wait for a busy core. With one, this process works, when a result is asked for.

    Raises:
      LostWorkerError: by a callable, if a worker was killed.
    """
    if processes == 1:
        for call in calls:
            yield functools.cache(functools.partial(function, *call))
        return
    pending: deque[Future] = deque()
    threads, workers, finished = ThreadPoolExecutor(processes), _Workers(processes), False
    try:
        for call in calls:
            pending.append(threads.submit(workers.call, function, call))
            if len(pending) > 2 * processes:
                yield pending.popleft().result
        while pending:
            yield pending.popleft().result
        finished = True  # some of the results may still be computed
    finally:
        if not finished:
            threads.shutdown(wait=False, cancel_futures=True)
            workers.end()
        threads.shutdown()
        workers.end()


class _Workers:
    """Worker processes, each started when it is needed first."""

    def __init__(self, count: int):
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        self._started: list[_Worker] = []
        self._ended = False
        for _ in range(count):
            self._idle.put(None)

    def call(self, function: Callable[..., Any], arguments: tuple) -> Any:
        """Return a function's result, computed by an idle worker; blocks until one is idle."""
        worker = self._idle.get()
        try:
            if worker is None:
                if self._ended:
                    raise LostWorkerError("the worker processes were ended")
                worker = _Worker()
                self._started.append(worker)
            return worker.call(function, arguments)
        except LostWorkerError:
            worker = None
            raise
        finally:
            self._idle.put(worker)

    def end(self) -> None:
        """End all processes, whatever they do; no more are started."""
        self._ended = True
        for worker in self._started:
            worker.end()


class _Worker:
    """A worker process, which ends with this one: its input ends then."""

    def __init__(self):
        results, theirs = os.pipe()
        flags = [f"-W{option}" for option in sys.warnoptions]
        # in a group of its own a Ctrl-C does not reach it
        self._process = subprocess.Popen(
            [sys.executable, *flags, "-c", _WORKER, str(theirs), json.dumps([str(path) for path in sys.path])],
            stdin=subprocess.PIPE,
            pass_fds=(theirs,),
            process_group=0,
        )
        os.close(theirs)
        self._results = os.fdopen(results, "rb")

    def call(self, function: Callable[..., Any], arguments: tuple) -> Any:
        """Return a function's result, or raise its exception."""
        assert self._process.stdin is not None
        call = pickle.dumps((function, arguments))
        try:
            pickle.dump(call, self._process.stdin)
            self._process.stdin.flush()
            done, value = pickle.load(self._results)
        except (EOFError, BrokenPipeError, pickle.UnpicklingError) as error:
            status = self._process.wait()
            raise LostWorkerError(
                f"a worker process ended early (status {status}), as when memory runs out: run the same again, on "
                "fewer cores if need be (taskset)"
            ) from error
        if done:
            return value
        raise value

    def end(self) -> None:
        """End the process, whatever it does."""
        assert self._process.stdin is not None
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self._results.close()


def serve(results: int) -> None:
    """Run functions named on stdin, one after another on one thread, until it ends; the main loop of a worker.

    Args:
      results: file descriptor to which (True, result) or (False, exception) of each is written.
    """
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):  # left to the parent process
        signal.signal(signum, signal.SIG_IGN)
    calls: queue.SimpleQueue[bytes] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(calls,), daemon=True).start()
    with os.fdopen(results, "wb") as out:
        while True:
            out.write(_outcome(calls.get()))
            out.flush()


def _receive(calls: queue.SimpleQueue) -> None:
    """Queue calls as they come; end this process when the parent has ended, or wants no more."""
    with contextlib.suppress(EOFError):
        while True:
            calls.put(pickle.load(sys.stdin.buffer))
    os._exit(0)


def _outcome(call: bytes) -> bytes:
    """Return (True, result) or (False, exception) of a pickled call, pickled."""
    try:
        function, arguments = pickle.loads(call)
        with threadpoolctl.threadpool_limits(1):  # of the libraries that are loaded by now
            return pickle.dumps((True, function(*arguments)))
    except Exception as error:
        if not isinstance(error, UserError):
            error.add_note(f"in a worker process:\n{traceback.format_exc()}")
        try:
            failed = pickle.dumps((False, error))
            pickle.loads(failed)
        except Exception:  # of its own kind: an exception may pickle and not come back
            failed = pickle.dumps((False, RuntimeError(traceback.format_exc())))
        return failed


def default_processes() -> int:
    """Return the number of worker processes to use: the usable cores, up to `MOST`."""
    return min(MOST, usable_cores())
