"""Print the table of the long form: python -m tests.support.try_faults RUN, a finished run of one wave."""

import sys
import tempfile
from pathlib import Path

from diffgeo.host import runtime
from tests.support import faults as harness


def main(whole: Path) -> None:
    """Try every fault on copies of a run; print those that were not answered right, and the table's rows."""
    runtime.prepare()
    parts = {
        "`config.json` edited": lambda at: harness.configs(whole, at),
        "summaries corrupted": lambda at: harness.summaries(whole, at, flips=40),
        "every file of the results, in four ways": lambda at: harness.chunks(whole, at),
        "every file of the newest parameters, in four ways": lambda at: harness.checkpoints(whole, at, "params"),
        "every file of the newest state, in four ways": lambda at: harness.checkpoints(whole, at, "state"),
    }
    print(harness.HEAD)
    for name, part in parts.items():
        with tempfile.TemporaryDirectory() as scratch:
            outcomes = part(Path(scratch))
        for outcome in outcomes:
            if outcome.verdict != harness.RIGHT:
                print(f"{outcome.verdict}: {outcome.case}: {outcome.said[:300]}", file=sys.stderr)
        print(harness.row(name, outcomes), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
