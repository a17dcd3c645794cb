"""How far a cloud is from being connected: the widest gap between two large parts of it, by single linkage."""

import numpy as np
from jaxtyping import Real

from diffgeo.representation.points import check_points

PART = 0.05
"""Share of the points that a part must have: single points that lie apart do not disconnect a cloud."""


def log_gap(points: Real[np.ndarray, "n k"]) -> float:
    """Return log of the widest gap between two parts of a cloud over the median distance at which its points join.

    Points are joined in the order of their distances (single linkage, the H0 classes of persistent homology). The gap
    is the largest distance at which two parts with a twentieth of the points each become one. 0 for a lattice and for a
    cloud that grows from one part by single points.

    Args:
      points: [n, k]; equal points count once.

    Raises:
      UserError: see `check_points`.
    """
    from scipy.cluster.hierarchy import linkage

    points = np.unique(check_points(points), axis=0)
    joined = linkage(points, "single")
    sizes = np.concatenate([np.ones(len(points)), joined[:, 3]])
    smaller = sizes[joined[:, :2].astype(int)].min(axis=1)
    apart = joined[smaller >= max(2.0, PART * len(points)), 2]
    return float(max(0.0, np.log(apart.max() / np.median(joined[:, 2])))) if apart.size else 0.0
