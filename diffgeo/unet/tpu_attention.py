"""Attention of one head on a TPU whose scores never leave the chip: two Pallas kernels, forward and backward.

Arrays are [rows, width, tokens], a row being one head of one image: tokens lie along the lanes of the vector unit, so
heads as narrow as 16 channels waste none of them. A row's queries are taken some at a time; their scores
[tokens, queries] live in VMEM, and HBM sees only the arguments and the results.
"""

import functools

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

SCORES = 2304 * 256  # at a time, keys x queries: a row's float32 temporaries of this size fit 16 MiB of VMEM
QUERIES = 256  # at a time, at most
LANES = 128  # of the vector unit

Rows = Float[Array, "rows width tokens"]


def serves(tokens: int) -> bool:
    """Whether the kernels take so many tokens: a vector at least, whole tiles, scores and gradients in VMEM.

    16 is the height of a bfloat16 tile. Images of side 24 have 576 and 144 tokens, of 48 2,304 and 576; with 4,096 of
    side 64 the queries are taken half as many at a time, and 6,400 of side 80 are too many.
    """
    return tokens % 16 == 0 and LANES <= tokens <= 4096


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def attend(query: Rows, key: Rows, value: Rows, interpret: bool = False) -> Rows:
    """softmax(q k^T) v of each row.

    Args:
      query, key, value: of one type, float32 or bfloat16; the query already divided by sqrt(width).
      interpret: run as plain JAX operations, on any backend.
    """
    return _forward(query, key, value, interpret)[0]


def _forward(query, key, value, interpret):
    rows, _, tokens = query.shape
    log_total = jax.ShapeDtypeStruct((rows, 1, tokens), jnp.float32)  # of each query's sum of exponentials
    outs = [jax.ShapeDtypeStruct(value.shape, value.dtype), log_total]
    mixed, log_total = _over_rows(_forward_row, (query, key, value), outs, 2, interpret)
    return mixed, (query, key, value, mixed, log_total)


def _backward(interpret, saved, cotangent):
    outs = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in saved[:3]]
    return tuple(_over_rows(_backward_row, (*saved, cotangent), outs, 5, interpret))


attend.defvjp(_forward, _backward)


def _over_rows(kernel, arrays, outs, products: int, interpret: bool):
    """The kernel for every row; `products` matrix products of tokens x tokens x width are what it costs."""
    rows, width, tokens = arrays[0].shape

    def block(x):
        return pl.BlockSpec((None, *x.shape[1:]), lambda row: (row, 0, 0))

    return pl.pallas_call(
        kernel,
        grid=(rows,),
        in_specs=[block(x) for x in arrays],
        out_specs=[block(x) for x in outs],
        out_shape=outs,
        cost_estimate=pl.CostEstimate(
            flops=2 * products * rows * tokens**2 * width,
            transcendentals=rows * tokens**2,
            bytes_accessed=sum(x.size * x.dtype.itemsize for x in (*arrays, *outs)),
        ),
        interpret=interpret,
    )(*arrays)


def _spans(tokens: int):
    """Slices of the queries, as many whole vectors at a time as `SCORES` allows; the last may be shorter."""
    at_once = min(QUERIES, SCORES // tokens // LANES * LANES)
    return [slice(start, min(start + at_once, tokens)) for start in range(0, tokens, at_once)]


def _product(one, other, over: tuple[int, int]):
    """Matrix product over one axis of each, in float32."""
    return jax.lax.dot_general(one, other, (((over[0],), (over[1],)), ((), ())), preferred_element_type=jnp.float32)


def _forward_row(query, key, value, mixed, log_total):
    keys, values = key[...], value[...]
    for span in _spans(query.shape[1]):
        scores = _product(keys, query[:, span], (0, 0))  # [keys, queries]
        largest = jnp.max(scores, axis=0, keepdims=True)
        weights = jnp.exp(scores - largest)
        total = jnp.sum(weights, axis=0, keepdims=True)
        mixed[:, span] = (_product(values, weights.astype(values.dtype), (1, 0)) / total).astype(mixed.dtype)
        log_total[:, span] = largest + jnp.log(total)


def _backward_row(query, key, value, mixed, log_total, cotangent, for_query, for_key, for_value):
    keys, values = key[...], value[...]
    key_sum = jnp.zeros(keys.shape, jnp.float32)
    value_sum = jnp.zeros(values.shape, jnp.float32)
    for span in _spans(query.shape[1]):
        queries, given = query[:, span], cotangent[:, span]
        weights = jnp.exp(_product(keys, queries, (0, 0)) - log_total[:, span])
        # the sum over keys of weight x its gradient
        mean = jnp.sum(given.astype(jnp.float32) * mixed[:, span].astype(jnp.float32), axis=0, keepdims=True)
        for_scores = (weights * (_product(values, given, (0, 0)) - mean)).astype(keys.dtype)
        for_query[:, span] = _product(keys, for_scores, (1, 0)).astype(for_query.dtype)
        key_sum += _product(queries, for_scores, (1, 1))
        value_sum += _product(given, weights.astype(given.dtype), (1, 1))
    for_key[...] = key_sum.astype(for_key.dtype)
    for_value[...] = value_sum.astype(for_value.dtype)
