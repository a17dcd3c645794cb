"""Contrast of the rings of a torus: how much farther apart planes of x and y are than planes of two values of x.

Planes in many dimensions are far apart by chance (75 degrees in 20 dimensions), so an angle alone says little. Two
nulls have the cloud's spectrum and no order: the cloud itself with its labels shuffled, and Gaussian points, which have
nothing but the spectrum in common with it.
"""

import numpy as np
from jaxtyping import Float64, Real

from diffgeo.errors import UserError
from diffgeo.representation.points import check_points
from diffgeo.representation.rings import FLAT

DRAWS = 20
STATISTICS = ("mean", "sd")
"""Of the contrasts of a null."""


def ring_contrast(points: Real[np.ndarray, "n k"], shape: tuple[int, int]) -> float:
    """Return the mean principal angle of x-on-y pairs less that of x-on-x pairs of `rings.ring_statistics`, in degrees.

    90 for a Clifford torus, 21 for a torus in space of 16 x 16 points.

    Args:
      points: [nx * ny, k], point i at x = i // ny, y = i % ny.
      shape: (nx, ny).

    Raises:
      UserError: see `check_points`; for a shape that does not fit or with a side under 3, and for a ring that spans
        fewer than 2 dimensions.
    """
    return _contrast(_gram(points, shape), shape)


def shuffled_contrasts(
    points: Real[np.ndarray, "n k"], shape: tuple[int, int], draws: int = DRAWS, seed: int = 0
) -> Float64[np.ndarray, " draws"]:
    """Return `ring_contrast` of the same cloud with its labels shuffled, for a number of shuffles.

    Args:
      points, shape: as in `ring_contrast`.
      draws: number of shuffles.
      seed: of the shuffles.

    Raises:
      UserError: see `ring_contrast`.
    """
    gram = _gram(points, shape)
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(gram)) for _ in range(draws)]
    return np.array([_contrast(gram[np.ix_(order, order)], shape) for order in orders])


def gaussian_contrasts(
    points: Real[np.ndarray, "n k"], shape: tuple[int, int], draws: int = DRAWS, seed: int = 0
) -> Float64[np.ndarray, " draws"]:
    """Return `ring_contrast` of clouds of Gaussian points with the spectrum of this cloud, for a number of clouds.

    Their principal components are orthonormal combinations of Gaussian noise, scaled by those of the cloud: the
    spectrum is equal, not only expected to be.

    Args:
      points, shape: as in `ring_contrast`.
      draws: number of clouds.
      seed: of the points.

    Raises:
      UserError: see `ring_contrast`.
    """
    gram = _gram(points, shape)
    number = len(gram)
    deviations = np.sqrt(np.maximum(np.linalg.eigvalsh(gram)[1:], 0.0))  # centered: the smallest is 0
    rng = np.random.default_rng(seed)
    contrasts = []
    for _ in range(draws):
        noise = rng.normal(size=(number, number - 1))
        cloud = np.linalg.qr(noise - noise.mean(axis=0))[0] * deviations
        contrasts.append(_contrast(cloud @ cloud.T, shape))
    return np.array(contrasts)


def _gram(points: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    nx, ny = shape
    if nx * ny != len(points) or min(nx, ny) < 3:
        raise UserError(f"{len(points)} points are no {nx} x {ny} grid of at least 3 x 3: give one point per (x, y)")
    points = check_points(points)
    centered = points - points.mean(axis=0)
    return centered @ centered.T


def _contrast(gram: np.ndarray, shape: tuple[int, int]) -> float:
    """Return the contrast from all inner products, in the order of `shape` with y fastest."""
    nx, ny = shape
    points = np.arange(nx * ny).reshape(nx, ny)
    x, y = _planes(gram, points), _planes(gram, points.T)
    within = _angles(x, gram, x)[np.triu_indices(nx, 1)]
    return float(_angles(x, gram, y).mean() - within.mean())


def _planes(gram: np.ndarray, rings: np.ndarray) -> np.ndarray:
    """Return the first two unit principal components of every ring as weights of the points, [rings, 2, n]."""
    blocks = gram[rings[:, :, None], rings[:, None, :]]
    means = blocks.mean(axis=2, keepdims=True)
    variances, vectors = np.linalg.eigh(blocks - means - means.transpose(0, 2, 1) + means.mean(axis=1, keepdims=True))
    if np.min(variances[:, -2]) <= FLAT**2 * variances.max():
        raise UserError(
            "a ring spans fewer than 2 dimensions, so it has no plane: compare clouds whose rings are closed"
        )
    weights = np.zeros((len(rings), 2, len(gram)))
    scaled = vectors[:, :, -2:] / np.sqrt(variances[:, None, -2:])  # sum to 0, as their rings are centered
    np.put_along_axis(weights, rings[:, None, :], scaled.transpose(0, 2, 1), axis=2)
    return weights


def _angles(left: np.ndarray, gram: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return principal angles between planes in degrees, [left, right, 2]."""
    size = len(gram)
    cosines = (left.reshape(-1, size) @ gram) @ right.reshape(-1, size).T
    cosines = cosines.reshape(len(left), 2, len(right), 2).transpose(0, 2, 1, 3)
    return np.degrees(np.arccos(np.clip(np.linalg.svd(cosines, compute_uv=False), 0.0, 1.0)))
