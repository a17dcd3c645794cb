"""The 3 x 3 convolution in all its forms against brute force in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.unet import conv
from tests.support.settings import correlate, draw, taps

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
