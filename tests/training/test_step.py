"""Training of one member: the learning rate over steps."""

import math

import hypothesis
import jax
import numpy as np
import pytest
from hypothesis import strategies as st

from diffgeo.settings import Train
from diffgeo.training import step
from tests.support.settings import few


def constant(train, at):
    """Return the rate after `at` steps: a line from peak/25 to the peak at the end of the warm-up, then the peak."""
    warmup = max(1, round(train.warmup_fraction * train.steps))
    return train.learning_rate * (1 if at >= warmup else 1 / 25 + 24 / 25 * at / warmup)


def one_cycle(train, at):
    """Return the rate after `at` steps: half a cosine from peak/25 to the peak, another to peak/250,000."""
    peak, turn = train.learning_rate, train.warmup_fraction * train.steps
    low, done = (peak / 25, at / turn) if at < turn else (peak / 250_000, (train.steps - at) / (train.steps - turn))
    return low + (peak - low) * (1 - math.cos(math.pi * done)) / 2


@pytest.mark.parametrize(("name", "expected"), [("constant", constant), ("one_cycle", one_cycle)])
@pytest.mark.parametrize("warmup_fraction", [0.05, 0.3])
def test_schedule_against_its_formula(name, expected, warmup_fraction):
    train = Train(steps=200, learning_rate=2e-3, warmup_fraction=warmup_fraction, schedule=name)
    with jax.numpy_dtype_promotion("standard"):  # as in the update
        ours = jax.vmap(step.learning_rate(train))(np.arange(201))
    np.testing.assert_allclose(ours, [expected(train, at) for at in range(201)], rtol=1e-4, atol=1e-9)


@few
@hypothesis.given(st.integers(0, 10_000), st.floats(0.001, 0.9))
def test_a_constant_rate_does_not_depend_on_the_horizon_once_warm(steps, warmup_fraction):
    train = Train(steps=steps, warmup_fraction=warmup_fraction, schedule="constant")
    after = np.arange(max(1, round(warmup_fraction * steps)), 2 * steps + 2)
    np.testing.assert_allclose(step.learning_rate(train)(after), train.learning_rate, rtol=1e-6)


def test_the_optimizer_moves_by_the_scheduled_rate():
    """Adam's first update of a parameter is its rate times the gradient's sign."""
    train = Train(steps=100, schedule="constant", warmup_fraction=0.05, weight_decay=0.0)
    optimizer = step.optimizer(train)
    parameter, gradient = np.ones(1, np.float32), np.full(1, 0.5, np.float32)
    state, moved = optimizer.init(parameter), []
    with jax.numpy_dtype_promotion("standard"):  # as in the update
        for _ in range(8):
            update, state = optimizer.update(gradient, state, parameter)
            moved.append(-float(update[0]))
    np.testing.assert_allclose(moved, [constant(train, at) for at in range(8)], rtol=1e-4)
