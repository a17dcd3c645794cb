"""What all programs share: one-line errors with exit status 2, start-up of JAX, the flags of a run."""

import logging
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags
from absl import logging as absl_logging

from diffgeo.errors import Interrupted, UserError

BAD_INPUT = 2  # exit status

CACHE = flags.DEFINE_string(
    "compile_cache", None, "Folder of compiled programs, shared by runs. Default: diffgeo in the user's cache folder."
)


def run(main: Callable[[], None]) -> None:
    """Runs a program's main function under absl's flags.

    A `UserError` or an unusable flag is one sentence on stderr and exit status 2; an interrupted run exits with 128
    plus its signal's number, as a shell expects.
    """

    def guarded(arguments):
        if len(arguments) > 1:
            fail(f"unexpected argument {arguments[1]!r}: flags are written --name=value")
        try:
            main()
        except UserError as error:
            fail(str(error))
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            sys.exit(128 + stop.signum)

    app.run(guarded, flags_parser=_parse)


def fail(message: str) -> None:
    """Prints one sentence on stderr and exits with status 2."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(BAD_INPUT)


def _parse(arguments):
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        return fail(" ".join(str(error).split()))


def start_jax() -> None:
    """Quiet logs, and the cache of compiled programs; before any use of a device."""
    import jax

    absl_logging.set_verbosity(absl_logging.ERROR)  # orbax tells every step of every save
    logging.getLogger("jax").setLevel(logging.ERROR)
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = Path(CACHE.value or home / "diffgeo")
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 1.0)


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
