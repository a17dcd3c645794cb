"""Encodings of the diffusion step and of labels, the network's conditioning [2402.03305 B.1; 2408.13256 Fig. 7]."""

import math
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from diffgeo.settings import Factor
from diffgeo.settings.allowed import code_width


def codes(
    t: Float[Array, " n"],
    labels: Float[Array, "n K"],
    embedding: int,
    encoding: str,
    size: int,
    factors: Sequence[Factor] = (),
) -> list[Float[Array, "n width"]]:
    """Return the code of the diffusion step, then those of the label: PE(t), PE(x), PE(y) of the papers.

    Args:
      t: diffusion steps.
      labels: K factors; of the papers (x, y) in pixels of the frame.
      embedding: width of all codes together, see `allowed.code_width`.
      encoding: one of `allowed.ENCODINGS`. "sinusoid" and "sinusoid_literal" encode t as they do labels; the others
        are of labels alone, and t keeps its sinusoid. "joint_one_hot" is one code of K widths.
      size: N, the period of "periodic" for the papers' labels.
      factors: of a user's data set, K of them; () for the papers'. "periodic" has the period of each, and encodes those
        without one by their sinusoid.
    """
    width = code_width(embedding, labels.shape[1])
    values = [labels[:, k] for k in range(labels.shape[1])]
    if encoding == "sinusoid_literal":
        return [sinusoid_literal(u, width) for u in (t, *values)]
    step = sinusoid(t, width)
    if encoding == "joint_one_hot":
        return [step, joint_one_hot(values, len(values) * width)]
    if encoding == "one_hot":
        return [step, *(one_hot(u, width) for u in values)]
    if encoding == "periodic":
        each = zip(values, factors or [Factor("pixel", 0, size, period=size)] * len(values), strict=True)
        return [step, *(periodic(u, width, f.period, f.tolerance) if f.period else sinusoid(u, width) for u, f in each)]
    return [step, *(sinusoid(u, width) for u in values)]


def sinusoid(u: Float[Array, " n"], width: int) -> Float[Array, "n width"]:
    """Return sines, then cosines, of u * 10000^(-2 k / width), k = 0 .. width/2 - 1: a sine and its cosine share k."""
    frequency = np.float32(10_000.0) ** (-np.arange(0, width, 2, dtype=np.float32) / width)
    phase = u[:, None] * jnp.asarray(frequency)[None, :]
    return jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)


def sinusoid_literal(u: Float[Array, " n"], width: int) -> Float[Array, "n width"]:
    r"""Return the encoding as 2408.13256, Fig. 7 writes it: no sine has a cosine of its own frequency.

    .. math:: PE(2 i) = \sin(u / 10000^{2 i / d}), \quad PE(2 i + 1) = \cos(u / 10000^{(2 i + 1) / d})

    with d = `width`, sines and cosines interleaved.
    """
    frequency = np.float32(10_000.0) ** (-np.arange(width, dtype=np.float32) / width)
    phase = u[:, None] * jnp.asarray(frequency)[None, :]
    return jnp.where(np.arange(width)[None, :] % 2 == 0, jnp.sin(phase), jnp.cos(phase))


def one_hot(u: Float[Array, " n"], width: int) -> Float[Array, "n width"]:
    """Return unit vector number u, for u = 0 .. width - 1; a fractional u is interpolated between its two neighbors."""
    return jnp.maximum(0.0, 1.0 - jnp.abs(u[:, None] - jnp.arange(width, dtype=jnp.float32)[None, :]))


def joint_one_hot(factors: Sequence[Float[Array, " n"]], width: int) -> Float[Array, "n width"]:
    """Return unit vector number x * c + y of K = 2 factors 0 .. c - 1, c = floor(width^(1/K)): a code without factors.

    A fractional label is interpolated multilinearly between its neighbors; what is left of the width is zero.
    """
    cells = math.floor(width ** (1 / len(factors)) + 1e-9)
    joint = one_hot(factors[0], cells)
    for u in factors[1:]:
        joint = (joint[:, :, None] * one_hot(u, cells)[:, None, :]).reshape(len(u), -1)
    return jnp.pad(joint, ((0, 0), (0, width - joint.shape[1])))


def periodic(u: Float[Array, " n"], width: int, period: float, tolerance: float = 1.0) -> Float[Array, "n width"]:
    """Return sines, then cosines, of 2 pi k u / P, k = 1 .. min(width, P / tolerance) / 2; the rest of width is zero.

    Labels 0 and P have one code. No wave is shorter than two tolerances, two pixels of the papers' labels: shorter ones
    would tell labels within a tolerance apart as if they had nothing in common. There is one wave at least.
    """
    waves = max(1, min(width, int(period / tolerance + 1e-9)) // 2)
    phase = u[:, None] * jnp.asarray(2 * np.pi * np.arange(1, waves + 1) / period, jnp.float32)[None, :]
    code = jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
    return jnp.pad(code, ((0, 0), (0, width - 2 * waves)))
