"""The optimizer of one member: its learning rate over steps, its updates, its numbers as arguments."""

import dataclasses
import math

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from diffgeo.settings import Settings, Train
from diffgeo.training import optimizer, step
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
    ours = jax.vmap(optimizer.learning_rate(name, optimizer.hyperparameters(train)))(np.arange(201))
    np.testing.assert_allclose(ours, [expected(train, at) for at in range(201)], rtol=1e-4, atol=1e-9)


@few
@hypothesis.given(st.integers(0, 10_000), st.floats(0.001, 0.9))
def test_a_constant_rate_does_not_depend_on_the_horizon_once_warm(steps, warmup_fraction):
    train = Train(steps=steps, warmup_fraction=warmup_fraction, schedule="constant")
    after = np.arange(max(1, round(warmup_fraction * steps)), 2 * steps + 2)
    rate = optimizer.learning_rate("constant", optimizer.hyperparameters(train))
    np.testing.assert_allclose(rate(after), train.learning_rate, rtol=1e-6)


def test_the_optimizer_moves_by_the_scheduled_rate():
    """Adam's first update of a parameter is its rate times the gradient's sign."""
    train = Train(steps=100, schedule="constant", warmup_fraction=0.05, weight_decay=0.0)
    adamw = optimizer.adamw("constant", optimizer.hyperparameters(train))
    parameter, gradient = np.ones(1, np.float32), np.full(1, 0.5, np.float32)
    state, moved = adamw.init(parameter), []
    with jax.numpy_dtype_promotion("standard"):  # as in the update
        for _ in range(8):
            update, state = adamw.update(gradient, state, parameter)
            moved.append(-float(update[0]))
    np.testing.assert_allclose(moved, [constant(train, at) for at in range(8)], rtol=1e-4)


PROGRAM = dataclasses.replace(Settings().program, ema=True, log_every=4, schedule="constant")
TRAIN = Train(steps=40, learning_rate=0.1, schedule="constant", weight_decay=0.3, beta1=0.7, beta2=0.95, ema_decay=0.6)


def updated(train: Train, losses, gradients, last_step: int | None = None):
    """Return the states before and after each update of three parameters."""
    given = optimizer.hyperparameters(train)
    given = given if last_step is None else given._replace(last_step=np.int32(last_step))
    params = jnp.array([1.0, -2.0, 0.5])
    moments = optimizer.adamw("constant", given).init(params)
    states = [step.MemberState(jnp.int32(0), params, moments, params, jnp.float32(0), jnp.int32(-1))]
    update = jax.jit(step.make_update(PROGRAM))
    for loss, gradient in zip(losses, gradients, strict=True):
        states.append(update(states[-1], jnp.float32(loss), jnp.asarray(gradient, jnp.float32), given))
    return states


def test_an_update_is_adamw_of_its_definition():
    """Loshchilov and Hutter 2019, algorithm 2, in float64; the average follows."""
    gradients = np.random.default_rng(0).normal(size=(7, 3))
    states = updated(TRAIN, np.arange(7), gradients)
    x, average = np.array([1.0, -2.0, 0.5]), np.array([1.0, -2.0, 0.5])
    first, second = np.zeros(3), np.zeros(3)
    for i, gradient in enumerate(gradients):
        first = 0.7 * first + 0.3 * gradient
        second = 0.95 * second + 0.05 * gradient**2
        direction = (first / (1 - 0.7 ** (i + 1))) / (np.sqrt(second / (1 - 0.95 ** (i + 1))) + 1e-8)
        x = x - constant(TRAIN, i) * (direction + 0.3 * x)
        average = 0.6 * average + 0.4 * x
        np.testing.assert_allclose(states[i + 1].params, x, rtol=1e-5)
        np.testing.assert_allclose(states[i + 1].ema, average, rtol=1e-5)
    assert [float(state.loss_sum) for state in states] == [0, 0, 1, 3, 6, 4, 9, 15]  # a window of 4


def test_nothing_changes_after_the_last_step():
    gradients = np.random.default_rng(0).normal(size=(6, 3))
    states, whole = (updated(TRAIN, np.ones(6), gradients, last) for last in (3, None))
    for i in range(4):
        jax.tree.map(np.testing.assert_array_equal, states[i], whole[i])
    for state in states[4:]:
        jax.tree.map(np.testing.assert_array_equal, state, states[3])
    assert not np.array_equal(whole[4].params, whole[3].params)


def test_a_member_that_was_not_finite_keeps_its_parameters_and_its_step():
    gradients = np.ones((4, 3))
    gradients[2, 1] = np.inf
    states = updated(TRAIN, [1, 1, 1, 1], gradients)
    assert [int(state.nonfinite_step) for state in states] == [-1, -1, -1, 2, 2]
    assert [int(state.step) for state in states] == [0, 1, 2, 3, 4]
    np.testing.assert_array_equal(states[4].params, states[2].params)
    np.testing.assert_array_equal(states[4].ema, states[2].ema)
    assert np.isnan(states[4].loss_sum)
