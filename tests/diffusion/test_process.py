"""The schedule, the forward process and the loss against their definitions."""

import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import diffusion
from diffgeo.diffusion import Schedule
from diffgeo.settings import Diffusion
from tests.support.diffusion import PAPER, SHORT, SIGMAS, known_noise


@pytest.mark.parametrize("schedule", [PAPER, SHORT, Schedule(timesteps=1)])
def test_alpha_bars_are_the_running_product(schedule):
    alpha_bars = schedule.alpha_bars
    assert len(alpha_bars) == schedule.timesteps + 1
    assert alpha_bars[0] == 1
    assert np.all(np.diff(alpha_bars) < 0)
    assert np.all(alpha_bars > 0)
    product = 1.0
    for t in range(1, schedule.timesteps + 1):
        share = (t - 1) / max(schedule.timesteps - 1, 1)
        beta = schedule.beta_start + share * (schedule.beta_end - schedule.beta_start)
        assert schedule.betas[t - 1] == pytest.approx(beta, rel=1e-12)
        product *= 1 - beta
        assert alpha_bars[t] == pytest.approx(product, rel=1e-10)


def test_the_papers_schedule_ends_in_noise():
    assert PAPER.betas[[0, -1]].tolist() == [1e-4, 0.02]
    assert PAPER.alpha_bars[-1] == pytest.approx(4.0e-5, rel=0.02)


COUNT = 25_000  # times 4 pixels


def noised(x0, schedule, t, seed):
    """float64 draws of x_t from images whose pixels all are x0, on host."""
    noise = np.random.default_rng(seed).standard_normal((COUNT, 2, 2, 1)).astype(np.float32)
    x = diffusion.q_sample(schedule, jnp.full(noise.shape, x0), jnp.full(COUNT, t), jnp.asarray(noise))
    return np.asarray(x, np.float64)


@pytest.mark.parametrize("t", [1, 500, 1000])
def test_moments_of_the_forward_process(t):
    x = noised(0.8, PAPER, t, seed=t)
    variance = 1 - np.prod(1 - np.linspace(1e-4, 0.02, 1000)[:t])
    assert x.mean() == pytest.approx(np.sqrt(1 - variance) * 0.8, abs=SIGMAS * np.sqrt(variance / x.size))
    assert x.var() == pytest.approx(variance, abs=SIGMAS * variance * np.sqrt(2 / x.size))


def test_each_image_has_its_own_step():
    x0, noise = jnp.ones((3, 2, 2, 1)), jnp.full((3, 2, 2, 1), 2.0)
    x = diffusion.q_sample(SHORT, x0, jnp.array([0, 10, 4]), noise)
    alpha_bars = SHORT.alpha_bars[[0, 10, 4]]
    expected = np.sqrt(alpha_bars) + 2 * np.sqrt(1 - alpha_bars)
    np.testing.assert_allclose(x, np.broadcast_to(expected[:, None, None, None], x.shape), rtol=1e-6)


@pytest.mark.parametrize(("early", "late"), [(0, 1), (0, 10), (3, 7), (9, 10)])
def test_noising_step_by_step_leads_to_the_same_law(early, late):
    rng = np.random.default_rng(0)
    x, direct = noised(-0.6, SHORT, early, seed=1), noised(-0.6, SHORT, late, seed=2)
    for t in range(early + 1, late + 1):
        beta = 0.05 + (t - 1) / 9 * 0.25
        x = np.sqrt(1 - beta) * x + np.sqrt(beta) * rng.standard_normal(x.shape)
    variance = direct.var()
    # standard error of the difference of two means over the deviation; times sqrt 2, of a log variance ratio
    error = np.sqrt(2 / x.size)
    assert abs(x.mean() - direct.mean()) < SIGMAS * error * np.sqrt(variance)
    assert abs(np.log(x.var() / direct.var())) < SIGMAS * error * np.sqrt(2)


def test_loss_of_the_perfect_and_of_the_empty_predictor():
    rng = np.random.default_rng(0)
    x0, noise = (
        jnp.asarray(draw, jnp.float32)
        for draw in (rng.uniform(-1, 1, (64, 8, 8, 1)), rng.standard_normal((64, 8, 8, 1)))
    )
    t = jnp.asarray(rng.integers(100, 1001, 64))
    perfect = diffusion.denoising_loss(PAPER, known_noise(PAPER, x0, 0.0), x0, t, noise)
    assert perfect.shape == (64,)
    np.testing.assert_allclose(perfect, 0, atol=1e-10)
    empty = diffusion.denoising_loss(PAPER, lambda x, t: (jnp.zeros_like(x), {}), x0, t, noise)
    np.testing.assert_allclose(empty, np.mean(np.square(noise), axis=(1, 2, 3)), rtol=1e-5)
    assert np.mean(empty) == pytest.approx(1, abs=SIGMAS * np.sqrt(2 / noise.size))


def test_a_schedule_is_that_of_the_settings():
    settings = Diffusion(timesteps=60, beta_start=1 / 3, beta_end=0.9)
    assert diffusion.from_settings(settings) == Schedule(timesteps=60, beta_start=1 / 3, beta_end=0.9)
    assert diffusion.from_settings(Diffusion()) == PAPER
