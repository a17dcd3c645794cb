"""Schedules that the tests of diffusion share, and a network whose answer is exact.

For data of one Gaussian pixel law N(m, s^2) the best predictor is known in closed form, so the samplers can be held
against an exact answer; s = 0 is the perfect predictor of one known image.
"""

import jax.numpy as jnp

from diffgeo.diffusion import Schedule

PAPER = Schedule()
SHORT = Schedule(timesteps=10, beta_start=0.05, beta_end=0.3)
SIGMAS = 5
"""Allowed standard errors."""


def known_noise(schedule, mean, spread):
    """Return the network that predicts the expected noise in x_t where every pixel of x_0 is N(mean, spread^2).

    The mean may be an image.
    """
    alpha_bars = jnp.asarray(schedule.alpha_bars, jnp.float32)

    def denoise(x, t):
        a = alpha_bars[t][:, None, None, None]
        noise = jnp.sqrt(1 - a) * (x - jnp.sqrt(a) * mean) / (a * spread**2 + 1 - a)
        return noise, {"x": x, "t": t}

    return denoise
