"""Requirements of every analysis on a cloud of points and its labels, and the distances between points."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float64, Int, Real

from diffgeo.errors import UserError

ROUNDING = 2e-7
"""Spread, relative to the largest value, under which float32 points count as equal."""


def check_points(points: Real[np.ndarray, "n k"], least: int = 3) -> Float64[np.ndarray, "n k"]:
    """Return the points in float64 if they can be analyzed.

    Args:
      points: [n, k], one row a point.
      least: the smallest n that the analysis can take.

    Raises:
      UserError: for fewer points, values that are not finite, or points that are all equal to float32 rounding.
    """
    number, features = points.shape
    if number < least:
        raise UserError(f"{number} points are too few for this analysis: give at least {least}")
    if features == 0:
        raise UserError(f"the {number} points have no features: give at least 1")
    points = np.ascontiguousarray(points, np.float64)  # products of strided arrays bypass BLAS
    bad = int((~np.isfinite(points)).any(axis=1).sum())
    if bad:
        raise UserError(f"{bad} of {number} points are not finite: analyze a checkpoint whose activations are finite")
    low, high = points.min(axis=0), points.max(axis=0)
    if np.max(high - low) <= ROUNDING * max(np.abs(low).max(), np.abs(high).max()):
        raise UserError(f"all {number} points are equal, so they have no geometry: give points that differ")
    return points


def check_labels(
    labels: Real[np.ndarray, "m K"], number: int, factors: Sequence[str] = ()
) -> Float64[np.ndarray, "m K"]:
    """Return the labels in float64 if points can be scored by them.

    Args:
      labels: [n, K], of the papers (x, y) in pixels.
      number: of points.
      factors: their K names; without them x and y, or numbers.

    Raises:
      UserError: for another number of labels, values that are not finite, or a factor that is constant.
    """
    if len(labels) != number:
        raise UserError(f"{len(labels)} labels do not fit {number} points: give one label per point")
    labels = np.asarray(labels, np.float64)
    if not np.isfinite(labels).all():
        raise UserError(f"{int((~np.isfinite(labels)).any(axis=1).sum())} labels are not finite: give their centers")
    count = labels.shape[1]
    names = factors or ("xy" if count == 2 else [f"factor {k}" for k in range(1, count + 1)])
    for name, values in zip(names, labels.T, strict=True):
        if np.ptp(values) == 0:
            raise UserError(f"all labels have {name} = {values[0]:g}, so no score of {name} exists: vary {name}")
    return labels


def distances(points: Float64[np.ndarray, "n k"]) -> Float64[np.ndarray, "n n"]:
    """Return Euclidean distances between all pairs of points; exactly symmetric, zero on the diagonal."""
    points = points - points.mean(axis=0)  # rounding grows with the distance from the origin
    squares = np.einsum("nk,nk->n", points, points)
    squared = squares[:, None] + squares - 2.0 * (points @ points.T)
    squared = np.maximum(0.5 * (squared + squared.T), 0.0)
    np.fill_diagonal(squared, 0.0)
    return np.sqrt(squared)


def landmarks(points: Real[np.ndarray, "n k"], count: int) -> tuple[Int[np.ndarray, " m"], float]:
    """Choose greedy landmarks: each is the point farthest from those before it (maxmin).

    Args:
      points: [n, k].
      count: number of landmarks; all points are taken if there are no more.

    Returns:
      Their indices, `count` of them or fewer if points are equal, and the covering radius: the largest distance from
      a point to its nearest landmark. The first landmark is the point farthest from the mean, so the choice does not
      depend on the order.
    """
    points = np.asarray(points, np.float64)
    if len(points) <= count:
        return np.arange(len(points)), 0.0
    nearest = np.full(len(points), np.inf)
    chosen = [int(np.argmax(np.linalg.norm(points - points.mean(axis=0), axis=1)))]
    while True:
        nearest = np.minimum(nearest, np.linalg.norm(points - points[chosen[-1]], axis=1))
        if len(chosen) == count or nearest.max() == 0:
            return np.array(chosen), float(nearest.max())
        chosen.append(int(np.argmax(nearest)))
