"""Measures of one member on true images: geometry of every layer over the diffusion step, and the validation loss.

Pure functions of a member's parameters, its seed and a table of labels; `Ensemble.measure` maps them over a grid.
Noise does not depend on the training step: what changes from evaluation to evaluation is the network.
"""

from typing import Any, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from diffgeo import diffusion, unet
from diffgeo.data import batches
from diffgeo.data.label_tables import LabelTable
from diffgeo.settings import Program
from diffgeo.settings.allowed import LAYERS
from diffgeo.training.sampling import in_chunks, label_keys
from diffgeo.training.step import Stored, bind


@runtime_checkable
class MeasureFn(Protocol):
    """Measure of one member."""

    def __call__(self, params: Any, seed: jax.Array, table: LabelTable, stored: Stored = None) -> jax.Array:
        """Return an array whose shape depends on the program alone; `stored` as of `step.StepFn`."""
        ...


def make_layer_geometry(program: Program) -> MeasureFn:
    """Build the geometry of every layer on true images noised to each of `Diffusion.field_timesteps`.

    One forward pass a diffusion step, one step after another: at N = 32 and b = 64 the layers of 1,024 images take
    1.6 GB, and no activation leaves the device.

    Returns:
      A function to float32[layer, timestep, 2], layers in the order of `allowed.LAYERS`, of `cloud_geometry` over all
      labels of the table. The additive share is that of N^2 labels on the unit grid, x slowest; of others it means
      nothing.
    """
    network, schedule = unet.from_program(program), diffusion.from_settings(program.diffusion)

    def geometry(params, seed, table, stored=None):
        count = len(table.centers)
        rows = jnp.arange(count)
        images, centers = batches.render_rows(table, rows, program.size, program.periodic, program.dataset, stored)
        keys = label_keys(seed, "layers", 0, count)

        def at(timestep):
            def chunk(keys, images, centers):
                noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(keys)
                t = jnp.full(len(centers), timestep)
                return unet.activations(network, params, diffusion.q_sample(schedule, images, t, noise), t, centers)

            layers = in_chunks(chunk, keys, images, centers)
            clouds = (layers[name].reshape(count, -1) for name in LAYERS)
            return jnp.stack([cloud_geometry(cloud, rows < table.count, program.size) for cloud in clouds])

        measured = jax.lax.map(at, jnp.asarray(program.diffusion.field_timesteps, jnp.int32))
        return jnp.swapaxes(measured, 0, 1)

    return geometry


def cloud_geometry(points: Float[Array, "n F"], present: Bool[Array, " n"], side: int) -> Float[Array, "2"]:
    r"""Return the additive share and the participation ratio of a cloud, as in `diffgeo.representation`.

    Both follow from the Gram matrix G of the centered points: the participation ratio is
    :math:`(\operatorname{tr} G)^2 / \|G\|^2`, and the sum of squares of the means over y of each x is that of the
    blocks of G of equal x, over the number of y.

    Args:
      points: float[n, F].
      present: bool[n], which of them belong to the cloud.
      side: of the square grid of labels, x slowest.

    Returns:
      NaN for the additive share unless there are side^2 points, and for both if the points are equal or not finite.
    """
    belongs = present[:, None]
    mean = jnp.sum(jnp.where(belongs, points, 0.0), axis=0, keepdims=True) / jnp.sum(present).astype(jnp.float32)
    centered = jnp.where(belongs, points - mean, 0.0)
    centered = centered / jnp.max(jnp.abs(centered))  # fourth powers of large activations would overflow
    gram = jnp.matmul(centered, centered.T, precision=jax.lax.Precision.HIGHEST)
    total = jnp.trace(gram)
    ratio = total**2 / jnp.sum(gram**2)
    if len(points) != side**2:
        return jnp.stack([jnp.full_like(ratio, jnp.nan), ratio])
    blocks = gram.reshape(side, side, side, side)
    main_effects = (jnp.einsum("xyxz->", blocks) + jnp.einsum("xyzy->", blocks)) / side
    return jnp.stack([main_effects / total, ratio])


def make_validation_loss(program: Program) -> MeasureFn:
    """Build the loss on labels that were not trained on: the training loss [2402.03305, eq. 2] of one draw a label.

    The n labels of the table have one diffusion step each, one from each n-th of 1 .. T, which takes the largest part
    of the loss's variance, and one noise each. A member's draws are the same at every evaluation, and those of members
    of equal seeds, such as those of a row of 2408.13256, Fig. 14c, are equal.

    Returns:
      A function to float32[], the mean over the table, all of whose rows are labels.
    """
    network, schedule = unet.from_program(program), diffusion.from_settings(program.diffusion)

    def loss(params, seed, table, stored=None):
        count = len(table.centers)
        rows = jnp.arange(count)
        images, centers = batches.render_rows(table, rows, program.size, program.periodic, program.dataset, stored)
        keys = jax.vmap(jax.random.split)(label_keys(seed, "validation", 0, count))
        part = (jnp.arange(count, dtype=jnp.float32) + jax.vmap(jax.random.uniform)(keys[:, 0])) / count
        t = jnp.clip(1 + jnp.floor(part * schedule.timesteps).astype(jnp.int32), 1, schedule.timesteps)

        def chunk(keys, t, images, centers):
            noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(keys)
            return diffusion.denoising_loss(schedule, bind(network, params, centers), images, t, noise)

        return jnp.mean(in_chunks(chunk, keys[:, 1], t, images, centers))

    return loss
