"""Samples, and on request activations, of one member; an `Ensemble` maps it over a grid."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from diffgeo import diffusion, unet
from diffgeo.host.platform import platform
from diffgeo.settings import Program
from diffgeo.training.keys import member_key, stream
from diffgeo.training.step import bind

LABELS_PER_CALL = {"cpu": 256, "accelerator": 64}
"""Labels of one member per network call; bounds the memory of activations. An accelerator calls for all members of a
device at once: 4 of the papers' network with 250 labels each take 32 GB, most of it attention scores."""
PROXY_STEP = 1  # t of `make_encoder`, that of the last denoising step


def make_sampler(program: Program, record: bool = False) -> Callable[..., tuple[jax.Array, dict[str, jax.Array]]]:
    """Build the sampler of one member: a pure function (params, seed, step, labels, ...) -> (images, recorded).

    A sample's noise comes from the member's seed, the training step and the label's index, so it does not depend on how
    many are drawn at once.

    Args:
      program: static settings of the member.
      record: also return the tensors recorded at the last denoising step.

    Returns:
      A function of params, seed (uint32), step (int32) and labels float32[S, K] in frame coordinates to images
      float32[S, N, N, C] and a dict of float32[S, N/2, N/2, b] ({} unless asked for). Two more arguments intervene: a
      dict of layer -> float32[S, h, w, c], added to the layer's activations, and int32[2], the first and the last
      diffusion step t at which they are.
    """
    network = unet.from_program(program)
    schedule = diffusion.from_settings(program.diffusion)
    reverse = diffusion.coefficients(schedule, program.sampler, program.sampler_steps, program.eta)

    def sampler(params, seed, step, labels, edits=None, within=None):
        def chunk(keys, labels, edits):
            start = diffusion.initial_noise(schedule, keys, program.image_shape)
            denoise = diffusion.predicting_noise(schedule, bind(network, params, labels, edits, within))
            return diffusion.run_reverse(reverse, denoise, keys, start, clip=program.clip, record=record)

        return in_chunks(chunk, label_keys(seed, "sample", step, len(labels)), labels, edits)

    return sampler


def make_encoder(program: Program, layers: Sequence[str] | None = None) -> Callable[..., dict[str, jax.Array]]:
    """Build the encoder of one member: its activations on given images, true ones for instance, noised to t.

    One forward pass; at t = `PROXY_STEP` a cheap proxy of the activations that `make_sampler` records.

    Args:
      program: static settings of the member.
      layers: some of `allowed.LAYERS`, or "conditioning"; None for the tensors that the network records.

    Returns:
      A pure function of params, seed (uint32), step (int32), images float32[S, N, N, C], their labels float32[S, K]
      and t (int32, 1 .. T; by default `PROXY_STEP`) to a dict of float32[S, h, w, c].
    """
    network = unet.from_program(program)
    schedule = diffusion.from_settings(program.diffusion)

    def encoder(params, seed, step, images, labels, t=PROXY_STEP):
        def chunk(keys, images, labels):
            noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(keys)
            at = jnp.full(len(labels), t)
            noised = diffusion.q_sample(schedule, images, at, noise)
            if layers is None:
                return bind(network, params, labels)(noised, at)[1]
            return unet.activations(network, params, noised, at, labels, layers)

        return in_chunks(chunk, label_keys(seed, "proxy", step, len(labels)), images, labels)

    return encoder


def label_keys(seed, role: str, step, count: int):
    """Derive one key per label from the member's seed, the role and the training step."""
    step_key = jax.random.fold_in(stream(member_key(seed), role), step)
    return jax.vmap(lambda index: jax.random.fold_in(step_key, index))(jnp.arange(count))


def network_calls(labels: int) -> int:
    """Return the number of network calls that one denoising step of this many labels takes."""
    return -(-labels // LABELS_PER_CALL["cpu" if platform() == "cpu" else "accelerator"])


def in_chunks(function: Callable, *arrays: Any):
    """Apply `function` to arrays [S, ...], or trees of them, at most `LABELS_PER_CALL` rows at a time."""
    count = len(arrays[0])
    chunks = network_calls(count)
    if chunks <= 1:
        return function(*arrays)
    rows = -(-count // chunks)
    # the last chunk is filled up with the first rows again, whose results are dropped
    indices = jnp.arange(chunks * rows).reshape(chunks, rows) % count
    drawn = jax.lax.map(lambda chosen: function(*jax.tree.map(lambda x: x[chosen], arrays)), indices)
    return jax.tree.map(lambda x: x.reshape(chunks * rows, *x.shape[2:])[:count], drawn)
