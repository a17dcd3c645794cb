"""What the network predicts: noise, image, velocity or flow; all are the same knowledge of a noised image."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import diffusion, run
from diffgeo.diffusion import Schedule
from diffgeo.settings import TINY, Diffusion, adapt
from diffgeo.settings.allowed import OBJECTIVES
from tests.support.settings import refused
from tests.support.trained import OneDevice

T = 40
SCHEDULES = {name: Schedule(T, 1e-3, 0.2, name) for name in OBJECTIVES}
SHAPE = (5, 2, 2, 1)


def table(values, t):
    return jnp.asarray(np.asarray(values)[np.asarray(t)], jnp.float32)[:, None, None, None]


def knowing(schedule, x0, noise):
    """A network that knows image and noise, and predicts what its objective asks for by the definition."""

    def predict(x, t):
        signal, spread = (table(values, t) for values in (schedule.signal, schedule.spread))
        return {
            "noise": noise,
            "image": x0,
            "velocity": signal * noise - spread * x0,
            "flow": noise - x0,
        }[schedule.objective], {}

    return predict


def drawn(seed=0):
    return (jnp.asarray(np.random.default_rng(seed + k).normal(size=SHAPE), jnp.float32) for k in range(2))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_right_prediction_has_no_loss_and_gives_the_noise_back(name):
    schedule, t = SCHEDULES[name], jnp.array([1, 2, 10, 30, T])
    x0, noise = drawn()
    exact = knowing(schedule, x0, noise)
    np.testing.assert_allclose(diffusion.denoising_loss(schedule, exact, x0, t, noise), 0.0, atol=1e-10)
    x = diffusion.q_sample(schedule, x0, t, noise)
    np.testing.assert_allclose(x, table(schedule.signal, t) * x0 + table(schedule.spread, t) * noise, atol=1e-6)
    found, _ = diffusion.predicting_noise(schedule, exact)(x, t)
    np.testing.assert_allclose(found, noise, atol=2e-4 / schedule.spread[1])
    off = diffusion.denoising_loss(schedule, lambda x, t: (exact(x, t)[0] + 0.5, {}), x0, t, noise)
    np.testing.assert_allclose(off, 0.25, rtol=1e-5)


@pytest.mark.parametrize("clip", [False, True])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_network_that_knows_the_image_draws_it(name, clip):
    """From x_T = spread noise the noise of an image x0 at x is (x - signal x0) / spread, whatever is drawn."""
    schedule, (x0, _) = SCHEDULES[name], drawn()
    x0 = np.tanh(x0)

    def predict(x, t):
        signal, spread = (jnp.asarray(values, jnp.float32)[t][:, None, None, None] for values in tables)
        noise = (x - signal * x0) / spread
        p, q = (jnp.asarray(values, jnp.float32)[t][:, None, None, None] for values in schedule.target)
        return p * x0 + q * noise, {}

    tables = schedule.signal, schedule.spread
    keys = jax.random.split(jax.random.key(0), len(x0))
    start = diffusion.initial_noise(schedule, keys, SHAPE[1:])
    for steps, eta in ((T, 0.0), (7, 0.0), (7, 1.0)):
        reverse = diffusion.ddim_coefficients(schedule, steps, eta)
        run = jax.jit(functools.partial(diffusion.run_reverse, reverse, clip=clip), static_argnums=0)
        images, _ = run(diffusion.predicting_noise(schedule, predict), keys, start)
        np.testing.assert_allclose(images, x0, atol=2e-3)


def test_flow_without_noise_is_eulers_step_along_its_velocity():
    schedule, (x, velocity) = SCHEDULES["flow"], drawn()
    reverse = diffusion.ddim_coefficients(schedule, 8)
    for at, t in enumerate(reverse.t):
        before = reverse.t[at - 1] if at else 0
        times = jnp.full(len(x), t)
        noise, _ = diffusion.predicting_noise(schedule, lambda x, t: (velocity, {}))(x, times)
        euler = x + (before - t) / (T + 1) * velocity
        np.testing.assert_allclose(reverse.a[at] * x + reverse.b[at] * np.asarray(noise), euler, atol=1e-4)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_gaussian_data_are_drawn_with_their_spread_by_the_best_predictor(name):
    """Of data N(0, 0.5^2) the expected noise at x is spread / (signal^2 0.25 + spread^2) x, for every objective."""
    schedule, width, count = SCHEDULES[name], 0.5, 4_000
    variance = schedule.signal**2 * width**2 + schedule.spread**2
    p, q = schedule.target
    best = (p * schedule.signal * width**2 + q * schedule.spread) / variance
    keys = jax.random.split(jax.random.key(1), count)
    start = diffusion.initial_noise(schedule, keys, (2, 2, 1))
    factor = jnp.asarray(best, jnp.float32)
    denoise = diffusion.predicting_noise(schedule, lambda x, t: (factor[t][:, None, None, None] * x, {}))
    for eta in (0.0, 1.0):
        reverse = diffusion.ddim_coefficients(schedule, T, eta)
        images, _ = jax.jit(lambda keys, start, r=reverse: diffusion.run_reverse(r, denoise, keys, start))(keys, start)
        assert np.std(images) == pytest.approx(width, rel=0.12)  # 40 steps


def test_settings_name_the_objective():
    assert diffusion.from_settings(Diffusion(objective="flow")).objective == "flow"
    with refused("objective 'nois'", "did you mean 'noise'?"):
        Diffusion(objective="nois")
    with refused("objective='flow' has no ancestral sampler"):
        adapt(TINY, diffusion={"objective": "flow"}, evaluation={"sampler": "ancestral"})
    with refused("objective='flow' has no ancestral sampler"):
        diffusion.coefficients(SCHEDULES["flow"], "ancestral", 1, 0.0)


def test_models_of_every_objective_train_in_one_grid(tmp_path, small_network):
    settings = adapt(TINY, {"objective": OBJECTIVES, "seed": (0,)})
    assert len({settings.at(objective=name).program for name in OBJECTIVES}) == len(OBJECTIVES), "compiled in"
    assert TINY.diffusion.objective == "noise", "if nothing is said"
    found = run.execute(run.Run("objectives", "tiny", settings, OneDevice("loop")), tmp_path / "run", say=[].append)
    loss = found["loss"].isel(step=-1).squeeze().values
    assert np.isfinite(loss).all()
    assert len(set(loss)) == len(OBJECTIVES)
    assert found["samples"].isel(step=-1).std("kept").mean() > 1
