"""Measure what checking costs: python -m tests.support.check_cost launch.train --workdir=DIR ...

The program is run as it is, but for clocks around all that writes or compares digests and checksums, most of it behind
training: seconds by the wall, in which a thread may have waited for a core, and of the processor, with their share of
all the program has used. To measure a resume, stop a run and go on by this.
"""

import atexit
import functools
import runpy
import sys
import threading
import time
from collections import defaultdict
from typing import Any

wall: defaultdict[str, float] = defaultdict(float)
used: defaultdict[str, float] = defaultdict(float)
_lock = threading.Lock()


def clocked(owner: Any, name: str) -> None:
    """Add up the time of an owner's function, by its name."""
    function = getattr(owner, name)

    @functools.wraps(function)
    def timed(*args, **kwargs):
        before, before_used = time.perf_counter(), time.thread_time()
        try:
            return function(*args, **kwargs)
        finally:
            with _lock:
                wall[f"{owner.__name__}.{name}"] += time.perf_counter() - before
                used[f"{owner.__name__}.{name}"] += time.thread_time() - before_used

    setattr(owner, name, timed)


def show() -> None:
    """Print the seconds of each function, and of all with their share."""
    for name in wall:
        print(f"{name}: {wall[name]:.2f} s, {used[name]:.2f} s of the processor")
    total, whole = sum(used.values()), time.process_time()
    print(f"checks: {total:.2f} of {whole:.1f} s of the processor, {100 * total / whole:.2f} %")


if __name__ == "__main__":
    from numcodecs.checksum32 import CRC32

    from diffgeo.results import checked, metadata
    from diffgeo.run import checkpoints

    for owner, names in {
        checkpoints: ("write_digests", "check"),
        checked: ("wrong_in",),
        metadata: ("_digest",),
        CRC32: ("encode", "decode"),
    }.items():
        for name in names:
            clocked(owner, name)
    atexit.register(show)
    module = sys.argv[1]
    sys.argv[:2] = ["-m"]  # as while `python -m` looks for it
    runpy.run_module(module, run_name="__main__", alter_sys=True)
