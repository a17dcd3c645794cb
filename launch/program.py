"""What all programs share: one-line errors with exit status 2, start-up of JAX and its processes, their flags."""

import ctypes
import importlib.util
import logging
import os
import platform
import re
import shlex
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging

from diffgeo.errors import Interrupted, UserError

BAD_INPUT = 2  # exit status
MALLOC_OPTIONS = {-4: 0, -1: -1, -8: 1}  # of glibc's malloc.h: M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX

CACHE = flags.DEFINE_string(
    "compile_cache", None, "Folder of compiled programs, shared by runs. Default: diffgeo in the user's cache folder."
)

DISTRIBUTED = flags.DEFINE_enum(
    "distributed",
    "auto",
    ["auto", "on", "off"],
    "Whether this is one of several processes of a run. auto: with --coordinator, or if SLURM's, GKE's or Cloud TPU's "
    "environment variables tell of several.",
)
COORDINATOR = flags.DEFINE_string("coordinator", None, "HOST:PORT of process 0, where no cluster tells it.")
PROCESSES = flags.DEFINE_integer("processes", None, "How many processes there are, with --coordinator.")
PROCESS = flags.DEFINE_integer("process", None, "Which of them this is, from 0, with --coordinator.")
LOST_AFTER = flags.DEFINE_integer("lost_after", 30, "Seconds of silence after which another process counts as dead.", 1)
START_WITHIN = flags.DEFINE_integer("start_within", 300, "Seconds that the processes have to find each other.", 1)


def run(main: Callable[[], None]) -> None:
    """Runs a program's main function under absl's flags.

    A `UserError` or an unusable flag is one sentence on stderr and exit status 2; an interrupted run exits with 128
    plus its signal's number, as a shell expects. One of several processes that fails does not wait for the others.
    """

    def guarded(arguments):
        if len(arguments) > 1:
            fail(f"unexpected argument {arguments[1]!r}: flags are written --name=value")
        # read when JAX is imported: its runtime tells of a lost process by a stack trace, we by a sentence; a 0, set to
        # look into it, is left; 1 is what JAX itself sets, and may be inherited
        ours = os.environ.get("TF_CPP_MIN_LOG_LEVEL", "1") == "1"
        if ours and several(DISTRIBUTED.value, COORDINATOR.value, os.environ):
            os.environ["TF_CPP_MIN_LOG_LEVEL"] = "4"
        logging.getLogger("matplotlib").setLevel(logging.WARNING)  # it tells when it lists the system's fonts
        try:
            main()
        except UserError as error:
            processes = _shared()
            fail(str(error), end=processes.end_at_once if processes else sys.exit)
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            sys.exit(128 + stop.signum)
        except Exception as error:
            processes = _shared()
            if not processes:
                raise
            if processes.lost(error):
                print(f"error: {processes.LOST}", file=sys.stderr)
            else:
                traceback.print_exc()
            processes.end_at_once(processes.FAILED)

    app.run(guarded, flags_parser=_parse)


def _shared():
    """The module of several processes if this is one of them; what needs no JAX does not load it."""
    processes = sys.modules.get("diffgeo.processes")
    return processes if processes is not None and processes.shared() else None


def fail(message: str, end: Callable[[int], None] = sys.exit) -> None:
    """Prints one sentence on stderr and exits with status 2, by `end`."""
    print(f"error: {message}", file=sys.stderr)
    end(BAD_INPUT)


def several(distributed: str, coordinator: str | None, environment: Mapping[str, str]) -> bool:
    """Whether this is one of several processes of a run.

    Args:
      distributed: "on", "off", or "auto" to find out.
      coordinator: address given by flag, which says yes.
      environment: variables of a task that SLURM's srun started, of a TPU pod's worker (GKE, Cloud TPU) or of several
        TPU slices.
    """
    if distributed != "auto":
        return distributed == "on"
    workers = environment.get("TPU_PROCESS_ADDRESSES") or environment.get("TPU_WORKER_HOSTNAMES", "")
    started_by_srun = "SLURM_STEP_NODELIST" in environment and "SLURM_PROCID" in environment
    return (
        coordinator is not None
        or (started_by_srun and int(environment.get("SLURM_NTASKS", "1")) > 1)
        or "," in workers
        or int(environment.get("MEGASCALE_NUM_SLICES") or "1") > 1
    )


def _parse(arguments):
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        return fail(" ".join(str(error).split()))


def keep_memory() -> None:
    """Lets this process keep what it frees, on CPU a fifth to a quarter of a training step's time.

    XLA takes memory for temporaries anew for every step, and glibc gives large pieces back to the system at once, so
    each step would touch thousands of pages for the first time (8,800 at the laptop presets' size, 170,000 at the
    papers'). Several arenas would do the same: one that is empty is given back whole. Elsewhere nothing happens.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        for option, value in MALLOC_OPTIONS.items():
            mallopt(option, value)


def start_jax() -> None:
    """Quiet logs, memory kept, the cache of compiled programs, and the other processes; before any use of a device."""
    keep_memory()
    import jax

    from diffgeo import processes

    absl_logging.set_verbosity(absl_logging.ERROR)  # orbax tells every step of every save
    logging.getLogger("jax").setLevel(logging.ERROR)
    if only_cpu(jax.config.jax_platforms, os.environ, Path("/dev")):
        jax.config.update("jax_platforms", "cpu")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(CACHE.value or home / "diffgeo")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)
    if several(DISTRIBUTED.value, COORDINATOR.value, os.environ):
        processes.start(COORDINATOR.value, PROCESSES.value, PROCESS.value, LOST_AFTER.value, START_WITHIN.value)


def only_cpu(platforms: str | None, environment: Mapping[str, str], devices: Path) -> bool:
    """Whether JAX can only find a CPU, but would ask an installed libtpu, which answers with a page of warnings.

    Args:
      platforms: the user's choice, which is never overridden.
      environment: variables; any of a TPU's says no.
      devices: folder of device files; a TPU's are accel0 and so on, or in vfio.
    """
    told = {name for name in environment if re.match(r"TPU_|MEGASCALE_|JAX_FORCE_TPU_INIT$", name)}
    return (
        not platforms
        and importlib.util.find_spec("libtpu") is not None
        and told <= {"TPU_SKIP_MDS_QUERY", "TPU_LIBRARY_PATH"}  # set by JAX and libtpu themselves, TPU or none
        and not [*devices.glob("accel*"), *devices.glob("vfio/*")]
        # every other accelerator comes as a plugin of JAX, in either of these ways
        and not entry_points(group="jax_plugins")
        and importlib.util.find_spec("jax_plugins") is None
    )


def provenance() -> dict[str, str]:
    """Command, commit, hardware and versions, for the record in a run's results."""
    import flax
    import jax
    import jaxlib

    devices = jax.devices()
    return {
        "command": shlex.join(["python", "-m", _module(), *sys.argv[1:]]),
        "commit": _commit(),
        "hardware": f"{len(devices)} x {devices[0].device_kind}, {os.cpu_count()} host cores, {platform.machine()}",
        "versions": f"python {platform.python_version()}, jax {jax.__version__}, jaxlib {jaxlib.__version__}, "
        f"flax {flax.__version__}",
    }


def _module() -> str:
    spec = sys.modules["__main__"].__spec__
    return spec.name if spec else Path(sys.argv[0]).stem


def _commit() -> str:
    """The checkout's commit, marked '+' if files differ from it; 'unknown' outside a checkout."""
    here = Path(__file__).parent
    try:
        told = subprocess.run(
            ["git", "describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return told.stdout.strip()
