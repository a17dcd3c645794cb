"""Centers read from images, the papers' accuracy, and the failure modes of generation.

Runs on host, on uint8[n, N, N] images as `diffgeo.images.to_uint8` makes them (dark on white). Centers are
(x, y) = (column, row) in 0-based pixel centers, the renderer's coordinates. "Darkness" is 255 - gray value.
This module needs no JAX, so it can score stored samples anywhere.

Two measures are kept apart. `accuracy` is the papers' number: it takes the read-out without a check, the
centroid where an image does not show exactly one bump. `outcomes` also counts the bumps. An image with
two bumps whose centroid happens to be right is a hit of the former and a failure of the latter,
so the accuracy may exceed the fraction of `correct`.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int8, UInt8

from diffgeo.errors import UserError
from diffgeo.settings.allowed import OUTCOMES, READOUTS

BACKGROUND = 0.1  # quantile of darkness taken for the background; wide stripes cover more than half an image

BUMP_LEVEL = 0.75  # of the contrast: an SOS's crossing is over it, its stripes (about 0.5) are not

# Gray levels, by image kind.
# bump: 20 % of full darkness. A bump of sigma 0.3 half way between four pixels still has 64; noise of
# standard deviation 8 about any gray has about 35.
# sos: 60 %. A lone stripe has 127 and no crossing; a crossing of sigma >= 0.4 has 172 or more.
MIN_CONTRAST = {"bump": 51, "sos": 153}


def load_packages() -> None:
    """Import the packages of the read-outs, so that a run fails before it starts; raise `UserError` without them."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise UserError(
            "the package 'cv2' is missing: install it by python -m pip install opencv-python-headless"
        ) from error


class Readout(NamedTuple):
    """Read-outs of n images, from `score`."""

    predicted: Float32[np.ndarray, "n 2"]
    """Read-out centers (x, y), pixels."""
    bumps: Int[np.ndarray, " n"]
    """Number of bumps (crossings of stripes, for SOS) in each image."""
    hits: Bool[np.ndarray, "n 2"]
    """Whether the read-out's x, and its y, is within tolerance."""
    outcomes: Int8[np.ndarray, " n"]
    """Indices into `OUTCOMES`."""


def predict_centers(
    images: np.ndarray, method: str = "contour", kind: str = "bump", periodic: bool = False
) -> Float32[np.ndarray, "n 2"]:
    """Return the center of the bump, or of the crossing of stripes, in each image.

    * "contour" [2402.03305, Alg. 1]: threshold the inverted image by Otsu's method and find the external
      contours; if there is exactly one, the center of its bounding rectangle, else the image's centroid.
      The rectangle of first column x and width w covers the pixel centers x ... x + w - 1, whose middle is
      x + (w - 1) / 2; the paper's x + w / 2 is half a pixel too high in these coordinates. A bump within
      2 sigma of a border is cut there and reads inward of its center: at sigma 1 a center on the border
      itself is just missed by a tolerance of 1 pixel. For bumps only: above Otsu's level a sum of stripes
      is one cross, whose rectangle is the whole image.
    * "darkest" [2408.13256, A.3]: the darkest pixel, or the mean of several equally dark ones (a clipped
      bump); the image's centroid if `count_bumps` is not 1.

    The centroid is that of darkness, and the image's center (N - 1) / 2 if there is no darkness at all.

    Args:
      images: uint8[n, N, N], 0 dark to 255 white.
      method: one of `READOUTS`.
      kind: "bump" or "sos"; what "darkest" counts.
      periodic: the image's edges are joined. Each image is rolled so that its darkest pixel is in the middle,
        read, and the center shifted back.

    Returns:
      float32[n, 2], (x, y) in pixels, in [0, N - 1], or in [0, N) if periodic.

    Raises:
      UserError: for an unknown method or kind, or "contour" on SOS images.
      ValueError: for images that are not uint8[n, N, N].
    """
    images = _checked(images)
    if method not in READOUTS:
        raise UserError(f"unknown read-out method {method!r}: choose one of {', '.join(READOUTS)}")
    _min_contrast(kind)
    if method == "contour" and kind == "sos":
        raise UserError("the read-out 'contour' cannot find the crossing of an 'sos' image: choose 'darkest'")
    size = images.shape[1]
    shift = _shift_darkest_to_middle(images) if periodic else np.zeros((len(images), 2), int)
    rolled = _roll(images, shift)
    centers = _centroids(rolled)
    if method == "contour":
        for i, image in enumerate(rolled):
            rectangle = _only_rectangle(image)
            if rectangle is not None:
                centers[i] = rectangle
    else:
        single = count_bumps(rolled, kind, periodic) == 1
        centers[single] = _darkest(rolled[single])
    if periodic:  # the second modulo: float32 may round a center just under N up to N
        centers = np.mod(np.mod(centers - shift, size).astype(np.float32), size)
    return centers.astype(np.float32)


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
    images = _checked(images)
    floor = _min_contrast(kind)
    darkness = 255.0 - images
    size = images.shape[1]
    background = np.quantile(darkness.reshape(len(images), size * size), BACKGROUND, axis=1)
    contrast = darkness.max(axis=(1, 2)) - background
    masks = darkness > (background + BUMP_LEVEL * contrast)[:, None, None]
    counts = np.zeros(len(images), int)
    for i in np.flatnonzero(contrast >= floor):
        counts[i] = _count_components(masks[i], periodic)
    return counts


def hits(
    predicted: np.ndarray, true: np.ndarray, tolerance: float | int = 1.0, period: float | int | None = None
) -> Bool[np.ndarray, "n 2"]:
    """Return which coordinates are read within tolerance: the indicators of eq. (1) of both papers.

    Args:
      predicted, true: float[n, 2], (x, y) in pixels.
      tolerance: pixels; the distance must be strictly less.
      period: circumference of both axes in pixels (N for periodic images), None for a plain distance.

    Returns:
      bool[n, 2], for (x, y); False where a center is NaN.

    Raises:
      ValueError: for centers that are not two equal [n, 2].
    """
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.ndim != 2 or predicted.shape[1] != 2 or predicted.shape != true.shape:
        raise ValueError(f"predicted and true centers must both be [n, 2], got {predicted.shape} and {true.shape}")
    distance = np.abs(predicted - true)
    if period is not None:
        distance = np.mod(distance, period)
        distance = np.minimum(distance, period - distance)
    return distance < tolerance


def outcomes(
    predicted: np.ndarray,
    true: np.ndarray,
    bumps: np.ndarray,
    tolerance: float | int = 1.0,
    period: float | int | None = None,
) -> Int8[np.ndarray, " n"]:
    """Return the outcome of each generated image, as an index into `OUTCOMES` [2402.03305, section 3].

    "no_bump" and "several_bumps" by the count alone, wherever the read-out lies; with exactly one bump,
    "correct" if both coordinates are `hits`, else "wrong_place".

    Args:
      predicted, true, tolerance, period: as for `hits`.
      bumps: int[n], from `count_bumps`.

    Returns:
      int8[n].

    Raises:
      ValueError: for arrays of other shapes.
    """
    hit = hits(predicted, true, tolerance, period).all(axis=1)
    bumps = np.asarray(bumps)
    if bumps.shape != hit.shape:
        raise ValueError(f"bumps must be [n] = {hit.shape}, one per center, got {bumps.shape}")
    code = OUTCOMES.index
    choices = [code("no_bump"), code("several_bumps"), code("correct")]
    return np.select([bumps == 0, bumps > 1, hit], choices, code("wrong_place")).astype(np.int8)


def accuracy(
    predicted: np.ndarray,
    true: np.ndarray,
    tolerance: float | int = 1.0,
    period: float | int | None = None,
    mask: np.ndarray | None = None,
) -> dict[str, float]:
    """Return fractions of images read within tolerance [2402.03305, eq. (1); 2408.13256, eq. (1)].

    Args:
      predicted, true, tolerance, period: as for `hits`. A read-out that fell back to the centroid counts like
        any other, as in the papers.
      mask: bool[n], the images to take the means over (a region of labels); None for all.

    Returns:
      "accuracy" (x and y), "accuracy_x", "accuracy_y", each in [0, 1]; NaN if there is no image.

    Raises:
      ValueError: for arrays of other shapes, or a mask that is not boolean.
    """
    return _accuracy(hits(predicted, true, tolerance, period), mask)


def score(
    images: np.ndarray,
    true: np.ndarray,
    method: str = "contour",
    kind: str = "bump",
    periodic: bool = False,
    tolerance: float | int = 1.0,
) -> Readout:
    """Read n generated images and compare them with the centers that they are conditioned on.

    Args:
      images: uint8[n, N, N], 0 dark to 255 white.
      true: float[n, 2], (x, y) in pixels.
      method, kind, periodic: as for `predict_centers`; distances of periodic images are on the circle of
        circumference N.
      tolerance: pixels.

    Returns:
      A `Readout`; `summarize` turns it into means.

    Raises:
      UserError, ValueError: as `predict_centers` and `hits`.
    """
    predicted = predict_centers(images, method, kind, periodic)
    bumps = count_bumps(images, kind, periodic)
    period = float(images.shape[1]) if periodic else None
    hit = hits(predicted, true, tolerance, period)
    return Readout(predicted, bumps, hit, outcomes(predicted, true, bumps, tolerance, period))


def summarize(readout: Readout, mask: np.ndarray | None = None) -> dict[str, float]:
    """Return means over images of a `Readout`: the three accuracies, and the fraction of each outcome.

    Args:
      readout: from `score`.
      mask: bool[n], the images to take the means over (a region of labels); None for all.

    Returns:
      The keys of `accuracy`, then `OUTCOMES`, whose fractions sum to 1; all NaN if there is no image.

    Raises:
      ValueError: for a mask that is not bool[n].
    """
    chosen = readout.outcomes[_mask(mask, len(readout.outcomes))]
    fractions = {name: _mean(np.equal(chosen, index)) for index, name in enumerate(OUTCOMES)}
    return _accuracy(readout.hits, mask) | fractions


def _accuracy(hit: Bool[np.ndarray, "n 2"], mask: np.ndarray | None) -> dict[str, float]:
    hit = hit[_mask(mask, len(hit))]
    return {
        "accuracy": _mean(np.all(hit, axis=1)),
        "accuracy_x": _mean(hit[:, 0]),
        "accuracy_y": _mean(hit[:, 1]),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _mask(mask: np.ndarray | None, count: int) -> Bool[np.ndarray, " n"]:
    if mask is None:
        return np.ones(count, bool)
    if mask.dtype != bool or mask.shape != (count,):
        raise ValueError(f"mask must be bool[{count}], one per image, got {mask.dtype}{list(mask.shape)}")
    return mask


def _checked(images: np.ndarray) -> UInt8[np.ndarray, "n N N"]:
    images = np.asarray(images)
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2] or images.shape[1] == 0:
        raise ValueError(f"images must be uint8[n, N, N], got {images.dtype}{list(images.shape)}")
    return images


def _min_contrast(kind: str) -> int:
    if kind not in MIN_CONTRAST:
        raise UserError(f"unknown image kind {kind!r}: choose one of {', '.join(MIN_CONTRAST)}")
    return MIN_CONTRAST[kind]


def _centroids(images: UInt8[np.ndarray, "n N N"]) -> Float[np.ndarray, "n 2"]:
    """Return centroids (x, y) of darkness; the image's center where there is none."""
    darkness = 255.0 - images
    blank = darkness.max(axis=(1, 2)) == 0
    darkness[blank] = 1.0
    pixels = np.arange(images.shape[1])
    moments = np.stack([darkness.sum(axis=1) @ pixels, darkness.sum(axis=2) @ pixels], axis=-1)
    return moments / darkness.sum(axis=(1, 2))[:, None]


def _darkest(images: UInt8[np.ndarray, "n N N"]) -> Float[np.ndarray, "n 2"]:
    """Return the mean (x, y) of the darkest pixels: the centroid of the image that shows nothing else."""
    darkest = images == images.min(axis=(1, 2), keepdims=True)
    return _centroids(np.where(darkest, 0, 255).astype(np.uint8))


def _only_rectangle(image: UInt8[np.ndarray, "N N"]) -> tuple[float, float] | None:
    """Return the center of the only contour's bounding rectangle; None if there is not exactly one contour."""
    import cv2

    _, dark = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) != 1:
        return None
    x, y, width, height = cv2.boundingRect(contours[0])
    return x + (width - 1) / 2, y + (height - 1) / 2


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


def _shift_darkest_to_middle(images: UInt8[np.ndarray, "n N N"]) -> Int[np.ndarray, "n 2"]:
    """Return pixels (x, y) to roll each image by; 0 for an image of a single gray, which has no darkest pixel."""
    size = images.shape[1]
    flat = images.reshape(len(images), size * size)
    rows, columns = np.divmod(flat.argmin(axis=1), size)
    shift = size // 2 - np.stack([columns, rows], axis=-1)
    return np.where((flat.min(axis=1) == flat.max(axis=1))[:, None], 0, shift)


def _roll(images: UInt8[np.ndarray, "n N N"], shift: Int[np.ndarray, "n 2"]) -> UInt8[np.ndarray, "n N N"]:
    """Roll each image by its shift (x, y): pixel (x, y) moves to (x, y) + shift, modulo N."""
    size = images.shape[1]
    source = np.mod(np.arange(size) - shift[:, :, None], size)  # [n, (x, y), N]
    return images[np.arange(len(images))[:, None, None], source[:, 1, :, None], source[:, 0, None, :]]
