"""Wall-clock timing of a call, and the machine's speed in a matrix product."""

import time
from collections.abc import Callable

import jax
import jax.numpy as jnp

MATRIX = 2048  # rows and columns of the product that measures the machine's speed


def seconds(function: Callable[[], object]) -> float:
    """Return the seconds of a call, until its result is ready."""
    start = time.perf_counter()
    jax.block_until_ready(function())
    return time.perf_counter() - start


def matrix_product() -> float:
    """Return the FLOP/s of a float32 product of square matrices of side `MATRIX`, the best of five."""
    matrix = jax.random.normal(jax.random.key(0), (MATRIX, MATRIX))
    product = jax.jit(jnp.matmul)
    jax.block_until_ready(product(matrix, matrix))
    return 2 * MATRIX**3 / min(seconds(lambda: product(matrix, matrix)) for _ in range(5))
