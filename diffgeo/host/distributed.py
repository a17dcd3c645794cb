"""Several processes as one run: how they find each other, which one writes and prints, what they agree on.

Process 0, the coordinator, alone makes folders, writes configuration, results and figures, and prints; every process
trains, samples, saves and restores its own members. In one process every function here does the plain thing, and needs
no JAX.
"""

import ctypes
import functools
import json
import os
import re
import signal
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from diffgeo.errors import UserError, one_line

LOST = (
    "another process of this run has died or cannot be reached: "
    "start all processes again, the run continues from its newest checkpoint"
)
FAILED = 1  # exit status after a lost process

_held: list = []  # callbacks that C code points to must not be collected


def start(
    coordinator: str | None = None,
    processes: int | None = None,
    process: int | None = None,
    lost_after: int = 30,
    start_within: int = 300,
) -> None:
    """Join the other processes of a run; once, before any use of a device.

    Args:
      coordinator: HOST:PORT of process 0, and with it the next two; None asks the cluster (SLURM, GKE, Cloud TPU).
      processes: how many there are.
      process: which one this is, from 0.
      lost_after: seconds of silence after which a process counts as dead.
      start_within: seconds that the processes have to find each other.

    Raises:
      UserError: for an incomplete or impossible description of the processes.
    """
    flags = {"--coordinator": coordinator, "--processes": processes, "--process": process}
    missing = [name for name, value in flags.items() if value is None]
    if 0 < len(missing) < len(flags):
        given = ", ".join(f"{name}={value}" for name, value in flags.items() if value is not None)
        raise UserError(f"{given} needs {' and '.join(missing)} too: pass all three, or none on a cluster")
    if coordinator is not None:
        if not re.fullmatch(r".+:\d+", coordinator):
            raise UserError(f"--coordinator={coordinator} must be the HOST:PORT of process 0")
        assert process is not None
        assert processes is not None
        if not 0 <= process < processes:
            raise UserError(f"--process={process} must be from 0 to --processes={processes} less one")
    import jax

    # the runtime's own handler would swallow SIGTERM, which the training loop waits for
    jax.config.update("jax_enable_preemption_service", False)
    incomplete = f"no {processes} processes" if processes else "not all processes"
    where = f" at {coordinator}" if coordinator else ""
    _on_abort(f"{incomplete} found each other{where} within {start_within} s: start all of them, check the address")
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
        raise UserError(
            f"the processes of this run do not find each other ({one_line(str(error).strip().splitlines()[0])}): "
            "pass --coordinator=HOST:PORT --processes=N --process=I, or --distributed=off"
        ) from error
    _on_abort(LOST)


def _on_abort(sentence: str) -> None:
    """End this process with one sentence where JAX's runtime would abort it.

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


def is_multiprocess() -> bool:
    """Return whether other processes share this run."""
    jax = sys.modules.get("jax")  # without it nothing has been joined
    return jax is not None and jax.distributed.is_initialized() and jax.process_count() > 1


def is_coordinator() -> bool:
    """Return whether this process writes and prints."""
    jax = sys.modules.get("jax")
    return jax is None or jax.process_index() == 0


def say(message: str) -> None:
    """Print a line, once for all processes."""
    if is_coordinator():
        print(message, flush=True)


def broadcast(function: Callable[[], Any]) -> Any:
    """Run `function` on process 0 and return its result on every process.

    Args:
      function: returns plain JSON; may touch the disk, must not communicate with other processes.

    Raises:
      UserError: on every process if the function raises it.
    """
    if not is_multiprocess():
        return function()
    from jax.experimental import multihost_utils

    sent = b""
    if is_coordinator():
        try:
            sent = json.dumps({"value": function()}).encode()
        except UserError as error:
            sent = json.dumps({"error": str(error)}).encode()
    length = int(multihost_utils.broadcast_one_to_all(np.int32(len(sent))))
    buffer = np.frombuffer(sent.ljust(length), np.uint8)
    received = json.loads(np.asarray(multihost_utils.broadcast_one_to_all(buffer)).astype(np.uint8).tobytes())
    if "error" in received:
        raise UserError(received["error"])
    return received["value"]


def all_max(value: int) -> Callable[[], int]:
    """Start an asynchronous all-reduce max behind the devices' work; call the returned function for the value."""
    if not is_multiprocess():
        return lambda: value
    import jax
    from jax.sharding import NamedSharding, PartitionSpec

    sharding = NamedSharding(_all_devices(), PartitionSpec("device"))
    values = jax.make_array_from_callback((jax.device_count(),), sharding, lambda _: np.full(1, value, np.int32))
    largest = _maximum(sharding.mesh)(values)
    return lambda: int(largest.addressable_data(0))


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


def shutdown() -> bool:
    """Wait for all processes and end their connection; return whether this one goes on (process 0 does)."""
    if is_multiprocess():
        import jax

        jax.distributed.shutdown()
    return is_coordinator()


def lost(error: BaseException) -> bool:
    """Return whether an error says that another process does not answer.

    JAX raises a ValueError where a transfer fails as it is started, and an error of its own, a RuntimeError, where the
    result is waited for.
    """
    words = r"Gloo|coordination|[Bb]arrier|heartbeat|Connection (closed|reset|refused)|Socket closed"
    return isinstance(error, RuntimeError | ValueError) and re.search(words, str(error)) is not None


def end_at_once(status: int) -> None:
    """End this process without waiting for the others, which notice; the usual way out would wait for them."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


def is_one_of_several(distributed: str, coordinator: str | None, environment: Mapping[str, str]) -> bool:
    """Return whether this is one of several processes of a run.

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
