"""Print the table of the long form: python -m tests.support.try_faults RUN, a finished run of one wave.

With a second argument, faults of the world around the programs instead, and RUN is a folder for what they need. A
number, COUNT: so many kills, a fifth as many of one of two processes, half as many double starts. `calls`: every call
that changes a run's folder, refused, for hours; given again, it goes on with those that RUN/answers lacks.
"""

import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from diffgeo.host import runtime
from tests.support import faults as harness
from tests.support import program_faults
from tests.support.refused_calls import every_call

Parts = dict[str, Callable[[Path], Iterable[harness.Outcome]]]


def stored(whole: Path) -> Parts:
    """Return the faults of stored things: name -> function of a scratch folder."""
    runtime.prepare()
    return {
        "`config.json` edited": lambda at: harness.configs(whole, at),
        "summaries corrupted": lambda at: harness.summaries(whole, at, flips=40),
        "every file of the results, in four ways": lambda at: harness.chunks(whole, at),
        "every file of the newest parameters, in four ways": lambda at: harness.checkpoints(whole, at, "params"),
        "every file of the newest state, in four ways": lambda at: harness.checkpoints(whole, at, "state"),
    }


def around(whole: Path, count: int) -> Parts:
    """Return the faults around programs; `whole` is made here."""
    program_faults.whole(whole)
    return {
        "kills at any time, one process": lambda at: program_faults.kills(whole, at, count, seed=count),
        "kills at any time of one of two processes": lambda at: program_faults.kills_of_two(at, count // 5, seed=count),
        "two starts at once or shortly after each other": lambda at: program_faults.double_starts(
            whole, at, count // 2, seed=count
        ),
    }


def calls(folder: Path) -> Parts:
    """Return the refused calls, with their answers in a folder that is made if need be."""
    folder.mkdir(parents=True, exist_ok=True)
    return {"every call that changes the folder, refused": lambda at: every_call(at, folder / "answers")}


def table(parts: Parts) -> None:
    """Try every fault; print those that were not answered right as they come, and the table's rows."""
    print(harness.HEAD)
    for name, part in parts.items():
        outcomes = []
        with tempfile.TemporaryDirectory() as scratch:
            for outcome in part(Path(scratch)):
                outcomes.append(outcome)
                if outcome.verdict != harness.RIGHT:
                    print(f"{outcome.verdict}: {outcome.case}: {outcome.said[:300]}", file=sys.stderr)
        print(harness.row(name, outcomes), flush=True)


if __name__ == "__main__":
    run, *chosen = Path(sys.argv[1]), *sys.argv[2:]
    if chosen == ["calls"]:
        table(calls(run))
    else:
        table(around(run, int(chosen[0])) if chosen else stored(run))
