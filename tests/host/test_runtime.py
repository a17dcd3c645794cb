"""Preparation of this process: an installed libtpu is not asked where no TPU is, and no choice of a user is changed."""

import importlib.util
import os
import subprocess

import pytest

from diffgeo.errors import UserError
from diffgeo.host import runtime
from tests.support.programs import REPOSITORY


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


@pytest.mark.parametrize(
    ("name", "value"),
    [("jax_enable_x64", True), ("jax_threefry_partitionable", False), ("jax_default_matmul_precision", "highest")],
)
def test_settings_of_jax_that_change_numbers_are_refused(name, value):
    import jax

    before = getattr(jax.config, name)
    assert before == runtime.NUMBERS[name], "JAX's own default"
    try:
        jax.config.update(name, value)
        with pytest.raises(UserError, match=f"{name} is {value!r}.*unset {name.upper()}"):
            runtime.prepare()
    finally:
        jax.config.update(name, before)
    runtime.prepare()


def test_a_platform_that_is_not_there_is_named(monkeypatch):
    import jax

    def devices():
        raise RuntimeError("Unable to initialize\n backend 'cuda'")

    runtime.find_devices()
    monkeypatch.setattr(jax, "devices", devices)
    with pytest.raises(UserError, match=r"Unable to initialize backend 'cuda'.*JAX_PLATFORMS"):
        runtime.find_devices()


@pytest.mark.parametrize(("quota", "count"), [("max 100000", 6), ("150000 100000", 2), ("900000 100000", 6), ("", 6)])
def test_cores_are_those_of_the_affinity_and_of_the_container_s_quota(quota, count, monkeypatch, tmp_path):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(runtime, "QUOTA", tmp_path / "cpu.max")
    (tmp_path / "cpu.max").write_text(quota)
    assert runtime.usable_cores() == count
    (tmp_path / "cpu.max").unlink()
    assert runtime.usable_cores() == 6


def git(folder, *arguments):
    """Run git in a folder and return what it prints."""
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    about = ["-c", "user.name=a", "-c", "user.email=b@c"]
    done = subprocess.run(["git", *about, *arguments], cwd=folder, env=own, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("place", [".", "venv/lib"])
@pytest.mark.parametrize("known", [True, False])
def test_the_commit_is_that_of_this_library_s_own_checkout(place, known, monkeypatch, tmp_path):
    """Not of a repository that it is installed in, stands in, or is told of by git's variables."""
    root = tmp_path / place
    module = root / "diffgeo/host/runtime.py"
    module.parent.mkdir(parents=True)
    module.write_text("x = 1")
    (tmp_path / "theirs").write_text("")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", "--", *(["."] if known else ["theirs"]))
    git(tmp_path, "commit", "-qm", "first")
    monkeypatch.setattr(runtime, "__file__", str(module))
    monkeypatch.setenv("GIT_DIR", str(REPOSITORY / ".git"))
    own = known and place == "."
    assert runtime._commit() == (git(tmp_path, "rev-parse", "--short=12", "HEAD") if own else "unknown")
    if own:
        module.write_text("x = 2")
        assert runtime._commit().endswith("+")


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
