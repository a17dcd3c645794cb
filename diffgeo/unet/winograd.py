"""3 x 3 convolution by Winograd's minimal filtering, F(2 x 2, 3 x 3) [Lavin and Gray 2015, arXiv 1509.09308, s. 4].

A tile of 2 x 2 outputs is A' ((G k G') * (B' d B)) A, d being its 4 x 4 inputs: 16 multiplications instead of 36. Over
channels these are 16 matrix products over all tiles. B', G and A' take sums and differences along rows, then columns.
In float32 the result is as exact as that of the plain sum; bfloat16 would lose digits in the differences.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def _inputs(d0, d1, d2, d3):  # B'
    return d0 - d2, d1 + d2, d2 - d1, d1 - d3


def _inputs_transposed(v0, v1, v2, v3):
    return v0, v1 - v2 + v3, v1 + v2 - v0, -v3


def _weights(k0, k1, k2):  # G
    return k0, 0.5 * (k0 + k1 + k2), 0.5 * (k0 - k1 + k2), k2


def _weights_transposed(u0, u1, u2, u3):
    return u0 + 0.5 * (u1 + u2), 0.5 * (u1 - u2), 0.5 * (u1 + u2) + u3


def _outputs(m0, m1, m2, m3):  # A'
    return m0 + m1 + m2, m1 - m2 - m3


def _outputs_transposed(y0, y1):
    return y0, y0 + y1, y0 - y1, -y1


def _input_tiles(x: Array) -> Array:
    """Return B' d B of all tiles: [16, tiles, C] from [n, H, W, C] of even sides."""
    _, height, width, channels = x.shape
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = _inputs(*(padded[:, i : i + height : 2] for i in range(4)))
    parts = (part for row in rows for part in _inputs(*(row[:, :, j : j + width : 2] for j in range(4))))
    return jnp.stack([part.reshape(-1, channels) for part in parts])


def _overlap_add(parts: Sequence[Array], axis: int) -> Array:
    """Sum tiles' 4 parts along an axis; a tile covers 2 positions and the neighbor on either side."""

    def shifted(part: Array, by: int) -> Array:
        pad = [(0, 0)] * part.ndim
        pad[axis] = (max(by, 0), max(-by, 0))
        start = max(-by, 0)
        return jax.lax.slice_in_dim(jnp.pad(part, pad), start, start + part.shape[axis], axis=axis)

    both = jnp.stack([parts[1] + shifted(parts[3], 1), parts[2] + shifted(parts[0], -1)], axis=axis + 1)
    return both.reshape(*both.shape[:axis], -1, *both.shape[axis + 2 :])


def _inputs_from_tiles(tiles: Array, shape: tuple[int, ...]) -> Array:
    """Apply the transpose of `_input_tiles`: [n, H, W, C] of that shape."""
    n, height, width, channels = shape
    tiles = tiles.reshape(4, 4, n, height // 2, width // 2, channels)
    rows = _overlap_add(_inputs_transposed(*tiles), axis=2)  # [4, n, H, W/2, C]
    return _overlap_add(_inputs_transposed(*rows), axis=2)


def _kernel_tiles(kernel: Array) -> Array:
    """Return G k G': [16, C, O] from [3, 3, C, O]."""
    return jnp.stack([part for row in _weights(*kernel) for part in _weights(*row)])


def _kernel_from_tiles(parts: Array) -> Array:
    """Apply the transpose of `_kernel_tiles`."""
    rows = _weights_transposed(*parts.reshape(4, 4, *parts.shape[1:]))  # three of [4, C, O]
    return jnp.stack([jnp.stack(_weights_transposed(*row)) for row in rows])


def _outputs_from_tiles(products: Array, shape: tuple[int, ...]) -> Array:
    """Return A' m A of all tiles: [n, H, W, O] of that shape from [16, tiles, O]."""
    n, height, width, features = shape
    rows = _outputs(*products.reshape(4, 4, n, height // 2, width // 2, features))
    tiles = jnp.stack([jnp.stack(_outputs(*row), axis=3) for row in rows], axis=2)
    return tiles.reshape(shape)


def _output_tiles(outputs: Array) -> Array:
    """Apply the transpose of `_outputs_from_tiles`: [16, tiles, O]."""
    n, height, width, features = outputs.shape
    tiles = outputs.reshape(n, height // 2, 2, width // 2, 2, features)
    rows = _outputs_transposed(tiles[:, :, 0], tiles[:, :, 1])
    parts = (part for row in rows for part in _outputs_transposed(row[:, :, :, 0], row[:, :, :, 1]))
    return jnp.stack([part.reshape(-1, features) for part in parts])


def _pad_to_even(x: Array) -> Array:
    """Pad odd sides by zeros below and to the right."""
    return jnp.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))


# a barrier around operands of many sums or of a matrix product: otherwise XLA recomputes them for each use
_once = jax.lax.optimization_barrier


def convolve(x: Float[Array, "n H W C"], kernel: Float[Array, "3 3 C O"]) -> Float[Array, "n H W O"]:
    """Convolve 3 x 3 with zero padding 1, stride 1; see `diffgeo.unet.conv.conv3x3`."""
    _, height, width, _ = x.shape
    x = _pad_to_even(_once(x))
    products = jnp.einsum("ptc,pco->pto", _once(_input_tiles(x)), _once(_kernel_tiles(kernel)))
    return _outputs_from_tiles(_once(products), (*x.shape[:3], kernel.shape[3]))[:, :height, :width]


def gradients(
    x: Float[Array, "n H W C"], kernel: Float[Array, "3 3 C O"], cotangent: Float[Array, "n H W O"]
) -> tuple[Float[Array, "n H W C"], Float[Array, "3 3 C O"]]:
    """Return the gradients of x and of the kernel from that of the outputs: the transposes of `convolve`."""
    _, height, width, _ = x.shape
    x, cotangent = _pad_to_even(_once(x)), _once(_output_tiles(_pad_to_even(_once(cotangent))))
    grad_kernel = jnp.einsum("ptc,pto->pco", _once(_input_tiles(x)), cotangent)
    grad_x = jnp.einsum("pto,pco->ptc", cotangent, _once(_kernel_tiles(kernel)))
    return _inputs_from_tiles(_once(grad_x), x.shape)[:, :height, :width], _kernel_from_tiles(_once(grad_kernel))
