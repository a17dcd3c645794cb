"""The API called from programs that are not ours: an event loop, a thread, a daemonic worker as Dask has them."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.programs import CACHE, REPOSITORY, environment
from tests.support.trained import assert_same_members

SCRIPT = """
import asyncio, multiprocessing, signal, sys, threading
from pathlib import Path
import diffgeo as dg
from tests.support import networks

folder = Path(sys.argv[1])

def train(name):
    with networks.replaced():
        dg.train("quickstart", workdir=folder / name, preset="tiny", axes={"seed": [0]})

def in_loop():
    async def main():
        other = asyncio.create_task(asyncio.sleep(3600))
        train("loop")                       # as a notebook's cell does
        await asyncio.to_thread(train, "loop_thread")
        assert not other.done()             # the loop is as it was
        other.cancel()
    asyncio.run(main())

def in_threads():
    before = signal.getsignal(signal.SIGTERM)
    failed = []
    threading.excepthook = failed.append
    threads = [threading.Thread(target=train, args=("thread",))]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert not failed, failed
    assert signal.getsignal(signal.SIGTERM) is before

def in_daemon():                            # a process that may not have children of multiprocessing's
    process = multiprocessing.get_context("fork").Process(target=train, args=("daemon",), daemon=True)
    process.start()
    process.join()
    assert process.exitcode == 0, process.exitcode

{"loop": in_loop, "threads": in_threads, "daemon": in_daemon}[sys.argv[2]]()
"""


def run(folder: Path, how: str) -> None:
    """Run the script from standard input, so that there is no main module to import again."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-", str(folder), how],
        input=SCRIPT,
        env=environment(JAX_COMPILATION_CACHE_DIR=CACHE, PYTHONPATH=str(REPOSITORY)),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


@pytest.fixture(scope="module")
def threads(tmp_path_factory):
    """A folder with the run that a thread has trained."""
    folder = tmp_path_factory.mktemp("library")
    run(folder, "threads")
    return folder


@pytest.mark.parametrize(("how", "names"), [("loop", ("loop", "loop_thread")), ("daemon", ("daemon",))])
def test_a_run_is_the_same_wherever_it_is_called_from(threads, how, names):
    run(threads, how)
    for name in names:
        assert_same_members(threads / "thread", threads / name)
