"""Several processes as one run: how they find each other, who writes and speaks, what they agree on.

Process 0 alone makes folders, writes configuration, results and figures, and speaks; every process trains, samples,
saves and restores its own members. In one process every function here does the plain thing, and needs no JAX.
"""

import ctypes
import functools
import json
import os
import re
import signal
import sys
from collections.abc import Callable

import numpy as np

from diffgeo.errors import UserError

LOST = (
    "another process of this run has died or cannot be reached: "
    "start all processes again, the run continues from its newest checkpoint"
)
FAILED = 1  # exit status after a lost process

_held: list = []  # what C code points to must not be collected


def start(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    lost_after: int = 30,
    start_within: int = 300,
) -> None:
    """Joins the other processes of a run; before any use of a device, once.

    Args:
      coordinator: HOST:PORT of process 0, and with it the next two; None asks the cluster (SLURM, GKE, Cloud TPU).
      processes: how many there are.
      process: which one this is, from 0.
      lost_after: seconds of silence after which a process counts as dead.
      start_within: seconds that the processes have to find each other.

    Raises:
      UserError: for an incomplete or impossible description of the processes.
    """
    told = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in told.items() if value is None]
    if 0 < len(missing) < len(told):
        given = ", ".join(f"{name}={value}" for name, value in told.items() if value is not None)
        raise UserError(f"{given} needs {' and '.join(missing)} too: pass all three, or none on a cluster")
    if coordinator is not None:
        if not re.fullmatch(r".+:\d+", coordinator):
            raise UserError(f"--coordinator={coordinator} must be the HOST:PORT of process 0")
        if not 0 <= process < processes:
            raise UserError(f"--process={process} must be from 0 to --processes={processes} less one")
    import jax

    # the runtime's own handler would swallow SIGTERM, which the training loop waits for
    jax.config.update("jax_enable_preemption_service", False)
    found = f"no {processes} processes" if processes else "not all processes"
    where = f" at {coordinator}" if coordinator else ""
    _on_abort(f"{found} found each other{where} within {start_within} s: start all of them, check the address")
    try:
        jax.distributed.initialize(
            coordinator,
            processes,
            process,
            cluster_detection_method="deactivate" if coordinator else None,
            heartbeat_timeout_seconds=lost_after,
            initialization_timeout=start_within,
            shutdown_timeout_seconds=lost_after,
        )
    except (ValueError, RuntimeError) as error:
        first_line = str(error).strip().splitlines()[0]
        raise UserError(
            f"the processes of this run do not find each other ({first_line}): "
            "pass --coordinator=HOST:PORT --processes=N --process=I, or --distributed=off"
        ) from error
    _on_abort(LOST)


def _on_abort(sentence: str) -> None:
    """Ends this process with one sentence where JAX's runtime would abort it.

    The runtime ends a process from a thread of its own when another one is lost, and calls no Python function on the
    way; but abort() raises a signal first.
    """
    message = f"error: {sentence}\n".encode()

    @ctypes.CFUNCTYPE(None, ctypes.c_int)
    def end(_):
        os.write(sys.stderr.fileno(), message)
        os._exit(FAILED)

    _held.append(end)
    libc = ctypes.CDLL(None)
    libc.signal.restype = ctypes.c_void_p
    libc.signal(ctypes.c_int(signal.SIGABRT), end)


def shared() -> bool:
    """Whether other processes share this run."""
    jax = sys.modules.get("jax")  # without it nothing has been joined
    return jax is not None and jax.distributed.is_initialized() and jax.process_count() > 1


def first() -> bool:
    """Whether this process writes and speaks."""
    jax = sys.modules.get("jax")
    return jax is None or jax.process_index() == 0


def say(message: str) -> None:
    """Prints a line, of all processes once."""
    if first():
        print(message, flush=True)


def decide(function: Callable[[], object]):
    """What a function returns on process 0, on every process; it is called there alone.

    Args:
      function: returns plain JSON; may touch the disk, must not speak to other processes.

    Raises:
      UserError: on every process if the function raises it.
    """
    if not shared():
        return function()
    from jax.experimental import multihost_utils

    told = b""
    if first():
        try:
            told = json.dumps({"value": function()}).encode()
        except UserError as error:
            told = json.dumps({"error": str(error)}).encode()
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(told))))
    sent = np.frombuffer(told.ljust(length), np.uint8)
    heard = json.loads(np.asarray(multihost_utils.broadcast_one_to_all(sent)).astype(np.uint8).tobytes())
    if "error" in heard:
        raise UserError(heard["error"])
    return heard["value"]


def greatest(value: int) -> Callable[[], int]:
    """Starts finding the greatest of all processes' values, at once behind the devices' work; call what it returns."""
    if not shared():
        return lambda: value
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    sharding = NamedSharding(_all_devices(), PartitionSpec("device"))
    own = jax.make_array_from_callback((jax.device_count(),), sharding, lambda _: np.full(1, value, np.int32))
    found = _maximum(sharding.mesh)(own)
    return lambda: int(found.addressable_data(0))


@functools.cache
def _all_devices():
    import jax
    from jax.sharding import Mesh

    return Mesh(np.array(jax.devices()), ("device",))


@functools.cache
def _maximum(mesh):
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    return jax.jit(lambda x: x.max(), out_shardings=NamedSharding(mesh, PartitionSpec()))


def leave() -> bool:
    """Waits for all processes, then ends what they share; whether this one goes on (process 0 does)."""
    if shared():
        import jax

        jax.distributed.shutdown()
    return first()


def lost(error: BaseException) -> bool:
    """Whether an error says that another process does not answer."""
    import jax

    words = r"Gloo|coordination|[Bb]arrier|heartbeat|Connection (closed|reset|refused)|Socket closed"
    return isinstance(error, jax.errors.JaxRuntimeError) and re.search(words, str(error)) is not None


def end_at_once(status: int) -> None:
    """Ends this process without waiting for the others, who notice; on the usual way out they would be waited for."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)
