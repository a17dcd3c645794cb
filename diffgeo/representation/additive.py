r"""Share of a representation that is a function of x plus a function of y: two-way analysis of variance.

With one point h(x, y) for each label of a grid, :math:`h = \bar h + f(x) + g(y) + i(x, y)`, where f and g are the means
over the other coordinate, less the mean of all, and i is the interaction. The four parts are orthogonal.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float64, Real

from diffgeo.errors import UserError
from diffgeo.representation.points import check_points


def additive_share(points: Real[np.ndarray, "n k"], shape: tuple[int, int]) -> float:
    """Return the share of a cloud's variance in f(x) + g(y), from 0 to 1.

    1 for a Clifford torus and for pixels of sums of stripes: each coordinate has its own code. Points that have nothing
    to do with their labels score (nx + ny - 2) / (nx ny - 1), .12 on a grid of 16 x 16.

    Args:
      points: [nx * ny, k], point i at x = i // ny, y = i % ny.
      shape: (nx, ny).

    Raises:
      UserError: see `check_points`; for a shape that does not fit or with a side under 2.
    """
    parts = _parts(points, shape)
    return float(1.0 - np.sum(parts.interaction**2) / np.sum(parts.cloud**2))


def main_effects(
    points: Real[np.ndarray, "n k"], shape: tuple[int, int]
) -> tuple[Float64[np.ndarray, "nx k"], Float64[np.ndarray, "ny k"]]:
    """Return f and g: the mean point of each x and of each y, less the mean of all.

    Args:
      points, shape: as of `additive_share`.

    Raises:
      UserError: as `additive_share`.
    """
    parts = _parts(points, shape)
    return parts.of_x, parts.of_y


class _Parts(NamedTuple):
    """Of a cloud [nx, ny, k] about its mean: main effects [nx, k] and [ny, k], and what they leave."""

    cloud: np.ndarray
    of_x: np.ndarray
    of_y: np.ndarray
    interaction: np.ndarray


def _parts(points: np.ndarray, shape: tuple[int, int]) -> _Parts:
    nx, ny = shape
    if nx * ny != len(points) or min(nx, ny) < 2:
        raise UserError(f"{len(points)} points are no {nx} x {ny} grid of at least 2 x 2: give one point per (x, y)")
    cloud = check_points(points)
    cloud = (cloud - cloud.mean(axis=0)).reshape(nx, ny, -1)
    of_x, of_y = cloud.mean(axis=1), cloud.mean(axis=0)
    return _Parts(cloud, of_x, of_y, cloud - of_y[None] - of_x[:, None])
