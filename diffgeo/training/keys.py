"""Named random streams of a member: a typed key per role, derived from the member's seed alone."""

import zlib

import jax
from jaxtyping import Array, Integer, Key

ROLES = ("init", "order", "noise", "sample", "labels", "proxy", "layers", "validation", "tangent")
"""Roles of a member's random streams."""


def member_key(seed: Integer[Array, ""] | int) -> Key[Array, ""]:
    """Return a member's key, from its seed alone, wherever it stands in whichever grid. `seed` may be traced."""
    return jax.random.key(seed, impl="threefry2x32")


def stream(key: Key[Array, ""], role: str) -> Key[Array, ""]:
    """Return the member's key for one of `ROLES`; independent of the other roles' keys."""
    if role not in ROLES:
        raise ValueError(f"unknown role {role!r}: one of {ROLES}")
    return jax.random.fold_in(key, zlib.crc32(role.encode()) & 0x7FFFFFFF)
