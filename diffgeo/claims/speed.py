"""Speed of learning: the step at which a share passes one half (T50), and contrasts of its logarithm.

T50 is that of a logistic curve in log step, fitted by maximum likelihood. A model that does not get there by its last
step has a T50 of at least that (censored), and a contrast with such a model is a bound. Speeds compare only where the
learning rate is constant after a short warm-up: under a one-cycle schedule the horizon is part of the answer.
"""

from typing import NamedTuple

import numpy as np
import xarray as xr
from scipy import optimize, special

from diffgeo.errors import UserError

FLATTEST, STEEPEST = 0.1, 50.0
"""Bounds of the logistic slope, per e-fold of steps: a share that jumps between two evaluations has no finite one."""


class HalfTime(NamedTuple):
    """log T50, and whether it is only a bound."""

    log_step: float
    censored: int
    """1: not reached by the last step, which is a lower bound; -1: over one half from the first step on, an upper one;
    0: within."""


def half_time(steps: np.ndarray, shares: np.ndarray) -> HalfTime:
    """Return the step at which a share passes one half, by a logistic fit on log step.

    Args:
      steps: float[T], training steps of the evaluations; step 0 has no logarithm and is left out.
      shares: float[T], in [0, 1]; of right samples, or another score that rises from 0 to 1 (clipped).

    Returns:
      A `HalfTime`. The fit's own T50, or a bound if it lies outside the steps evaluated.

    Raises:
      UserError: for fewer than two steps over 0, or shares that are not finite.
    """
    steps, shares = np.asarray(steps, float), np.clip(np.asarray(shares, float), 0.0, 1.0)
    later = steps > 0
    if later.sum() < 2 or not np.isfinite(shares[later]).all():
        raise UserError("a speed of learning needs two evaluations after step 0 at least: evaluate more often")
    times, hits = np.log(steps[later]), shares[later]
    if hits.max() < 0.5:
        return HalfTime(float(times[-1]), 1)
    if hits.min() > 0.5:
        return HalfTime(float(times[0]), -1)

    center = times[np.argmax(hits >= 0.5)]  # near its T50, where intercept and slope hardly depend on each other
    design = np.stack([np.ones(len(times)), times - center])

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        z = parameters @ design
        value = -np.mean(hits * special.log_expit(z) + (1 - hits) * special.log_expit(-z))
        return float(value), design @ (special.expit(z) - hits) / len(hits)

    # convex in intercept and slope, so any start finds its minimum
    bounds, precise = [(None, None), (FLATTEST, STEEPEST)], {"ftol": 1e-14, "gtol": 1e-9}
    intercept, slope = optimize.minimize(
        loss, (0.0, 1.0), jac=True, bounds=bounds, method="L-BFGS-B", options=precise
    ).x
    middle = float(center - intercept / slope)
    if middle > times[-1]:
        return HalfTime(float(times[-1]), 1)
    return HalfTime(float(times[0]), -1) if middle < times[0] else HalfTime(middle, 0)


def half_times(shares: xr.DataArray) -> xr.Dataset:
    """Return log T50 of every member: variables `log_step` and `censored`, with the dims of `shares` but step.

    Args:
      shares: with the dim "step" and its coordinate.
    """
    steps = shares["step"].values

    log_step, censored = xr.apply_ufunc(
        lambda values: half_time(steps, values),
        shares,
        input_core_dims=[["step"]],
        output_core_dims=[[], []],
        vectorize=True,
    )
    return xr.Dataset({"log_step": log_step, "censored": censored})


class Contrast(NamedTuple):
    """A weighted sum of log T50 per seed, and whether some of its values are bounds."""

    values: xr.DataArray
    bounds: tuple[bool, bool]
    """(some are upper bounds, some are lower bounds): `bounds` of `diffgeo.claims.compare`."""


def contrast(times: xr.Dataset, weights: xr.DataArray) -> Contrast:
    """Return the weighted sum of log T50 over an axis, per seed.

    Args:
      times: from `half_times`, dims "seed" and those of `weights`.
      weights: float, over the axes that are summed.

    Returns:
      The contrast; a bound where a member with a weight is censored, open on both sides if bounds of both kinds meet.
    """
    values = (times["log_step"] * weights).sum(list(weights.dims))
    signs = np.sign(weights) * times["censored"]
    return Contrast(values, (bool((signs < 0).any()), bool((signs > 0).any())))


def slope_weights(values: np.ndarray, axis: str) -> xr.DataArray:
    """Return weights that make `contrast` the least-squares slope of log T50 on the logarithm of an axis.

    Raises:
      UserError: for a single value.
    """
    logs = np.log(np.asarray(values, float))
    if len(logs) < 2:
        raise UserError(f"a slope over {axis} needs two values of it at least")
    centered = logs - logs.mean()
    return xr.DataArray(centered / (centered**2).sum(), {axis: values}, [axis])
