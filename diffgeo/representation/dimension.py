r"""Intrinsic dimension of a cloud from distances to neighbors: TwoNN [Facco et al. 2017] over many neighbors.

Where points lie at random on a manifold of dimension d, the distance r_k to a point's k-th nearest neighbor has

.. math:: E[\log r_k] = H_{k-1} / d + \mathrm{const}

with the harmonic numbers H, so 1/d is the slope of the mean log distance on H. TwoNN is the slope between k = 1 and 2.
**A lattice is its trap**, and samples at a lattice of labels nearly are one: the two nearest neighbors are equally far,
and d is infinite. A line fitted over k = 4 to 24 passes through the steps of a lattice's distances: it reads 1.97 on a
square lattice of 16 x 16, 2.5 on one stretched by two. At 256 points, curvature adds up to .8 (a torus in space), and
noise as large as the distance to the neighbors adds its own dimensions; above 10 dimensions a third is missing.
So under 3 means a surface, and "how many" of many dimensions is not to be told.
"""

import numpy as np
from jaxtyping import Real

from diffgeo.representation.points import ROUNDING, check_points, distances

FIRST, LAST = 4, 24
"""Neighbors over which the line is fitted."""
LEAST = 10


def intrinsic_dimension(points: Real[np.ndarray, "n k"], first: int = FIRST, last: int = LAST) -> float:
    """Return the dimension of the manifold that a cloud samples, at the scale of its neighbors.

    Args:
      points: [n, k]; equal points count once.
      first, last: neighbors compared, at least 1; 1 and 2 is TwoNN. Small clouds have n - 1 in place of `last`.

    Raises:
      UserError: see `check_points`; at least 10 different points are needed.
    """
    points = check_points(np.unique(check_points(points, least=LEAST), axis=0), least=LEAST)
    neighbors = np.arange(first, min(last, len(points) - 1) + 1)
    apart = np.sort(distances(points), axis=1)[:, neighbors]  # column 0 is the point itself
    apart = np.maximum(apart, ROUNDING * apart.max())  # points so near that their distance is lost
    harmonic = np.concatenate([[0.0], np.cumsum(1.0 / np.arange(1, neighbors[-1]))])[neighbors - 1]
    spread = harmonic - harmonic.mean()
    slope = np.sum(spread * np.log(apart).mean(axis=0)) / np.sum(spread**2)
    # distances are differences of squares, so those of a lattice are equal up to rounding
    return float(1.0 / slope) if slope > 1e-6 else np.inf
