"""Blocks against brute force: loops, numpy in float64, other libraries' interpolation."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special

from diffgeo import layers

FORMS = {"lax": layers._conv_lax, "matrix": layers._conv_matrix}


def draw(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def correlate(images, kernel):
    """3 x 3 cross-correlation of zero-padded images, tap by tap, float64."""
    n, height, width, _ = images.shape
    out = np.zeros((n, height, width, kernel.shape[3]))
    for r in range(height):
        for c in range(width):
            for i in range(3):
                for j in range(3):
                    row, column = r + i - 1, c + j - 1
                    if 0 <= row < height and 0 <= column < width:
                        out[:, r, c] += images[:, row, column].astype(float) @ kernel[i, j]
    return out


def correlate_gradients(images, kernel, cotangent):
    """Gradients of sum(cotangent * correlate(images, kernel)), tap by tap, float64."""
    _, height, width, _ = images.shape
    for_images, for_kernel = np.zeros(images.shape), np.zeros(kernel.shape)
    for r in range(height):
        for c in range(width):
            for i in range(3):
                for j in range(3):
                    row, column = r + i - 1, c + j - 1
                    if 0 <= row < height and 0 <= column < width:
                        g = cotangent[:, r, c].astype(float)
                        for_images[:, row, column] += g @ kernel[i, j].T
                        for_kernel[i, j] += images[:, row, column].T @ g
    return for_images, for_kernel


@pytest.mark.parametrize("form", ["auto", "lax", "matrix", "_lax", "_matrix"])  # _: without the short cut at side 1
@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (4, 4), (8, 8), (1, 3), (4, 2)])
def test_conv3x3(form, sides):
    images, kernel, cotangent = draw(0, 2, *sides, 3), draw(1, 3, 3, 3, 5), draw(2, 2, *sides, 5)

    def convolve(images, kernel):
        return FORMS[form[1:]](images, kernel) if form[0] == "_" else layers.conv3x3(images, kernel, form)

    out, pullback = jax.vjp(convolve, jnp.asarray(images), jnp.asarray(kernel))
    np.testing.assert_allclose(out, correlate(images, kernel), atol=1e-5)
    for ours, expected in zip(
        pullback(jnp.asarray(cotangent)), correlate_gradients(images, kernel, cotangent), strict=True
    ):
        np.testing.assert_allclose(ours, expected, atol=3e-5)


@pytest.mark.parametrize("side", [1, 2, 4, 8])
def test_conv3x3_forms_agree_over_members(side):
    """Values and gradients of both forms, mapped over members with a kernel each."""
    images, kernel = jnp.asarray(draw(3, 2, 4, side, side, 6)), jnp.asarray(draw(4, 2, 3, 3, 6, 4))

    def values_and_gradients(form):
        def loss(images, kernel):
            return jnp.sum(jnp.sin(form(images, kernel)))

        return jax.vmap(form)(images, kernel), jax.vmap(jax.grad(loss, argnums=(0, 1)))(images, kernel)

    jax.tree.map(
        lambda one, other: np.testing.assert_allclose(one, other, atol=5e-5),
        *map(values_and_gradients, FORMS.values()),
    )


@pytest.mark.parametrize(
    ("backend", "side", "form"),
    [("cpu", 2, "matrix"), ("cpu", 4, "matrix"), ("cpu", 8, "lax"), ("gpu", 4, "lax"), ("tpu", 2, "lax")],
)
def test_auto_form(monkeypatch, backend, side, form):
    """The matrix form only where XLA's convolution is slow: small sides on CPU."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    for name in FORMS:
        monkeypatch.setattr(layers, f"_conv_{name}", lambda images, kernel, name=name: images + float(name == form))
    images = jnp.zeros((1, side, side, 2))
    np.testing.assert_array_equal(layers.conv3x3(images, jnp.zeros((3, 3, 2, 2))), np.ones(images.shape))


def test_conv3x3_refuses_unknown_forms():
    with pytest.raises(KeyError, match="fft"):
        layers.conv3x3(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 2)), "fft")


@pytest.mark.parametrize("tokens", [1, 2, 7])
@pytest.mark.parametrize("heads", [1, 4])
def test_attention(tokens, heads):
    query, key, value = (draw(seed, 2, tokens, 8) for seed in (5, 6, 7))
    width = 8 // heads
    expected = np.zeros(query.shape)
    for n in range(2):
        for h in range(heads):
            channels = slice(h * width, (h + 1) * width)
            for i in range(tokens):
                scores = [query[n, i, channels].astype(float) @ key[n, j, channels] for j in range(tokens)]
                weights = np.exp(np.array(scores) / math.sqrt(width))
                expected[n, i, channels] = weights @ value[n, :, channels] / weights.sum()
    np.testing.assert_allclose(layers.attention(*map(jnp.asarray, (query, key, value)), heads), expected, atol=1e-5)


def test_attention_survives_large_scores():
    """The softmax must not overflow: the largest score takes all."""
    query = key = jnp.asarray(np.eye(4, dtype=np.float32)[None] * 1e4)
    value = jnp.asarray(draw(8, 1, 4, 4))
    np.testing.assert_allclose(layers.attention(query, key, value, 1), value, atol=1e-5)


def test_group_norm():
    images, scale, bias = draw(9, 3, 4, 2, 6) + 300, draw(10, 6), draw(11, 6)  # there E[x^2] - E[x]^2 fails
    module = layers.group_norm("norm")
    ours = module.apply({"params": {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)}}, jnp.asarray(images))
    x = images.astype(float)
    axes = (1, 2, 3)
    x = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours, x * scale + bias, atol=2e-4)


def test_group_norm_of_nearly_constant_images():
    """There eps decides: variance 1e-6 beside 1e-5."""
    images = draw(12, 2, 4, 4, 3) * 1e-3
    ones, zeros = jnp.ones(3), jnp.zeros(3)
    ours = layers.group_norm("norm").apply({"params": {"scale": ones, "bias": zeros}}, jnp.asarray(images))
    x = images.astype(float)
    axes = (1, 2, 3)
    expected = (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    np.testing.assert_allclose(ours, expected, atol=1e-5)


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


def test_gelu_is_the_exact_one():
    x = np.linspace(-4, 4, 81)
    expected = x * (1 + scipy.special.erf(x / math.sqrt(2))) / 2
    np.testing.assert_allclose(layers.gelu(jnp.asarray(x, jnp.float32)), expected, atol=1e-6)


@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (4, 4), (3, 5)])
def test_upsample(sides):
    images = draw(14, 2, *sides, 3)
    expected = images.astype(float)
    for axis, side in zip((1, 2), sides, strict=True):  # 2 side points from the first pixel to the last
        points = np.linspace(0, side - 1, 2 * side)
        expected = np.apply_along_axis(lambda line, p=points: np.interp(p, np.arange(len(line)), line), axis, expected)
    assert expected.shape == (2, 2 * sides[0], 2 * sides[1], 3)
    np.testing.assert_allclose(layers.upsample(jnp.asarray(images)), expected, atol=1e-5)


def test_max_pool():
    images = draw(15, 2, 4, 6, 3)
    ours = layers.max_pool(jnp.asarray(images))
    assert ours.shape == (2, 2, 3, 3)
    for n, r, c, channel in np.ndindex(*ours.shape):
        assert ours[n, r, c, channel] == images[n, 2 * r : 2 * r + 2, 2 * c : 2 * c + 2, channel].max()


def test_positional_encoding():
    u, width = np.array([0.0, 0.3, 17.9, 1000.0], np.float32), 6
    ours = layers.positional_encoding(jnp.asarray(u), width)
    k = np.arange(width // 2)
    phase = u[:, None].astype(float) * 10_000.0 ** (-2 * k / width)
    np.testing.assert_allclose(ours, np.concatenate([np.sin(phase), np.cos(phase)], axis=1), atol=1e-4)


def test_uniform_fan_in():
    weights = np.asarray(layers.uniform_fan_in(jax.random.key(0), (100, 100), fan_in=25))
    assert np.abs(weights).max() <= 0.2
    np.testing.assert_allclose([weights.min(), weights.max(), weights.mean()], [-0.2, 0.2, 0.0], atol=0.01)
    np.testing.assert_allclose(weights.std(), 0.2 / math.sqrt(3), rtol=0.03)
