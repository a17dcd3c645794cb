"""Rows that a member draws from its table of labels, and their images: pure functions of (key, step), on device."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, UInt32

from diffgeo import images
from diffgeo.datasets import Table, lattice

ROUNDS = 8  # of the Feistel network behind the permutation


def render_rows(table: Table, rows: Int[Array, " n"], size: int, periodic: bool):
    """Images float32[n, N, N, 1] and labels float32[n, 2] of these rows of a table. Pure; runs on device."""
    centers = jnp.asarray(table.centers)[rows]
    kinds = jnp.asarray(table.kinds)[rows].astype(jnp.int32)
    return images.render(centers - table.origin[None, :], table.sigma, kinds, size, periodic), centers


def permutation(
    key, epoch: UInt32[Array, " n"], position: UInt32[Array, " n"], count: UInt32[Array, ""]
) -> Int[Array, " n"]:
    """Row visited at each position of an epoch: a keyed bijection of 0 .. count - 1, computed, never stored.

    A Feistel network on the smallest power of two >= count, walked along its cycle until it lands below the count
    (at most two steps on average), so any position of any epoch costs the same and needs no other.

    Args:
      key: a typed key; another key gives another order.
      epoch: uint32[n], each epoch has its own order.
      position: uint32[n], below `count`.
      count: number of rows, 1 .. 2^31; may be traced.

    Returns:
      int32[n], distinct for distinct positions of the same epoch.
    """
    epoch_keys = jax.vmap(lambda e: jax.random.fold_in(key, e))(epoch)
    round_keys = jax.vmap(lambda k: jax.random.bits(k, (ROUNDS,), jnp.uint32))(epoch_keys)
    count = jnp.asarray(count, jnp.uint32)
    bits = jnp.maximum(jnp.uint32(32) - jax.lax.clz(count - jnp.uint32(1)), jnp.uint32(2))
    low_bits = bits // jnp.uint32(2)
    one = jnp.uint32(1)
    low_mask = jnp.left_shift(one, low_bits) - one
    high_mask = jnp.left_shift(one, bits - low_bits) - one

    def shuffle(value, keys):
        low, high = value & low_mask, jnp.right_shift(value, low_bits)
        for i in range(0, ROUNDS, 2):
            high = high ^ (_mix(low ^ keys[i]) & high_mask)
            low = low ^ (_mix(high ^ keys[i + 1]) & low_mask)
        return jnp.left_shift(high, low_bits) | low

    def walk(start, keys):
        return jax.lax.while_loop(lambda v: v >= count, lambda v: shuffle(v, keys), shuffle(start, keys))

    return jax.vmap(walk)(position, round_keys).astype(jnp.int32)


def _mix(x):
    """A bijective 32-bit hash with good avalanche (the finaliser of MurmurHash3)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def batch_rows(key, step: Int[Array, ""], batch: int, count) -> Int[Array, " B"]:
    """Rows of the batch drawn at a step: positions step * B ... of an endless sequence of epochs.

    Every row is drawn once per epoch; a batch may straddle epochs. Needs only (key, step), so any step can be
    resumed. `step` * `batch` must stay under 2^32.
    """
    drawn = step.astype(jnp.uint32) * jnp.uint32(batch) + jnp.arange(batch, dtype=jnp.uint32)
    count = jnp.asarray(count).astype(jnp.uint32)
    return permutation(key, drawn // count, drawn % count, count)


def labels_drawn(source: str, count: int, size: int, rows: int) -> int:
    """S: how many labels `evaluation_labels` gives for a table of so many rows."""
    return size**2 if source == "grid" else min(count, rows)


def evaluation_labels(table: Table, key, source: str, count: int, size: int) -> Float[np.ndarray, "S 2"]:
    """Labels that a member is sampled at, in frame coordinates, on host.

    Args:
      table: the member's own, unstacked.
      key: the member's key for labels.
      source: "train": `count` of the table's rows without replacement (all of them, in random order, when it has
        fewer) [2402.03305, B.3]; "grid": the N x N unit grid of the window, x slowest [2408.13256, A.3].
      count: S for "train".
      size: N.
    """
    if source == "grid":
        return lattice(size, 1.0, 1.0) + table.origin[None, :]
    drawn = jnp.arange(labels_drawn(source, count, size, int(table.count)), dtype=jnp.uint32)
    rows = jax.jit(permutation)(key, jnp.zeros_like(drawn), drawn, jnp.uint32(table.count))
    return table.centers[np.asarray(rows)]
