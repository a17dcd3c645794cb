"""Parameters as one vector: the order of JAX's own `ravel_pytree`, also below leading dims, and back."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree

from diffgeo.training.ensemble import member_row
from diffgeo.training.flat import Layout
from tests.support.settings import draw

TREE = {"b": {"kernel": draw(0, 3, 3, 2, 4), "bias": draw(1, 4)}, "a": draw(2), "c": draw(3, 5, 1)}
STACKED = {"b": {"kernel": draw(4, 6, 3, 3, 2, 4), "bias": draw(5, 6, 4)}, "a": draw(6, 6), "c": draw(7, 6, 5, 1)}


def test_a_tree_is_raveled_as_jax_does_and_comes_back():
    layout, (expected, unravel) = Layout(TREE), ravel_pytree(TREE)
    assert layout.size == len(expected) == 3 * 3 * 2 * 4 + 4 + 1 + 5
    for tree in (TREE, jax.tree.map(jnp.asarray, TREE)):
        vector = layout.ravel(tree)
        np.testing.assert_array_equal(vector, expected)
        jax.tree.map(np.testing.assert_array_equal, layout.unravel(vector), unravel(expected))


def test_members_keep_their_rows():
    layout = Layout(TREE)
    rows = layout.ravel(STACKED)
    assert rows.shape == (6, layout.size)
    for i, row in enumerate(rows):
        np.testing.assert_array_equal(row, layout.ravel(member_row(STACKED, i)))
    back = layout.unravel(rows)
    jax.tree.map(np.testing.assert_array_equal, back, STACKED)
    rows[2] = 0  # what training writes is what a checkpoint reads
    assert all(not leaf[2].any() and np.shares_memory(leaf, rows) for leaf in jax.tree.leaves(back))


def test_an_optimizers_state_is_raveled_part_by_part():
    layout, adamw = Layout(TREE), optax.adamw(1e-3)
    state = adamw.init(TREE)
    flat = layout.ravel_all(state)
    assert jax.tree.structure(flat) == jax.tree.structure(adamw.init(layout.ravel(TREE)))
    assert jax.tree.structure(layout.unravel_all(flat)) == jax.tree.structure(state)
    stacked = jax.tree.map(lambda x: np.stack([np.asarray(x)] * 2), flat)
    assert {leaf.shape for leaf in jax.tree.leaves(stacked)} == {(2,), (2, layout.size)}
    assert jax.tree.structure(layout.unravel_all(stacked)) == jax.tree.structure(state)
