"""Images as pure functions of their labels: Gaussian bumps, sums of stripes, and their overlap.

Shape legend of the whole program: M members, B batch, n images, N image side, C channels, F features,
S samples, L rows of a label table.

Coordinates: x = column, y = row; pixel (row r, column c) is at (x, y) = (c, r), 0-based pixel centers.
All centers and sigmas are in pixels. The papers' top-left pixel is (1, 1): a shift by one, no other difference.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, ArrayLike, Float, Int

from diffgeo.settings.allowed import MIN_SIGMA, kind_index

Pair = tuple[float, float]
"""Numbers along x and along y; a tuple is no `ArrayLike` to checkers at run time."""


def render(
    centers: ArrayLike, sigma: ArrayLike | Pair, kind: str | ArrayLike = "bump", size: int = 32, periodic: bool = False
) -> Float[Array, "n N N 1"]:
    r"""Return images in [-1, 1], dark on white, of the given centers.

    With the stripe profile :math:`g(u; \mu, s) = \exp(-(u - \mu)^2 / 4 s^2)` (note 4 s^2: the bump's
    standard deviation is :math:`\sqrt 2 s` pixels), the gray value v in [0, 255] is

    * bump: :math:`v = 255 (1 - g(x; \mu_x, s_x)\, g(y; \mu_y, s_y))`            [2402.03305, section 2]
    * sos (sum of stripes): :math:`v = 255 (1 - (g(x; \mu_x, s_x) + g(y; \mu_y, s_y)) / 2)` [2408.13256, section 2]

    and the image is 2 v / 255 - 1. Periodic images measure u - mu on the circle of circumference N
    [2408.13256, section 3.1]. Centers may lie anywhere, outside the image too. Pure, jitted and differentiable.

    Args:
      centers: float[n, 2], (x, y) in pixels.
      sigma: spread s > 0 in pixels: a scalar, or (s_x, s_y) of shape [2], or a pair per image, [n, 2].
      kind: "bump", "sos", or int[n] of indices into `settings.allowed.KINDS`, one per image.
      size: N, the side in pixels.
      periodic: wrap both axes.

    Returns:
      float32[n, N, N, 1], indexed [image, row, column, channel].

    Raises:
      UserError: for an unknown kind.
      ValueError: for centers that are not [n, 2].

    >>> images = render(np.array([[2.0, 5.0]]), sigma=1.0, size=8)
    >>> images.shape, float(images[0, 5, 2, 0])
    ((1, 8, 8, 1), -1.0)
    """
    if jnp.ndim(centers) != 2 or jnp.shape(centers)[1] != 2:
        raise ValueError(f"centers must be [n, 2] as (x, y), got shape {jnp.shape(centers)}")
    kinds = kind_index(kind) if isinstance(kind, str) else kind
    centers = jnp.asarray(centers, jnp.float32)
    spread = jnp.broadcast_to(jnp.asarray(sigma, jnp.float32), centers.shape)
    kinds = jnp.broadcast_to(jnp.asarray(kinds, jnp.int32), centers.shape[:1])
    return _render(centers, spread, kinds, size, bool(periodic))


@functools.partial(jax.jit, static_argnums=(3, 4))
def _render(
    centers: Float[Array, "n 2"], sigma: Float[Array, "n 2"], kinds: Int[Array, " n"], size: int, periodic: bool
) -> Float[Array, "n N N 1"]:
    pixels = jnp.arange(size, dtype=jnp.float32)
    offset = pixels[None, :, None] - centers[:, None, :]  # [n, N, (x, y)]
    if periodic:
        offset = jnp.mod(offset + 0.5 * size, jnp.float32(size)) - 0.5 * size
    spread = jnp.maximum(sigma, MIN_SIGMA)[:, None, :]
    profile = jnp.exp(-0.25 * jnp.square(offset / spread))
    along_x, along_y = profile[:, None, :, 0], profile[:, :, None, 1]
    bump = along_x * along_y
    stripes = 0.5 * (along_x + along_y)
    darkness = jnp.where((kinds == 0)[:, None, None], bump, stripes)
    return (1.0 - 2.0 * darkness)[..., None]


def to_uint8(images: Float[ArrayLike, "*batch N N C"]) -> np.ndarray:
    """Return gray values 0 (dark) to 255 (white) of images in [-1, 1]; values outside are clipped.

    NaN, which a network that has diverged may generate, becomes white: such an image shows no bump.

    Returns uint8[*batch, N, N], on host; uint8[*batch, N, N, C] of images of several channels.
    """
    images = np.asarray(images)
    gray = ((images[..., 0] if images.shape[-1] == 1 else images) + 1.0) * 127.5
    return np.rint(np.clip(np.nan_to_num(gray, nan=255.0), 0.0, 255.0)).astype(np.uint8)


def overlap(
    center_a: npt.ArrayLike | Pair, center_b: npt.ArrayLike | Pair, sigma: npt.ArrayLike | Pair, size: int = 32
) -> float:
    r"""Return the normalized overlap of two bumps, ||sqrt(a b)||_2 / ||a||_2 of the inverted images a, b.

    [2402.03305, B.5; 2408.13256, A.5]. Equal to :math:`(\sum_p a_p b_p / \sum_p a_p^2)^{1/2}`, which away from
    borders and for sigma >= 1 tends to exp(-d^2 / 16 s^2) at distance d. It is not symmetric and may exceed
    1 for small sigma, since the norm of a depends on where its center lies between the pixels.

    Args:
      center_a, center_b: (x, y) in pixels.
      sigma: spread in pixels, a scalar or (s_x, s_y).
      size: N, the side in pixels.

    Returns:
      The overlap, >= 0; NaN if a is blank to float64 precision (a tiny bump far from every pixel).
    """
    spread = np.broadcast_to(np.asarray(sigma, np.float64), (2,))
    profile_a = stripe_profiles(np.asarray(center_a, np.float64)[None], spread, size)[0]
    profile_b = stripe_profiles(np.asarray(center_b, np.float64)[None], spread, size)[0]
    shared = np.sum(profile_a * profile_b, axis=-1)
    squared = np.sum(profile_a * profile_a, axis=-1)
    if np.prod(squared) < np.finfo(np.float64).tiny:  # subnormal: no digits left to divide by
        return float("nan")
    return float(np.sqrt(np.prod(shared / squared)))


def stripe_profiles(centers: np.ndarray, sigma: np.ndarray | Pair, size: int) -> np.ndarray:
    """Return profiles g of `render` in float64 on host: float[n, 2, N], axis 1 is (x, y).

    A bump is the outer product of its two profiles, so sums over pixels of products of bumps are products
    of sums over these profiles.
    """
    offset = np.arange(size) - np.asarray(centers, np.float64)[:, :, None]
    spread = np.maximum(np.broadcast_to(np.asarray(sigma, np.float64), (2,)), MIN_SIGMA)
    return np.exp(-0.25 * np.square(offset / spread[:, None]))
