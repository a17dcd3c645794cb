"""Rows that a member draws from its table of labels, and their images: pure functions of (key, step), on device."""

import jax.numpy as jnp
from jaxtyping import Array, Int

from diffgeo import images
from diffgeo.data.label_tables import LabelTable
from diffgeo.data.permutation import epoch_permutation


def render_rows(table: LabelTable, rows: Int[Array, " n"], size: int, periodic: bool):
    """Images float32[n, N, N, 1] and labels float32[n, 2] of these rows of a table. Pure; runs on device."""
    centers = jnp.asarray(table.centers)[rows]
    kinds = jnp.asarray(table.kinds)[rows].astype(jnp.int32)
    return images.render(centers - table.origin[None, :], table.sigma, kinds, size, periodic), centers


def batch_indices(key, step: Int[Array, ""], batch: int, count) -> Int[Array, " B"]:
    """Rows of the batch drawn at a step: positions step * B ... of an endless sequence of epochs.

    Every row is drawn once per epoch; a batch may straddle epochs. Needs only (key, step), so any step can be
    resumed. `step` * `batch` must stay under 2^32.
    """
    drawn = step.astype(jnp.uint32) * jnp.uint32(batch) + jnp.arange(batch, dtype=jnp.uint32)
    count = jnp.asarray(count).astype(jnp.uint32)
    return epoch_permutation(key, drawn // count, drawn % count, count)
