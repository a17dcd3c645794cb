"""Kernels against brute force in float64, and their own gradients against those that JAX derives from the formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.special
from tests.support.settings import correlate, draw, taps

from diffgeo.unet import attention, conv, norm

FORMS = dict(conv._IMPLS)


def correlate_gradients(images, kernel, cotangent):
    """Gradients of sum(cotangent * correlate(images, kernel)), tap by tap, float64."""
    _, height, width, _ = images.shape
    for_images, for_kernel = np.zeros(images.shape), np.zeros(kernel.shape)
    for (r, c), tap, (row, column) in taps(height, width):
        g = cotangent[:, r, c].astype(float)
        for_images[:, row, column] += g @ kernel[tap].T
        for_kernel[tap] += images[:, row, column].T @ g
    return for_images, for_kernel


@pytest.mark.parametrize("form", ["auto", *FORMS, *(f"_{name}" for name in FORMS)])  # _: no short cut at side 1
@pytest.mark.parametrize("sides", [(1, 1), (2, 2), (4, 4), (8, 8), (1, 3), (4, 2), (5, 6)])
def test_conv3x3(form, sides):
    images, kernel, cotangent = draw(0, 2, *sides, 3), draw(1, 3, 3, 3, 5), draw(2, 2, *sides, 5)

    def convolve(images, kernel):
        return FORMS[form[1:]](images, kernel) if form[0] == "_" else conv.conv3x3(images, kernel, form)

    out, pullback = jax.vjp(jax.jit(convolve), jnp.asarray(images), jnp.asarray(kernel))
    np.testing.assert_allclose(out, correlate(images, kernel), atol=1e-5)
    for ours, expected in zip(
        pullback(jnp.asarray(cotangent)), correlate_gradients(images, kernel, cotangent), strict=True
    ):
        np.testing.assert_allclose(ours, expected, atol=3e-5)


@pytest.mark.parametrize("side", [1, 2, 4, 8])
def test_conv3x3_forms_agree_over_members(side):
    """Values and gradients of all forms, mapped over members with a kernel each."""
    images, kernel = jnp.asarray(draw(3, 2, 4, side, side, 6)), jnp.asarray(draw(4, 2, 3, 3, 6, 4))

    def values_and_gradients(form):
        def loss(images, kernel):
            return jnp.sum(jnp.sin(form(images, kernel)))

        return jax.vmap(form)(images, kernel), jax.vmap(jax.grad(loss, argnums=(0, 1)))(images, kernel)

    first, *others = (jax.jit(values_and_gradients, static_argnums=0)(form) for form in FORMS.values())
    for other in others:
        jax.tree.map(lambda one, two: np.testing.assert_allclose(one, two, atol=5e-5), first, other)


@pytest.mark.parametrize(
    ("backend", "side", "channels", "dtype", "form"),
    [
        ("cpu", 2, 2, "float32", "dense"),
        ("cpu", 4, 2, "float32", "matrix"),
        ("cpu", 8, 2, "float32", "lax"),
        ("cpu", 2, 64, "float32", "dense"),
        ("cpu", 8, 64, "float32", "fold"),
        ("cpu", 16, 64, "float32", "winograd"),
        ("cpu", 16, 64, "bfloat16", "split"),
        ("gpu", 4, 64, "float32", "lax"),
        ("tpu", 2, 2, "float32", "lax"),
    ],
)
def test_auto_form(monkeypatch, backend, side, channels, dtype, form):
    """XLA's own convolution but on CPU, where small sides and wide kernels have better ones."""
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    for name in FORMS:
        monkeypatch.setitem(conv._IMPLS, name, lambda images, kernel, name=name: images + float(name == form))
    images = jnp.zeros((1, side, side, channels), dtype)
    out = conv.conv3x3(images, jnp.zeros((3, 3, channels, channels), dtype))
    np.testing.assert_array_equal(out, np.ones(images.shape))


def test_winograd_is_as_exact_as_the_plain_sum():
    """Of 64 channels, in float32: its largest error is at most twice that of XLA's convolution."""
    images, kernel, cotangent = draw(0, 1, 8, 8, 64), draw(1, 3, 3, 64, 32), draw(2, 1, 8, 8, 32)
    exact = (correlate(images, kernel), *correlate_gradients(images, kernel, cotangent))

    def errors(form):
        out, pullback = jax.vjp(jax.jit(FORMS[form]), jnp.asarray(images), jnp.asarray(kernel))
        found = out, *pullback(jnp.asarray(cotangent))
        return np.array([np.abs(one - other).max() for one, other in zip(found, exact, strict=True)])

    assert (errors("winograd") < 2 * errors("lax")).all()


def test_conv3x3_refuses_unknown_forms():
    with pytest.raises(KeyError, match="fft"):
        conv.conv3x3(jnp.zeros((1, 4, 4, 2)), jnp.zeros((3, 3, 2, 2)), "fft")


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
    np.testing.assert_allclose(attention.attention(*map(jnp.asarray, (query, key, value)), heads), expected, atol=1e-5)


def test_attention_survives_large_scores():
    """The softmax must not overflow: the largest score takes all."""
    query = key = jnp.asarray(np.eye(4, dtype=np.float32)[None] * 1e4)
    value = jnp.asarray(draw(8, 1, 4, 4))
    np.testing.assert_allclose(attention.attention(query, key, value, 1), value, atol=1e-5)


@pytest.mark.parametrize("at_once", [None, 49, 98])  # scores: all rows, one row, two rows of 7 tokens at a time
@pytest.mark.parametrize("heads", [1, 4])
def test_attention_gradient(monkeypatch, heads, at_once):
    if at_once:
        monkeypatch.setattr(attention, "SCORES_AT_ONCE", at_once)
    arrays = [jnp.asarray(draw(seed, 3, 7, 8)) for seed in (20, 21, 22)]
    cotangent = jnp.asarray(draw(23, 3, 7, 8))

    def plain(query, key, value):
        query, key, value = (x.reshape(3, 7, heads, 8 // heads) for x in (query, key, value))
        scores = jnp.einsum("nqhc,nkhc->nhqk", query, key) / math.sqrt(8 // heads)
        return jnp.einsum("nhqk,nkhc->nqhc", jax.nn.softmax(scores, axis=-1), value).reshape(3, 7, 8)

    out, pullback = jax.vjp(lambda *x: attention.attention(*x, heads), *arrays)
    expected, expected_pullback = jax.vjp(plain, *arrays)
    np.testing.assert_allclose(out, expected, atol=1e-5)
    for ours, derived in zip(pullback(cotangent), expected_pullback(cotangent), strict=True):
        np.testing.assert_allclose(ours, derived, atol=1e-5)


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
