"""The TPU's attention, its kernels run as plain operations, against the formula; and what it is lowered to."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.host.platform import compiling_for
from diffgeo.unet import attention, tpu_attention

INTERPRETED = functools.partial(tpu_attention.attend, interpret=True)


def draw(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def plain(query, key, value, heads):
    n, tokens, channels = query.shape
    query, key, value = (x.reshape(n, tokens, heads, -1) for x in (query, key, value))
    scores = jnp.einsum("nqhc,nkhc->nhqk", query, key) / math.sqrt(channels // heads)
    return jnp.einsum("nhqk,nkhc->nqhc", jax.nn.softmax(scores, axis=-1), value).reshape(n, tokens, channels)


@pytest.mark.parametrize(("dtype", "error"), [("float32", 3e-6), ("bfloat16", 0.02)])
@pytest.mark.parametrize(("tokens", "heads"), [(128, 4), (384, 1), (144, 2)])  # under, over `QUERIES`; no whole vector
def test_attention_of_a_tpu(monkeypatch, tokens, heads, dtype, error):
    """Values and gradients, relative to the largest."""
    monkeypatch.setattr(tpu_attention, "attend", INTERPRETED)
    arrays = [draw(seed, 2, tokens, 8) for seed in (1, 2, 3)]
    cotangent = draw(4, 2, tokens, 8)
    with compiling_for("tpu"):
        out, pullback = jax.vjp(lambda *x: attention.attention(*x, heads), *(x.astype(dtype) for x in arrays))
        found = [out, *pullback(cotangent.astype(dtype))]
    assert {x.dtype for x in found} == {jnp.dtype(dtype)}
    exact, exact_pullback = jax.vjp(lambda *x: plain(*x, heads), *arrays)
    for ours, expected in zip(found, [exact, *exact_pullback(cotangent)], strict=True):
        np.testing.assert_allclose(ours.astype(jnp.float32), expected, atol=error * float(jnp.abs(expected).max()))


def test_large_scores_do_not_overflow():
    query = key = jnp.zeros((1, 8, 128)).at[0, 0].set(jnp.linspace(-100.0, 100.0, 128))
    value = draw(5, 1, 8, 128)
    mixed = INTERPRETED(query, key, value)
    np.testing.assert_allclose(mixed[:, :, -1], value[:, :, -1], atol=1e-5)
    np.testing.assert_allclose(mixed[:, :, 0], value[:, :, 0], atol=1e-5)


def test_members_keep_to_themselves():
    """Mapped over members, as on a device: one more dimension of the kernel's grid."""
    query, key, value = (draw(seed, 3, 2, 8, 128) for seed in (6, 7, 8))
    together = jax.vmap(INTERPRETED)(query, key, value)
    alone = jnp.stack([INTERPRETED(*one) for one in zip(query, key, value, strict=True)])
    np.testing.assert_allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize(
    ("tokens", "serves"),
    [(1024, True), (256, True), (576, True), (2304, True), (4096, True), (64, False), (200, False), (6400, False)],
)
def test_tokens_served(tokens, serves):
    assert tpu_attention.supports(tokens) == serves


@pytest.mark.parametrize("tokens", [144, 576, 1024, 2304, 3136, 4096])
def test_queries_are_taken_once_and_their_scores_fit(tokens):
    spans = tpu_attention._chunks(tokens)
    assert [i for span in spans for i in range(tokens)[span]] == list(range(tokens))
    assert max(span.stop - span.start for span in spans) * tokens <= tpu_attention.SCORES
    assert all(span.start % tpu_attention.LANES == 0 for span in spans)


def lowered(tokens: int, platform: str) -> str:
    """Attention and its gradient for a platform that is not here."""

    def loss(*x):
        return jnp.sum(attention.attention(*x, 4))

    x = jax.ShapeDtypeStruct((2, tokens, 64), jnp.float32)
    with compiling_for(platform):
        return jax.jit(jax.grad(loss, (0, 1, 2))).trace(x, x, x).lower(lowering_platforms=(platform,)).as_text()


def test_scores_are_no_array_of_a_tpus_program():
    text = lowered(1024, "tpu")
    assert text.count("tpu_custom_call") == 2
    assert "1024x1024" not in text
    assert "tpu_custom_call" not in lowered(64, "tpu")
    assert "64x64" in lowered(64, "tpu")
    assert "custom_call" not in lowered(128, "cpu")
