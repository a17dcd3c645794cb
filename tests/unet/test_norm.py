"""Layer norm and GELU in float64, and their gradients against those that JAX derives from the formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from diffgeo.unet import norm
from tests.support.settings import draw


@pytest.mark.parametrize("shape", [(3, 8, 6), (5, 1, 4)])  # of images and of pixels
@pytest.mark.parametrize("offset", [0.0, 300.0])  # at 300 E[x^2] - E[x]^2 fails
def test_normalize(shape, offset):
    x, scale, bias = draw(9, *shape) + np.float32(offset), draw(10, shape[2]), draw(11, shape[2])
    cotangent = jnp.asarray(draw(12, *shape))

    def plain(x, scale, bias):
        mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
        return (x - mean) / jnp.sqrt(variance + 1e-5) * scale[None, None] + bias[None, None]

    out, pullback = jax.vjp(norm.layer_norm, *map(jnp.asarray, (x, scale, bias)))
    exact = x.astype(float)
    exact = (exact - exact.mean((1, 2), keepdims=True)) / np.sqrt(exact.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(out, exact * scale + bias, atol=3e-4 if offset else 1e-5)
    derived = jax.vjp(plain, *map(jnp.asarray, (x, scale, bias)))[1](cotangent)
    for ours, expected in zip(pullback(cotangent), derived, strict=True):
        np.testing.assert_allclose(ours, expected, atol=3e-4 if offset else 1e-5)


def test_normalise_nearly_constant_rows():
    """There eps decides: variance 1e-6 beside 1e-5."""
    x = draw(12, 2, 16, 3) * np.float32(1e-3)
    exact = x.astype(float)
    exact = (exact - exact.mean((1, 2), keepdims=True)) / np.sqrt(exact.var((1, 2), keepdims=True) + 1e-5)
    np.testing.assert_allclose(norm.layer_norm(jnp.asarray(x), jnp.ones(3), jnp.zeros(3)), exact, atol=1e-5)


def test_gelu_is_the_exact_one():
    x = np.linspace(-4, 4, 81)
    expected = x * (1 + scipy.special.erf(x / math.sqrt(2))) / 2
    np.testing.assert_allclose(norm.gelu(jnp.asarray(x, jnp.float32)), expected, atol=1e-6)
