"""Clouds of images whose shape is known."""

import numpy as np

from diffgeo.images import render


def periodic_bumps(size: int = 32, sigma: float = 1.0) -> np.ndarray:
    """Return float32[N^2, N^2], the pixels of one periodic bump at every pixel."""
    x, y = np.meshgrid(np.arange(size), np.arange(size), indexing="ij")
    centers = np.stack([x.ravel(), y.ravel()], axis=-1).astype(np.float32)
    return np.asarray(render(centers, sigma, "bump", size, periodic=True)).reshape(size * size, -1)
