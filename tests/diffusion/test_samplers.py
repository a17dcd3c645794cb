"""The samplers against their definitions, the posterior by brute force, and Gaussian data."""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import diffusion
from diffgeo.diffusion import Schedule
from diffgeo.errors import UserError
from tests.support.diffusion import PAPER, SHORT, SIGMAS, known_noise

IMAGES, SIZE = 40, 10  # 4,000 independent pixels
PIXELS = IMAGES * SIZE**2

jit = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})  # compiles faster


def keys(seed, count=IMAGES):
    return jax.random.split(jax.random.key(seed), count)


def sample(schedule, denoise, keys, sampler, steps, *, eta=0.0, **options):
    """Return images drawn by a sampler of this name, and the recorded tensors."""
    reverse = diffusion.coefficients(schedule, sampler, steps, eta)
    start = diffusion.initial_noise(schedule, keys, (SIZE, SIZE, 1))
    return diffusion.run_reverse(reverse, denoise, keys, start, **options)


def test_ddim_steps_are_spread_over_all_of_them():
    for timesteps in (1, 2, 3, 10, 37, 1000):
        for steps in {1, 2, 3, 7, 10, 25, 36, 50, 999, timesteps}:
            if steps <= timesteps:
                times = diffusion.ddim_steps(timesteps, steps)
                assert len(times) == steps
                assert times[-1] == timesteps
                assert times[0] == (1 if steps > 1 else timesteps)
                gaps = np.diff(times)
                assert np.all(gaps > 0)  # ascending and distinct
                assert steps < 3 or gaps.max() - gaps.min() <= 1
    assert diffusion.ddim_steps(1000, 3).tolist() == [1, 500, 1000]


@pytest.mark.parametrize("schedule", [PAPER, SHORT, Schedule(timesteps=1)])
def test_ancestral_coefficients_are_those_of_the_algorithm_step_by_step(schedule):
    """x_{t-1} = (x_t - (1 - alpha_t) / sqrt(1 - abar_t) noise) / sqrt(alpha_t) + sqrt(beta_t) z; no z at t = 1."""
    reverse = diffusion.ancestral_coefficients(schedule)
    assert reverse.t.tolist() == list(range(1, schedule.timesteps + 1))
    first, last, bar = schedule.beta_start, schedule.beta_end, 1.0
    x, noise, z = 0.7, -1.3, 0.4
    for i, t in enumerate(reverse.t.tolist()):
        alpha = 1 - (first + i / max(schedule.timesteps - 1, 1) * (last - first))
        bar *= alpha
        expected = (x - (1 - alpha) / np.sqrt(1 - bar) * noise) / np.sqrt(alpha)
        expected += np.sqrt(1 - alpha) * z if t > 1 else 0.0
        assert reverse.a[i] * x + reverse.b[i] * noise + reverse.c[i] * z == pytest.approx(expected, rel=1e-9)
        clean = (x - np.sqrt(1 - bar) * noise) / np.sqrt(bar)
        assert (x - reverse.spread[i] * noise) / reverse.signal[i] == pytest.approx(clean, rel=1e-9)


def test_a_sampler_is_known_or_refused():
    with pytest.raises(UserError, match=r"'euler'.*ddim, ancestral"):
        diffusion.coefficients(SHORT, "euler", 4, 0.0)
    for sampler, made in (
        ("ancestral", diffusion.ancestral_coefficients(SHORT)),
        ("ddim", diffusion.ddim_coefficients(SHORT, 4, 0.5)),
    ):
        for expected, returned in zip(made, diffusion.coefficients(SHORT, sampler, 4, 0.5), strict=True):
            np.testing.assert_array_equal(returned, expected)


@functools.cache
def jitted(sampler, steps, schedule=PAPER, **options):
    """Return a jitted function of keys, the image (or value) that x_0 is about, and the spread of its pixels."""

    @jit
    def draw(keys, mean, spread):
        return sample(schedule, known_noise(schedule, mean, spread), keys, sampler, steps, **options)

    def from_numbers(keys, mean, spread):
        mean = jnp.broadcast_to(jnp.asarray(mean, jnp.float32), (1, SIZE, SIZE, 1))
        return draw(keys, mean, jnp.float32(spread))  # one shape, one program

    return from_numbers


def known_image():
    return np.random.default_rng(3).uniform(-1, 1, (1, SIZE, SIZE, 1))


@pytest.mark.parametrize("steps", [1, 2, 10, 50, 1000])
def test_ddim_recovers_a_known_image(steps):
    drawn, recorded = jitted("ddim", steps, eta=0.0)(keys(0), known_image(), 0.0)
    assert recorded == {}
    np.testing.assert_allclose(drawn, np.broadcast_to(known_image(), drawn.shape), atol=1e-3)


def test_ancestral_sampling_recovers_a_known_image():
    drawn, _ = jitted("ancestral", 1000, eta=0.0)(keys(0), known_image(), 0.0)
    np.testing.assert_allclose(drawn, np.broadcast_to(known_image(), drawn.shape), atol=1e-3)


@pytest.mark.parametrize(
    ("sampler", "eta", "mean", "spread"),
    [("ddim", 0.0, 0.3, 0.5), ("ddim", 0.0, -0.8, 1.2), ("ddim", 1.0, 0.3, 0.5), ("ancestral", 0.0, -0.8, 0.5)],
)
def test_gaussian_data_are_reproduced(sampler, eta, mean, spread):
    drawn, _ = jitted(sampler, 1000, eta=eta)(keys(1), mean, spread)
    drawn = np.asarray(drawn, np.float64)
    # 2 % for the finite steps: the samplers are exact in the limit of small ones
    assert drawn.mean() == pytest.approx(mean, abs=SIGMAS * spread / np.sqrt(PIXELS) + 0.02 * spread)
    assert drawn.var() == pytest.approx(spread**2, rel=SIGMAS * np.sqrt(2 / PIXELS) + 0.02)


def trajectory(sampler, steps, denoise, **options):
    """Return all (t, x_t) that the sampler hands the network, and the image at t = 0."""
    seen = []

    def watched(x, t):
        jax.debug.callback(lambda *now: seen.append(now), t, x, ordered=True)
        return denoise(x, t)

    image, _ = jit(lambda keys: sample(SHORT, watched, keys, sampler, steps, **options))(keys(7))
    jax.effects_barrier()
    assert all(np.ptp(t) == 0 for t, _ in seen)
    return [(int(t[0]), np.asarray(x, np.float64)) for t, x in (*seen, (np.zeros(IMAGES), image))]


def test_sampling_starts_in_noise_and_calls_the_network_at_its_steps():
    for sampler, steps, times in (("ddim", 4, [10, 7, 4, 1, 0]), ("ancestral", 3, [*range(10, -1, -1)])):
        path = trajectory(sampler, steps, known_noise(SHORT, 0.0, 0.5))
        assert [t for t, _ in path] == times
        start = path[0][1]
        assert abs(start.mean()) < SIGMAS / np.sqrt(PIXELS)
        assert abs(start.var() - 1) < SIGMAS * np.sqrt(2 / PIXELS)


@pytest.mark.parametrize(("sampler", "eta"), [("ancestral", 0.0), ("ddim", 1.0)])
def test_steps_are_draws_from_the_posterior(sampler, eta):
    """q(x_{t-1} | x_t, x_0) by Ho et al. eq. 7, against the samplers' forms in the predicted noise.

    Its own variance is that of DDIM at eta = 1; ancestral sampling takes beta_t, for data of variance 1.
    """
    x0 = known_image()
    path = trajectory(sampler, 10, known_noise(SHORT, jnp.asarray(x0, jnp.float32), 0.0), eta=eta)
    residuals = []
    for (t, x), (s, after) in itertools.pairwise(path):
        alpha = [1 - (0.05 + i / 9 * 0.25) for i in range(10)]
        bar, bar_before, beta = np.prod(alpha[:t]), np.prod(alpha[:s]), 1 - alpha[t - 1]
        mean = np.sqrt(bar_before) * beta * x0 + np.sqrt(alpha[t - 1]) * (1 - bar_before) * x
        variance = beta if sampler == "ancestral" else beta * (1 - bar_before) / (1 - bar)
        residual = after - mean / (1 - bar)
        if t == 1:
            np.testing.assert_allclose(residual, 0, atol=1e-5)
        else:
            residual = residual / np.sqrt(variance)
            assert abs(residual.mean()) < SIGMAS / np.sqrt(PIXELS)
            assert abs(residual.var() - 1) < SIGMAS * np.sqrt(2 / PIXELS)
            residuals += [residual.ravel(), x.ravel()]
    # fresh noise at every step, independent of the image and, image by image, of one another
    correlations = np.corrcoef(residuals[::2]) - np.eye(9)
    assert np.abs(correlations).max() < SIGMAS / np.sqrt(PIXELS)
    for noise, x in zip(residuals[::2], residuals[1::2], strict=True):
        assert abs(np.corrcoef(noise, x)[0, 1]) < SIGMAS / np.sqrt(PIXELS)
    by_image = np.corrcoef(residuals[0].reshape(IMAGES, -1)) - np.eye(IMAGES)
    assert np.abs(by_image).max() < 6 / SIZE


@pytest.mark.parametrize("steps", [4, 10])
def test_ddim_keeps_the_noise_of_a_known_image(steps):
    """With a perfect predictor the noise stays what it was: x_t = sqrt(abar_t) x_0 + sqrt(1 - abar_t) e."""
    x0 = known_image()
    path = trajectory("ddim", steps, known_noise(SHORT, jnp.asarray(x0, jnp.float32), 0.0))
    assert len(path) == steps + 1
    bar = np.cumprod([1.0] + [1 - (0.05 + i / 9 * 0.25) for i in range(10)])
    noise = (path[0][1] - np.sqrt(bar[10]) * x0) / np.sqrt(1 - bar[10])
    for t, x in path:
        np.testing.assert_allclose(x, np.sqrt(bar[t]) * x0 + np.sqrt(1 - bar[t]) * noise, atol=1e-5)


def test_ddim_mixes_old_and_new_noise_by_eta():
    """The new noise has eta times the deviation of q(x_s | x_t, x_0); with what is kept of the old, 1 - abar_s."""
    x0, eta = known_image(), 0.6
    path = trajectory("ddim", 4, known_noise(SHORT, jnp.asarray(x0, jnp.float32), 0.0), eta=eta)
    for (t, x), (s, after) in itertools.pairwise(path[:-1]):
        bar, bar_after = SHORT.alpha_bars[[t, s]]
        old = (x - np.sqrt(bar) * x0) / np.sqrt(1 - bar)
        noise = after - np.sqrt(bar_after) * x0
        ratio = bar / bar_after  # x_t = sqrt(ratio) x_s + sqrt(1 - ratio) z: precisions add in the posterior of x_s
        new_variance = eta**2 / (1 / (1 - bar_after) + ratio / (1 - ratio))
        new = (noise - np.sqrt(1 - bar_after - new_variance) * old) / np.sqrt(new_variance)
        assert abs(new.mean()) < SIGMAS / np.sqrt(PIXELS)
        assert abs(new.var() - 1) < SIGMAS * np.sqrt(2 / PIXELS)
        assert abs(np.corrcoef(new.ravel(), old.ravel())[0, 1]) < SIGMAS / np.sqrt(PIXELS)


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_clipping_holds_the_image_between_black_and_white_and_changes_nothing_else(sampler):
    image = 1.5 * known_image()
    drawn, _ = jitted(sampler, 4, SHORT, clip=True)(keys(2), image, 0.0)
    np.testing.assert_allclose(drawn, np.broadcast_to(np.clip(image, -1, 1), drawn.shape), atol=1e-5)
    inside, _ = jitted(sampler, 4, SHORT, clip=True)(keys(2), 0.1, 0.01)
    plain, _ = jitted(sampler, 4, SHORT)(keys(2), 0.1, 0.01)
    np.testing.assert_allclose(inside, plain, atol=1e-5)


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_an_image_does_not_depend_on_its_neighbors(sampler):
    draw = jitted(sampler, 4, SHORT)
    whole = draw(keys(2), 0.1, 0.5)[0]
    kept = np.array([7, 3, 3])
    some = draw(keys(9).at[:3].set(keys(2)[kept]), 0.1, 0.5)[0]  # in other places, among others
    np.testing.assert_allclose(some[:3], whole[kept], atol=1e-6)
    assert np.abs(whole[0] - whole[1]).max() > 0.1  # other keys, other images


@pytest.mark.parametrize("sampler", ["ddim", "ancestral"])
def test_recording_returns_the_last_call_and_the_same_image(sampler):
    plain, nothing = jitted(sampler, 4, SHORT)(keys(2), 0.1, 0.5)
    image, recorded = jitted(sampler, 4, SHORT, record=True)(keys(2), 0.1, 0.5)
    assert nothing == {}
    np.testing.assert_allclose(image, plain, atol=1e-6)
    assert recorded["t"].tolist() == [1] * IMAGES
    # one step from the image: x_0 = (x_1 - sqrt(1 - abar_1) noise) / sqrt(abar_1), for both samplers
    x, bar = np.asarray(recorded["x"], np.float64), 0.95
    noise = np.sqrt(1 - bar) * (x - np.sqrt(bar) * 0.1) / (bar * 0.5**2 + 1 - bar)
    np.testing.assert_allclose(image, (x - np.sqrt(1 - bar) * noise) / np.sqrt(bar), atol=1e-6, rtol=1e-5)
