"""Multi-head attention whose scores are recomputed in the backward pass."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from diffgeo.host.platform import platform

SCORES_AT_ONCE = 2**17  # numbers; half a megabyte stays in a core's cache


def attention(
    query: Float[Array, "n tokens C"],
    key: Float[Array, "n tokens C"],
    value: Float[Array, "n tokens C"],
    heads: int,
) -> Float[Array, "n tokens C"]:
    """softmax(q k^T / sqrt(C / heads)) v per head, heads side by side in the last axis.

    The scores are not kept for the gradient but computed again, from the logarithm of each row's sum. On CPU both are
    done for a few images at a time, so that scores stay in cache: at 1,024 tokens twice as fast as the plain formula.
    On TPU they stay on the chip where `tpu_attention` serves so many tokens.
    """
    n, tokens, channels = query.shape
    if tokens == 1:  # softmax of one score is one
        return value
    width = channels // heads
    if platform() == "tpu":
        from diffgeo.unet import tpu_attention  # other platforms do not load its compiler

        if tpu_attention.serves(tokens):
            query, key, value = (x.swapaxes(1, 2).reshape(n * heads, width, tokens) for x in (query, key, value))
            mixed = tpu_attention.attend(query * (1.0 / math.sqrt(width)), key, value)
            return mixed.reshape(n, channels, tokens).swapaxes(1, 2)

    def split(x):  # heads next to the batch, so that one batched matrix product serves all of them
        return x.reshape(n, tokens, heads, width).transpose(0, 2, 1, 3).reshape(n * heads, tokens, width)

    mixed = _attend(split(query) * (1.0 / math.sqrt(width)), split(key), split(value))
    return mixed.reshape(n, heads, tokens, width).transpose(0, 2, 1, 3).reshape(n, tokens, channels)


@jax.custom_vjp
def _attend(query, key, value):
    """softmax(q k^T) v for [rows, tokens, width]."""
    return _attend_forward(query, key, value)[0]


def _attend_forward(query, key, value):
    def some(query, key, value):
        scores = _product("rqc,rkc->rqk", query, key)
        largest = jnp.max(scores, axis=-1, keepdims=True)
        weights = jnp.exp(scores - largest)
        total = jnp.sum(weights, axis=-1, keepdims=True)
        mixed = _product("rqk,rkc->rqc", weights.astype(value.dtype), value) / total
        return mixed.astype(value.dtype), largest + jnp.log(total)

    mixed, log_total = _in_chunks(some, query, key, value)
    return mixed, (query, key, value, mixed, log_total)


def _attend_backward(saved, cotangent):
    query, key, value, mixed, log_total = saved
    # the sum over keys of weight x its gradient
    mean = jnp.sum(cotangent.astype(jnp.float32) * mixed.astype(jnp.float32), axis=-1, keepdims=True)

    def some(query, key, value, log_total, cotangent, mean):
        weights = jnp.exp(_product("rqc,rkc->rqk", query, key) - log_total)
        for_scores = (weights * (_product("rqc,rkc->rqk", cotangent, value) - mean)).astype(key.dtype)
        # [channels, keys] products: as [keys, channels] XLA:CPU takes 8 times as long
        return (
            jnp.einsum("rqk,rkc->rqc", for_scores, key),
            jnp.einsum("rqc,rqk->rck", query, for_scores),
            jnp.einsum("rqc,rqk->rck", cotangent, weights.astype(cotangent.dtype)),
        )

    for_query, for_key, for_value = _in_chunks(some, query, key, value, log_total, cotangent, mean)
    return for_query, for_key.swapaxes(1, 2), for_value.swapaxes(1, 2)


_attend.defvjp(_attend_forward, _attend_backward)


def _product(subscripts, one, other):
    """A batched matrix product with a float32 result."""
    return jnp.einsum(subscripts, one, other, preferred_element_type=jnp.float32)


def _in_chunks(function, *arrays):
    """`function` of arrays [rows, ...], on CPU for some rows at a time."""
    rows, tokens = arrays[0].shape[:2]
    at_once = max(1, SCORES_AT_ONCE // tokens**2)
    if platform() != "cpu" or rows <= at_once:
        return function(*arrays)
    chunks = next(count for count in range(-(-rows // at_once), rows + 1) if rows % count == 0)
    split = tuple(x.reshape(chunks, rows // chunks, *x.shape[1:]) for x in arrays)
    joined = jax.lax.map(lambda some: function(*some), split)
    return jax.tree.map(lambda x: x.reshape(rows, *x.shape[2:]), joined)
