"""Run a real program with a network that compiles in a second: -m tests.support.small_program launch.train ..."""

import runpy
import sys

from tests.support import networks

if __name__ == "__main__":
    del sys.argv[0]
    with networks.replaced():
        runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
