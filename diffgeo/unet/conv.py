"""3 x 3 convolution in several implementations, with hand-written gradients.

XLA's convolution is slow on CPU at the sizes of this network: see each docstring. All implementations give the same
numbers and exact gradients; "auto" chooses by platform and shape. Arrays are float32 or bfloat16, and results have the
dtype of the input.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffgeo.host.platform import platform
from diffgeo.unet import winograd

SMALL_SIDE = 4  # pixels; up to here XLA:CPU's convolution is 2 to 10 times slower than "matrix"
WIDE = 64**2  # channels x features; from here on XLA:CPU's gradients of a convolution are slower than matrix products
WIDE_SIDE = 8  # pixels; up to here so is the convolution itself

ConvFn = Callable[[jax.Array, jax.Array], jax.Array]


def _shifted(x: jax.Array) -> list[jax.Array]:
    """Return the 9 shifted copies of zero-padded x, each [n, H, W, C]."""
    _, height, width, _ = x.shape
    x = jax.lax.optimization_barrier(x)  # otherwise XLA recomputes x for every copy
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    return [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]


def _patches(x: jax.Array) -> jax.Array:
    """Concatenate the 9 shifted copies: [n, H, W, 9 C]."""
    return jnp.concatenate(_shifted(x), axis=-1)


def _with_gradients(convolve: ConvFn, gradients: Callable) -> ConvFn:
    """Give a convolution hand-written gradients.

    Args:
      convolve: (x, kernel) -> outputs.
      gradients: (x, kernel, gradient of the outputs) -> gradients of x and of the kernel.
    """
    function = jax.custom_vjp(convolve)
    function.defvjp(
        lambda x, kernel: (convolve(x, kernel), (x, kernel)),
        lambda saved, cotangent: gradients(*saved, cotangent),
    )
    return function


def _by_matrix(x, kernel):
    """Convolve by a matrix product of patches with the kernel."""
    channels, features = kernel.shape[2:]
    return _patches(x) @ kernel.reshape(9 * channels, features)


def _matrix_gradients(x, kernel, cotangent):
    patches = _patches(x)
    rows = math.prod(x.shape[:3])
    grad_kernel = patches.reshape(rows, -1).T @ cotangent.reshape(rows, -1)
    return _by_matrix(cotangent, _flipped(kernel)), grad_kernel.reshape(kernel.shape)


@functools.cache
def _taps(height: int, width: int) -> np.ndarray:
    """Return float32[pixels, pixels, 9]: 1 where an input pixel (first) reaches an output pixel through a tap."""
    row, column = np.divmod(np.arange(height * width), width)
    down, right = row[:, None] - row[None, :] + 1, column[:, None] - column[None, :] + 1
    taps = (3 * down + right)[..., None] == np.arange(9)
    near = (down >= 0) & (down <= 2) & (right >= 0) & (right <= 2)
    return (taps & near[..., None]).astype(np.float32)


def _conv_dense(x, kernel):
    """Convolve by a matrix product of whole images with a matrix of all pairs of pixels."""
    n, height, width, channels = x.shape
    pixels, features = height * width, kernel.shape[3]
    matrix = jnp.einsum(
        "pqk,kco->pcqo", jnp.asarray(_taps(height, width)).astype(kernel.dtype), kernel.reshape(9, channels, features)
    )
    out = x.reshape(n, pixels * channels) @ matrix.reshape(pixels * channels, pixels * features)
    return out.reshape(n, height, width, features)


def _conv_lax(x, kernel):
    return jax.lax.conv_general_dilated(
        x, kernel, window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _flipped(kernel):
    """Return the kernel whose convolution maps gradients of the outputs to gradients of the inputs."""
    return kernel[::-1, ::-1].swapaxes(2, 3)


def _fold_gradients(x, kernel, cotangent):
    """Compute `_matrix_gradients` without a copy of the kernel: for few pixels and a large kernel."""
    n, height, width, channels = x.shape
    matrix, rows = kernel.reshape(9 * channels, -1), cotangent.reshape(n * height * width, -1)
    grad_kernel = _patches(x).reshape(n * height * width, -1).T @ rows
    # each pixel's gradient is the sum of those of its 9 copies in patches around it
    copies = (rows @ matrix.T).reshape(n, height, width, 9, channels)
    padded = jnp.pad(jax.lax.optimization_barrier(copies), ((0, 0), (1, 1), (1, 1), (0, 0), (0, 0)))
    back = ((2 - i, 2 - j, 3 * i + j) for i in range(3) for j in range(3))
    grad_x = sum(padded[:, top : top + height, left : left + width, tap] for top, left, tap in back)
    return grad_x, grad_kernel.reshape(kernel.shape)


def _split_gradients(x, kernel, cotangent):
    """Compute the gradient of x by XLA's convolution, that of the kernel as nine matrix products."""
    grad_columns = cotangent.reshape(-1, cotangent.shape[-1]).T
    grad_kernel = jnp.stack([(grad_columns @ copy.reshape(grad_columns.shape[1], -1)).T for copy in _shifted(x)])
    return _conv_lax(cotangent, _flipped(kernel)), grad_kernel.reshape(kernel.shape)


def conv3x3(x: Float[Array, "n H W C"], kernel: Float[Array, "3 3 C O"], impl: str = "auto") -> Float[Array, "n H W O"]:
    """Convolve 3 x 3 (cross-correlation) with zero padding 1, stride 1, no bias.

    Args:
      x: float[n, H, W, C].
      kernel: float[3, 3, C, O].
      impl: one of `allowed.CONV_IMPLS`. "auto" is XLA's convolution except on CPU. There it is "dense" or "matrix" for
        sides up to `SMALL_SIDE` pixels, where XLA's is slowest, and for `WIDE` kernels "fold" or, for larger
        images, "winograd" in float32 and "split" in bfloat16.

    Returns:
      float[n, H, W, O].
    """
    height, width = x.shape[1:3]
    if height == width == 1:  # the other eight taps see only padding
        return x @ kernel[1, 1]
    if impl == "auto":
        impl = _best_on_cpu(max(height, width), kernel) if platform() == "cpu" else "lax"
    return _IMPLS[impl](x, kernel)


def _best_on_cpu(side: int, kernel: jax.Array) -> str:
    if side <= 2:
        return "dense"
    if math.prod(kernel.shape[2:]) >= WIDE:
        if side <= WIDE_SIDE:
            return "fold"
        return "winograd" if kernel.dtype == jnp.float32 else "split"
    return "matrix" if side <= SMALL_SIDE else "lax"


_IMPLS: dict[str, ConvFn] = {
    "dense": _conv_dense,
    "fold": _with_gradients(_by_matrix, _fold_gradients),
    "lax": _conv_lax,
    "matrix": _with_gradients(_by_matrix, _matrix_gradients),
    "split": _with_gradients(_conv_lax, _split_gradients),
    "winograd": _with_gradients(winograd.convolve, winograd.gradients),
}
