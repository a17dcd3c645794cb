"""Blocks of the UNet: convolution, norm, attention, Down and Up [2402.03305 Fig. 6; 2408.13256 Fig. 7].

Every block equals its usual PyTorch form in numbers (see `diffgeo.torch_weights`): exact GELU, norms with
eps 1e-5, bilinear upsampling with aligned corners, initial weights uniform in +-1/sqrt(fan_in).
Activations are [n, H, W, C].
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

NORM_EPS = 1e-5

CONV_FORMS = ("auto", "lax", "matrix")
"""Forms of the 3 x 3 convolution; all give the same numbers and exact gradients."""

SMALL_SIDE = 4  # pixels; up to here XLA:CPU's convolution is 2 to 10 times slower than the matrix form


def uniform_fan_in(key, shape, dtype=jnp.float32, *, fan_in: int):
    """PyTorch's default initial weights: uniform in +-1/sqrt(fan_in)."""
    bound = 1.0 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, dtype, -bound, bound)


def _patches(images):
    """The 9 shifted copies of zero-padded images side by side: [n, H, W, 9 C]."""
    _, height, width, _ = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + height, j : j + width] for i in range(3) for j in range(3)]
    return jnp.concatenate(shifted, axis=-1)


@jax.custom_vjp
def _conv_matrix(images, kernel):
    """3 x 3 convolution as one matrix product of patches with the kernel."""
    channels, features = kernel.shape[2:]
    return _patches(images) @ kernel.reshape(9 * channels, features)


def _conv_matrix_forward(images, kernel):
    return _conv_matrix(images, kernel), (images, kernel)


def _conv_matrix_backward(saved, cotangent):
    images, kernel = saved
    flipped = kernel[::-1, ::-1].swapaxes(2, 3)
    patches = _patches(images)
    rows = math.prod(images.shape[:3])
    kernel_gradient = patches.reshape(rows, -1).T @ cotangent.reshape(rows, -1)
    return _conv_matrix(cotangent, flipped), kernel_gradient.reshape(kernel.shape)


_conv_matrix.defvjp(_conv_matrix_forward, _conv_matrix_backward)


def _conv_lax(images, kernel):
    return jax.lax.conv_general_dilated(
        images, kernel, window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def conv3x3(
    images: Float[Array, "n H W C"], kernel: Float[Array, "3 3 C O"], form: str = "auto"
) -> Float[Array, "n H W O"]:
    """3 x 3 convolution (cross-correlation), zero padding 1, stride 1, no bias.

    Args:
      images: float[n, H, W, C].
      kernel: float[3, 3, C, O].
      form: one of `CONV_FORMS`. "auto" takes the matrix form on CPU for sides up to `SMALL_SIDE` pixels,
        where XLA's own convolution collapses, and XLA's convolution everywhere else.

    Returns:
      float[n, H, W, O].
    """
    height, width = images.shape[1:3]
    if height == width == 1:  # the other eight taps only ever see padding
        return images @ kernel[1, 1]
    if form == "auto":
        small = max(height, width) <= SMALL_SIDE
        form = "matrix" if jax.default_backend() == "cpu" and small else "lax"
    return {"matrix": _conv_matrix, "lax": _conv_lax}[form](images, kernel)


class Conv3x3(nn.Module):
    """`conv3x3` with a learned kernel [3, 3, C, features]."""

    features: int
    form: str = "auto"

    @nn.compact
    def __call__(self, images):
        channels = images.shape[-1]
        init = functools.partial(uniform_fan_in, fan_in=9 * channels)
        kernel = self.param("kernel", init, (3, 3, channels, self.features))
        return conv3x3(images, kernel, self.form)


class Linear(nn.Module):
    """Affine map of the last axis, PyTorch's initial weights."""

    features: int

    @nn.compact
    def __call__(self, x):
        init = functools.partial(uniform_fan_in, fan_in=x.shape[-1])
        return nn.Dense(self.features, kernel_init=init, bias_init=init, name="dense")(x)


def gelu(x):
    """The exact (erf) Gaussian error linear unit."""
    return jax.nn.gelu(x, approximate=False)


def group_norm(name: str):
    """Group normalisation over one group: all of H, W, C of an image, then a scale and bias per channel."""
    return nn.GroupNorm(num_groups=1, epsilon=NORM_EPS, use_fast_variance=False, name=name)


class DoubleConv(nn.Module):
    """conv -> norm -> GELU -> conv -> norm; the residual form is GELU(x + f(x)), the plain one ends there."""

    features: int
    middle: int | None = None
    residual: bool = False
    form: str = "auto"

    @nn.compact
    def __call__(self, images):
        x = Conv3x3(self.middle or self.features, self.form, name="conv1")(images)
        x = gelu(group_norm("norm1")(x))
        x = Conv3x3(self.features, self.form, name="conv2")(x)
        x = group_norm("norm2")(x)
        return gelu(images + x) if self.residual else x


def attention(
    query: Float[Array, "n tokens C"],
    key: Float[Array, "n tokens C"],
    value: Float[Array, "n tokens C"],
    heads: int,
) -> Float[Array, "n tokens C"]:
    """softmax(q k^T / sqrt(C / heads)) v per head, heads side by side in the last axis."""
    n, tokens, channels = query.shape
    if tokens == 1:  # softmax of one score is one
        return value
    width = channels // heads

    def split(x):  # heads next to the batch, so that one batched matrix product serves all of them
        return x.reshape(n, tokens, heads, width).transpose(0, 2, 1, 3)

    scores = jnp.einsum("nhqc,nhkc->nhqk", split(query) * (1.0 / math.sqrt(width)), split(key))
    mixed = jnp.einsum("nhqk,nhkc->nhqc", jax.nn.softmax(scores, axis=-1), split(value))
    return mixed.transpose(0, 2, 1, 3).reshape(n, tokens, channels)


class SelfAttention(nn.Module):
    """LayerNorm -> multi-head attention -> + input, then LayerNorm -> Linear -> GELU -> Linear -> + input.

    The tokens are the pixels; no positional encoding, no dropout.
    """

    heads: int

    @nn.compact
    def __call__(self, images):
        n, height, width, channels = images.shape
        tokens = images.reshape(n, height * width, channels)
        x = nn.LayerNorm(epsilon=NORM_EPS, use_fast_variance=False, name="ln")(tokens)
        # PyTorch's MultiheadAttention: Xavier-uniform input projection over its (3 C, C) shape, zero biases
        x = nn.Dense(3 * channels, kernel_init=nn.initializers.xavier_uniform(), name="in_proj")(x)
        query, key, value = jnp.split(x, 3, axis=-1)
        init = functools.partial(uniform_fan_in, fan_in=channels)
        mixed = attention(query, key, value, self.heads)
        tokens = tokens + nn.Dense(channels, kernel_init=init, name="out_proj")(mixed)
        x = nn.LayerNorm(epsilon=NORM_EPS, use_fast_variance=False, name="ff_ln")(tokens)
        x = Linear(channels, name="ff1")(x)
        tokens = tokens + Linear(channels, name="ff2")(gelu(x))
        return tokens.reshape(n, height, width, channels)


def max_pool(images: Float[Array, "n H W C"]) -> Float[Array, "n H/2 W/2 C"]:
    """Maximum over 2 x 2 blocks."""
    n, height, width, channels = images.shape
    return images.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


@functools.cache
def upsampling_matrix(side: int) -> np.ndarray:
    """float32[2 side, side]: linear interpolation to twice the points, first and last aligned."""
    if side == 1:
        return np.ones((2, 1), np.float32)
    position = np.arange(2 * side) * (side - 1) / (2 * side - 1)
    distance = np.abs(position[:, None] - np.arange(side)[None, :])
    return np.maximum(0.0, 1.0 - distance).astype(np.float32)


def upsample(images: Float[Array, "n H W C"]) -> Float[Array, "n H2 W2 C"]:
    """Bilinear, twice the side, corners aligned (PyTorch's align_corners=True)."""
    rows, columns = (jnp.asarray(upsampling_matrix(side)) for side in images.shape[1:3])
    return jnp.einsum("ih,jw,nhwc->nijc", rows, columns, images)


class Down(nn.Module):
    """Max-pool 2 -> residual DoubleConv(i, i) -> DoubleConv(i, o) -> + Linear(SiLU(embedding)) everywhere."""

    features: int
    form: str = "auto"

    @nn.compact
    def __call__(self, images, embedding):
        x = max_pool(images)
        x = DoubleConv(x.shape[-1], residual=True, form=self.form, name="conv1")(x)
        x = DoubleConv(self.features, form=self.form, name="conv2")(x)
        return x + Linear(self.features, name="emb")(jax.nn.silu(embedding))[:, None, None, :]


class Up(nn.Module):
    """Upsample 2 -> [skip, x] -> residual DoubleConv(i, i) -> DoubleConv(i, o, mid = i/2) -> + embedding.

    The embedding enters as Linear(SiLU(embedding)), the same on every pixel. Returns the output and the
    tensor just before the embedding is added.
    """

    features: int
    form: str = "auto"

    @nn.compact
    def __call__(self, images, skip, embedding):
        x = jnp.concatenate([skip, upsample(images)], axis=-1)
        channels = x.shape[-1]
        x = DoubleConv(channels, residual=True, form=self.form, name="conv1")(x)
        x = DoubleConv(self.features, middle=channels // 2, form=self.form, name="conv2")(x)
        added = Linear(self.features, name="emb")(jax.nn.silu(embedding))[:, None, None, :]
        return x + added, x


def positional_encoding(u: Float[Array, " n"], width: int) -> Float[Array, "n width"]:
    """Sines then cosines of u * 10000^(-2 k / width), k = 0 .. width/2 - 1 [2408.13256, Fig. 7]."""
    frequency = np.float32(10_000.0) ** (-np.arange(0, width, 2, dtype=np.float32) / width)
    phase = u[:, None] * jnp.asarray(frequency)[None, :]
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
