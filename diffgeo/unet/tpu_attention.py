"""Attention on a TPU whose scores never leave the chip: two Pallas kernels, forward and backward.

Arrays are [rows, width, tokens], a row being a head of an image: tokens lie along the lanes of the vector unit, so that
heads as narrow as 16 channels waste none. A row's queries are processed in chunks; their scores [tokens, queries] stay
in VMEM, and only arguments and results pass through HBM.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jaxtyping import Array, Float

SCORES = 2304 * 256  # keys x queries of a chunk: float32 temporaries of this size fit 16 MiB of VMEM
QUERIES = 256  # of a chunk, at most
LANES = 128  # of the vector unit

Rows = Float[Array, "rows width tokens"]


def supports(tokens: int) -> bool:
    """Return whether the kernels support this many tokens: a vector at least, whole tiles, scores that fit VMEM.

    16 is the height of a bfloat16 tile. Images of side 24 have 576 and 144 tokens, of side 48 2,304 and 576; with the
    4,096 of side 64 a chunk has half as many queries, and the 6,400 of side 80 are too many.
    """
    return tokens % 16 == 0 and LANES <= tokens <= 4096


@functools.partial(jax.custom_vjp, nondiff_argnums=(3,))
def attend(query: Rows, key: Rows, value: Rows, interpret: bool = False) -> Rows:
    """Return softmax(q k^T) v of each row.

    Args:
      query, key, value: all float32 or all bfloat16; the query already divided by sqrt(width).
      interpret: run as plain JAX operations, on any backend.
    """
    return _forward(query, key, value, interpret)[0]


def _forward(query: Rows, key: Rows, value: Rows, interpret: bool):
    rows, _, tokens = query.shape
    log_total = jax.ShapeDtypeStruct((rows, 1, tokens), jnp.float32)  # of each query's sum of exponentials
    outs = [jax.ShapeDtypeStruct(value.shape, value.dtype), log_total]
    out, log_total = _over_rows(_forward_row, (query, key, value), outs, 2, interpret)
    return out, (query, key, value, out, log_total)


def _backward(interpret: bool, saved: tuple[Array, ...], cotangent: Rows):
    outs = [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in saved[:3]]
    return tuple(_over_rows(_backward_row, (*saved, cotangent), outs, 5, interpret))


attend.defvjp(_forward, _backward)


def _over_rows(kernel: Callable, arrays, outs, products: int, interpret: bool):
    """Run the kernel for every row; it costs `products` matrix products of tokens x tokens x width."""
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


def _chunks(tokens: int) -> list[slice]:
    """Return slices of the queries, with as many whole vectors as `SCORES` allows; the last may be shorter."""
    length = min(QUERIES, SCORES // tokens // LANES * LANES)
    return [slice(start, min(start + length, tokens)) for start in range(0, tokens, length)]


def _product(a: Array, b: Array, over: tuple[int, int]) -> Array:
    """Multiply matrices over an axis of each, in float32."""
    return jax.lax.dot_general(a, b, (((over[0],), (over[1],)), ((), ())), preferred_element_type=jnp.float32)


def _forward_row(query, key, value, out, log_total):
    keys, values = key[...], value[...]
    for chunk in _chunks(query.shape[1]):
        scores = _product(keys, query[:, chunk], (0, 0))  # [keys, queries]
        largest = jnp.max(scores, axis=0, keepdims=True)
        weights = jnp.exp(scores - largest)
        total = jnp.sum(weights, axis=0, keepdims=True)
        out[:, chunk] = (_product(values, weights.astype(values.dtype), (1, 0)) / total).astype(out.dtype)
        log_total[:, chunk] = largest + jnp.log(total)


def _backward_row(query, key, value, out, log_total, cotangent, grad_query, grad_key, grad_value):
    keys, values = key[...], value[...]
    key_sum = jnp.zeros(keys.shape, jnp.float32)
    value_sum = jnp.zeros(values.shape, jnp.float32)
    for chunk in _chunks(query.shape[1]):
        queries, grad_out = query[:, chunk], cotangent[:, chunk]
        weights = jnp.exp(_product(keys, queries, (0, 0)) - log_total[:, chunk])
        # the sum over keys of weight x its gradient
        mean = jnp.sum(grad_out.astype(jnp.float32) * out[:, chunk].astype(jnp.float32), axis=0, keepdims=True)
        grad_scores = (weights * (_product(values, grad_out, (0, 0)) - mean)).astype(keys.dtype)
        grad_query[:, chunk] = _product(keys, grad_scores, (1, 0)).astype(grad_query.dtype)
        key_sum += _product(queries, grad_scores, (1, 1))
        value_sum += _product(grad_out, weights.astype(grad_out.dtype), (1, 1))
    grad_key[...] = key_sum.astype(grad_key.dtype)
    grad_value[...] = value_sum.astype(grad_value.dtype)
