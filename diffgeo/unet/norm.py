"""Normalization with a hand-written gradient, and the exact GELU."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

NORM_EPS = 1e-5


def gelu(x: Array) -> Array:
    """Return the exact Gaussian error linear unit, x (1 + erf(x / sqrt 2)) / 2.

    `jax.nn.gelu` goes through erfc: two approximations and a selection, all compiled and run.
    """
    wide = x.astype(jnp.float32)
    return (0.5 * wide * (1.0 + jax.lax.erf(wide * math.sqrt(0.5)))).astype(x.dtype)


@jax.custom_vjp
def layer_norm(
    x: Float[Array, "rows pixels C"], scale: Float[Array, " C"], bias: Float[Array, " C"]
) -> Float[Array, "rows pixels C"]:
    """Return (x - mean) / sqrt(variance + eps), both over all pixels and channels of a row, times scale plus bias.

    The gradient is written out, from two sums per row and channel: as derived by JAX, the norms make up a third of a
    training step's operations.
    """
    return _layer_norm_forward(x, scale, bias)[0]


def _layer_norm_forward(x, scale, bias):
    wide = x.astype(jnp.float32)
    mean = jnp.mean(wide, axis=(1, 2), keepdims=True)
    inverse = jax.lax.rsqrt(jnp.mean(jnp.square(wide - mean), axis=(1, 2), keepdims=True) + NORM_EPS)
    out = (wide - mean) * inverse * scale[None, None, :] + bias[None, None, :]
    return out.astype(x.dtype), (x, mean, inverse, scale)


def _layer_norm_backward(saved, cotangent):
    x, mean, inverse, scale = saved
    # without the barrier XLA recomputes it for each of the sums
    cotangent = jax.lax.optimization_barrier(cotangent).astype(jnp.float32)
    standard = (x.astype(jnp.float32) - mean) * inverse
    area = x.shape[1] * x.shape[2]
    plain = jnp.sum(cotangent, axis=1)  # [rows, C]
    along = jnp.sum(cotangent * standard, axis=1)
    offset, slope = (jnp.sum(sums * scale[None, :], axis=1)[:, None, None] / area for sums in (plain, along))
    gradient = inverse * (cotangent * scale[None, None, :] - offset - standard * slope)
    return gradient.astype(x.dtype), jnp.sum(along, axis=0), jnp.sum(plain, axis=0)


layer_norm.defvjp(_layer_norm_forward, _layer_norm_backward)
