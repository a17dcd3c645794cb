"""Labels at which a member is sampled and scored: the papers' own, and those common to all members."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from diffgeo.data.label_tables import LabelTable, lattice
from diffgeo.data.permutation import epoch_permutation

COMMON_SEED = 21
"""Of the common labels, which no member's seed changes: those of a smaller number are the first of a larger one."""


def labels_drawn(source: str, count: int, size: int, rows: int) -> int:
    """Return S, the number of labels that `evaluation_labels` gives for a table of this many rows."""
    return {"grid": size**2, "uniform": count}.get(source, min(count, rows))


def evaluation_labels(
    table: LabelTable, key: Key[Array, ""], source: str, count: int, size: int
) -> Float[np.ndarray, "S K"]:
    """Return the labels at which a member is sampled, in frame coordinates, on host.

    Args:
      table: of that member, unstacked.
      key: the member's key for labels.
      source: "train": `count` of the table's rows without replacement (all of them, in random order, when it has
        fewer) [2402.03305, B.3]; "grid": the N x N unit grid of the window, x slowest [2408.13256, A.3].
      count: S for "train".
      size: N.

    Raises:
      ValueError: for another source; "uniform" labels follow from the data set alone, see `sources.Source`.
    """
    if source not in ("train", "grid"):
        raise ValueError(f"source must be train or grid, got {source!r}")
    if source == "grid":
        return lattice(size, 1.0, 1.0) + table.origin[None, :]
    drawn = jnp.arange(labels_drawn(source, count, size, int(table.count)), dtype=jnp.uint32)
    rows = jax.jit(epoch_permutation)(key, jnp.zeros_like(drawn), drawn, jnp.uint32(table.count))
    return table.centers[np.asarray(rows)]


def common_labels(count: int, size: int, origin: Float[np.ndarray, "2"]) -> Float[np.ndarray, "S 2"]:
    """Return labels uniform in [1, N - 2]^2 of the window, in frame coordinates: equal for all members of a size.

    On no member's lattice, and a pixel inside the border, so that a drawing error of a pixel stays in the image.

    Args:
      count: S.
      size: N, at least 4.
      origin: of the member's window in its frame, pixels.
    """
    drawn = np.random.default_rng(COMMON_SEED).uniform(1.0, size - 2.0, (count, 2))
    return (drawn + origin[None, :]).astype(np.float32)
