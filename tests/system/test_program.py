"""Start-up and end of the programs: no word of a TPU that is not there, one of an interruption."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from diffgeo.host import runtime
from tests.support.programs import CACHE, REPOSITORY, assert_refused


def test_no_word_of_a_tpu_that_is_not_there():
    pytest.importorskip("libtpu")
    own = {name: value for name, value in os.environ.items() if not name.startswith("TPU_") and name != "JAX_PLATFORMS"}
    if not runtime.only_cpu(None, own, Path("/dev")):
        pytest.skip("there may be a TPU or GPU here")
    code = (
        "from absl import flags; from launch import program; import sys; flags.FLAGS(sys.argv); "
        "program.start_jax(); import jax; print(jax.config.jax_platforms, jax.default_backend())"
    )
    given = [sys.executable, "-c", code, f"--compile_cache={CACHE}"]
    done = subprocess.run(given, cwd=REPOSITORY, env=own, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("cpu cpu\n", "")


RAISED = """
import signal
from launch import program
signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored where these tests run
program.run(lambda: signal.raise_signal(signal.SIGINT))
"""


@pytest.mark.parametrize(
    ("code", "status"),
    [
        # as it stands while `python -m` imports the package, then within a program
        ("import sys; sys.argv = ['-m']; import launch; raise KeyboardInterrupt", -signal.SIGINT),
        (RAISED, 130),
    ],
    ids=["importing", "running"],
)
def test_interrupted_a_program_says_one_word(code, status):
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (status, "", "stopped\n")


@pytest.mark.parametrize("program", ["quickstart", "train", "reproduce"])
def test_a_device_that_is_not_there_is_one_sentence(program, tmp_path):
    """No program asks JAX for anything before `program.start_jax`, which answers for it."""
    flags = {"train": ["--experiment=quickstart"], "reproduce": ["--experiment=quickstart"]}.get(program, [])
    given = [sys.executable, "-m", f"launch.{program}", *flags, f"--workdir={tmp_path / 'run'}"]
    own = {**os.environ, "JAX_PLATFORMS": "cuda"}
    done = subprocess.run(given, cwd=REPOSITORY, env=own, capture_output=True, text=True)
    assert_refused(done, "JAX finds no device of platform cuda", "JAX_PLATFORMS")
    assert not list(tmp_path.iterdir())


def test_what_the_disk_refuses_anywhere_is_one_sentence_and_a_defect_of_ours_is_not():
    code = "from launch import program; program.run(lambda: open({!r}))"
    for path, refused in (("/dev/null/file", True), ("/no/such/file", False)):
        given = [sys.executable, "-c", code.format(path)]
        done = subprocess.run(given, cwd=REPOSITORY, capture_output=True, text=True)
        assert ("Traceback" in done.stderr) == (not refused)
        if refused:
            assert_refused(done, "'/dev/null/file' cannot be used (Not a directory)")
