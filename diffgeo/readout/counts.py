"""Count of the bumps, or of the crossings of stripes, in each image."""

import numpy as np
from jaxtyping import Bool, Int, UInt8

from diffgeo.errors import UserError

BACKGROUND = 0.1  # quantile of darkness taken for the background; wide stripes cover more than half an image

BUMP_LEVEL = 0.75  # of the contrast: an SOS's crossing is over it, its stripes (about 0.5) are not

# Gray levels, by image kind.
# bump: 20 % of full darkness. A bump of sigma 0.3 half way between four pixels still has 64; noise of
# standard deviation 8 about any gray has about 35.
# sos: 60 %. A lone stripe has 127 and no crossing; a crossing of sigma >= 0.4 has 172 or more.
MIN_CONTRAST = {"bump": 51, "sos": 153}


def count_bumps(images: np.ndarray, kind: str = "bump", periodic: bool = False) -> Int[np.ndarray, " n"]:
    """Return the number of bumps, or of crossings of stripes, in each image.

    An image's background is the `BACKGROUND` quantile of its darkness (near 0 in rendered images), its
    contrast the largest darkness less the background. Bumps are the 8-connected components of pixels darker
    than background + `BUMP_LEVEL` * contrast; there are none if the contrast is under `MIN_CONTRAST`. So
    bumps under about 3/4 of the darkest are not counted, and bumps nearer than about 4 sigma count once.
    The papers do not say how they count; this rule is chosen here.

    Args:
      images: uint8[n, N, N], 0 dark to 255 white.
      kind: "bump" or "sos"; for SOS a lone stripe is not enough contrast.
      periodic: the image's edges are joined, a component across an edge counts once.

    Returns:
      int[n].

    Raises:
      UserError: for an unknown kind.
      ValueError: for images that are not uint8[n, N, N].
    """
    images = checked(images)
    floor = min_contrast(kind)
    darkness = 255.0 - images
    size = images.shape[1]
    background = np.quantile(darkness.reshape(len(images), size * size), BACKGROUND, axis=1)
    contrast = darkness.max(axis=(1, 2)) - background
    masks = darkness > (background + BUMP_LEVEL * contrast)[:, None, None]
    counts = np.zeros(len(images), int)
    for i in np.flatnonzero(contrast >= floor):
        counts[i] = _count_components(masks[i], periodic)
    return counts


def checked(images: np.ndarray) -> UInt8[np.ndarray, "n N N"]:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2] or images.shape[1] == 0:
        raise ValueError(f"images must be uint8[n, N, N], got {images.dtype}{list(images.shape)}")
    return images


def min_contrast(kind: str) -> int:
    if kind not in MIN_CONTRAST:
        raise UserError(f"unknown image kind {kind!r}: choose one of {', '.join(MIN_CONTRAST)}")
    return MIN_CONTRAST[kind]


def _count_components(mask: Bool[np.ndarray, "N N"], periodic: bool) -> int:
    """Return the number of 8-connected components; on the torus if periodic."""
    import cv2

    count, labels = cv2.connectedComponents(mask.astype(np.uint8), connectivity=8)
    names = np.arange(count)  # of each label; label 0 is the background
    if periodic:
        for first, last in ((labels[0], labels[-1]), (labels[:, 0], labels[:, -1])):
            for step in (-1, 0, 1):
                for a, b in zip(first, np.roll(last, step), strict=True):
                    if a and b:
                        names[names == names[a]] = names[b]
    return len(np.unique(names)) - 1
