"""Preparation of this process: an installed libtpu is not asked where no TPU is, and no choice of a user is changed."""

import importlib.util

import pytest

from diffgeo.host import runtime


@pytest.mark.parametrize(
    ("machine", "expected"),
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
def test_when_there_is_only_a_cpu(machine, expected, monkeypatch, tmp_path):
    installed = machine.get("installed", ("libtpu",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name if name in installed else None)
    monkeypatch.setattr(runtime, "entry_points", lambda group: machine.get("plugins", ()))
    if "file" in machine:
        file = tmp_path / machine["file"]
        file.parent.mkdir(exist_ok=True)
        file.touch()
    assert runtime.only_cpu(machine.get("platforms"), machine.get("environment", {}), tmp_path) is expected


def test_a_users_cache_of_compiled_programs_stays(monkeypatch, tmp_path):
    import jax

    before = jax.config.jax_compilation_cache_dir
    assert before is not None, "that of the tests"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    runtime.prepare()
    assert jax.config.jax_compilation_cache_dir == before
    try:
        jax.config.update("jax_compilation_cache_dir", None)
        runtime.prepare()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "diffgeo")
        runtime.prepare(str(tmp_path / "chosen"))
        assert jax.config.jax_compilation_cache_dir == str(tmp_path / "chosen")
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.5)


def test_freed_memory_is_kept_only_where_malloc_can_be_asked(monkeypatch):
    asked = []

    class Library:
        def __init__(self, _):
            pass

        @staticmethod
        def mallopt(option, value):
            asked.append((option, value))

    monkeypatch.setattr(runtime.ctypes, "CDLL", Library)
    monkeypatch.setattr(runtime.sys, "platform", "darwin")
    runtime.keep_freed_memory()
    assert asked == []
    monkeypatch.setattr(runtime.sys, "platform", "linux")
    runtime.keep_freed_memory()
    assert dict(asked) == runtime.MALLOC_OPTIONS
