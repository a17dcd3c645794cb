"""Batches: rows drawn once per epoch at any step of a run, and their images."""

import functools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

from diffgeo import images
from diffgeo.data import batches, label_tables
from tests.support.settings import few

DRAWN = 1024  # rows of 64 batches of 16: one shape, so one program, for all counts

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles faster


@jit
def rows_drawn(key, first, count):
    """Rows of 64 successive batches of 16."""
    return jax.vmap(lambda step: batches.batch_indices(key, step, 16, count))(first + jnp.arange(64)).ravel()


def drawn_by(seed, count, first=0):
    return np.asarray(rows_drawn(jax.random.key(seed), jnp.int32(first), jnp.int32(count)))


@few
@hypothesis.given(st.integers(0, 2**31), st.integers(1, DRAWN))
@hypothesis.example(0, 1)
@hypothesis.example(0, 3)  # under the batch of 16
@hypothesis.example(0, 16)
@hypothesis.example(0, 100)  # batches straddle epochs
def test_every_row_is_drawn_once_per_epoch(seed, count):
    epochs = DRAWN // count
    rows = drawn_by(seed, count)[: epochs * count].reshape(epochs, count)
    np.testing.assert_array_equal(np.sort(rows), np.tile(np.arange(count), (epochs, 1)))


def test_epochs_of_batches_are_shuffled_anew():
    rows = drawn_by(0, 100)[:1_000].reshape(10, 100)
    assert len(np.unique(rows, axis=0)) == 10


@few
@hypothesis.given(st.integers(0, 2**31), st.integers(1, 2_000), st.integers(1, 63))
def test_a_resumed_run_draws_the_same_rows(seed, count, step):
    whole, resumed = drawn_by(seed, count), drawn_by(seed, count, first=step)
    np.testing.assert_array_equal(resumed[: DRAWN - 16 * step], whole[16 * step :])
    assert whole.max() < count  # padding is never drawn


def test_the_last_batches_that_the_positions_reach_are_still_whole_epochs():
    first = 2**32 // 16 - 64
    skipped = -(16 * first) % 100  # to the start of the next epoch
    rows = drawn_by(0, 100, first)[skipped : skipped + 900].reshape(9, 100)
    np.testing.assert_array_equal(np.sort(rows), np.tile(np.arange(100), (9, 1)))


def test_rows_are_rendered_in_their_window():
    centers = np.array([(3.0, 4.5), (9.0, 5.25), (12.5, 11.0)], np.float32)
    kinds = np.array([0, 1, 0])
    table = label_tables.stack([label_tables.make_table(centers, kinds, 1.5, 3.0)], rows=5)
    table = jax.tree.map(lambda leaf: leaf[0], table)
    drawn, labels = batches.render_rows(table, jnp.array([2, 1, 1]), 8, False)
    np.testing.assert_array_equal(labels, centers[[2, 1, 1]])
    expected = images.render(centers[[2, 1, 1]] - 3.0, 1.5, kinds[[2, 1, 1]], 8)
    np.testing.assert_allclose(drawn, expected, atol=1e-6)
    wrapped, _ = batches.render_rows(table, jnp.array([2, 1, 1]), 8, True)
    np.testing.assert_allclose(
        wrapped, images.render(centers[[2, 1, 1]] - 3.0, 1.5, kinds[[2, 1, 1]], 8, True), atol=1e-6
    )
