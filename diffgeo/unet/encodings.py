"""Encodings of the diffusion step and of labels, the network's conditioning [2402.03305 B.1; 2408.13256 Fig. 7]."""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float


def conditioning(
    t: Float[Array, " n"], centers: Float[Array, "n 2"], width: int, encoding: str, size: int
) -> Float[Array, "n width3"]:
    """Return the code of the diffusion step beside that of the label, PE(t) | PE(x) | PE(y), width3 = 3 * width.

    Args:
      t: diffusion steps.
      centers: labels (x, y) in pixels of the frame.
      width: of each of the three codes, even.
      encoding: one of `allowed.ENCODINGS`. "sinusoid" and "sinusoid_literal" encode t as they do labels; the others
        are of labels alone, and t keeps its sinusoid.
      size: N, the period of "periodic".
    """
    x, y = centers[:, 0], centers[:, 1]
    if encoding == "sinusoid_literal":
        return jnp.concatenate([sinusoid_literal(u, width) for u in (t, x, y)], axis=-1)
    step = sinusoid(t, width)
    if encoding == "joint_one_hot":
        return jnp.concatenate([step, joint_one_hot(x, y, 2 * width)], axis=-1)
    if encoding == "one_hot":
        labels = [one_hot(u, width) for u in (x, y)]
    elif encoding == "periodic":
        labels = [periodic(u, width, size) for u in (x, y)]
    else:
        labels = [sinusoid(u, width) for u in (x, y)]
    return jnp.concatenate([step, *labels], axis=-1)


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


def joint_one_hot(x: Float[Array, " n"], y: Float[Array, " n"], width: int) -> Float[Array, "n width"]:
    """Return unit vector number x * c + y for x, y = 0 .. c - 1, c = floor(sqrt(width)): a code without factors.

    A fractional label is interpolated bilinearly between its four neighbors; what is left of the width is zero.
    """
    cells = math.isqrt(width)
    joint = one_hot(x, cells)[:, :, None] * one_hot(y, cells)[:, None, :]
    return jnp.pad(joint.reshape(-1, cells**2), ((0, 0), (0, width - cells**2)))


def periodic(u: Float[Array, " n"], width: int, size: int) -> Float[Array, "n width"]:
    """Return sines, then cosines, of 2 pi k u / N, k = 1 .. min(width, N) / 2; what is left of the width is zero.

    Labels 0 and N have one code. No wave is shorter than two pixels: shorter ones would tell labels of one pixel apart
    as if they had nothing in common.
    """
    waves = min(width, size) // 2
    phase = u[:, None] * jnp.asarray(2 * np.pi * np.arange(1, waves + 1) / size, jnp.float32)[None, :]
    code = jnp.concatenate([jnp.sin(phase), jnp.cos(phase)], axis=-1)
    return jnp.pad(code, ((0, 0), (0, width - 2 * waves)))
