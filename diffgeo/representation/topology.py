r"""Persistent homology of a cloud [2408.13256, section 3.1]; `barcodes` reads Betti numbers from it.

**Diagrams.** Vietoris-Rips persistence by ripser on the distance matrix, up to a threshold T. A class still alive
at T has death = inf. Without a threshold 1,024 points take over 19 GB.

**Threshold.** Let d be the median over points of the distance to the 4th nearest neighbor (a square lattice has 4),
and D its maximum. Points have met their neighbors at `low` = min(D, 2 d), and T = max(the 12.5 % quantile of all
distances, 2.5 `low`). The quantile suits dense clouds, 2.5 `low` suits sparse ones; 2 d keeps a single stray point from
moving the scale. T is cut at the distance within which one point reaches all others, since no class is alive beyond,
and where the graph of distances up to T would have more than `MAX_TRIANGLES` triangles, which bounds memory.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Real

from diffgeo.representation.barcodes import read_bars
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
    """Numbers of H0, H1, ... by `read_bars`."""
    threshold: float
    """T, up to which distances were used."""
    covering_radius: float
    """Largest distance from a point to its nearest landmark; 0 if all points were used."""


def persistence(points: Real[np.ndarray, "n k"], maxdim: int = 2, most: int = MAX_POINTS) -> Persistence:
    """Compute persistence diagrams H0 ... H`maxdim` and Betti numbers of a cloud.

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
    threshold = _threshold(matrix)
    result = ripser(matrix, distance_matrix=True, maxdim=maxdim, thresh=threshold)
    diagrams = [np.asarray(bars, np.float64).reshape(-1, 2) for bars in result["dgms"]]
    reading = read_bars(diagrams, threshold)
    betti = tuple(int(number) for number in reading.betti)
    return Persistence(diagrams, betti, threshold, radius)


def _threshold(matrix: np.ndarray) -> float:
    number = len(matrix)
    neighbor = min(NEIGHBOR, (number - 1) // 2)
    reached = np.partition(matrix, neighbor, axis=1)[:, neighbor]
    low = max(_smallest(matrix), float(min(reached.max(), STRAY * np.median(reached))))
    pairs = np.sort(matrix[np.triu_indices(number, 1)])
    high = max(float(np.quantile(pairs, QUANTILE)), REACH * low)
    enclosing = float(matrix.max(axis=1).min())  # there the points are a cone over one of them: nothing is alive beyond
    return float(min(high, enclosing, _affordable(matrix, pairs)))


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
