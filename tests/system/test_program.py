"""Start-up of the programs: an installed libtpu is not asked where no TPU is, and nobody's choice is overridden."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from launch import program
from tests.conftest import CACHE, REPOSITORY


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, True),
        ({"platforms": ""}, True),
        ({"environment": {"TPU_SKIP_MDS_QUERY": "1", "TPU_LIBRARY_PATH": "/libtpu.so", "HOME": "/"}}, True),
        ({"installed": ()}, False),  # JAX asks nothing
        ({"platforms": "tpu,cpu"}, False),
        ({"platforms": "cuda"}, False),
        ({"environment": {"TPU_WORKER_HOSTNAMES": "localhost"}}, False),
        ({"environment": {"MEGASCALE_NUM_SLICES": "2"}}, False),
        ({"environment": {"JAX_FORCE_TPU_INIT": "1"}}, False),
        ({"file": "accel0"}, False),
        ({"file": "vfio/0"}, False),
        ({"installed": ("libtpu", "jax_plugins")}, False),  # a GPU's
        ({"plugins": ("jax_cuda12_plugin",)}, False),
    ],
)
def test_when_there_is_only_a_cpu(told, expected, monkeypatch, tmp_path):
    installed = told.get("installed", ("libtpu",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(program, "entry_points", lambda group: told.get("plugins", ()))
    if "file" in told:
        file = tmp_path / told["file"]
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert program.only_cpu(told.get("platforms"), told.get("environment", {}), tmp_path) is expected


def test_no_word_of_a_tpu_that_is_not_there():
    pytest.importorskip("libtpu")
    own = {name: value for name, value in os.environ.items() if not name.startswith("TPU_") and name != "JAX_PLATFORMS"}
    if not program.only_cpu(None, own, Path("/dev")):
        pytest.skip("there may be a TPU or GPU here")
    code = (
        "from absl import flags; from launch import program; import sys; flags.FLAGS(sys.argv); "
        "program.start_jax(); import jax; print(jax.config.jax_platforms, jax.default_backend())"
    )
    given = [sys.executable, "-c", code, f"--compile_cache={CACHE}"]
    done = subprocess.run(given, cwd=REPOSITORY, env=own, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("cpu cpu\n", "")
