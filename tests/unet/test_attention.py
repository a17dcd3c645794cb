"""Attention against a loop in float64, and its gradient against the one that JAX derives from the formula."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.unet import attention
from tests.support.settings import draw


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
