"""Forward process and loss [Ho et al. 2020; 2402.03305, eq. 2].

Steps t run over 1 .. T; t = 0 is the clean image.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

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
        """Return the predicted target, by default the noise, and the recorded tensors, for images x at steps t."""
        ...


@dataclass(frozen=True)
class Schedule:
    r"""Forward process x_t = signal_t x_0 + spread_t noise, and the target that the network predicts.

    The papers: the linear noise schedule, beta_t from `beta_start` at t = 1 to `beta_end` at t = T [Ho et al. 2020,
    section 4], signal :math:`\sqrt{\bar\alpha_t}`, spread :math:`\sqrt{1 - \bar\alpha_t}`, and the noise.

    Attributes:
      timesteps: T.
      beta_start, beta_end: variances, in (0, 1).
      objective: one of `allowed.OBJECTIVES`. "noise"; "image", the clean x_0; "velocity", signal noise - spread image
        [Salimans and Ho 2022, appendix D]; or "flow", noise - image on the straight path from image to noise, signal
        1 - t / (T + 1), spread t / (T + 1), which has no betas [Liu et al. 2023; Lipman et al. 2023]. At t = T a
        signal of 1 / (T + 1) is left, so that the image's estimate at that step is finite.
    """

    timesteps: int = 1000
    beta_start: float = 1e-4
    beta_end: float = 0.02
    objective: str = "noise"

    @property
    def betas(self) -> Float[np.ndarray, " T"]:
        """float64[T], beta_t at index t - 1."""
        return np.linspace(self.beta_start, self.beta_end, self.timesteps)

    @property
    def alpha_bars(self) -> Float[np.ndarray, " T1"]:
        """float64[T + 1], product of (1 - beta_s) for s <= t at index t; 1 at t = 0."""
        return np.concatenate([[1.0], np.cumprod(1.0 - self.betas)])

    @property
    def signal(self) -> Float[np.ndarray, " T1"]:
        """float64[T + 1], factor of the image at step t; 1 at t = 0."""
        return 1.0 - self._flow_time if self.objective == "flow" else np.sqrt(self.alpha_bars)

    @property
    def spread(self) -> Float[np.ndarray, " T1"]:
        """float64[T + 1], standard deviation of the noise at step t; 0 at t = 0."""
        return self._flow_time if self.objective == "flow" else np.sqrt(1.0 - self.alpha_bars)

    @property
    def _flow_time(self) -> Float[np.ndarray, " T1"]:
        return np.arange(self.timesteps + 1) / (self.timesteps + 1)

    @property
    def target(self) -> tuple[Float[np.ndarray, " T1"], Float[np.ndarray, " T1"]]:
        """Factors p and q, float64[T + 1] each, of the target p image + q noise."""
        none, all_of_it = np.zeros(self.timesteps + 1), np.ones(self.timesteps + 1)
        return {
            "noise": (none, all_of_it),
            "image": (all_of_it, none),
            "velocity": (-self.spread, self.signal),
            "flow": (-all_of_it, all_of_it),
        }[self.objective]


def from_settings(settings: Diffusion) -> Schedule:
    """Return the schedule that the settings describe."""
    return Schedule(settings.timesteps, settings.beta_start, settings.beta_end, settings.objective)


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
    return _per_image(schedule.signal, t) * x0 + _per_image(schedule.spread, t) * noise


def predicting_noise(schedule: Schedule, network: DenoiseFn) -> DenoiseFn:
    r"""Convert a network's prediction to the noise, which samplers take.

    With x = signal image + spread noise and the prediction m = p image + q noise, `Schedule.target`,

    .. math:: noise = (signal\; m - p\, x) / (signal\, q - spread\, p).

    Args:
      schedule: of the objective that the network was trained for.
      network: with parameters and labels bound.
    """
    if schedule.objective == "noise":
        return network
    of_image, of_noise = schedule.target
    divisor = schedule.signal * of_noise - schedule.spread * of_image
    divisor[0] = 1.0  # t = 0 is no step of any sampler
    of_prediction, of_x = schedule.signal / divisor, -of_image / divisor

    def denoise(x: jax.Array, t: jax.Array, /) -> Any:
        predicted, recorded = network(x, t)
        return _per_image(of_prediction, t) * predicted + _per_image(of_x, t) * x, recorded

    return denoise


def denoising_loss(
    schedule: Schedule,
    denoise: DenoiseFn,
    x0: Float[Array, "n N N C"],
    t: Int[Array, " n"],
    noise: Float[Array, "n N N C"],
) -> Float[Array, " n"]:
    """Return the mean squared error of the prediction, per image; for "noise" that of 2402.03305, eq. 2.

    Arguments as `q_sample`'s; `denoise` is called once, on the noised images. Losses of different objectives have
    different scales.
    """
    predicted, _ = denoise(q_sample(schedule, x0, t, noise), t)
    if schedule.objective == "noise":
        wanted = noise
    else:
        of_image, of_noise = (_per_image(table, t) for table in schedule.target)
        wanted = of_image * x0 + of_noise * noise
    return jnp.mean(jnp.square(predicted - wanted), axis=(1, 2, 3))
