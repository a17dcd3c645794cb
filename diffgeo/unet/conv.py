"""Numerical kernels of the network with gradients of their own: 3 x 3 convolution, normalization, attention, GELU.

What JAX derives and XLA compiles from the plain formulas is slow on CPU: see each docstring. Forms of one kernel give
the same numbers and exact gradients; `auto` chooses by platform and shape. Arrays are float32 or bfloat16 and results
of the same type; means, softmax and what an activation's formula goes through are float32 in both.
"""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffgeo.host.platform import platform
from diffgeo.unet import winograd

SMALL_SIDE = 4  # pixels; up to here XLA:CPU's convolution is 2 to 10 times slower than the matrix form
WIDE = 64**2  # channels x features; from here on XLA:CPU's gradients of a convolution are slower than matrix products
WIDE_SIDE = 8  # pixels; up to here so is the convolution itself


def _shifted(images) -> list:
    """The 9 shifted copies of zero-padded images, each [n, H, W, C]."""
    _, height, width, _ = images.shape
    images = jax.lax.optimization_barrier(images)  # or what made them is computed anew for every copy
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]


def _patches(images):
    """The 9 shifted copies side by side: [n, H, W, 9 C]."""
    return jnp.concatenate(_shifted(images), axis=-1)


def _with_gradients(convolve, gradients):
    """A convolution with gradients of its own.

    Args:
      convolve: (images, kernel) -> outputs.
      gradients: (images, kernel, gradient of the outputs) -> gradients of the images and of the kernel.
    """
    form = jax.custom_vjp(convolve)
    form.defvjp(
        lambda images, kernel: (convolve(images, kernel), (images, kernel)),
        lambda saved, cotangent: gradients(*saved, cotangent),
    )
    return form


def _by_matrix(images, kernel):
    """3 x 3 convolution as one matrix product of patches with the kernel."""
    channels, features = kernel.shape[2:]
    return _patches(images) @ kernel.reshape(9 * channels, features)


def _matrix_gradients(images, kernel, cotangent):
    patches = _patches(images)
    rows = math.prod(images.shape[:3])
    for_kernel = patches.reshape(rows, -1).T @ cotangent.reshape(rows, -1)
    return _by_matrix(cotangent, _flipped(kernel)), for_kernel.reshape(kernel.shape)


@functools.cache
def _taps(height: int, width: int) -> np.ndarray:
    """float32[pixels, pixels, 9]: 1 where an input pixel (first) reaches an output pixel through a tap."""
    row, column = np.divmod(np.arange(height * width), width)
    down, right = row[:, None] - row[None, :] + 1, column[:, None] - column[None, :] + 1
    taps = (3 * down + right)[..., None] == np.arange(9)
    near = (down >= 0) & (down <= 2) & (right >= 0) & (right <= 2)
    return (taps & near[..., None]).astype(np.float32)


def _conv_dense(images, kernel):
    """3 x 3 convolution as one matrix product of whole images with a matrix of all pairs of pixels."""
    n, height, width, channels = images.shape
    pixels, features = height * width, kernel.shape[3]
    matrix = jnp.einsum(
        "pqk,kco->pcqo", jnp.asarray(_taps(height, width)).astype(kernel.dtype), kernel.reshape(9, channels, features)
    )
    out = images.reshape(n, pixels * channels) @ matrix.reshape(pixels * channels, pixels * features)
    return out.reshape(n, height, width, features)


def _conv_lax(images, kernel):
    return jax.lax.conv_general_dilated(
        images, kernel, window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _flipped(kernel):
    """The kernel whose convolution takes gradients of the outputs to gradients of the inputs."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _fold_gradients(images, kernel, cotangent):
    """As `_matrix_gradients`, but without a copy of the kernel: for few pixels and a large kernel."""
    n, height, width, channels = images.shape
    matrix, rows = kernel.reshape(9 * channels, -1), cotangent.reshape(n * height * width, -1)
    for_kernel = _patches(images).reshape(n * height * width, -1).T @ rows
    # each pixel's gradient is the sum of those of its 9 copies in patches around it
    copies = (rows @ matrix.T).reshape(n, height, width, 9, channels)
    padded = jnp.pad(jax.lax.optimization_barrier(copies), ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0)))
    back = ((2 - i, 2 - j, 3 * i + j) for i in range(3) for j in range(3))
    for_images = sum(padded[:, top : top + height, left : left + width, tap] for top, left, tap in back)
    return for_images, for_kernel.reshape(kernel.shape)


def _split_gradients(images, kernel, cotangent):
    """The gradient of the images by XLA's convolution, that of the kernel as nine matrix products."""
    columns = cotangent.reshape(-1, cotangent.shape[-1]).T
    for_kernel = jnp.stack([(columns @ moved.reshape(columns.shape[1], -1)).T for moved in _shifted(images)])
    return _conv_lax(cotangent, _flipped(kernel)), for_kernel.reshape(kernel.shape)


def conv3x3(
    images: Float[Array, "n H W C"], kernel: Float[Array, "3 3 C O"], form: str = "auto"
) -> Float[Array, "n H W O"]:
    """3 x 3 convolution (cross-correlation), zero padding 1, stride 1, no bias.

    Args:
      images: float[n, H, W, C].
      kernel: float[3, 3, C, O].
      form: one of `limits.CONV_FORMS`. "auto" is XLA's convolution everywhere but on CPU. There it is "dense" or
        "matrix" for sides up to `SMALL_SIDE` pixels, where XLA's own collapses, and for `WIDE` kernels "fold" or, for
        larger images, "winograd" in float32 and "split" in bfloat16.

    Returns:
      float[n, H, W, O].
    """
    height, width = images.shape[1:3]
    if height == width == 1:  # the other eight taps only ever see padding
        return images @ kernel[1, 1]
    if form == "auto":
        form = _best_on_cpu(max(height, width), kernel) if platform() == "cpu" else "lax"
    return _FORMS[form](images, kernel)


def _best_on_cpu(side: int, kernel) -> str:
    if side <= 2:
        return "dense"
    if math.prod(kernel.shape[2:]) >= WIDE:
        if side <= WIDE_SIDE:
            return "fold"
        return "winograd" if kernel.dtype == jnp.float32 else "split"
    return "matrix" if side <= SMALL_SIDE else "lax"


_FORMS = {
    "dense": _conv_dense,
    "fold": _with_gradients(_by_matrix, _fold_gradients),
    "lax": _conv_lax,
    "matrix": _with_gradients(_by_matrix, _matrix_gradients),
    "split": _with_gradients(_conv_lax, _split_gradients),
    "winograd": _with_gradients(winograd.convolve, winograd.gradients),
}
