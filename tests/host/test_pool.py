"""Host work in several processes: order, errors, an early end, and a parent that is killed."""

import os
import pickle
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import threadpoolctl

from diffgeo.errors import UserError
from diffgeo.host import pool
from tests.support.programs import REPOSITORY, environment


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


SCRIPT = """
from diffgeo.host import pool
from tests.host.test_pool import half
print("begun", flush=True)
print(sum(outcome()[0] for outcome in pool.map_ordered(half, [(2 * i,) for i in range(6)], 2)))
"""


@pytest.mark.parametrize("how", ["script", "stdin", "daemonic"])
def test_a_script_needs_no_main_guard_and_may_be_anyone_s_worker(how, tmp_path):
    file, given, code = tmp_path / "script.py", [sys.executable], SCRIPT
    if how == "daemonic":  # multiprocessing lets it have no children
        code = (
            "import multiprocessing\n"
            f"worker = multiprocessing.get_context('fork').Process(target=lambda: exec({SCRIPT!r}), daemon=True)\n"
            "worker.start()\nworker.join()\n"
        )
    file.write_text(code)
    how_run = {"cwd": REPOSITORY, "env": environment(), "capture_output": True, "text": True, "timeout": 60}
    if how == "stdin":
        done = subprocess.run(given, input=code, **how_run)
    else:
        done = subprocess.run([*given, str(file)], **how_run)
    assert (done.stdout, done.stderr) == ("begun\n15\n", "")


def die(number: int) -> int:
    """End this process as a lack of memory does, or return the number."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def test_a_worker_that_is_killed_is_named_and_the_others_go_on():
    outcomes = list(pool.map_ordered(die, [(number,) for number in range(8)], 2))
    assert [outcomes[number]() for number in (0, 1, 2, 4, 5, 6, 7)] == [0, 1, 2, 4, 5, 6, 7]
    with pytest.raises(pool.LostWorkerError, match=r"ended early \(status -9\).*run the same again"):
        outcomes[3]()


class Odd(Exception):
    """An exception that pickles and does not come back."""

    def __init__(self, one, other):
        super().__init__(f"{one} and {other}")


def fail(which: str) -> None:
    """Fail, in a way that is asked for."""
    raise {"known": KeyError("x"), "odd": Odd(1, 2)}[which]


def test_exceptions_of_every_kind_come_back_with_their_place():
    known, odd, unknown = pool.map_ordered(fail, [("known",), ("odd",), (lambda: 0,)], 2)
    with pytest.raises(KeyError) as caught:
        known()
    assert "in fail" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="1 and 2"):
        odd()
    with pytest.raises((AttributeError, pickle.PicklingError)):
        unknown()


def alive(process: int) -> bool:
    """Return whether a process runs; one that has ended and waits for its parent does not."""
    try:
        with open(f"/proc/{process}/stat") as stat:
            return stat.read().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
