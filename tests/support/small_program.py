"""Run a real program with a network that compiles in a second: -m tests.support.small_program launch.train ..."""

import runpy
import sys

from tests.support import networks

if __name__ == "__main__":
    module = sys.argv[1]
    sys.argv[:2] = ["-m"]  # as while `python -m` looks for it
    with networks.replaced():
        runpy.run_module(module, run_name="__main__", alter_sys=True)
