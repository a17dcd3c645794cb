"""Parameters as one vector: an optimizer's update of many small arrays costs as many small programs."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


class Layout:
    """Where each array of a tree lies in one vector, in the order of `jax.tree.leaves`.

    Attributes:
      size: P, length of the vector.
    """

    def __init__(self, tree: Any):
        leaves, self._structure = jax.tree.flatten(tree)
        self._shapes = [leaf.shape for leaf in leaves]
        self._starts = np.cumsum([0, *(math.prod(shape) for shape in self._shapes)]).tolist()
        self.size: int = self._starts[-1]

    def ravel(self, tree: Any) -> Any:
        """Return [..., P] of a tree of this structure, whose arrays may share leading dims; numpy's of numpy's."""
        leaves = jax.tree.leaves(tree)
        lead = leaves[0].shape[: leaves[0].ndim - len(self._shapes[0])]
        join = np.concatenate if isinstance(leaves[0], np.ndarray) else jnp.concatenate
        return join([leaf.reshape((*lead, -1)) for leaf in leaves], axis=-1)

    def unravel(self, vector: Any) -> Any:
        """Return the tree of [..., P]; of a numpy array, views of it."""
        lead, spans = vector.shape[:-1], zip(self._starts, self._starts[1:], self._shapes, strict=False)
        parts = [vector[..., start:stop].reshape((*lead, *shape)) for start, stop, shape in spans]
        return jax.tree.unflatten(self._structure, parts)

    def ravel_all(self, tree: Any) -> Any:
        """Return a tree with each part of this structure, such as an optimizer's moments, raveled."""

        def is_part(x: Any) -> bool:
            return jax.tree.structure(x) == self._structure

        return jax.tree.map(lambda x: self.ravel(x) if is_part(x) else x, tree, is_leaf=is_part)

    def unravel_all(self, tree: Any) -> Any:
        """Undo `ravel_all`, also of arrays that have gained leading dims: whatever ends in P is a vector."""
        return jax.tree.map(lambda x: self.unravel(x) if x.shape[-1:] == (self.size,) else x, tree)
