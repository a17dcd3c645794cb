"""Copying the nearest seen label: the baseline of everything that is said about labels held out of training."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

SLACK = 1e-4
"""Tolerances (pixels, of the papers) by which distances may differ and still tie; labels are float32."""


def copied_hits(
    labels: Float[np.ndarray, "n K"],
    seen: Float[np.ndarray, "m K"],
    tolerance: float | Sequence[float] = 1.0,
    period: float | Sequence[float | None] | None = None,
) -> Float[np.ndarray, "n K1"]:
    """Return how often a model that draws the nearest seen label perfectly is right, for each label asked for.

    Where several seen labels are equally near, it draws each of them equally often. Distances are Euclidean, in
    tolerances.

    Args:
      labels: [n, K], asked for; of the papers (x, y) in pixels.
      seen: [m, K], of the training data; m >= 1.
      tolerance: of all factors, or of each; the error must be strictly less, as in `diffgeo.readout.hits`.
      period: circumference of all factors, or of each; None for a plain distance.

    Returns:
      float64[n, K + 1], expected hits in [0, 1] of all factors together, then of each.

    Raises:
      ValueError: if there is no seen label, or arrays are not [n, K].
    """
    labels, seen = np.asarray(labels, np.float64), np.asarray(seen, np.float64)
    if labels.ndim != 2 or seen.ndim != 2 or labels.shape[1] != seen.shape[1] or not len(seen):
        raise ValueError(f"labels and seen labels must be [n, K] and [m, K], m >= 1, got {labels.shape}, {seen.shape}")
    scale = np.broadcast_to(np.asarray(tolerance, np.float64), labels.shape[1:])
    periods = np.zeros(labels.shape[1])  # 0: no period, as in KDTree
    for index in range(len(periods)):
        of_factor = period[index] if isinstance(period, Sequence) else period
        periods[index] = 0.0 if of_factor is None else of_factor / scale[index]
    labels, seen = (_wrapped(values / scale, periods) for values in (labels, seen))
    tree = KDTree(seen, boxsize=periods if periods.any() else None)
    distance, _ = tree.query(labels)
    expected = np.empty((len(labels), labels.shape[1] + 1))
    for index, (label, ties) in enumerate(zip(labels, tree.query_ball_point(labels, distance + SLACK), strict=True)):
        error = np.abs(seen[ties] - label)
        error = np.where(periods > 0, np.minimum(error, np.abs(periods - error)), error)
        hit = error < 1.0
        expected[index] = hit.all(axis=1).mean(), *hit.mean(axis=0)
    return expected


def _wrapped(values: np.ndarray, periods: np.ndarray) -> np.ndarray:
    wrapped = np.mod(values, np.where(periods > 0, periods, 1.0))
    wrapped = np.where(wrapped >= periods, 0.0, wrapped)  # the modulo of a tiny negative number rounds up to the period
    return np.where(periods > 0, wrapped, values)
