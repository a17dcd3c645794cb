"""Batches drawn from a label table, and their images: pure functions of (key, step), on device."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key, UInt8

from diffgeo import images
from diffgeo.data.label_tables import LabelTable
from diffgeo.data.permutation import epoch_permutation
from diffgeo.data.sources import from_gray, render_declared
from diffgeo.settings import Dataset


def render_rows(
    table: LabelTable,
    rows: Int[Array, " n"],
    size: int,
    periodic: bool,
    dataset: Dataset | None = None,
    stored: UInt8[Array, "L P"] | None = None,
) -> tuple[Float[Array, "n N N C"], Float[Array, "n K"]]:
    """Render these rows of a table, or gather their images.

    Args:
      table: of one member.
      rows: below the table's count.
      size: N, the image's side in pixels.
      periodic: wrap both axes of the papers' images.
      dataset: of the user, None for the papers' images.
      stored: the images of a data set that has them, those of all members, flat: P = N * N * C.

    Returns:
      Images in [-1, 1] and their labels, of the papers (x, y) in pixels of the frame.
    """
    centers = jnp.asarray(table.centers)[rows]
    if dataset is not None:
        if stored is not None:
            gathered = stored[jnp.asarray(table.image_rows)[rows]]
            return from_gray(gathered.reshape(len(rows), size, size, dataset.channels)), centers
        return render_declared(dataset, centers, size, table.parameters), centers
    kinds = jnp.asarray(table.kinds)[rows].astype(jnp.int32)
    return images.render(centers - table.origin[None, :], table.sigma, kinds, size, periodic), centers


def batch_indices(
    key: Key[Array, ""], step: Int[Array, ""], batch_size: int, count: jax.typing.ArrayLike
) -> Int[Array, " B"]:
    """Return the rows of a step's batch: positions step * B .. step * B + B - 1 of an endless sequence of epochs.

    Every row is drawn once per epoch; a batch may straddle epochs. Depends on (key, step) alone, so training resumes
    at any step.

    Args:
      key: a typed key.
      step: training step; step * B stays below 2^32.
      batch_size: B.
      count: number of rows in the table, 1 .. 2^31; may be traced.
    """
    position = step.astype(jnp.uint32) * jnp.uint32(batch_size) + jnp.arange(batch_size, dtype=jnp.uint32)
    rows = jnp.asarray(count).astype(jnp.uint32)
    return epoch_permutation(key, position // rows, position % rows, rows)
