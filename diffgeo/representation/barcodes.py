r"""Betti numbers read from persistence bars by a stated rule, so that stored bars can be read again.

**The whole.** The cloud counts as joined at the scale `join`, the longest finite bar of H0 that is no component of its
own: components are told apart where log death has a gap of log 2.5 or more among its first six steps. Bars alive at
the threshold T count as dying there.

**Holes.** A bar of H1 or H2 counts by :math:`v = \log(\mathrm{death} / \max(\mathrm{birth}, \mathrm{join}))`: a
hole that opens before the points have met their neighbors is one of the sampling. Sorted downward, with 0 behind the
last, the six largest v have six gaps. The Betti number is the position of the *last* gap of at least `GAPS` whose upper
bar is over `RATIOS`: holes of a torus of unequal radii differ more from each other than the smaller one from noise, so
that the largest gap would lose it.

The numbers were fixed on clouds whose Betti numbers are known (docs/betti.md): 1.8 for H1 is what planes of 256
points with noise need to show no hole; H2 bars of noise are shorter, but so are those of tori.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Real

FIRST = 6
"""Gaps looked at: no more holes of a degree are told apart."""
COMPONENT = 2.5
"""Ratio of deaths in H0 over which a component is one of its own."""
RATIOS = (1.8, 1.2)
"""Of H1 and H2: death / max(birth, join) over which a bar can be a hole."""
GAPS = (0.1, 0.15)
"""Of H1 and H2: log ratio of a hole's bar to the next."""


class Reading(NamedTuple):
    """What bars say, per homology degree; NaN where there are no bars of H0, so no cloud was measured."""

    betti: Float64[np.ndarray, " homology"]
    """Betti numbers."""
    gaps: Float64[np.ndarray, "homology 6"]
    """Gaps behind the first, second, ... bar: two holes of H1 show as one at index 1."""
    values: Float64[np.ndarray, "homology 6"]
    """v of the six longest bars, longest first; of H0 log deaths, as far as there are any, else NaN."""


def read_bars(bars: Sequence[Real[np.ndarray, "_ 2"]] | np.ndarray, threshold: float) -> Reading:
    """Read Betti numbers from the bars of one cloud, by the rule of the module.

    Args:
      bars: (birth, death) of H0, H1, ...: a list of [bars, 2], or an array with NaN rows for bars that do not exist
        (the results' variable "bars"). The longest will do. Death is inf for bars that are alive at the threshold.
      threshold: scale up to which bars were followed ("bar_threshold"), over 0.
    """
    known = [np.asarray(degree, np.float64) for degree in bars]
    known = [degree[~np.isnan(degree[:, 0])] for degree in known]
    if not len(known[0]):
        empty, many = np.full(len(known), np.nan), np.full((len(known), FIRST), np.nan)
        return Reading(empty, many, many)
    betti, gaps = np.zeros(len(known)), np.zeros((len(known), FIRST))
    lengths = np.full((len(known), FIRST), np.nan)
    # the first is the whole cloud, which never dies
    deaths = np.sort(np.minimum(known[0][:, 1], threshold))[::-1][1:]
    # no zero behind the last: the shortest bars of H0 are no longer than others by a meaningful ratio
    logs = np.log(deaths[: FIRST + 1])
    steps = logs[:-1] - logs[1:]
    gaps[0, : len(steps)] = steps
    lengths[0, : min(FIRST, len(logs))] = logs[:FIRST]
    apart = int(np.argmax(steps)) + 1 if len(steps) and steps.max() >= np.log(COMPONENT) else 0
    betti[0] = 1 + apart
    join = deaths[apart] if len(deaths) else threshold
    for degree in range(1, len(known)):
        birth, death = known[degree].T
        values = np.log(np.minimum(death, threshold) / np.maximum(birth, join))
        values = np.sort(np.maximum(np.append(values, np.zeros(FIRST + 1)), 0.0))[::-1][: FIRST + 1]
        gaps[degree], lengths[degree] = values[:-1] - values[1:], values[:-1]
        clear = (gaps[degree] >= GAPS[degree - 1]) & (values[:-1] > np.log(RATIOS[degree - 1]))
        betti[degree] = 1 + np.flatnonzero(clear)[-1] if clear.any() else 0
    return Reading(betti, gaps, lengths)


def longest_bars(bars: Real[np.ndarray, "bars 2"], count: int) -> Float64[np.ndarray, "count 2"]:
    """Return the `count` bars of longest life, longest first, infinite bars before all others; padded with NaN."""
    kept = bars[np.argsort(-(bars[:, 1] - bars[:, 0]), kind="stable")][:count]
    return np.concatenate([kept, np.full((count - len(kept), 2), np.nan)])
