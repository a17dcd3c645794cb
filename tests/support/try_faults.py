"""Print the table of the long form: python -m tests.support.try_faults RUN, a finished run of one wave.

With a second argument, COUNT, of faults of the world around the programs instead: so many refused calls, half as many
kills, a tenth as many of one of two processes, a quarter as many double starts.
"""

import random
import sys
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path

from diffgeo.host import runtime
from tests.support import faults as harness
from tests.support import program_faults

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

    def some(calls: int) -> list[int]:
        return sorted(random.Random(count).sample(range(1, calls + 1), min(count, calls)))

    return {
        "calls that change the folder, refused": lambda at: program_faults.refused_calls(whole, at, some),
        "kills": lambda at: program_faults.kills(whole, at, count // 2, seed=count),
        "kills, one of two processes": lambda at: program_faults.kills_of_two(at, count // 10, seed=count),
        "two starts": lambda at: program_faults.double_starts(whole, at, count // 4, seed=count),
    }


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
    run = Path(sys.argv[1])
    table(around(run, int(sys.argv[2])) if sys.argv[2:] else stored(run))
