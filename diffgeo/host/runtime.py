"""Runtime of this process: allocator, cache of compiled programs, usable cores, and what ran where.

`prepare` serves launchers and notebooks alike; every run calls it before its first use of a device.
"""

import ctypes
import importlib.util
import logging
import math
import os
import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Mapping
from importlib.metadata import entry_points, version
from pathlib import Path
from typing import Any

from diffgeo.errors import UserError, one_line, require
from diffgeo.host import disk
from diffgeo.host.caches import cache_folder

NUMBERS = {"jax_enable_x64": False, "jax_threefry_partitionable": True, "jax_default_matmul_precision": None}
"""Settings of JAX that change what comes out of the same run -> the value by which runs are made."""

QUOTA = Path("/sys/fs/cgroup/cpu.max")
"""File of a container's share of the cores, as "400000 100000"."""

MALLOC_OPTIONS = {-4: 0, -1: -1, -8: 1}
"""Options of glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX."""


def prepare(compile_cache: str | None = None) -> None:
    """Prepare this process for training: keep freed memory, quiet logs, cache compiled programs.

    May be called any number of times, before the first use of a device. A cache that the user has set for JAX stays.

    Args:
      compile_cache: folder of compiled programs; None for JAX's own setting, or else diffgeo in the user's cache.

    Raises:
      UserError: if JAX is set to compute other numbers.
    """
    import jax

    for name, value in NUMBERS.items():
        found = getattr(jax.config, name)
        require(
            found == value,
            f"JAX's {name} is {found!r}, by which runs would have other numbers than by {value!r}: unset "
            f"{name.upper()}, or call jax.config.update({name!r}, {value!r})",
        )
    keep_freed_memory()
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports every step of every save
    logging.getLogger("jax").setLevel(logging.ERROR)
    for name in ("absl", "asyncio"):
        logging.getLogger(name).addFilter(_is_news)  # which one logger takes once
    config: Any = jax.config  # its attributes are made at run time
    if only_cpu(config.jax_platforms, os.environ, Path("/dev")):
        config.update("jax_platforms", "cpu")
    if compile_cache is None and config.jax_compilation_cache_dir is not None:
        return
    config.update("jax_compilation_cache_dir", os.path.expanduser(compile_cache or cache_folder()))
    config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def start() -> None:
    """Prepare this process and find its devices; in place of `prepare` where no other process is to be joined first.

    Raises:
      UserError: as `prepare` and `find_devices`.
    """
    prepare()
    find_devices()


def find_devices() -> None:
    """Raise `UserError` unless JAX finds devices of the platform that it is to use."""
    import jax

    try:
        jax.devices()
    except (RuntimeError, AssertionError) as error:
        wanted = jax.config.jax_platforms  # pyright: ignore[reportAttributeAccessIssue] (made at run time)
        raise UserError(
            f"JAX finds no device of platform {wanted or 'any'} ({one_line(error)}): unset JAX_PLATFORMS, or install "
            "JAX for this machine's accelerator"
        ) from error


def _is_news(record: logging.LogRecord) -> bool:
    """Return whether a record is other than one of a save that failed, whose error orbax raises as well."""
    failed = record.exc_info[1] if record.exc_info else None
    return "orbax" not in Path(record.pathname).parts and (failed is None or disk.refused(failed) is None)


def usable_cores() -> int:
    """Return how many cores this process may use: by its affinity and its container's quota, fewer than there are."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = QUOTA.read_text().split()
    except (OSError, ValueError):
        return count
    return count if quota == "max" else min(count, max(1, math.ceil(int(quota) / int(period))))


def keep_freed_memory() -> None:
    """Let this process keep the memory it frees: on CPU a fifth to a quarter of a training step's time.

    XLA allocates temporaries anew for every step, and glibc returns large blocks to the system at once, so each step
    would touch thousands of pages for the first time (8,800 at the laptop presets' size, 170,000 at the papers').
    Several arenas would do the same: an empty one is returned whole. Does nothing but on Linux with glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in MALLOC_OPTIONS.items():
            mallopt(option, value)


def only_cpu(platforms: str | None, environment: Mapping[str, str], devices: Path) -> bool:
    """Return whether JAX can only find a CPU, but would ask an installed libtpu, which prints a page of warnings.

    Args:
      platforms: the user's choice, which is never overridden.
      environment: variables; any of a TPU's says no.
      devices: folder of device files; a TPU's are accel0 and so on, or in vfio.
    """
    variables = {name for name in environment if re.match(r"TPU_|MEGASCALE_|JAX_FORCE_TPU_INIT$", name)}
    return (
        not platforms
        and importlib.util.find_spec("libtpu") is not None
        and variables <= {"TPU_SKIP_MDS_QUERY", "TPU_LIBRARY_PATH"}  # set by JAX and libtpu themselves, TPU or none
        and not [*devices.glob("accel*"), *devices.glob("vfio/*")]
        # every other accelerator comes as a plugin of JAX, in either of these ways
        and not entry_points(group="jax_plugins")
        and importlib.util.find_spec("jax_plugins") is None
    )


def provenance() -> dict[str, str]:
    """Return command, commit, hardware and versions, for the record in a run's results."""
    import jax

    devices = jax.devices()
    flags = os.environ.get("XLA_FLAGS", "").strip()
    return {
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
        "commit": _commit(),
        "hardware": f"{len(devices)} x {devices[0].device_kind}, {usable_cores()} host cores, {platform.machine()}"
        f"{flags and f', XLA_FLAGS={flags}'}",
        "versions": f"python {platform.python_version()}, jax {version('jax')}, "
        f"jaxlib {version('jaxlib')}, flax {version('flax')}",
    }


def _module() -> str:
    """Return the name of the running program; a notebook's or script's file name where it has no module."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else Path(sys.argv[0]).stem


def _commit() -> str:
    """Return the checkout's commit, marked '+' if files differ from it; 'unknown' outside a checkout.

    A repository that this library is installed in, or that git's variables name, is another's.
    """
    file = Path(__file__).resolve()
    root = file.parents[2]
    own = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    if not (root / ".git").exists():
        return "unknown"

    def git(*arguments: str) -> str:
        how: Any = {"cwd": root, "env": own, "capture_output": True, "text": True, "check": True}
        return subprocess.run(["git", *arguments], **how).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", str(file.relative_to(root)))
        return git("describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
