"""Forward process and loss [Ho et al. 2020; 2402.03305, eq. 2].

Steps t run over 1 .. T; t = 0 is the clean image.
"""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from diffgeo.settings import Diffusion


@runtime_checkable
class DenoiseFn(Protocol):
    """The network with its parameters and labels bound."""

    def __call__(
        self, x: Float[Array, "n N N C"], t: Int[Array, " n"], /
    ) -> tuple[Float[Array, "n N N C"], dict[str, jax.Array]]:
        """Return the predicted noise and the recorded tensors of noisy images x at steps t."""
        ...


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


def from_settings(settings: Diffusion) -> Schedule:
    """Return the schedule that the settings describe."""
    return Schedule(settings.timesteps, settings.beta_start, settings.beta_end)


def _per_image(table: np.ndarray, t: Int[Array, " n"]) -> Float[Array, "n 1 1 1"]:
    """Look up a float64 table at each image's step."""
    return jnp.asarray(table, jnp.float32)[t][:, None, None, None]


def q_sample(
    schedule: Schedule, x0: Float[Array, "n N N C"], t: Int[Array, " n"], noise: Float[Array, "n N N C"]
) -> Float[Array, "n N N C"]:
    r"""Draw from :math:`q(x_t | x_0) = N(\sqrt{\bar\alpha_t} x_0, (1 - \bar\alpha_t) I)` [Ho et al. 2020, eq. 4].

    Args:
      schedule: noise schedule.
      x0: clean images in [-1, 1].
      t: steps 0 .. T, one per image.
      noise: standard normal.
    """
    alpha_bar = schedule.alpha_bars
    return _per_image(np.sqrt(alpha_bar), t) * x0 + _per_image(np.sqrt(1.0 - alpha_bar), t) * noise


def denoising_loss(
    schedule: Schedule,
    denoise: DenoiseFn,
    x0: Float[Array, "n N N C"],
    t: Int[Array, " n"],
    noise: Float[Array, "n N N C"],
) -> Float[Array, " n"]:
    """Return the mean squared error of the predicted noise, per image [2402.03305, eq. 2].

    Arguments as `q_sample`'s; `denoise` is called once, on the noised images.
    """
    predicted, _ = denoise(q_sample(schedule, x0, t, noise), t)
    return jnp.mean(jnp.square(predicted - noise), axis=(1, 2, 3))
