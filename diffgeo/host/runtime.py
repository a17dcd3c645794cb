"""Runtime of this process: allocator, cache of compiled programs, usable cores, and what ran where.

`prepare` serves launchers and notebooks alike; every run calls it before its first use of a device.
"""

import ctypes
import importlib.util
import logging
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

MALLOC_OPTIONS = {-4: 0, -1: -1, -8: 1}
"""Options of glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX."""


def prepare(compile_cache: str | None = None) -> None:
    """Prepare this process for training: keep freed memory, quiet logs, cache compiled programs.

    May be called any number of times, before the first use of a device. A cache that the user has set for JAX stays.

    Args:
      compile_cache: folder of compiled programs; None for JAX's own setting, or else diffgeo in the user's cache.
    """
    import jax

    keep_freed_memory()
    logging.getLogger("absl").setLevel(logging.ERROR)  # orbax reports every step of every save
    logging.getLogger("jax").setLevel(logging.ERROR)
    config: Any = jax.config  # its attributes are made at run time
    if only_cpu(config.jax_platforms, os.environ, Path("/dev")):
        config.update("jax_platforms", "cpu")
    if compile_cache is None and config.jax_compilation_cache_dir is not None:
        return
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    config.update("jax_compilation_cache_dir", str(compile_cache or home / "diffgeo"))
    config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


def usable_cores() -> int:
    """Return how many cores this process may use, which may be fewer than the machine has."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


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
    return {
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
        "commit": _commit(),
        "hardware": f"{len(devices)} x {devices[0].device_kind}, {os.cpu_count()} host cores, {platform.machine()}",
        "versions": f"python {platform.python_version()}, jax {version('jax')}, "
        f"jaxlib {version('jaxlib')}, flax {version('flax')}",
    }


def _module() -> str:
    """Return the name of the running program; a notebook's or script's file name where it has no module."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    return spec.name if spec else Path(sys.argv[0]).stem


def _commit() -> str:
    """Return the checkout's commit, marked '+' if files differ from it; 'unknown' outside a checkout."""
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()
