"""Every call by which a run changes its folder, refused in turn, by a process that compiles once.

A worker (`tests.support.refused_worker`) tries one after another. Another one is started where it hangs or dies, and
where it found something wrong: what a failure leaves in a process troubles no other try.
"""

import json
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.faults import LOST, Outcome
from tests.support.program_faults import library
from tests.support.programs import environment

LIMIT = 300
"""Seconds after which a worker that says nothing hangs."""
WRONG = 3
"""Exit status of a worker that found something wrong."""


class Answer(NamedTuple):
    """What became of a try.

    Attributes:
      number: of the call, from 1.
      calls: how many there are.
      refused: whether there was one of this number: threads make some more or fewer each time.
      outcome: verdict.
    """

    number: int
    calls: int
    refused: bool
    outcome: Outcome


def every_call(scratch: Path, answers: Path, every: int = 1) -> Iterator[Outcome]:
    """Let each call of a run that changes its folder fail once, by the errors in turn.

    Args:
      scratch: a folder of this function's own.
      answers: file that answers are added to as they come; what it has is not tried again.
      every: distance between the calls that are tried; 1 for all.
    """
    finished, given = False, 0
    while True:
        known = read(answers)
        yield from (answer.outcome for answer in known[given:] if answer.refused)
        if finished:
            return
        given, finished = len(known), _work(scratch, answers, every)


def read(answers: Path) -> list[Answer]:
    """Return the answers of a file; none if there is no file."""
    lines = answers.read_text().splitlines() if answers.exists() else []
    return [Answer(*known, Outcome(*outcome)) for *known, outcome in map(json.loads, lines)]


def note(answers: Path, answer: Answer) -> None:
    """Add an answer to a file."""
    with open(answers, "a") as file:
        file.write(json.dumps(answer) + "\n")


def _work(scratch: Path, answers: Path, every: int) -> bool:
    """Let a worker try until it ends or hangs; note a try that it did not survive. Return whether all is tried."""
    said, begun = scratch / "said", None
    variables = {"LD_PRELOAD": str(library(scratch)), "FAULT_FOLDER": str(scratch / "run")}
    variables["FAULT_LOG"] = str(scratch / "log")
    command = [sys.executable, "-W", "error", "-m", "tests.support.refused_worker", scratch, answers, str(every)]
    how: Any = {"env": environment(**variables), "stdout": subprocess.PIPE, "bufsize": 0}
    with open(said, "a") as errors, subprocess.Popen(command, stderr=errors, **how) as worker:
        assert worker.stdout is not None
        while select.select([worker.stdout], [], [], LIMIT)[0]:
            if not (line := worker.stdout.readline()):
                break
            begun = Answer(*json.loads(line), True, Outcome("", LOST, ""))
        else:
            worker.kill()
    if worker.returncode not in (0, WRONG):
        assert begun is not None, said.read_text()
        words = f"it hung or died, status {worker.returncode}: {said.read_text()}"
        note(answers, begun._replace(outcome=Outcome(f"call {begun.number} of {begun.calls}", LOST, words)))
    return worker.returncode == 0
