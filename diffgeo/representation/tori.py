"""Two ideal tori that representations of periodic data are compared with [2408.13256, section 3.1]."""

import numpy as np
from jaxtyping import Float64


def clifford_torus(nx: int, ny: int) -> Float64[np.ndarray, "n 4"]:
    """Return (cos a, sin a, cos b, sin b): each angle in a separate plane, the factorized torus.

    Args:
      nx, ny: points along x (angle a) and y (angle b), equally spaced.

    Returns:
      [nx * ny, 4], point i at x = i // ny, y = i % ny.
    """
    a, b = _angles(nx, ny)
    return np.stack([np.cos(a), np.sin(a), np.cos(b), np.sin(b)], axis=-1)


def torus_3d(nx: int, ny: int, R: float = 2.0, r: float = 1.0) -> Float64[np.ndarray, "n 3"]:
    """Return ((R + r cos b) cos a, (R + r cos b) sin a, r sin b): the torus in space, which is not factorized.

    The papers do not give their radii; R = 2 r is chosen.

    Args:
      nx, ny: points along x (angle a, the long way round) and y (angle b), equally spaced.
      R: radius of the circle of centers, over r.
      r: radius of the tube, over 0.

    Returns:
      [nx * ny, 3], point i at x = i // ny, y = i % ny.
    """
    a, b = _angles(nx, ny)
    return np.stack([(R + r * np.cos(b)) * np.cos(a), (R + r * np.cos(b)) * np.sin(a), r * np.sin(b)], axis=-1)


def _angles(nx: int, ny: int) -> tuple[np.ndarray, np.ndarray]:
    a, b = np.meshgrid(np.arange(nx) / nx, np.arange(ny) / ny, indexing="ij")
    return 2.0 * np.pi * a.ravel(), 2.0 * np.pi * b.ravel()
