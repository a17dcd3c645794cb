"""Denoising diffusion: schedule, forward process, loss, samplers [Ho et al. 2020; Song et al. 2021 (DDIM)].

Steps t run over 1 .. T; t = 0 is the clean image. `predict(x, t)` stands for the network with its label bound:
it takes x float[n, N, N, 1] and t int[n] and returns (noise, recorded tensors).
"""

from collections.abc import Callable
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

Predict = Callable[..., tuple[jax.Array, dict[str, jax.Array]]]


@dataclass(frozen=True)
class Schedule:
    """Linear noise schedule: beta_t from `beta_start` at t = 1 to `beta_end` at t = T [Ho et al. 2020, section 4].

    Attributes:
      timesteps: T.
      beta_start, beta_end: variances, in (0, 1).
    """

    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02

    @property
    def betas(self) -> Float[np.ndarray, " T"]:
        """float64[T], beta_t at index t - 1."""
        return np.linspace(self.beta_start, self.beta_end, self.timesteps)

    @property
    def alpha_bars(self) -> Float[np.ndarray, " T1"]:
        """float64[T + 1], product of (1 - beta_s) for s <= t at index t; 1 at t = 0."""
        return np.concatenate([[1.0], np.cumprod(1.0 - self.betas)])


def _per_image(table: np.ndarray, t):
    """float32[n, 1, 1, 1]: entries of a float64 table at each image's step."""
    return jnp.asarray(table, jnp.float32)[t][:, None, None, None]


def q_sample(
    schedule: Schedule, x0: Float[Array, "n N N 1"], t: Int[Array, " n"], noise: Float[Array, "n N N 1"]
) -> Float[Array, "n N N 1"]:
    r"""A draw from :math:`q(x_t | x_0) = N(\sqrt{\bar\alpha_t} x_0, (1 - \bar\alpha_t) I)` [Ho et al. 2020, eq. 4].

    Args:
      x0: clean images in [-1, 1].
      t: steps 0 .. T, one per image.
      noise: standard normal.
    """
    alpha_bar = schedule.alpha_bars
    return _per_image(np.sqrt(alpha_bar), t) * x0 + _per_image(np.sqrt(1.0 - alpha_bar), t) * noise


def loss(schedule: Schedule, predict: Predict, x0, t, noise) -> Float[Array, " n"]:
    """Mean over pixels of the squared error of the predicted noise, per image [2402.03305, eq. 2]."""
    predicted, _ = predict(q_sample(schedule, x0, t, noise), t)
    return jnp.mean(jnp.square(predicted - noise), axis=(1, 2, 3))


def ddim_steps(timesteps: int, steps: int) -> np.ndarray:
    """int32[steps], ascending: `steps` values spread evenly over 1 .. T, both ends included (t = T alone for one)."""
    return np.rint(np.linspace(timesteps, 1, steps)).astype(np.int32)[::-1]


def sample(
    schedule: Schedule,
    predict: Predict,
    keys,
    size: int,
    method: str = "ddim",
    steps: int = 50,
    *,
    eta: float = 0.0,
    clip: bool = False,
    record: bool = False,
):
    r"""Images drawn by the reverse process, one per key; the whole loop is one scan.

    * "ancestral" [Ho et al. 2020, algorithm 2], all T steps, variance beta_t:
      :math:`x_{t-1} = (x_t - \beta_t / \sqrt{1 - \bar\alpha_t}\; \epsilon) / \sqrt{1 - \beta_t} + \sqrt{\beta_t} z`,
      no noise at t = 1.
    * "ddim" [Song et al. 2021, eq. 12 and 16], over `ddim_steps`, s the step before t (0 at the end):
      :math:`x_s = \sqrt{\bar\alpha_s} \hat x_0 + \sqrt{1 - \bar\alpha_s - \sigma^2}\, \epsilon + \sigma z`,
      :math:`\hat x_0 = (x_t - \sqrt{1 - \bar\alpha_t}\, \epsilon) / \sqrt{\bar\alpha_t}`,
      :math:`\sigma^2 = \eta^2 \frac{1 - \bar\alpha_s}{1 - \bar\alpha_t} (1 - \bar\alpha_t / \bar\alpha_s)`.

    Both end with a network call at t = 1 ("ddim" of a single step: at t = T). An image's noise comes from its own
    key, so it does not depend on the images beside it.

    Args:
      keys: typed keys [n].
      size: N.
      method: "ddim" or "ancestral" (which ignores `steps`).
      steps: network calls of "ddim", 1 .. T.
      eta: noise of "ddim", 0 (deterministic) to 1 (as much as the posterior q(x_s | x_t, x_0) has).
      clip: hold the estimate of x_0 at each step within [-1, 1], where the images are, as Ho et al.'s code does.
      record: also return the tensors recorded in the last call (t = 1).

    Returns:
      float32[n, N, N, 1], about [-1, 1] ("ddim" with `clip` ends within it), and the recorded tensors ({} unless
      asked for).
    """
    ancestral = method == "ancestral"
    times = np.arange(1, schedule.timesteps + 1, dtype=np.int32) if ancestral else ddim_steps(schedule.timesteps, steps)
    betas = np.concatenate([[0.0], schedule.betas])
    alpha_bars = schedule.alpha_bars
    before = np.concatenate([[0], times[:-1]])
    now, last = alpha_bars[times], alpha_bars[before]
    if ancestral:  # x <- a x + b noise + c z
        beta = betas[times]
        a = 1.0 / np.sqrt(1.0 - beta)
        b = -beta / np.sqrt(1.0 - now) * a
        c = np.where(times > 1, np.sqrt(beta), 0.0)
    else:
        variance = eta**2 * (1.0 - last) / (1.0 - now) * (1.0 - now / last)
        a = np.sqrt(last / now)
        b = np.sqrt(1.0 - last - variance) - np.sqrt(1.0 - now) * a
        c = np.sqrt(variance)
    coefficients = np.stack([a, b, c, np.sqrt(now), np.sqrt(1.0 - now)], axis=-1).astype(np.float32)
    noisy = ancestral or eta > 0

    def draw(t):
        keys_t = jax.vmap(lambda key: jax.random.fold_in(key, t))(keys)
        return jax.vmap(lambda key: jax.random.normal(key, (size, size, 1)))(keys_t)

    def step(x, inputs):
        t, (a, b, c, signal, spread) = inputs
        noise, recorded = predict(x, jnp.full((x.shape[0],), t, jnp.int32))
        if clip:
            clean = jnp.clip((x - spread * noise) / signal, -1.0, 1.0)
            noise = (x - signal * clean) / spread
        x = a * x + b * noise
        return (x + c * draw(t) if noisy else x), recorded

    def scanned(x, inputs):
        return step(x, inputs)[0], None

    inputs = (jnp.asarray(times[::-1]), jnp.asarray(coefficients[::-1]))
    x = draw(schedule.timesteps + 1)
    if not record:
        return jax.lax.scan(scanned, x, inputs)[0], {}
    x, _ = jax.lax.scan(scanned, x, jax.tree.map(lambda v: v[:-1], inputs))
    return step(x, jax.tree.map(lambda v: v[-1], inputs))
