r"""Persistent homology of a cloud, and Betti numbers read from it by a stated rule [2408.13256, section 3.1].

**Diagrams.** Vietoris-Rips persistence by ripser on the distance matrix, up to a threshold T. A class still alive
at T has death = inf. Without a threshold 1,024 points take over 19 GB.

**Scales.** Let d be the median over points of the distance to the 4th nearest neighbor (a square lattice has 4),
and D its maximum. The cloud is examined between `low` = min(D, 2 d), where points have met their neighbors, and
`high` = T = max(the 12.5 % quantile of all distances, 2.5 `low`). The quantile suits dense clouds, 2.5 `low` suits
sparse ones; 2 d keeps a single stray point from moving the scale. T is cut where the graph of distances up to T
would have more than `MAX_TRIANGLES` triangles, which bounds memory.

**Betti numbers.** At a scale s the numbers are those of the classes with birth <= s < death. They are constant between
neighboring births and deaths; the rule takes the vector of *all* of them that stays the same over the longest
unbroken interval of s in [`low`, `high`]. `stability` is that interval's upper end over its lower: near 1 the numbers
mean little, ideal tori of 32 x 32 points have over 2. If `high` <= `low` (distances all alike, as in noise of
high dimension) there is no such interval: the numbers are those at T, with `stability` 1.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Real

from diffgeo.representation.points import check_points, distances, landmarks

QUANTILE = 0.125
NEIGHBOR = 4
REACH = 2.5
STRAY = 2.0
MAX_TRIANGLES = 3_000_000
"""About 0.4 GB and under 20 s of one core with H2, measured on 1,024 points of many kinds."""
MAX_POINTS = 1_024
LEAST = 4
FEW = 256
"""Points whose triangles are always under `MAX_TRIANGLES`."""


class Persistence(NamedTuple):
    """Diagrams of a cloud, and the Betti numbers read from them. Lengths in the points' units."""

    diagrams: list[Float64[np.ndarray, "bars 2"]]
    """(birth, death) of each class of H0, H1, ...; death is inf if alive at `threshold`."""
    betti: tuple[int, ...]
    """Numbers of H0, H1, ... over `interval`."""
    interval: tuple[float, float]
    """The scales over which `betti` holds."""
    stability: float
    """Upper over lower end of `interval`, at least 1."""
    scales: tuple[float, float]
    """`low` and `high`, which bound the interval."""
    threshold: float
    """T, up to which distances were used."""
    covering_radius: float
    """Largest distance from a point to its nearest landmark; 0 if all points were used."""

    def betti_at(self, scale: float) -> tuple[int, ...]:
        """Return the Betti numbers at a scale under `threshold`: the classes with birth <= scale < death."""
        return tuple(int(np.sum((bars[:, 0] <= scale) & (bars[:, 1] > scale))) for bars in self.diagrams)


def persistence(points: Real[np.ndarray, "n k"], maxdim: int = 2, most: int = MAX_POINTS) -> Persistence:
    """Compute persistence diagrams H0 ... H`maxdim` and Betti numbers of a cloud; see the module for the rule.

    A torus has Betti numbers (1, 2, 1). The cloud must be dense enough for its holes to be wider than its gaps: with
    points drawn at random that takes a few hundred for a sphere or a torus, far fewer on a lattice. A cloud with noise
    has the topology of its noise: a single stray point is a second component. Points that are equal count once.

    Args:
      points: [n, k], any number of features.
      maxdim: highest homology, 0 to 2.
      most: a larger cloud is reduced to this many greedy landmarks; the covering radius tells how coarse that is.

    Raises:
      UserError: see `check_points`; at least 4 different points are needed.
    """
    from ripser import ripser

    points = np.unique(check_points(points, least=LEAST), axis=0)
    check_points(points, least=LEAST)
    chosen, radius = landmarks(points, most)
    matrix = distances(points[chosen]).astype(np.float32)  # the precision of ripser
    if _triangles(matrix, _smallest(matrix)) > MAX_TRIANGLES:  # nearly all points in one spot: no threshold helps
        chosen, radius = landmarks(points, FEW)
        matrix = distances(points[chosen]).astype(np.float32)
    low, high = _scales(matrix)
    result = ripser(matrix, distance_matrix=True, maxdim=maxdim, thresh=high)
    diagrams = [np.asarray(bars, np.float64).reshape(-1, 2) for bars in result["dgms"]]
    betti, interval = _longest(diagrams, low, high)
    return Persistence(diagrams, betti, interval, interval[1] / interval[0], (low, high), high, radius)


def longest_bars(bars: Float64[np.ndarray, "bars 2"], count: int) -> Float64[np.ndarray, "count 2"]:
    """Return the `count` bars of longest life, longest first, infinite bars before all others; padded with NaN."""
    kept = bars[np.argsort(-(bars[:, 1] - bars[:, 0]), kind="stable")][:count]
    return np.concatenate([kept, np.full((count - len(kept), 2), np.nan)])


def _scales(matrix: np.ndarray) -> tuple[float, float]:
    number = len(matrix)
    neighbor = min(NEIGHBOR, (number - 1) // 2)
    reached = np.partition(matrix, neighbor, axis=1)[:, neighbor]
    low = max(_smallest(matrix), float(min(reached.max(), STRAY * np.median(reached))))
    pairs = np.sort(matrix[np.triu_indices(number, 1)])
    high = max(float(np.quantile(pairs, QUANTILE)), REACH * low)
    return low, float(min(high, pairs[-1], _affordable(matrix, pairs)))


def _affordable(matrix: np.ndarray, pairs: np.ndarray) -> float:
    """Return the largest distance at which the graph still has no more than `MAX_TRIANGLES` triangles."""
    first, last = 0, len(pairs)  # the first fits, the last does not
    if len(matrix) ** 3 / 6 <= MAX_TRIANGLES:
        return float(pairs[-1])
    while last - first > len(pairs) // 200:
        middle = (first + last) // 2
        fits = _triangles(matrix, float(pairs[middle])) <= MAX_TRIANGLES
        first, last = (middle, last) if fits else (first, middle)
    return float(pairs[first])


def _triangles(matrix: np.ndarray, threshold: float) -> float:
    """Return the number of triangles of the graph that joins points up to that distance."""
    graph = (matrix <= threshold).astype(np.float32)
    np.fill_diagonal(graph, 0.0)
    return float(np.sum((graph @ graph) * graph, dtype=np.float64) / 6)


def _smallest(matrix: np.ndarray) -> float:
    """Return the smallest distance over 0."""
    return float(matrix[matrix > 0].min())


def _longest(diagrams: list[np.ndarray], low: float, high: float) -> tuple[tuple[int, ...], tuple[float, float]]:
    """Return the Betti numbers that hold over the longest interval in [low, high], and that interval."""
    if high <= low:
        # at T itself everything alive is infinite
        return tuple(int(np.isinf(bars[:, 1]).sum()) for bars in diagrams), (high, high)
    ends = np.concatenate([[low, high], *[bars.ravel() for bars in diagrams]])
    ends = np.unique(ends[(ends >= low) & (ends <= high)])
    middles = 0.5 * (ends[:-1] + ends[1:])
    numbers = np.stack(
        [np.sum((bars[:, :1] <= middles) & (bars[:, 1:] > middles), axis=0) for bars in diagrams], axis=-1
    )
    starts = np.flatnonzero(np.concatenate([[True], (numbers[1:] != numbers[:-1]).any(axis=1)]))
    stops = np.concatenate([starts[1:], [len(middles)]])
    best = int(np.argmax(ends[stops] - ends[starts]))
    interval = (float(ends[starts[best]]), float(ends[stops[best]]))
    return tuple(int(number) for number in numbers[starts[best]]), interval
