"""Wall-clock timing of a call, and the machine's own speed by a matrix product."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

MATRIX = 2048  # rows and columns of the product that the machine's speed is taken from


def seconds(function: Callable[[], object]) -> float:
    """Seconds of one call, until its result is there."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def matrix_product() -> float:
    """FLOP/s of a float32 product of `MATRIX` square matrices, the best of five."""
    side = jax.random.normal(jax.random.key(0), (MATRIX, MATRIX))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(side, side))
    return 2 * MATRIX**3 / min(seconds(lambda: product(side, side)) for _ in range(5))
