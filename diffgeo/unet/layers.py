"""Blocks of the UNet: convolutions, norms, attention, Down and Up [2402.03305 Fig. 6; 2408.13256 Fig. 7].

Every block equals its usual PyTorch form numerically (see `diffgeo.unet.torch_weights`): exact GELU, norms with
eps 1e-5, bilinear upsampling with aligned corners, initial weights uniform in +-1/sqrt(fan_in). Activations are
[n, H, W, C]. Parameters are float32; a block computes in the dtype of its input and returns that dtype.
"""

import functools
import math
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from diffgeo.unet.attention import attention
from diffgeo.unet.conv import conv3x3
from diffgeo.unet.norm import gelu, layer_norm


def uniform_fan_in(key: Key[Array, ""], shape: tuple[int, ...], dtype: Any = jnp.float32, *, fan_in: int) -> Array:
    """Draw PyTorch's default initial weights: uniform in +-1/sqrt(fan_in)."""
    bound = 1.0 / math.sqrt(fan_in)
    return jax.random.uniform(key, shape, dtype, -bound, bound)


class Conv3x3(nn.Module):
    """`conv3x3` with a learned kernel [3, 3, C, features]."""

    features: int
    impl: str = "auto"

    @nn.compact
    def __call__(self, x: Float[Array, "n H W C"]) -> Float[Array, "n H W O"]:
        channels = x.shape[-1]
        init = functools.partial(uniform_fan_in, fan_in=9 * channels)
        kernel = self.param("kernel", init, (3, 3, channels, self.features))
        return conv3x3(x, kernel.astype(x.dtype), self.impl)


class Linear(nn.Module):
    """Affine map of the last axis with PyTorch's initial weights."""

    features: int

    @nn.compact
    def __call__(self, x: Float[Array, "*rows C"]) -> Float[Array, "*rows O"]:
        init = functools.partial(uniform_fan_in, fan_in=x.shape[-1])
        return nn.Dense(self.features, kernel_init=init, bias_init=init, dtype=x.dtype, name="dense")(x)


class Norm(nn.Module):
    """`layer_norm` with learned scale and bias: over each image (GroupNorm of one group) or each pixel (LayerNorm)."""

    over: str

    @nn.compact
    def __call__(self, x: Float[Array, "n *pixels C"]) -> Float[Array, "n *pixels C"]:
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones_init(), (channels,))
        bias = self.param("bias", nn.initializers.zeros_init(), (channels,))
        rows = {"image": x.shape[0], "pixel": math.prod(x.shape[:-1])}[self.over]
        return layer_norm(x.reshape(rows, -1, channels), scale, bias).reshape(x.shape)


class DoubleConv(nn.Module):
    """f(x) = conv -> norm -> GELU -> conv -> norm; with `residual`, GELU(x + f(x))."""

    features: int
    middle: int | None = None
    residual: bool = False
    impl: str = "auto"

    @nn.compact
    def __call__(self, x: Float[Array, "n H W C"]) -> Float[Array, "n H W O"]:
        y = Conv3x3(self.middle or self.features, self.impl, name="conv1")(x)
        y = gelu(Norm("image", name="norm1")(y))
        y = Conv3x3(self.features, self.impl, name="conv2")(y)
        y = Norm("image", name="norm2")(y)
        return gelu(x + y) if self.residual else y


class SelfAttention(nn.Module):
    """LayerNorm -> multi-head attention -> + input, then LayerNorm -> Linear -> GELU -> Linear -> + input.

    The tokens are the pixels; no positional encoding, no dropout.
    """

    heads: int

    @nn.compact
    def __call__(self, features: Float[Array, "n H W C"]) -> Float[Array, "n H W C"]:
        n, height, width, channels = features.shape
        tokens = features.reshape(n, height * width, channels)
        x = Norm("pixel", name="ln")(tokens)
        # PyTorch's MultiheadAttention: Xavier-uniform input projection over its (3 C, C) shape, zero biases
        xavier = nn.initializers.xavier_uniform()
        x = nn.Dense(3 * channels, kernel_init=xavier, dtype=x.dtype, name="in_proj")(x)
        query, key, value = jnp.split(x, 3, axis=-1)
        init = functools.partial(uniform_fan_in, fan_in=channels)
        attended = attention(query, key, value, self.heads)
        tokens = tokens + nn.Dense(channels, kernel_init=init, dtype=x.dtype, name="out_proj")(attended)
        x = Norm("pixel", name="ff_ln")(tokens)
        x = Linear(channels, name="ff1")(x)
        tokens = tokens + Linear(channels, name="ff2")(gelu(x))
        return tokens.reshape(n, height, width, channels)


def max_pool(x: Float[Array, "n H W C"]) -> Float[Array, "n h w C"]:
    """Return the maximum over 2 x 2 blocks, h = H / 2 rounded up: an odd side ends in half a block (ceil_mode)."""
    n, height, width, channels = x.shape
    if height % 2 or width % 2:
        x = jnp.pad(x, ((0, 0), (0, height % 2), (0, width % 2), (0, 0)), constant_values=-jnp.inf)
        n, height, width, channels = x.shape
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max(axis=(2, 4))


@functools.cache
def upsampling_matrix(target: int, side: int) -> np.ndarray:
    """Return float32[target, side]: linear interpolation of `side` points to at least as many, both ends aligned."""
    if side == 1:
        return np.ones((target, 1), np.float32)
    position = np.arange(target) * (side - 1) / (target - 1)
    distance = np.abs(position[:, None] - np.arange(side)[None, :])
    return np.maximum(0.0, 1.0 - distance).astype(np.float32)


def upsample(x: Float[Array, "n H W C"], sides: tuple[int, int]) -> Float[Array, "n H2 W2 C"]:
    """Interpolate bilinearly to H2, W2 = `sides`, corners aligned (PyTorch's align_corners=True)."""
    matrices = (upsampling_matrix(*pair) for pair in zip(sides, x.shape[1:3], strict=True))
    rows, columns = (jnp.asarray(matrix).astype(x.dtype) for matrix in matrices)
    return jnp.einsum("ih,jw,nhwc->nijc", rows, columns, x)


def conditioned(x: Float[Array, "n H W C"], conditioning: Float[Array, "n E"], film: bool) -> Float[Array, "n H W C"]:
    """Return x + Linear(SiLU(conditioning)) on every pixel, or x (1 + scale) + shift; within a block's `__call__`."""
    channels = x.shape[-1]
    added = Linear(2 * channels if film else channels, name="emb")(jax.nn.silu(conditioning))[:, None, None, :]
    added = added.astype(x.dtype)
    return x * (1 + added[..., :channels]) + added[..., channels:] if film else x + added


class Down(nn.Module):
    """Max-pool 2 -> residual DoubleConv(i, i) -> DoubleConv(i, o) -> + Linear(SiLU(conditioning)) on every pixel.

    With `film`, the Linear gives a scale and a shift of the features instead.
    """

    features: int
    impl: str = "auto"
    film: bool = False

    @nn.compact
    def __call__(self, x: Float[Array, "n H W C"], conditioning: Float[Array, "n E"]) -> Float[Array, "n h w O"]:
        x = max_pool(x)
        x = DoubleConv(x.shape[-1], residual=True, impl=self.impl, name="conv1")(x)
        x = DoubleConv(self.features, impl=self.impl, name="conv2")(x)
        return conditioned(x, conditioning, self.film)


class Up(nn.Module):
    """Upsample to the skip's sides -> [skip, x] -> residual DoubleConv(i, i) -> DoubleConv(i, o, middle = i / 2).

    Linear(SiLU(conditioning)) is then added on every pixel, or scales and shifts it with `film`. Returns the tensor
    after that and the one before it.
    """

    features: int
    impl: str = "auto"
    film: bool = False

    @nn.compact
    def __call__(
        self, x: Float[Array, "n H W C"], skip: Float[Array, "n H2 W2 C2"], conditioning: Float[Array, "n E"]
    ) -> tuple[Float[Array, "n H2 W2 O"], Float[Array, "n H2 W2 O"]]:
        x = jnp.concatenate([skip, upsample(x, (skip.shape[1], skip.shape[2]))], axis=-1)
        channels = x.shape[-1]
        x = DoubleConv(channels, residual=True, impl=self.impl, name="conv1")(x)
        x = DoubleConv(self.features, middle=channels // 2, impl=self.impl, name="conv2")(x)
        return conditioned(x, conditioning, self.film), x
