"""Normalization with a gradient of its own, and the exact GELU."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NORM_EPS = 1e-5


def gelu(x):
    """The exact Gaussian error linear unit, x (1 + erf(x / sqrt 2)) / 2.

    `jax.nn.gelu` goes through erfc: two approximations and a selection, each to be compiled and run.
    """
    wide = x.astype(jnp.float32)
    return (0.5 * wide * (1.0 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


@jax.custom_vjp
def layer_norm(
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


layer_norm.defvjp(_normalise_forward, _normalise_backward)
