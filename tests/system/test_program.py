"""Start-up of the programs: an installed libtpu is not asked where no TPU is."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from diffgeo.host import runtime
from tests.support.programs import CACHE, REPOSITORY


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
