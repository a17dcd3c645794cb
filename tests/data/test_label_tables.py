"""Label tables against counts by hand; the drawing of rows as a bijection of every epoch."""

import functools
from fractions import Fraction

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st
from tests.helpers import few, multiples_below

from diffgeo import images
from diffgeo.data import batches, evaluation_labels, label_tables, permutation
from diffgeo.errors import UserError
from diffgeo.settings import Data
from diffgeo.settings.allowed import KINDS

DRAWN = 1024  # positions per call: one shape, so one program, for all counts
SIZES = (102_400, 25_600, 11_449, 6_400, 4_096, 2_916, 2_116, 1_600, 1_296, 1_024)  # d = 0.1, 0.2, ... 1.0

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles faster
permute = jit(permutation.epoch_permutation)


@jit
def rows_drawn(key, first, count):
    """Rows of 64 successive batches of 16."""
    return jax.vmap(lambda step: batches.batch_indices(key, step, 16, count))(first + jnp.arange(64)).ravel()


def order(seed, epoch, count):
    """All rows in the order of one epoch, for at most `DRAWN` rows."""
    position = jnp.arange(DRAWN, dtype=jnp.uint32) % count
    epochs = jnp.full(DRAWN, epoch, jnp.uint32)
    return np.asarray(permute(jax.random.key(seed), epochs, position, jnp.uint32(count)))[:count]


def drawn_by(seed, count, first=0):
    return np.asarray(rows_drawn(jax.random.key(seed), jnp.int32(first), jnp.int32(count)))


@pytest.mark.parametrize(("tenths", "size"), list(enumerate(SIZES, start=1)))
def test_sizes_of_the_papers_data_sets(tenths, size):
    table = label_tables.build_label_table(Data(size=32, increment=tenths / 10))
    along = multiples_below(32, f"{tenths}/10")
    assert table.count == len(table.centers) == len(along) ** 2 == size
    expected = [(float(x), float(y)) for x in along for y in along]
    np.testing.assert_allclose(table.centers, expected, rtol=1e-6)
    assert np.all((table.centers >= 0) & (table.centers < 32))
    assert len(np.unique(table.centers, axis=0)) == size


@few
@hypothesis.given(st.integers(1, 400), st.integers(1, 400), st.sampled_from([8, 24, 32]))
def test_the_end_point_is_left_out_at_any_spacing(hundredths_x, hundredths_y, stop):
    along_x, along_y = (multiples_below(stop, Fraction(h, 100)) for h in (hundredths_x, hundredths_y))
    hypothesis.assume(len(along_x) * len(along_y) < 200_000)
    found = label_tables.lattice(stop, hundredths_x / 100, hundredths_y / 100)
    assert found.shape == (len(along_x) * len(along_y), 2)
    np.testing.assert_allclose(np.unique(found[:, 0]), np.array(along_x, float), rtol=1e-6)
    np.testing.assert_allclose(found[: len(along_y), 1], np.array(along_y, float), rtol=1e-6)


def test_a_spacing_off_by_rounding_adds_no_row():
    spacing = 1 - 0.9  # a little under 0.1
    assert 32 / spacing > 320
    assert len(label_tables.lattice(32, spacing, 1.0)) == 320 * 32


def test_spacings_may_differ_by_axis():
    assert label_tables.build_label_table(Data(increment=1.0, increment_x=0.1)).count == 320 * 32
    table = label_tables.build_label_table(Data(increment_x=2.0, increment_y=0.5))
    assert table.count == 16 * 64
    assert np.unique(table.centers[:, 0]).tolist() == list(range(0, 32, 2))
    assert np.unique(table.centers[:, 1]).tolist() == [0.5 * i for i in range(64)]


def test_a_table_holds_what_the_settings_say():
    table = label_tables.build_label_table(Data(size=8, kind="sos", sigma=0.7))
    assert set(table.kinds.tolist()) == {KINDS.index("sos")}
    np.testing.assert_allclose(table.sigma, [0.7, 0.7])
    assert table.origin.tolist() == [0, 0]
    types = (np.float32, np.int8, np.int32, np.float32, np.float32)
    assert tuple(leaf.dtype for leaf in table) == types


def test_refused_tables_are_quoted():
    with pytest.raises(UserError, match=r"'gird'.*'grid'"):
        label_tables.build_label_table(Data(dataset="gird"))
    with pytest.raises(UserError, match="empty"):
        label_tables.make_table(np.zeros((0, 2)), "bump", 1.0)
    with pytest.raises(UserError, match="'blob'"):
        label_tables.make_table(np.zeros((1, 2)), "blob", 1.0)
    with pytest.raises(UserError, match=r"1e-05.*3200000"):
        label_tables.build_label_table(Data(increment=1e-5))


def test_stacked_tables_are_padded_at_the_end_and_small():
    tables = [label_tables.build_label_table(Data(increment=d, sigma=s)) for d, s in ((0.1, 1.0), (1.0, 2.0))]
    stacked = label_tables.stack(tables)
    assert stacked.centers.shape == (2, 102_400, 2)
    assert stacked.count.tolist() == [102_400, 1_024]
    for member, table in enumerate(tables):
        np.testing.assert_array_equal(stacked.centers[member, : table.count], table.centers)
        np.testing.assert_array_equal(stacked.kinds[member, : table.count], table.kinds)
        np.testing.assert_array_equal(stacked.sigma[member], table.sigma)
    assert not stacked.centers[1, 1_024:].any()
    assert [leaf.dtype for leaf in stacked] == [leaf.dtype for leaf in tables[0]]
    assert sum(leaf.nbytes for leaf in stacked) / len(tables) < 2e6
    assert label_tables.stack(tables[1:], rows=3_000).kinds.shape == (1, 3_000)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 100, 1_000, 1_024])
def test_an_order_visits_every_row_once(count):
    for seed in (0, 1):
        for epoch in (0, 1, 2**32 - 1):
            assert sorted(order(seed, epoch, count)) == list(range(count))


def test_an_order_of_the_largest_table_visits_every_row_once():
    count = SIZES[0]
    epochs = jnp.full(count, 3, jnp.uint32)
    rows = permute(jax.random.key(0), epochs, jnp.arange(count, dtype=jnp.uint32), jnp.uint32(count))
    assert rows.dtype == jnp.int32
    np.testing.assert_array_equal(np.sort(rows), np.arange(count))


def test_orders_differ_by_epoch_and_by_key():
    orders = [order(seed, epoch, 1_000) for seed in range(3) for epoch in range(3)]
    for i, one in enumerate(orders):
        for other in orders[:i]:
            assert np.mean(one == other) < 0.01


def test_all_orders_of_three_rows_are_about_as_frequent():
    drawn = jnp.arange(DRAWN, dtype=jnp.uint32)
    rows = [permute(jax.random.key(s), drawn // 3, drawn % 3, jnp.uint32(3)) for s in range(3)]
    orders = np.concatenate([np.asarray(r)[: DRAWN // 3 * 3].reshape(-1, 3) for r in rows])
    _, times = np.unique(orders, axis=0, return_counts=True)
    assert len(times) == 6
    assert np.all(np.abs(times - len(orders) / 6) < 5 * np.sqrt(len(orders) * 5 / 36))  # standard errors


def test_a_row_needs_only_its_own_position():
    alone = jit(lambda p: permutation.epoch_permutation(jax.random.key(5), jnp.full_like(p, 2), p, jnp.uint32(100)))
    whole = order(5, 2, 100)
    for position in (0, 1, 57, 99):
        assert alone(jnp.array([position], jnp.uint32)).tolist() == [whole[position]]


def test_one_program_serves_all_counts():
    traced = []

    @jit
    def program(position, count):
        traced.append(1)
        return permutation.epoch_permutation(jax.random.key(0), jnp.zeros_like(position), position, count)

    for count in (2, 3, 50, 102_400, 2**31):
        one, other = program(jnp.array([0, 1], jnp.uint32), jnp.uint32(count)).tolist()
        assert one != other
        assert 0 <= min(one, other) <= max(one, other) < count
    assert len(traced) == 1


def test_an_order_looks_random():
    n, orders = 1_000, np.stack([order(9, epoch, 1_000) for epoch in range(50)])
    moved = np.abs(orders - np.arange(n)).mean()
    # |i - j| of two uniform places: mean n / 3, standard deviation n / sqrt(18)
    assert moved == pytest.approx(n / 3, abs=5 * n / np.sqrt(18 * orders.size))
    assert abs(np.sum(orders == np.arange(n)) - 50) < 5 * np.sqrt(50)  # one fixed row an epoch, Poisson
    for lag in (1, 2, 3, 16):  # successive rows of an epoch
        pairs = np.corrcoef(orders[:, lag:].ravel(), orders[:, :-lag].ravel())[0, 1]
        assert abs(pairs + 1 / n) < 5 / np.sqrt(orders.size)
    between = np.corrcoef(orders[1:].ravel(), orders[:-1].ravel())[0, 1]  # a row's place in successive epochs
    assert abs(between) < 5 / np.sqrt(orders.size)
    # where row 0 goes, over the epochs: near the start, the middle, the end
    quarters = np.histogram(orders[:, 0], bins=4, range=(0, n))[0]
    assert np.all(np.abs(quarters - 12.5) < 5 * np.sqrt(50 * 3 / 16))


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


def test_training_labels_are_drawn_without_replacement():
    table = label_tables.build_label_table(Data(size=8, increment=0.5))  # 256 rows
    known = {tuple(row) for row in table.centers.tolist()}
    some, again, others = (
        evaluation_labels.evaluation_labels(table, jax.random.key(seed), "train", 100, 8) for seed in (0, 0, 1)
    )
    assert some.shape == (100, 2)
    assert len({tuple(row) for row in some.tolist()} & known) == 100
    np.testing.assert_array_equal(some, again)
    assert not np.array_equal(some, others)
    assert not np.array_equal(some, table.centers[:100])


def test_a_short_table_gives_all_its_labels_and_no_padding():
    table = label_tables.build_label_table(Data(size=8, increment=0.8))  # 100 rows
    padded = jax.tree.map(lambda leaf: leaf[0], label_tables.stack([table], rows=300))
    for one in (table, padded):
        labels = evaluation_labels.evaluation_labels(one, jax.random.key(0), "train", 500, 8)
        assert sorted(labels.tolist()) == sorted(table.centers.tolist())
        assert labels.tolist() != table.centers.tolist()


def test_grid_labels_are_the_window_pixel_by_pixel():
    table = label_tables.make_table(np.array([(20.0, 20.0)]), "bump", 1.0, 16.0)
    labels = evaluation_labels.evaluation_labels(table, jax.random.key(0), "grid", 3, 8)
    assert labels.tolist() == [[16 + x, 16 + y] for x in range(8) for y in range(8)]
