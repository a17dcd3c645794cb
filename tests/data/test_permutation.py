"""The order of an epoch: a bijection that looks random, each row by itself."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.data import permutation

DRAWN = 1024  # positions per call: one shape, so one program, for all counts
LARGEST = 102_400  # rows of the papers' largest table, d = 0.1

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles faster
permute = jit(permutation.epoch_permutation)


def order(seed, epoch, count):
    """All rows in the order of one epoch, for at most `DRAWN` rows."""
    position = jnp.arange(DRAWN, dtype=jnp.uint32) % count
    epochs = jnp.full(DRAWN, epoch, jnp.uint32)
    return np.asarray(permute(jax.random.key(seed), epochs, position, jnp.uint32(count)))[:count]


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 100, 1_000, 1_024])
def test_an_order_visits_every_row_once(count):
    for seed in (0, 1):
        for epoch in (0, 1, 2**32 - 1):
            assert sorted(order(seed, epoch, count)) == list(range(count))


def test_an_order_of_the_largest_table_visits_every_row_once():
    count = LARGEST
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
