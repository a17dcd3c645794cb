"""3 x 3 convolution by Winograd's minimal filtering, F(2 x 2, 3 x 3) [Lavin and Gray 2015, arXiv 1509.09308, s. 4].

A tile of 2 x 2 outputs is A' ((G k G') * (B' d B)) A, d the 4 x 4 inputs it sees: 16 multiplications in place of 36.
Over channels these are 16 matrix products over all tiles. B', G and A' take sums and differences along rows, then
columns. In float32 the result is as exact as that of the plain sum; bfloat16 would lose digits in the differences.
"""

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


def _of_images(images):
    """B' d B of all tiles: [16, tiles, C] from [n, H, W, C] of even sides."""
    _, height, width, channels = images.shape
    padded = jnp.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows = _inputs(*(padded[:, i : i + height : 2] for i in range(4)))
    parts = (part for row in rows for part in _inputs(*(row[:, :, j : j + width : 2] for j in range(4))))
    return jnp.stack([part.reshape(-1, channels) for part in parts])


def _overlapped(parts, axis: int):
    """Sums of tiles' 4 parts along an axis, where each tile covers 2 places and one on either side."""

    def moved(part, by: int):
        pad = [(0, 0)] * part.ndim
        pad[axis] = (max(by, 0), max(-by, 0))
        start = max(-by, 0)
        return jax.lax.slice_in_dim(jnp.pad(part, pad), start, start + part.shape[axis], axis=axis)

    both = jnp.stack([parts[1] + moved(parts[3], 1), parts[2] + moved(parts[0], -1)], axis=axis + 1)
    return both.reshape(*both.shape[:axis], -1, *both.shape[axis + 2 :])


def _to_images(tiles, shape: tuple[int, ...]):
    """The transpose of `_of_images`: [n, H, W, C] of that shape."""
    n, height, width, channels = shape
    tiles = tiles.reshape(4, 4, n, height // 2, width // 2, channels)
    rows = _overlapped(_inputs_transposed(*tiles), axis=2)  # [4, n, H, W/2, C]
    return _overlapped(_inputs_transposed(*rows), axis=2)


def _of_kernel(kernel):
    """G k G': [16, C, O] from [3, 3, C, O]."""
    return jnp.stack([part for row in _weights(*kernel) for part in _weights(*row)])


def _to_kernel(parts):
    """The transpose of `_of_kernel`."""
    rows = _weights_transposed(*parts.reshape(4, 4, *parts.shape[1:]))  # three of [4, C, O]
    return jnp.stack([jnp.stack(_weights_transposed(*row)) for row in rows])


def _to_outputs(products, shape: tuple[int, ...]):
    """A' m A of all tiles: [n, H, W, O] of that shape from [16, tiles, O]."""
    n, height, width, features = shape
    rows = _outputs(*products.reshape(4, 4, n, height // 2, width // 2, features))
    tiles = jnp.stack([jnp.stack(_outputs(*row), axis=3) for row in rows], axis=2)
    return tiles.reshape(shape)


def _of_outputs(outputs):
    """The transpose of `_to_outputs`: [16, tiles, O]."""
    n, height, width, features = outputs.shape
    tiles = outputs.reshape(n, height // 2, 2, width // 2, 2, features)
    rows = _outputs_transposed(tiles[:, :, 0], tiles[:, :, 1])
    parts = (part for row in rows for part in _outputs_transposed(row[:, :, :, 0], row[:, :, :, 1]))
    return jnp.stack([part.reshape(-1, features) for part in parts])


def _even(images):
    """Zeros below and to the right of odd sides."""
    return jnp.pad(images, ((0, 0), (0, images.shape[1] % 2), (0, images.shape[2] % 2), (0, 0)))


# barriers: what is read by many sums, or goes into a matrix product, is to be computed once and not for each of them
_once = jax.lax.optimization_barrier


def convolve(images: Float[Array, "n H W C"], kernel: Float[Array, "3 3 C O"]) -> Float[Array, "n H W O"]:
    """3 x 3 convolution, zero padding 1, stride 1; see `diffgeo.kernels.conv3x3`."""
    _, height, width, _ = images.shape
    images = _even(_once(images))
    products = jnp.einsum("ptc,pco->pto", _once(_of_images(images)), _once(_of_kernel(kernel)))
    return _to_outputs(_once(products), (*images.shape[:3], kernel.shape[3]))[:, :height, :width]


def gradients(
    images: Float[Array, "n H W C"], kernel: Float[Array, "3 3 C O"], cotangent: Float[Array, "n H W O"]
) -> tuple[Float[Array, "n H W C"], Float[Array, "3 3 C O"]]:
    """Gradients of the images and of the kernel from that of the outputs: `convolve`'s transposes."""
    _, height, width, _ = images.shape
    images, cotangent = _even(_once(images)), _once(_of_outputs(_even(_once(cotangent))))
    for_kernel = jnp.einsum("ptc,pto->pco", _once(_of_images(images)), cotangent)
    for_images = jnp.einsum("pto,pco->ptc", cotangent, _once(_of_kernel(kernel)))
    return _to_images(_once(for_images), images.shape)[:, :height, :width], _to_kernel(_once(for_kernel))
