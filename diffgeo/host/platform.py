"""Platform that programs are compiled for: this process's devices, or a target described to the compiler."""

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import jax

GIB = 2**30  # bytes

_TARGET: ContextVar[str | None] = ContextVar("target", default=None)


def platform() -> str:
    """Return "cpu", "gpu" or "tpu": that of this process's devices, unless within `compiling_for`."""
    return _TARGET.get() or jax.default_backend()


@contextlib.contextmanager
def compiling_for(target: str) -> Iterator[None]:
    """Trace programs within for another platform than this process's devices."""
    token = _TARGET.set(target)
    try:
        yield
    finally:
        _TARGET.reset(token)
