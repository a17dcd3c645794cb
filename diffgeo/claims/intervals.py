"""Confidence intervals of means over seeds."""

import math

import numpy as np

LEVEL = 0.95
"""Confidence level of the intervals."""

RESAMPLE = "resample"
"""Dim of bootstrap resamplings of the samples; its first entry is the measured value."""


def interval(values: np.ndarray, draws: int = 4_000) -> tuple[float, float]:
    """Return the ends of the bootstrap interval of the mean over seeds.

    Args:
      values: float[R + 1, S], the statistic of each of S >= 2 seeds: as measured, then on R >= 0 resamplings of the
        samples; NaN where it is undefined on a resampling.
      draws: number of resamplings of the seeds.
    """
    generator = np.random.default_rng(0)
    seeds = values.shape[1]
    rows = 1 + np.arange(draws) % (len(values) - 1) if len(values) > 1 else np.zeros(draws, int)
    chosen = generator.integers(seeds, size=(draws, seeds))
    means = values[rows[:, None], chosen].mean(axis=1)
    deviations = (means[np.isfinite(means)] - values[0].mean()) * math.sqrt(seeds / (seeds - 1))
    if not deviations.size:
        return -math.inf, math.inf
    low, high = np.quantile(deviations, [0.5 - 0.5 * LEVEL, 0.5 + 0.5 * LEVEL])
    return float(values[0].mean() + low), float(values[0].mean() + high)
