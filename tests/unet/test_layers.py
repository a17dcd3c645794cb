"""Blocks against brute force: loops, numpy in float64, other libraries' interpolation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from diffgeo.unet import layers
from tests.support.settings import correlate, draw


@pytest.mark.parametrize(("over", "axes"), [("image", (1, 2, 3)), ("pixel", (3,))])
def test_norm(over, axes):
    images, scale, bias = draw(9, 3, 4, 2, 6), draw(10, 6), draw(11, 6)
    weights = {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}
    ours = layers.Norm(over).apply({"params": weights}, jnp.asarray(images))
    x = images.astype(float)
    x = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours, x * scale + bias, atol=1e-5)


@pytest.mark.parametrize("residual", [False, True])
def test_double_conv(residual):
    images = draw(13, 2, 4, 4, 6)
    module = layers.DoubleConv(6, middle=4, residual=residual)
    shapes = jax.eval_shape(module.init, jax.random.key(0), jnp.asarray(images))["params"]
    seeds = iter(range(100, 200))
    params = jax.tree.map(lambda leaf: jnp.asarray(draw(next(seeds), *leaf.shape)), shapes)
    assert params["conv1"]["kernel"].shape == (3, 3, 6, 4)

    def norm(x, weights):
        axes = (1, 2, 3)
        x = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
        return x * np.asarray(weights["scale"]) + np.asarray(weights["bias"])

    def gelu(x):
        return x * (1 + scipy.special.erf(x / math.sqrt(2))) / 2

    x = gelu(norm(correlate(images, np.asarray(params["conv1"]["kernel"])), params["norm1"]))
    x = norm(correlate(x, np.asarray(params["conv2"]["kernel"])), params["norm2"])
    expected = gelu(images + x) if residual else x
    np.testing.assert_allclose(module.apply({"params": params}, jnp.asarray(images)), expected, atol=2e-5)


@pytest.mark.parametrize(
    ("sides", "target"), [((1, 1), (2, 2)), ((2, 2), (4, 4)), ((3, 5), (6, 10)), ((2, 7), (3, 13)), ((1, 2), (1, 3))]
)
def test_upsample(sides, target):
    images = draw(14, 2, *sides, 3)
    expected = images.astype(float)
    for axis, side, count in zip((1, 2), sides, target, strict=True):  # points from the first pixel to the last
        points = np.linspace(0, side - 1, count)
        expected = np.apply_along_axis(lambda line, p=points: np.interp(p, np.arange(len(line)), line), axis, expected)
    assert expected.shape == (2, *target, 3)
    np.testing.assert_allclose(layers.upsample(jnp.asarray(images), target), expected, atol=1e-5)


@pytest.mark.parametrize(("height", "width"), [(4, 6), (3, 6), (5, 7), (1, 1)])
def test_max_pool(height, width):
    """Odd sides: the last block is what there is; every block's gradient goes to its maximum."""
    images = draw(15, 2, height, width, 3) - 10.0  # below zero: what is padded must not win
    ours = layers.max_pool(jnp.asarray(images))
    gradient = jax.grad(lambda x: layers.max_pool(x).sum())(jnp.asarray(images))
    assert ours.shape == (2, math.ceil(height / 2), math.ceil(width / 2), 3)
    expected = np.zeros_like(images)
    for n, r, c, channel in np.ndindex(*ours.shape):
        block = images[n, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2, channel]
        assert ours[n, r, c, channel] == block.max()
        expected[n, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2, channel] = block == block.max()
    np.testing.assert_array_equal(gradient, expected)


def test_uniform_fan_in():
    weights = np.asarray(layers.uniform_fan_in(jax.random.key(0), (100, 100), fan_in=25))
    assert np.abs(weights).max() <= 0.2
    np.testing.assert_allclose([weights.min(), weights.max(), weights.mean()], [-0.2, 0.2, 0.0], atol=0.01)
    np.testing.assert_allclose(weights.std(), 0.2 / math.sqrt(3), rtol=0.03)
