"""Strict JAX, checked shapes, eight CPU devices, one cache of compiled programs for the whole session."""

import os
import subprocess
from pathlib import Path

os.environ["JAX_PLATFORMS"] = "cpu"
os.environ["JAX_NUM_CPU_DEVICES"] = "8"
os.environ["MPLBACKEND"] = "agg"
# tests run side by side on all cores: libraries that start a thread a core each would wait for one another
for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

from jaxtyping import install_import_hook

import tests.support.strict  # noqa: F401 (the hook takes a name and does not import submodules)

# only modules that annotate shapes: checks of every call double the time of settings and claims, whose plain types are
# checked by `make types`
LIBRARY = Path(__file__).parents[1] / "diffgeo"
SHAPED = [path for path in LIBRARY.rglob("*.py") if "from jaxtyping import" in path.read_text()]
install_import_hook(
    [".".join(path.relative_to(LIBRARY.parent).with_suffix("").parts) for path in SHAPED],
    "tests.support.strict.checked",
)

import jax
import pytest

from tests.support import networks
from tests.support.programs import CACHE, REPOSITORY, command, environment

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)

SYSTEM = REPOSITORY / "tests/system"
LONGEST = ("system", "training", "unet")
"""Folders of tests, the longest first."""


def pytest_configure(config):
    config.addinivalue_line("markers", "system: runs real programs as a user does; all of tests/system")


def pytest_collection_modifyitems(items):
    """Mark the tests of tests/system, and run the longest folders first, so that parallel workers end together."""
    for item in items:
        if item.path.is_relative_to(SYSTEM):
            item.add_marker(pytest.mark.system)
    items.sort(key=lambda item: (*LONGEST, item.path.parent.name).index(item.path.parent.name))


@pytest.fixture(scope="module")
def small_network():
    """Train a network in this module that compiles in a second: what it tests does not depend on the network."""
    with networks.replaced():
        yield


@pytest.fixture
def launch(request):
    """Run a real program to its end: launch("train", "--workdir=...") -> CompletedProcess.

    A module that says SMALL = True trains a network that compiles in a second.
    """
    small = getattr(request.module, "SMALL", False)

    def run(module: str, *flags: str, cwd=None, **variables: str):
        return subprocess.run(
            command(module, *flags, small=small),
            cwd=cwd or REPOSITORY,
            env=environment(**variables),
            capture_output=True,
            text=True,
            timeout=280,
        )

    return run
