"""Host work in several processes: order, errors, an early end, and a parent that is killed."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import threadpoolctl

from diffgeo.errors import UserError
from diffgeo.host import pool
from tests.support.programs import REPOSITORY


def half(number: int) -> tuple[int, int]:
    """Return a half and the process that computed it; later numbers take less time."""
    time.sleep(0.2 / (1 + number))
    if number % 2:
        raise UserError(f"{number} is odd")
    return number // 2, os.getpid()


@pytest.mark.parametrize("processes", [1, 2])
def test_results_and_errors_come_in_order_and_again(processes):
    outcomes = list(pool.map_ordered(half, ((number,) for number in range(7)), processes))
    halves = [outcomes[number]() for number in (0, 2, 4, 6)]
    assert [value for value, _ in halves] == [0, 1, 2, 3]
    assert outcomes[2]() == halves[1]
    assert ({process for _, process in halves} == {os.getpid()}) == (processes == 1)
    for _ in range(2):
        with pytest.raises(UserError, match="3 is odd"):
            outcomes[3]()


def threads(size: int) -> int:
    """Return the threads that linear algebra uses."""
    np.linalg.eigh(np.eye(size))
    return max(library["num_threads"] for library in threadpoolctl.threadpool_info() if library["user_api"] == "blas")


def test_workers_keep_to_one_thread(monkeypatch):
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "2")
    assert [outcome() for outcome in pool.map_ordered(threads, [(8,)] * 4, 2)] == [1] * 4


def test_calls_are_taken_a_few_ahead_and_an_early_end_starts_no_more():
    taken = []

    def calls():
        for number in range(0, 200, 2):
            taken.append(number)
            yield (number,)

    outcomes = pool.map_ordered(half, calls(), 2)
    assert next(outcomes)()[0] == 0
    outcomes.close()
    assert len(taken) <= 5
    with pytest.raises(StopIteration):
        next(outcomes)


def test_workers_ignore_a_stop_and_end_with_their_parent():
    code = (
        "import os, time\nfrom diffgeo.host import pool\nfrom tests.host.test_pool import half\n"
        "if __name__ == '__main__':\n"
        "    outcomes = pool.map_ordered(half, [(2 * i,) for i in range(10)], 2)\n"
        "    print(os.getpid(), *{next(outcomes)()[1] for _ in range(4)}, flush=True)\n    time.sleep(60)\n"
    )
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen([sys.executable, "-c", code], cwd=REPOSITORY, text=True, **piped) as parent:
        _, *others = (int(word) for word in parent.stdout.readline().split())
        for worker in others:
            os.kill(worker, signal.SIGINT)
            os.kill(worker, signal.SIGTERM)
        time.sleep(0.5)
        assert all(alive(worker) for worker in others)
        parent.kill()
    end = time.monotonic() + 20
    while any(alive(worker) for worker in others) and time.monotonic() < end:
        time.sleep(0.05)
    assert others
    assert not any(alive(worker) for worker in others)


def alive(process: int) -> bool:
    """Return whether a process runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
