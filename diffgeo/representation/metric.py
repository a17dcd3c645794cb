r"""Metric tensor of a representation over the plane of labels: how far it moves per unit of x and y, at what angle.

With points h(x, y), :math:`g_{ij} = \partial_i h \cdot \partial_j h`, by finite differences in the middle of each cell
of a grid of labels. If x and y are coded in orthogonal subspaces, :math:`g_{xy} = 0`; if, moreover, the code of x is
the same at every y, :math:`g_{xx}` does not depend on y.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float64, Real

from diffgeo.errors import require
from diffgeo.representation.points import check_points


class MetricTensor(NamedTuple):
    """Metric tensor in each cell of a grid of labels, in squared units of the points per unit of the labels.

    Attributes:
      xx, xy, yy: float64[nx - 1, ny - 1].
    """

    xx: Float64[np.ndarray, "cx cy"]
    xy: Float64[np.ndarray, "cx cy"]
    yy: Float64[np.ndarray, "cx cy"]

    @property
    def coupling(self) -> float:
        """Mean of |cos| of the angle between the directions of x and of y, 0 (orthogonal) to 1; NaN without cells.

        Cells in which the points do not move along x or along y are left out.
        """
        moving = (self.xx > 0) & (self.yy > 0)
        cosines = np.abs(self.xy[moving]) / np.sqrt(self.xx[moving] * self.yy[moving])
        return float(cosines.mean()) if cosines.size else float("nan")

    @property
    def variation(self) -> tuple[float, float]:
        """How much the speed along x depends on y, and that along y on x: standard deviation over mean, from 0 on.

        At each x by itself, then averaged; NaN where nothing moves.
        """
        along_x, along_y = _variation(np.sqrt(self.xx)), _variation(np.sqrt(self.yy).T)
        return along_x, along_y


def metric_tensor(
    points: Real[np.ndarray, "n k"], x: Float[np.ndarray, " nx"], y: Float[np.ndarray, " ny"]
) -> MetricTensor:
    """Return the metric tensor of points over a grid of labels.

    The derivative along x in a cell is the mean of the differences along its two sides.

    Args:
      points: [nx * ny, k], point i at x[i // ny], y[i % ny].
      x, y: rising values of the labels.

    Raises:
      UserError: see `check_points`; for labels that do not rise or are no nx x ny grid of at least 2 x 2.
    """
    shape = len(x), len(y)
    require(
        shape[0] * shape[1] == len(points) and min(shape) >= 2,
        f"{len(points)} points are no {shape[0]} x {shape[1]} grid of at least 2 x 2: give one point per (x, y)",
    )
    steps = np.diff(x), np.diff(y)
    require(all((step > 0).all() for step in steps), "x and y do not rise: give labels in ascending order")
    cloud = check_points(points).reshape(*shape, -1)
    by_x, by_y = np.diff(cloud, axis=0) / steps[0][:, None, None], np.diff(cloud, axis=1) / steps[1][:, None]
    along_x, along_y = (by_x[:, 1:] + by_x[:, :-1]) / 2, (by_y[1:] + by_y[:-1]) / 2
    products = ((along_x, along_x), (along_x, along_y), (along_y, along_y))
    return MetricTensor(*(np.einsum("xyk,xyk->xy", one, other) for one, other in products))


def _variation(speeds: np.ndarray) -> float:
    """Return the mean over rows of the standard deviation over the mean."""
    means = speeds.mean(axis=1)
    moving = means > 0
    return float((speeds.std(axis=1)[moving] / means[moving]).mean()) if moving.any() else float("nan")
