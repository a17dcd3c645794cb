"""Keyed permutation of a table's rows, evaluated at any position of any epoch on device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Int, Key, UInt32

ROUNDS = 8  # of the Feistel network behind the permutation


def epoch_permutation(
    key: Key[Array, ""], epoch: UInt32[Array, " n"], position: UInt32[Array, " n"], count: UInt32[Array, ""]
) -> Int[Array, " n"]:
    """Return the row visited at each position of an epoch: a keyed bijection of 0 .. count - 1, never stored.

    A Feistel network on the smallest power of two >= count, iterated until it lands below the count (at most two
    iterations on average), so any position of any epoch costs the same and needs no other.

    Args:
      key: a typed key; different keys give different orders.
      epoch: uint32[n], different epochs have different orders.
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
    low_mask = jnp.left_shift(jnp.uint32(1), low_bits) - jnp.uint32(1)
    high_mask = jnp.left_shift(jnp.uint32(1), bits - low_bits) - jnp.uint32(1)

    def shuffle(value: jax.Array, keys: jax.Array) -> jax.Array:
        low, high = value & low_mask, jnp.right_shift(value, low_bits)
        for i in range(0, ROUNDS, 2):
            high = high ^ (_mix(low ^ keys[i]) & high_mask)
            low = low ^ (_mix(high ^ keys[i + 1]) & low_mask)
        return jnp.left_shift(high, low_bits) | low

    def walk(start: jax.Array, keys: jax.Array) -> jax.Array:
        return jax.lax.while_loop(lambda v: v >= count, lambda v: shuffle(v, keys), shuffle(start, keys))

    return jax.vmap(walk)(position, round_keys).astype(jnp.int32)


def _mix(x: jax.Array) -> jax.Array:
    """Hash 32 bits bijectively with good avalanche (the finalizer of MurmurHash3)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)
