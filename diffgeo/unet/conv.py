"""Numerical kernels of the network with gradients of their own: 3 x 3 convolution, normalisation, attention, GELU.

What JAX derives and XLA compiles from the plain formulas is slow on CPU: see each docstring. Forms of one kernel give
the same numbers and exact gradients; `auto` chooses by platform and shape. Arrays are float32 or bfloat16 and results
of the same type; means, softmax and what an activation's formula goes through are float32 in both.
"""

import contextlib
import functools
import math
from contextvars import ContextVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffgeo import winograd

NORM_EPS = 1e-5

_TARGET: ContextVar[str | None] = ContextVar("target", default=None)


def platform() -> str:
    """What programs are compiled for ("cpu", "gpu", "tpu"): this process's devices, unless within `compiling_for`."""
    return _TARGET.get() or jax.default_backend()


@contextlib.contextmanager
def compiling_for(target: str):
    """Programs traced within are meant for another platform than this process's devices."""
    token = _TARGET.set(target)
    try:
        yield
    finally:
        _TARGET.reset(token)


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


def gelu(x):
    """The exact Gaussian error linear unit, x (1 + erf(x / sqrt 2)) / 2.

    `jax.nn.gelu` goes through erfc: two approximations and a selection, each to be compiled and run.
    """
    wide = x.astype(jnp.float32)
    return (0.5 * wide * (1.0 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


@jax.custom_vjp
def normalise(
    x: Float[Array, "rows pixels C"], scale: Float[Array, " C"], bias: Float[Array, " C"]
) -> Float[Array, "rows pixels C"]:
    """(x - mean) / sqrt(variance + eps), both over all pixels and channels of a row, times scale plus bias.

    The gradient is written out, from two sums per row and channel: as derived by JAX, the norms are a third of a
    training step's operations.
    """
    return _normalise_forward(x, scale, bias)[0]


def _normalise_forward(x, scale, bias):
    wide = x.astype(jnp.float32)
    mean = jnp.mean(wide, axis=(1, 2), keepdims=True)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(wide - mean), axis=(1, 2), keepdims=True) + NORM_EPS)
    out = (wide - mean) * inverse * scale[None, None, :] + bias[None, None, :]
    return out.astype(x.dtype), (x, mean, inverse, scale)


def _normalise_backward(saved, cotangent):
    x, mean, inverse, scale = saved
    # the barrier: or it is computed anew for each of the sums
    cotangent = jax.lax.optimization_barrier(cotangent).astype(jnp.float32)
    standard = (x.astype(jnp.float32) - mean) * inverse
    area = x.shape[1] * x.shape[2]
    plain = jnp.sum(cotangent, axis=1)  # [rows, C]
    along = jnp.sum(cotangent * standard, axis=1)
    offset, slope = (jnp.sum(sums * scale[None, :], axis=1)[:, None, None] / area for sums in (plain, along))
    gradient = inverse * (cotangent * scale[None, None, :] - offset - standard * slope)
    return gradient.astype(x.dtype), jnp.sum(along, axis=0), jnp.sum(plain, axis=0)


normalise.defvjp(_normalise_forward, _normalise_backward)


SCORES_AT_ONCE = 2**17  # numbers; half a megabyte stays in a core's cache


def attention(
    query: Float[Array, "n tokens C"],
    key: Float[Array, "n tokens C"],
    value: Float[Array, "n tokens C"],
    heads: int,
) -> Float[Array, "n tokens C"]:
    """softmax(q k^T / sqrt(C / heads)) v per head, heads side by side in the last axis.

    The scores are not kept for the gradient but computed again, from the logarithm of each row's sum. On CPU both are
    done for a few images at a time, so that scores stay in cache: at 1,024 tokens twice as fast as the plain formula.
    On TPU they stay on the chip where `tpu_attention` serves so many tokens.
    """
    n, tokens, channels = query.shape
    if tokens == 1:  # softmax of one score is one
        return value
    width = channels // heads
    if platform() == "tpu":
        from diffgeo import tpu_attention  # other platforms do not load its compiler

        if tpu_attention.serves(tokens):
            query, key, value = (x.swapaxes(1, 2).reshape(n * heads, width, tokens) for x in (query, key, value))
            mixed = tpu_attention.attend(query * (1.0 / math.sqrt(width)), key, value)
            return mixed.reshape(n, channels, tokens).swapaxes(1, 2)

    def split(x):  # heads next to the batch, so that one batched matrix product serves all of them
        return x.reshape(n, tokens, heads, width).transpose(0, 2, 1, 3).reshape(n * heads, tokens, width)

    mixed = _attend(split(query) * (1.0 / math.sqrt(width)), split(key), split(value))
    return mixed.reshape(n, heads, tokens, width).transpose(0, 2, 1, 3).reshape(n, tokens, channels)


@jax.custom_vjp
def _attend(query, key, value):
    """softmax(q k^T) v for [rows, tokens, width]."""
    return _attend_forward(query, key, value)[0]


def _attend_forward(query, key, value):
    def some(query, key, value):
        scores = _product("rqc,rkc->rqk", query, key)
        largest = jnp.max(scores, axis=-1, keepdims=True)
        weights = jnp.exp(scores - largest)
        total = jnp.sum(weights, axis=-1, keepdims=True)
        mixed = _product("rqk,rkc->rqc", weights.astype(value.dtype), value) / total
        return mixed.astype(value.dtype), largest + jnp.log(total)

    mixed, log_total = _in_chunks(some, query, key, value)
    return mixed, (query, key, value, mixed, log_total)


def _attend_backward(saved, cotangent):
    query, key, value, mixed, log_total = saved
    # the sum over keys of weight x its gradient
    mean = jnp.sum(cotangent.astype(jnp.float32) * mixed.astype(jnp.float32), axis=-1, keepdims=True)

    def some(query, key, value, log_total, cotangent, mean):
        weights = jnp.exp(_product("rqc,rkc->rqk", query, key) - log_total)
        for_scores = (weights * (_product("rqc,rkc->rqk", cotangent, value) - mean)).astype(key.dtype)
        # [channels, keys] products: as [keys, channels] XLA:CPU takes 8 times as long
        return (
            jnp.einsum("rqk,rkc->rqc", for_scores, key),
            jnp.einsum("rqc,rqk->rck", query, for_scores),
            jnp.einsum("rqc,rqk->rck", cotangent, weights.astype(cotangent.dtype)),
        )

    for_query, for_key, for_value = _in_chunks(some, query, key, value, log_total, cotangent, mean)
    return for_query, for_key.swapaxes(1, 2), for_value.swapaxes(1, 2)


_attend.defvjp(_attend_forward, _attend_backward)


def _product(subscripts, one, other):
    """A batched matrix product with a float32 result."""
    return jnp.einsum(subscripts, one, other, preferred_element_type=jnp.float32)


def _in_chunks(function, *arrays):
    """`function` of arrays [rows, ...], on CPU for some rows at a time."""
    rows, tokens = arrays[0].shape[:2]
    at_once = max(1, SCORES_AT_ONCE // tokens**2)
    if platform() != "cpu" or rows <= at_once:
        return function(*arrays)
    chunks = next(count for count in range(-(-rows // at_once), rows + 1) if rows % count == 0)
    split = tuple(x.reshape(chunks, rows // chunks, *x.shape[1:]) for x in arrays)
    joined = jax.lax.map(lambda some: function(*some), split)
    return jax.tree.map(lambda x: x.reshape(rows, *x.shape[2:]), joined)
