"""Copying the nearest seen label: the baseline of everything that is said about labels held out of training."""

import numpy as np
from jaxtyping import Float
from scipy.spatial import KDTree

SLACK = 1e-4
"""Pixels by which distances may differ and still tie; labels are float32."""


def copied_hits(
    labels: Float[np.ndarray, "n 2"],
    seen: Float[np.ndarray, "m 2"],
    tolerance: float = 1.0,
    period: float | None = None,
) -> Float[np.ndarray, "n 3"]:
    """Return how often a model that draws the nearest seen label perfectly is right, for each label asked for.

    Where several seen labels are equally near, it draws each of them equally often.

    Args:
      labels: [n, 2], (x, y) in pixels, asked for.
      seen: [m, 2], (x, y) in pixels, of the training data; m >= 1.
      tolerance: pixels; the error must be strictly less, as in `diffgeo.readout.hits`.
      period: circumference of both axes in pixels, None for a plain distance.

    Returns:
      float64[n, 3], expected hits in [0, 1] of x and y together, of x, and of y.

    Raises:
      ValueError: if there is no seen label, or arrays are not [n, 2].
    """
    labels, seen = np.asarray(labels, np.float64), np.asarray(seen, np.float64)
    if labels.ndim != 2 or seen.ndim != 2 or labels.shape[1] != 2 or seen.shape[1] != 2 or not len(seen):
        raise ValueError(f"labels and seen labels must be [n, 2] and [m, 2], m >= 1, got {labels.shape}, {seen.shape}")
    if period is not None:
        labels, seen = (_wrapped(values, period) for values in (labels, seen))
    tree = KDTree(seen, boxsize=period)
    distance, _ = tree.query(labels)
    expected = np.empty((len(labels), 3))
    for index, (label, ties) in enumerate(zip(labels, tree.query_ball_point(labels, distance + SLACK), strict=True)):
        error = np.abs(seen[ties] - label)
        if period is not None:
            error = np.minimum(error, period - error)
        hit = error < tolerance
        expected[index] = hit.all(axis=1).mean(), *hit.mean(axis=0)
    return expected


def _wrapped(values: np.ndarray, period: float) -> np.ndarray:
    wrapped = np.mod(values, period)
    return np.where(wrapped >= period, 0.0, wrapped)  # the modulo of a tiny negative number rounds up to the period
