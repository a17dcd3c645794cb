"""Intervals and tail probabilities of means over seeds, and of shares of seeds. The seed is the unit.

Student's t where an outcome is a number; Clopper-Pearson where it is yes or no. Bootstraps of 2 or 3 seeds cover 61 and
81 % where they say 95 % and are not used. docs/claims.md has the simulated coverage.
"""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from diffgeo.errors import require

LEVEL = 0.95
"""Confidence level of the intervals."""


def interval(
    values: Sequence[float] | np.ndarray, level: float = LEVEL, resolution: float = 0.0
) -> tuple[float, float]:
    """Return the ends of Student's interval of the mean over seeds, with S - 1 degrees of freedom.

    Args:
      values: float[S], one a seed.
      level: of confidence, in (0, 1).
      resolution: least standard deviation between seeds that is believed, see `share_resolution`.

    Returns:
      (low, high); infinite for a single seed, which has no interval.

    Raises:
      UserError: for no values, values that are not finite, or a level outside (0, 1).

    >>> low, high = interval([0.90, 0.94, 0.92])
    >>> f"{low:.2f} to {high:.2f}"
    '0.87 to 0.97'
    """
    values = _checked(values, level)
    if len(values) < 2:
        return -math.inf, math.inf
    half = stats.t.ppf(0.5 + 0.5 * level, len(values) - 1) * _standard_error(values, resolution)
    return float(values.mean() - half), float(values.mean() + half)


def tail(values: Sequence[float] | np.ndarray, limit: float, resolution: float = 0.0) -> float:
    """Return the one-sided p-value of Student's test that the mean over seeds is over a limit.

    `interval` at level 1 - 2 p begins at the limit: where a 95 % interval lies above it, p is under 0.025.

    Args:
      values, resolution: as for `interval`.
      limit: the mean under the null hypothesis; infinite ones give 0 or 1.

    Returns:
      p in [0, 1]; 1 for a single seed and a finite limit. 1 - p is the p-value of the mean being under the limit.
    """
    values = _checked(values, LEVEL)
    if math.isinf(limit):
        return 0.0 if limit < 0 else 1.0
    if len(values) < 2:
        return 1.0
    error = _standard_error(values, resolution)
    difference = values.mean() - limit
    if error == 0:
        return 0.5 if difference == 0 else float(difference < 0)
    return float(stats.t.sf(difference / error, len(values) - 1))


def share_interval(hits: int, count: int, level: float = LEVEL) -> tuple[float, float]:
    """Return the ends of the exact interval of Clopper and Pearson of a share: `hits` of `count` seeds.

    3 of 3 seeds give [0.29, 1]: they never show that more than half do.

    Raises:
      UserError: unless 0 <= hits <= count, count > 0 and the level is in (0, 1).
    """
    require(
        0 <= hits <= count and count > 0, f"{hits} of {count} seeds is no share: give 0 <= hits <= count, count > 0"
    )
    require(0 < level < 1, f"an interval of level {level:g} does not exist: give a level between 0 and 1")
    outside = 0.5 * (1 - level)
    low = 0.0 if hits == 0 else float(stats.beta.ppf(outside, hits, count - hits + 1))
    high = 1.0 if hits == count else float(stats.beta.ppf(1 - outside, hits + 1, count - hits))
    return low, high


def share_tail(hits: int, count: int, limit: float) -> float:
    """Return the exact one-sided p-value that a share of seeds is over a limit: P(at least `hits` of `count`)."""
    if limit >= 1:
        return 1.0
    return 0.0 if limit < 0 else float(stats.binom.sf(hits - 1, count, limit))


def share_resolution(labels: int) -> float:
    """Return the least standard deviation between seeds that is believed of a share of n labels, 0.6 / n.

    Seeds that are right on all n labels have none, and would give an interval of no width. With this one the interval
    is at least as wide as the exact one of S n right labels, at any number of seeds.
    """
    return 0.6 / labels


def logits(shares: np.ndarray, labels: np.ndarray | int) -> np.ndarray:
    """Return log odds of shares of n labels, half a hit and half a miss added to each so that 0 and 1 are finite.

    Args:
      shares: float[...], in [0, 1].
      labels: n, broadcast against `shares`.
    """
    hits = np.asarray(shares, float) * labels
    return np.log((hits + 0.5) / (labels - hits + 0.5))


def holm(p_values: Sequence[float]) -> list[float]:
    """Return Holm's adjusted p-values: those under 0.05 are rejected at a family-wise error of 5 %.

    Args:
      p_values: of the whole family, 1 where a member has not been tested.
    """
    order = np.argsort(p_values, kind="stable")
    adjusted = np.ones(len(order))
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p_values[index]))
        adjusted[index] = largest
    return [float(p) for p in adjusted]


def power(effect: float, spread: float, seeds: int, level: float = 1 - LEVEL) -> float:
    """Return the probability that Student's test of S seeds finds an effect.

    Args:
      effect: distance of the true mean from the limit, > 0, in the unit of `spread`.
      spread: standard deviation between seeds, > 0.
      seeds: S, 2 at least.
      level: doubled one-sided p-value under which it is found.

    Returns:
      A number in (0, 1), of the noncentral t distribution.

    Raises:
      UserError: for arguments out of range.
    """
    require(effect > 0 and spread > 0, f"effect={effect} and spread={spread} must be positive")
    require(seeds >= 2, f"seeds={seeds} have no interval: give 2 at least")
    require(0 < level < 1, f"level={level:g} must lie between 0 and 1")
    limit = stats.t.isf(level / 2, seeds - 1)
    return float(stats.nct.sf(limit, seeds - 1, effect / spread * math.sqrt(seeds)))


def seeds_needed(
    effect: float, spread: float, level: float = 1 - LEVEL, wanted: float = 0.9, most: int = 1_000
) -> int | None:
    """Return the least number of seeds, from 2, whose `power` is as wanted; None for over `most`."""
    return next((seeds for seeds in range(2, most + 1) if power(effect, spread, seeds, level) >= wanted), None)


def _checked(values: Sequence[float] | np.ndarray, level: float) -> np.ndarray:
    values = np.asarray(values, np.float64).reshape(-1)
    require(len(values) > 0, "0 seeds have no mean: give at least 1")
    require(bool(np.isfinite(values).all()), f"values of seeds must be finite, got {', '.join(map(str, values))}")
    require(0 < level < 1, f"an interval of level {level:g} does not exist: give a level between 0 and 1")
    return values


def _standard_error(values: np.ndarray, resolution: float) -> float:
    return max(float(values.std(ddof=1)), resolution) / math.sqrt(len(values))
