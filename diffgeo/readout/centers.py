"""Centers read from images: the papers' read-outs, and the gate to all of them."""

import numpy as np
from jaxtyping import Float, Float32, Int, UInt8

from diffgeo.errors import UserError, require_choice
from diffgeo.readout import subpixel
from diffgeo.readout.counts import checked, count_bumps, min_contrast
from diffgeo.settings.allowed import READOUTS

CONTOURS = ("contour", "contour_literal")
"""Methods of Alg. 1 of 2402.03305."""


def load_packages() -> None:
    """Import the packages of the read-outs, so that a run fails before it starts; raise `UserError` without them."""
    try:
        import cv2  # noqa: F401
    except ImportError as error:
        raise UserError(
            "the package 'cv2' is missing: install it by python -m pip install opencv-python-headless"
        ) from error


def predict_centers(
    images: np.ndarray,
    method: str = "contour",
    kind: str = "bump",
    sigma: float | None = None,
    periodic: bool = False,
) -> Float32[np.ndarray, "n 2"]:
    """Return the center of the bump, or of the crossing of stripes, in each image.

    The papers' methods:

    * "contour" [2402.03305, Alg. 1]: threshold the inverted image by Otsu's method and find the external
      contours; if there is exactly one, the center of its bounding rectangle, else the image's centroid.
      The rectangle of first column x and width w covers the pixel centers x ... x + w - 1, whose middle is
      x + (w - 1) / 2; the paper's x + w / 2 is half a pixel too high in these coordinates. A bump within
      2 sigma of a border is cut there and reads inward of its center: at sigma 1 a center on the border
      itself is just missed by a tolerance of 1 pixel. For bumps only: above Otsu's level a sum of stripes
      is one cross, whose rectangle is the whole image.
    * "contour_literal": the same with x + w / 2, as Alg. 1 is printed.
    * "darkest" [2408.13256, A.3]: the darkest pixel, or the mean of several equally dark ones (a clipped
      bump); the image's centroid if `count_bumps` is not 1.

    The centroid is that of darkness, and the image's center (N - 1) / 2 if there is no darkness at all.

    Not the papers':

    * "subpixel": the center of the profile fitted to darkness about the darkest pixel (see
      `diffgeo.readout.subpixel`), exact for rendered images. Bumps: NaN unless `count_bumps` is 1. SOS: x by the
      columns' means and y by the rows', each NaN unless `stripes_present` has exactly one stripe there, so a single
      stripe gives one of the two. NaN is never a hit. Where sigma is under 0.3 the neighbors of a bump's
      darkest pixel may have no darkness; the center is then known to that pixel only.

    Args:
      images: uint8[n, N, N], 0 dark to 255 white.
      method: one of `READOUTS`.
      kind: "bump" or "sos"; what "darkest" counts and "subpixel" reads.
      sigma: spread in pixels that "subpixel" fits, which makes it right at the border, too; None takes the one
        that each image shows. No other method uses it.
      periodic: the image's edges are joined. The papers' methods roll each image so that its darkest pixel is in the
        middle, read, and shift the center back.

    Returns:
      float32[n, 2], (x, y) in pixels, in [0, N - 1], or in [0, N) if periodic; "contour_literal" half a pixel more,
      "subpixel" up to 2 pixels outside the image.

    Raises:
      UserError: for an unknown method or kind, or a contour on SOS images.
      ValueError: for images that are not uint8[n, N, N].
    """
    images = checked(images)
    require_choice("read-out method", method, READOUTS)
    min_contrast(kind)
    if method in CONTOURS and kind == "sos":
        raise UserError(f"the read-out {method!r} cannot find the crossing of an 'sos' image: choose 'darkest'")
    size = images.shape[1]
    if method == "subpixel":
        read = subpixel.read_bumps if kind == "bump" else subpixel.read_stripes
        centers, shift = read(images, sigma, periodic), np.zeros((len(images), 2), int)
    else:
        shift = _shift_darkest_to_middle(images) if periodic else np.zeros((len(images), 2), int)
        centers = _by_papers(_roll(images, shift), method, kind, periodic)
    if periodic:  # the second modulo: float32 may round a center just under N up to N
        centers = np.mod(np.mod(centers - shift, size).astype(np.float32), size)
    return centers.astype(np.float32)


def _by_papers(images: UInt8[np.ndarray, "n N N"], method: str, kind: str, periodic: bool) -> Float[np.ndarray, "n 2"]:
    """Return the centers that one of the papers' methods reads."""
    centers = _centroids(images)
    if method == "darkest":
        single = count_bumps(images, kind, periodic) == 1
        centers[single] = _darkest(images[single])
        return centers
    for i, image in enumerate(images):
        rectangle = _only_rectangle(image)
        if rectangle is not None:
            x, y, width, height = rectangle
            last = 0 if method == "contour_literal" else 1
            centers[i] = x + (width - last) / 2, y + (height - last) / 2
    return centers


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


def _only_rectangle(image: UInt8[np.ndarray, "N N"]) -> tuple[int, int, int, int] | None:
    """Return (x, y, width, height) around the only external contour; None if there is not exactly one."""
    import cv2

    _, dark = cv2.threshold(image, 0, 255, cv2.THRESH_BINARY_INV | cv2.THRESH_OTSU)
    contours, _ = cv2.findContours(dark, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    if len(contours) != 1:
        return None
    x, y, width, height = cv2.boundingRect(contours[0])
    return x, y, width, height


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
