"""Labels at which a member is sampled and scored."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from diffgeo.data.label_tables import LabelTable, lattice
from diffgeo.data.permutation import epoch_permutation


def labels_drawn(source: str, count: int, size: int, rows: int) -> int:
    """Return S, the number of labels that `evaluation_labels` gives for a table of this many rows."""
    return size**2 if source == "grid" else min(count, rows)


def evaluation_labels(
    table: LabelTable, key: Key[Array, ""], source: str, count: int, size: int
) -> Float[np.ndarray, "S 2"]:
    """Return the labels at which a member is sampled, in frame coordinates, on host.

    Args:
      table: of that member, unstacked.
      key: the member's key for labels.
      source: "train": `count` of the table's rows without replacement (all of them, in random order, when it has
        fewer) [2402.03305, B.3]; "grid": the N x N unit grid of the window, x slowest [2408.13256, A.3].
      count: S for "train".
      size: N.
    """
    if source == "grid":
        return lattice(size, 1.0, 1.0) + table.origin[None, :]
    drawn = jnp.arange(labels_drawn(source, count, size, int(table.count)), dtype=jnp.uint32)
    rows = jax.jit(epoch_permutation)(key, jnp.zeros_like(drawn), drawn, jnp.uint32(table.count))
    return table.centers[np.asarray(rows)]
