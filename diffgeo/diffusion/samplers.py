"""Reverse-process samplers: ancestral [Ho et al. 2020] and DDIM [Song et al. 2021].

Both run the same loop, `run_reverse`, x <- a x + b noise + c z, with different coefficients.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key

from diffgeo.diffusion.process import DenoiseFn, Schedule
from diffgeo.errors import require, require_choice
from diffgeo.settings.allowed import SAMPLERS


class ReverseSteps(NamedTuple):
    """A reverse process of K network calls, in ascending order of t (the loop runs them backward).

    One step is :math:`x \\leftarrow a\\, x + b\\, \\epsilon + c\\, z` with the predicted noise epsilon and standard
    normal z. The clean image's estimate at t is :math:`(x - spread\\, \\epsilon) / signal`.
    """

    t: Int[np.ndarray, " K"]
    a: Float[np.ndarray, " K"]
    b: Float[np.ndarray, " K"]
    c: Float[np.ndarray, " K"]
    signal: Float[np.ndarray, " K"]
    spread: Float[np.ndarray, " K"]


def ddim_steps(timesteps: int, steps: int) -> Int[np.ndarray, " K"]:
    """Return int32[steps], ascending, spread evenly over 1 .. T, both ends included (t = T alone for one step)."""
    return np.rint(np.linspace(timesteps, 1, steps)).astype(np.int32)[::-1]


def ancestral_coefficients(schedule: Schedule) -> ReverseSteps:
    r"""Return the coefficients of all T steps with variance beta_t [Ho et al. 2020, algorithm 2].

    .. math:: x_{t-1} = (x_t - \beta_t / \sqrt{1 - \bar\alpha_t}\; \epsilon) / \sqrt{1 - \beta_t} + \sqrt{\beta_t} z

    without noise at t = 1.

    Raises:
      UserError: for the objective "flow", which has no betas.
    """
    require(schedule.objective != "flow", "objective='flow' has no ancestral sampler: take sampler='ddim'")
    t = np.arange(1, schedule.timesteps + 1, dtype=np.int32)
    beta, now = schedule.betas, schedule.alpha_bars[t]
    a = 1.0 / np.sqrt(1.0 - beta)
    b = -beta / np.sqrt(1.0 - now) * a
    c = np.where(t > 1, np.sqrt(beta), 0.0)
    return ReverseSteps(t, a, b, c, np.sqrt(now), np.sqrt(1.0 - now))


def ddim_coefficients(schedule: Schedule, steps: int, eta: float = 0.0) -> ReverseSteps:
    r"""Return the coefficients of DDIM at `ddim_steps` [Song et al. 2021, eq. 12 and 16].

    With s the step before t (0 at the end),

    .. math::
        x_s = \sqrt{\bar\alpha_s} \hat x_0 + \sqrt{1 - \bar\alpha_s - \sigma^2}\, \epsilon + \sigma z, \quad
        \hat x_0 = (x_t - \sqrt{1 - \bar\alpha_t}\, \epsilon) / \sqrt{\bar\alpha_t}, \quad
        \sigma^2 = \eta^2 \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t} (1 - \bar\alpha_t / \bar\alpha_s).

    For "flow", its signal and spread replace the roots; at eta = 0 that is Euler's method along the straight path.

    Args:
      schedule: noise schedule.
      steps: network calls, 1 .. T.
      eta: 0 (deterministic) to 1 (as much noise as the posterior q(x_s | x_t, x_0) has).
    """
    t = ddim_steps(schedule.timesteps, steps)
    after = np.concatenate([[0], t[:-1]])
    signal, spread = schedule.signal, schedule.spread
    a = signal[after] / signal[t]
    variance = eta**2 * spread[after] ** 2 * (1.0 - (spread[after] / a / spread[t]) ** 2)
    b = np.sqrt(spread[after] ** 2 - variance) - spread[t] * a
    return ReverseSteps(t, a, b, np.sqrt(variance), signal[t], spread[t])


def coefficients(schedule: Schedule, sampler: str, steps: int, eta: float) -> ReverseSteps:
    """Return the coefficients of a sampler named as in `allowed.SAMPLERS`; "ancestral" ignores `steps` and `eta`.

    Raises:
      UserError: for an unknown sampler.
    """
    require_choice("sampler", sampler, SAMPLERS)
    return ancestral_coefficients(schedule) if sampler == "ancestral" else ddim_coefficients(schedule, steps, eta)


def run_reverse(
    reverse: ReverseSteps,
    denoise: DenoiseFn,
    keys: Key[Array, " n"],
    start: Float[Array, "n N N C"],
    *,
    clip: bool = False,
    record: bool = False,
) -> tuple[Float[Array, "n N N C"], dict[str, jax.Array]]:
    """Run a reverse process from noise to images; the whole loop is one scan.

    Each image's noise comes from its key, so it does not depend on the other images of the batch.

    Args:
      reverse: from `ancestral_coefficients` or `ddim_coefficients`.
      denoise: the network.
      keys: typed keys, one for each image.
      start: standard normal images, see `initial_noise`.
      clip: hold the estimate of x_0 at each step within [-1, 1], where the images are, as Ho et al.'s code does.
      record: also return the tensors recorded in the last call (the smallest t).

    Returns:
      float32[n, N, N, 1], about [-1, 1] (DDIM with `clip` ends within it), and the recorded tensors (empty unless
      `record`).
    """
    noisy = bool(np.any(reverse.c))

    def step(x, inputs):
        t, (a, b, c, signal, spread) = inputs
        noise, recorded = denoise(x, jnp.full((x.shape[0],), t, jnp.int32))
        if clip:
            clean = jnp.clip((x - spread * noise) / signal, -1.0, 1.0)
            noise = (x - signal * clean) / spread
        x = a * x + b * noise
        return (x + c * normal_images(keys, t, x.shape[1:]) if noisy else x), recorded

    def scanned(x, inputs):
        return step(x, inputs)[0], None

    table = np.stack(reverse[1:], axis=-1).astype(np.float32)
    inputs = (jnp.asarray(reverse.t[::-1]), jnp.asarray(table[::-1]))
    if not record:
        return jax.lax.scan(scanned, start, inputs)[0], {}
    x, _ = jax.lax.scan(scanned, start, jax.tree.map(lambda v: v[:-1], inputs))
    return step(x, jax.tree.map(lambda v: v[-1], inputs))


def initial_noise(schedule: Schedule, keys: Key[Array, " n"], shape: Sequence[int]) -> Float[Array, "n N N C"]:
    """Draw the images x_T of a shape (N, N, C) that start the reverse process, one for each key."""
    return normal_images(keys, schedule.timesteps + 1, shape)


def normal_images(keys: Key[Array, " n"], t: Int[Array, ""] | int, shape: Sequence[int]) -> Float[Array, "n N N C"]:
    """Draw the standard normal images of a shape (N, N, C) at a step, each from its key."""
    keys_t = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
    return jax.vmap(lambda key: jax.random.normal(key, tuple(shape)))(keys_t)
