r"""Orthogonality and parallelism of the rings of a torus [2408.13256, B.2, after Cueva et al. 2021].

For each value of x the *ring of x* is the set of points with that x, one per value of y, centered; for each y
likewise. A ring spans the plane of its first two principal components P. Two rings are compared by

* the **principal angles** between their planes, in degrees. The paper takes cosines between single components, but
  the two components of a perfect circle are degenerate, so for two circles in the *same* plane these can be
  anything; they are kept as an option (`literal`).
* the **residual** (eq. 3) :math:`r = \sum |h - P P^T h|^2 / \sum |h|^2` over one ring's centered points h on the
  other's plane, the mean of both directions: 0 in the same plane, 1 in orthogonal ones.

A ring may need more than two components (that of a sum of stripes does): choose k, or a share of variance.
"""

import functools
from collections.abc import Iterable, Mapping

import numpy as np
from jaxtyping import Float64, Real

from diffgeo.errors import UserError
from diffgeo.representation.points import check_points
from diffgeo.representation.tori import clifford_torus, torus_3d

PAIRS = ("x_on_y", "x_on_x", "y_on_y")
STATISTICS = ("angles", "residual")
IDEALS = ("clifford", "torus3d")
ANGLE_EDGES = np.linspace(0.0, 90.0, 37)
"""Bins of 2.5 degrees."""
RESIDUAL_EDGES = np.linspace(0.0, 1.0, 41)
FLAT = 1e-6
"""Standard deviation, relative to the largest, under which a ring does not span a component."""

RingStatistics = dict[str, dict[str, Float64[np.ndarray, "..."]]]


def ring_statistics(
    points: Real[np.ndarray, "n k"],
    shape: tuple[int, int],
    components: int = 2,
    variance: float | None = None,
    literal: bool = False,
) -> RingStatistics:
    """Return angles and residuals of all pairs of rings.

    Args:
      points: [nx * ny, k], point i at x = i // ny, y = i % ny.
      shape: (nx, ny).
      components: K, the dimensions of the subspace taken for each ring.
      variance: in (0, 1]; instead of `components`, the least K with which every ring keeps this share of its
        variance (one K for all rings, so that angles have one shape).
      literal: angles between single components, arccos |p_i . q_j|, in place of principal angles.

    Returns:
      For "x_on_y" (nx * ny pairs, y running fastest), "x_on_x" and "y_on_y" (pairs i < j in the order of
      `numpy.triu_indices`): "angles" in degrees, [pairs, K], or [pairs, K * K] if literal, largest first, good to
      1e-5 degrees; and "residual" [pairs] in [0, 1].

    Raises:
      UserError: see `check_points`; for a shape that does not fit or with a side under 3, and for a ring that spans
        fewer than K dimensions.
    """
    nx, ny = shape
    if nx * ny != len(points) or min(nx, ny) < 3:
        raise UserError(f"{len(points)} points are no {nx} x {ny} grid of at least 3 x 3: give one point per (x, y)")
    cloud = check_points(points).reshape(nx, ny, -1)
    rings = {"x": _centered(cloud), "y": _centered(cloud.transpose(1, 0, 2))}
    if variance is not None:
        components = _needed(rings.values(), variance)
    planes = {name: _planes(name, ring, components) for name, ring in rings.items()}
    return {pair: _compare(pair, rings, planes, literal) for pair in PAIRS}


def ring_components(points: Real[np.ndarray, "n k"], shape: tuple[int, int], variance: float) -> int:
    """Return the least number of components with which every ring of x and of y keeps this share of its variance."""
    cloud = check_points(points).reshape(*shape, -1)
    return _needed((_centered(cloud), _centered(cloud.transpose(1, 0, 2))), variance)


@functools.lru_cache(maxsize=8)
def ideal_statistics(ideal: str, shape: tuple[int, int], literal: bool = False) -> RingStatistics:
    """Return `ring_statistics` of one of `IDEALS` on a grid of the same shape, of literal or principal angles.

    Raises:
      UserError: for another name.
    """
    if ideal not in IDEALS:
        raise UserError(f"unknown ideal torus {ideal!r}: choose one of {', '.join(IDEALS)}")
    return ring_statistics((clifford_torus if ideal == "clifford" else torus_3d)(*shape), shape, literal=literal)


def ring_distances(statistics: RingStatistics, reference: RingStatistics) -> Float64[np.ndarray, "3 2"]:
    """Return Wasserstein-1 distances between two clouds' statistics, all pairs and all angles of a pair pooled.

    Returns:
      [`PAIRS`, `STATISTICS`]: degrees for angles, a share of variance for residuals.
    """
    from scipy.stats import wasserstein_distance

    return np.array(
        [
            [wasserstein_distance(statistics[pair][name].ravel(), reference[pair][name].ravel()) for name in STATISTICS]
            for pair in PAIRS
        ]
    )


def ring_histograms(statistics: RingStatistics) -> tuple[Float64[np.ndarray, "3 36"], Float64[np.ndarray, "3 40"]]:
    """Return, for each of `PAIRS`, shares of angles in the bins `ANGLE_EDGES` and of residuals in `RESIDUAL_EDGES`."""
    angles = np.stack([_shares(statistics[pair]["angles"], ANGLE_EDGES) for pair in PAIRS])
    residuals = np.stack([_shares(statistics[pair]["residual"], RESIDUAL_EDGES) for pair in PAIRS])
    return angles, residuals


def _shares(values: np.ndarray, edges: np.ndarray) -> np.ndarray:
    # rounding may carry a residual past 0 or 1
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / values.size


def _centered(rings: np.ndarray) -> np.ndarray:
    return rings - rings.mean(axis=1, keepdims=True)


def _components(rings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return variances [rings, m], largest first, and as [rings, m, m] their unit vectors over the ring's m points.

    The last axis counts the vectors. Computed from each ring's Gram matrix, since singular value decompositions in
    1,024 dimensions take seconds.
    """
    variances, vectors = np.linalg.eigh(rings @ rings.transpose(0, 2, 1))
    return np.maximum(variances[:, ::-1], 0.0), vectors[:, :, ::-1]


def _needed(both: Iterable[np.ndarray], variance: float) -> int:
    if not 0 < variance <= 1:
        raise UserError(f"a share of variance of {variance:g} does not exist: give one in (0, 1]")
    needed = 1
    for rings in both:
        variances, _ = _components(rings)
        total = variances.sum(axis=1, keepdims=True)
        shares = np.cumsum(variances, axis=1) / np.where(total > 0, total, 1.0)
        needed = max(needed, 1 + int(np.max(np.sum(shares < variance * (1 - 1e-12), axis=1))))
    return needed


def _planes(name: str, rings: np.ndarray, components: int) -> np.ndarray:
    """Return orthonormal bases of the rings' first principal components: [rings, K, k]."""
    most = min(rings.shape[1:])
    if components < 1 or components > most:
        raise UserError(f"rings of {name} have no {components} components: give 1 to {most}, their points or features")
    variances, vectors = _components(rings)
    flat = np.flatnonzero(variances[:, components - 1] <= FLAT**2 * variances.max())
    if flat.size:
        raise UserError(
            f"the ring at {name} index {flat[0]} spans fewer than {components} dimensions ({flat.size} of "
            f"{len(rings)} rings of {name} do): ask for fewer components"
        )
    scaled = rings.transpose(0, 2, 1) @ vectors[:, :, :components]
    # orthogonal up to rounding only; the first column keeps its direction
    return np.linalg.qr(scaled)[0].transpose(0, 2, 1)


def _compare(
    pair: str, rings: Mapping[str, np.ndarray], planes: Mapping[str, np.ndarray], literal: bool
) -> dict[str, np.ndarray]:
    first, second = pair[0], pair[-1]
    if first == second:
        a, b = np.triu_indices(len(rings[first]), 1)
    else:
        a, b = (index.ravel() for index in np.indices((len(rings[first]), len(rings[second]))))
    left, right = planes[first], planes[second]
    size, features = left.shape[1:]
    cosines = left.reshape(-1, features) @ right.reshape(-1, features).T
    cosines = cosines.reshape(len(left), size, len(right), size).transpose(0, 2, 1, 3)[a, b]
    if literal:
        cosines = np.sort(np.abs(cosines).reshape(len(a), -1), axis=1)
    else:
        cosines = np.linalg.svd(cosines, compute_uv=False)[:, ::-1]
    return {
        "angles": np.degrees(np.arccos(np.clip(cosines, 0.0, 1.0))),
        "residual": 0.5 * (_residuals(rings[second], left)[a, b] + _residuals(rings[first], right)[b, a]),
    }


def _residuals(rings: np.ndarray, planes: np.ndarray) -> np.ndarray:
    """Return [planes, rings], the share of each ring's variance outside each plane."""
    points = rings.reshape(-1, rings.shape[-1])
    inside = (planes.reshape(-1, planes.shape[-1]) @ points.T) ** 2
    inside = inside.reshape(*planes.shape[:2], *rings.shape[:2]).sum(axis=(1, 3))
    return np.clip(1.0 - inside / np.sum(rings**2, axis=(1, 2)), 0.0, 1.0)
