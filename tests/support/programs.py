"""Real programs run by the tests: their command lines, environment, and what a refusal looks like."""

import os
import socket
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

# made by the first process of a session; its workers and the programs they start inherit the name
if "DIFFGEO_TEST_CACHE" not in os.environ:
    _CREATED = tempfile.TemporaryDirectory(prefix="diffgeo-compiled-")
    os.environ["DIFFGEO_TEST_CACHE"] = _CREATED.name
CACHE = os.environ["DIFFGEO_TEST_CACHE"]
"""Folder of compiled programs that a whole session shares."""
COMPILING = ("train", "analyze", "quickstart", "reproduce", "plan")
"""Programs that have --compile_cache."""


def command(module: str, *flags: str, small: bool = False) -> list[str]:
    """Return the command line of a real program, sharing the session's cache of compiled programs.

    Args:
      module, flags: for instance "train", "--workdir=...".
      small: with a network in place of the UNet that compiles in a second.
    """
    wrapper = ["-m", "tests.support.small_program"] if small else ["-m"]
    cache = [f"--compile_cache={CACHE}"] if module in COMPILING else []
    return [sys.executable, "-W", "error", *wrapper, f"launch.{module}", *cache, *flags]


def environment(**variables: str) -> dict[str, str]:
    """Return the environment of a real program: one CPU device unless `variables` say otherwise."""
    return {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(REPOSITORY), **variables}


def free_port() -> int:
    """Return a port of this machine that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def assert_refused(done: subprocess.CompletedProcess, *parts: str) -> None:
    """Assert that a program ended as on a user's error: exit status 2 and one line on stderr that holds all parts."""
    assert done.returncode == 2, (done.returncode, done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    assert len(lines) == 1, done.stderr
    for part in parts:
        assert part in lines[0], lines[0]
