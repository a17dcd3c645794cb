"""Centers to a fraction of a pixel: the profile of a bump or stripe fitted to the darkest pixel's neighborhood.

The renderer's profile :math:`g(u; m) = \\exp(-(u - m)^2 / 4 s^2)` is a parabola in log darkness, of known curvature
:math:`-1 / 2 s^2`. So the darkest pixel and its neighbors along an axis give the center: exactly from three of them
with s unknown, from two where s is known, which is what is left at a border. That parabola is where the read-out starts
(and what gives s if it is not known). Log darkness is all noise where there is none, so the center is then fitted to
darkness itself, by least squares with the amplitude and the background free: exact for rendered images, and unbiased
under noise. A sum of stripes is read by its marginals, x from the mean of every column and y from that of every row.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from diffgeo.readout.counts import BACKGROUND, BUMP_LEVEL, checked, count_bumps

STRIPE_CONTRAST = 60
"""Gray levels over the background that a marginal of an SOS image must reach for a stripe to be there: half of what a
full stripe has (127.5)."""

FULL = 255.0  # darkness at which a pixel is clipped
REACH = 3.0  # sigmas on each side of the darkest pixel that are fitted, and a pixel
FAINT = 2.0  # gray levels of darkness, about the rounding of a fit's logarithm: less is no darkness
TRUST = 2.0  # pixels that a center may lie from the darkest pixel: outside the image, or on a clipped plateau
STEPS = 12  # of Gauss and Newton
STEP = 0.5  # pixels of a center in a step, at most
TINY = 1e-9  # relative ridge: keeps a step finite along an axis on which the data say nothing


def stripes_present(images: np.ndarray, periodic: bool = False) -> Bool[np.ndarray, "n 2"]:
    """Return whether each image shows exactly one vertical stripe (x) and exactly one horizontal one (y).

    The marginal of an axis is the mean darkness of each column (x) or row (y). A stripe is there if the marginal's
    contrast, its maximum less its `BACKGROUND` quantile, exceeds `STRIPE_CONTRAST`; there is one if the columns or rows
    over `BUMP_LEVEL` of that contrast are adjacent. [2408.13256, A.3] does not say how stripes are told; chosen here.

    Args:
      images: uint8[n, N, N], 0 dark to 255 white.
      periodic: the first column or row is adjacent to the last.

    Raises:
      ValueError: for images that are not uint8[n, N, N].
    """
    return np.stack([_one_stripe(profile, periodic) for profile in _marginals(checked(images))], axis=-1)


def read_bumps(images: np.ndarray, sigma: float | None, periodic: bool) -> Float[np.ndarray, "n 2"]:
    """Return the center of the only bump of uint8[n, N, N] images; NaN where `count_bumps` is not 1."""
    centers = np.full((len(images), 2), np.nan)
    single = count_bumps(images, "bump", periodic) == 1
    if single.any():
        darkness = 255.0 - images[single]
        size = images.shape[1]
        flat = darkness.reshape(len(darkness), -1)
        rows, columns = np.divmod(flat.argmax(axis=1), size)
        centers[single] = _read(darkness, np.stack([columns, rows], axis=-1), sigma, periodic)
    return centers


def read_stripes(images: np.ndarray, sigma: float | None, periodic: bool) -> Float[np.ndarray, "n 2"]:
    """Return x of the only vertical stripe and y of the only horizontal one; NaN where there is none or several."""
    centers = np.full((len(images), 2), np.nan)
    for axis, profile in enumerate(_marginals(images)):
        present = _one_stripe(profile, periodic)
        if present.any():
            darkest = profile[present].argmax(axis=1)[:, None]
            centers[present, axis] = _read(profile[present], darkest, sigma, periodic)[:, 0]
    return centers


def _marginals(images: np.ndarray) -> tuple[Float[np.ndarray, "n N"], Float[np.ndarray, "n N"]]:
    """Return the mean darkness of columns and of rows."""
    darkness = 255.0 - images
    return darkness.mean(axis=1), darkness.mean(axis=2)


def _one_stripe(profile: Float[np.ndarray, "n N"], periodic: bool) -> Bool[np.ndarray, " n"]:
    background = np.quantile(profile, BACKGROUND, axis=1)
    contrast = profile.max(axis=1) - background
    over = profile > (background + BUMP_LEVEL * contrast)[:, None]
    before = np.roll(over, 1, axis=1)
    if not periodic:
        before[:, 0] = False
    begun = (over & ~before).sum(axis=1)
    return (contrast > STRIPE_CONTRAST) & (begun == 1)


def _read(
    darkness: np.ndarray, darkest: Int[np.ndarray, "n K"], sigma: float | None, periodic: bool
) -> Float[np.ndarray, "n K"]:
    """Return centers of bumps, float[n, N, N] and K = 2, or of profiles, float[n, N] and K = 1.

    Args:
      darkness: indexed [image, row, column] or [image, pixel]; clipped at `FULL` if a bump's.
      darkest: pixel (x, y), or its index, of the largest darkness.
      sigma: pixels, None if not known.
      periodic: pixels are on a circle.
    """
    start, spread = _parabola(darkness, darkest, sigma, periodic)
    axes = darkest.shape[1]
    half = (darkness.shape[1] - 1) // 2
    reach = min(int(np.ceil(REACH * spread.max())) + 1, half if periodic else darkness.shape[1] - 1)
    steps = np.arange(-reach, reach + 1)
    offsets = np.stack(np.meshgrid(*[steps] * axes, indexing="ij"), axis=-1).reshape(-1, axes)
    values = _at(darkness, darkest, offsets, periodic)
    far = np.abs(offsets).max(axis=1) > np.ceil(REACH * spread)[:, None] + 1
    values[far] = np.nan
    clipped = values >= FULL if axes == 2 else np.zeros(values.shape, bool)
    fitted = _fit(values, clipped, offsets.astype(float), start, spread)
    centers = darkest + fitted
    return np.mod(centers, darkness.shape[1]) if periodic else centers


def _at(
    darkness: np.ndarray, around: Int[np.ndarray, "n K"], offsets: Int[np.ndarray, "P K"], periodic: bool
) -> Float[np.ndarray, "n P"]:
    """Return the darkness of the pixels at offsets from one pixel of each image; NaN outside the image."""
    size = darkness.shape[1]
    pixels = around[:, None, :] + offsets
    outside = ((pixels < 0) | (pixels >= size)).any(axis=-1)
    wrapped = np.mod(pixels, size)
    images = np.arange(len(darkness))[:, None]
    values = (
        darkness[images, wrapped[..., 1], wrapped[..., 0]]
        if around.shape[1] == 2
        else darkness[images, wrapped[..., 0]]
    )
    return values if periodic else np.where(outside, np.nan, values)


def _parabola(
    darkness: np.ndarray, darkest: Int[np.ndarray, "n K"], sigma: float | None, periodic: bool
) -> tuple[Float[np.ndarray, "n K"], Float[np.ndarray, " n"]]:
    """Return the center, relative to the darkest pixel, and s by the parabola through log darkness along each axis.

    The background is taken off first. An axis on which a neighbor is outside the image, or has no darkness, starts at
    the darkest pixel. If s is not known it is the mean over the other axes; of an image without such an axis `STEP`.
    """
    background = np.quantile(darkness.reshape(len(darkness), -1), 0.5, axis=1)[:, None]
    axes = darkest.shape[1]
    starts = np.zeros(darkest.shape)
    curvatures = np.full(darkest.shape, np.nan)
    for axis in range(axes):
        offsets = np.zeros((3, axes), int)
        offsets[:, axis] = (-1, 0, 1)
        near = _at(darkness, darkest, offsets, periodic) - background
        near[near < FAINT] = np.nan
        low, middle, high = np.log(near).T
        curvature = low - 2 * middle + high  # -1 / 2 s^2; 0 on a clipped plateau
        known = curvature < -1e-3
        starts[known, axis] = (low[known] - high[known]) / (2 * curvature[known])
        curvatures[known, axis] = curvature[known]
    starts = np.clip(starts, -STEP, STEP)
    if sigma is not None:
        return starts, np.full(len(darkness), float(sigma))
    known = np.isfinite(curvatures).any(axis=1)
    spread = np.full(len(darkness), STEP)
    spread[known] = np.sqrt(-0.5 / np.nanmean(curvatures[known], axis=1))
    return starts, spread


def _fit(
    values: Float[np.ndarray, "n P"],
    clipped: Bool[np.ndarray, "n P"],
    offsets: Float[np.ndarray, "P K"],
    start: Float[np.ndarray, "n K"],
    sigma: Float[np.ndarray, " n"],
) -> Float[np.ndarray, "n K"]:
    """Return the centers m that minimize the squares of values - (a g(offsets; m) + b) over m, a and b.

    NaN values are left out. A clipped value counts only as far as the model lies under it: darkness beyond the data's
    range is lost, and what is left of such a bump still gives its center.
    """
    axes = start.shape[1]
    used = np.isfinite(values)
    values = np.where(used, values, 0.0)
    center = start.copy()
    quadratic = 1.0 / (2 * sigma**2)[:, None, None]
    background = np.nanmedian(np.where(used, values, np.nan), axis=1)
    amplitude = np.where(used, values, -np.inf).max(axis=1) - background
    for _ in range(STEPS):
        away = offsets[None] - center[:, None, :]
        profile = np.exp(-0.5 * quadratic[:, :, 0] * np.square(away).sum(axis=-1))
        residual = values - amplitude[:, None] * profile - background[:, None]
        counts = used & ~(clipped & (residual < 0))
        slopes = amplitude[:, None, None] * profile[..., None] * away * quadratic
        jacobian = np.concatenate([slopes, profile[..., None], np.ones_like(profile)[..., None]], axis=-1)
        jacobian = np.where(counts[..., None], jacobian, 0.0)
        residual = np.where(counts, residual, 0.0)
        normal = np.einsum("npi,npj->nij", jacobian, jacobian)
        scale = np.sqrt(np.einsum("nii->ni", normal)) + 1e-12
        scaled = normal / (scale[:, :, None] * scale[:, None, :]) + TINY * np.eye(axes + 2)
        right = np.einsum("npi,np->ni", jacobian, residual) / scale
        step = np.linalg.solve(scaled, right[..., None])[..., 0] / scale
        center = np.clip(center + np.clip(step[:, :axes], -STEP, STEP), -TRUST, TRUST)
        amplitude, background = amplitude + step[:, axes], background + step[:, axes + 1]
    return center
