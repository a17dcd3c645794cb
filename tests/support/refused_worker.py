"""The process of `tests.support.refused_calls` that tries: -m tests.support.refused_worker FOLDER ANSWERS EVERY.

It prints the number of each call that it is about to refuse, and how many there are.
"""

import ctypes
import errno
import gc
import json
import os
import shutil
import sys
from pathlib import Path

import jax
import numpy as np

from diffgeo import results
from diffgeo.errors import UserError, one_line
from diffgeo.integrity import verify
from diffgeo.results import open_workdir
from diffgeo.results.checkpoint_files import read_member, stored_steps
from tests.support.faults import RIGHT, judge
from tests.support.program_faults import ERRORS, difference
from tests.support.refused_calls import WRONG, Answer, note, read
from tests.support.refused_run import run_program, smallest

PASSES = 4
"""Number of passes over a run's calls: an unfinished file of answers then has calls from all parts of the run."""


class _Worker:
    """What tries calls in this process.

    Args:
      scratch: folder of `every_call`.
    """

    def __init__(self, scratch: Path):
        self._runs, self._said, self._log = scratch / "run", scratch / "said", scratch / "log"
        self._shim = ctypes.CDLL(None)  # preloaded
        self._shim.refuse.restype = ctypes.c_long
        whole = scratch / "whole"
        shutil.rmtree(whole, ignore_errors=True)
        status, words = run_program(whole, self._said)
        assert status == 0, words
        self._results, self._steps, self._params = results.open_results(whole).load(), *_parameters(whole)

    def count(self) -> int:
        """Return how many calls of a run can fail."""
        self._shim.refuse(ctypes.c_long(0), 0)
        status, words = run_program(self._runs / "counted", self._said)
        assert status == 0, words
        return self._shim.refuse(ctypes.c_long(0), 0)

    def answer(self, number: int, calls: int) -> Answer:
        """Let a call fail; see what becomes of the run."""
        folder, error = self._runs / str(number), ERRORS[number % len(ERRORS)]
        shutil.rmtree(folder, ignore_errors=True)
        self._log.unlink(missing_ok=True)
        self._shim.refuse(ctypes.c_long(number), error)
        ended = run_program(folder, self._said)
        self._shim.refuse(ctypes.c_long(0), 0)
        log = self._log.read_text().splitlines() if self._log.exists() else []  # other processes count there, too
        failed = next((line for line in log if line.startswith("failed")), "")
        case = f"call {number} of {calls}, {errno.errorcode[error]}: {failed}"
        outcome = judge(case, ended, lambda: self._differs(folder), lambda: run_program(folder, self._said))
        shutil.rmtree(folder, ignore_errors=True)
        return Answer(number, calls, bool(failed), outcome)

    def _differs(self, folder: Path) -> str:
        try:
            verify(folder, [].append)
            steps, params = _parameters(folder)
            assert steps == self._steps, f"parameters of steps {steps}"
            jax.tree.map(np.testing.assert_array_equal, params, self._params)
        except (AssertionError, UserError) as error:
            return one_line(error, 300)
        return difference(self._results, folder)


def _parameters(folder: Path) -> tuple[list[int], dict]:
    """Return the steps of stored parameters, and the last ones of the only member."""
    wave = open_workdir(folder).checkpoints(0)
    steps = stored_steps(wave)
    return steps, read_member(wave, 0, steps[-1])


def work(scratch: Path, answers: Path, every: int) -> int:
    """Try what a file of answers lacks; return the exit status."""
    tell = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    known = read(answers)
    with smallest():
        worker = _Worker(scratch)
        gc.freeze()  # collecting after each run takes half a second otherwise
        calls = known[0].calls if known else worker.count()
        numbers = sorted(range(1, calls + 1, every), key=lambda number: number % PASSES)
        for number in [number for number in numbers if number not in {answer.number for answer in known}]:
            print(json.dumps([number, calls]), file=tell)
            answer = worker.answer(number, calls)
            note(answers, answer)
            if answer.outcome.verdict != RIGHT:
                return WRONG
    return 0


if __name__ == "__main__":
    os._exit(work(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])))  # whatever threads still wait
