"""Strict JAX, checked annotations, eight CPU devices, one cache of compiled programs for the whole session."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["MPLBACKEND"] = "agg"
# tests run side by side on all cores: libraries that start a thread a core each would wait for one another
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from jaxtyping import install_import_hook

import tests.strict  # noqa: F401 (the hook takes a name and does not import submodules)

install_import_hook("diffgeo", "tests.strict.checked")

import jax
import pytest

# made by the first process of a session; its workers and the programs they start inherit the name
if "DIFFGEO_TEST_CACHE" not in os.environ:
    _OWN = tempfile.TemporaryDirectory(prefix="diffgeo-compiled-")
    os.environ["DIFFGEO_TEST_CACHE"] = _OWN.name
CACHE = os.environ["DIFFGEO_TEST_CACHE"]

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

REPOSITORY = Path(__file__).parent.parent


def command(module: str, *flags: str) -> list[str]:
    """The command line of a real program, sharing the session's cache of compiled programs."""
    return [sys.executable, "-W", "error", "-m", f"launch.{module}", f"--compile_cache={CACHE}", *flags]


def environment(**variables: str) -> dict[str, str]:
    """The environment of a real program: one CPU device unless told otherwise."""
    return {**os.environ, "JAX_NUM_CPU_DEVICES": "1", "PYTHONPATH": str(REPOSITORY), **variables}


@pytest.fixture
def launch():
    """Runs a real program to its end: launch("train", "--workdir=...") -> CompletedProcess."""

    def run(module: str, *flags: str, cwd=None, **variables: str):
        return subprocess.run(
            command(module, *flags),
            cwd=cwd or REPOSITORY,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=280,
        )

    return run


LONGEST = (
    "test_tpu.py",
    "test_pods.py",
    "test_sharding.py",
    "test_run.py",
    "test_launch.py",
    "test_torch_weights.py",
    "test_mapping.py",
)


def pytest_collection_modifyitems(items):
    """The longest files first, so that parallel workers end together."""
    items.sort(key=lambda item: (*LONGEST, item.path.name).index(item.path.name))
