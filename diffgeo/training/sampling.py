"""Samples, and on request activations, of one member; `diffgeo.mapping` maps it over a grid."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffgeo import diffusion
from diffgeo.grid import member_key, stream
from diffgeo.kernels import platform
from diffgeo.settings import Settings

SAMPLES_AT_ONCE = {"cpu": 256, "accelerator": 64}
"""Labels of one member per network call; bounds the memory of activations. An accelerator calls for all members of a
device at once: 4 of the papers' network with 250 labels each take 32 GB, most of it attention scores."""
PROXY_STEP = 1  # t of `make_encoder`, that of the last denoising step


def make_sampler(settings: Settings, record: bool = False) -> Callable:
    """The sampler of one member: a pure function (params, seed, step, labels) -> (images, recorded).

    A sample's noise comes from the member's seed, the training step and the label's place in the list, so it does
    not depend on how many are drawn at once.

    Args:
      settings: of any member of the program.
      record: also return the tensors recorded at the last denoising step.

    Returns:
      A function of params, seed (uint32), step (int32) and labels float32[S, 2] in frame coordinates to images
      float32[S, N, N, 1] and a dict of float32[S, N/2, N/2, b] ({} unless asked for).
    """
    network = settings.model.build()
    evaluation, size = settings.evaluation, settings.data.size
    schedule = _schedule(settings)

    def sampler(params, seed, step, labels):
        step_key = jax.random.fold_in(stream(member_key(seed), "sample"), step)
        keys = jax.vmap(lambda place: jax.random.fold_in(step_key, place))(jnp.arange(len(labels)))

        def some(keys, labels):
            def predict(x, t):
                return network.apply({"params": params}, x, t, labels)

            return diffusion.sample(
                schedule,
                predict,
                keys,
                size,
                evaluation.sampler,
                evaluation.sampler_steps,
                eta=evaluation.eta,
                clip=evaluation.clip,
                record=record,
            )

        return _in_chunks(some, keys, labels)

    return sampler


def make_encoder(settings: Settings) -> Callable:
    """What one member's network makes of true images at one small diffusion step: a cheap proxy of `make_sampler`'s.

    Args:
      settings: of any member of the program.

    Returns:
      A pure function of params, seed (uint32), step (int32), images float32[S, N, N, 1] and their labels
      float32[S, 2] to a dict of float32[S, N/2, N/2, b]: the recorded tensors of one forward pass on the images
      noised to t = `PROXY_STEP`.
    """
    network = settings.model.build()
    schedule = _schedule(settings)

    def encoder(params, seed, step, images, labels):
        step_key = jax.random.fold_in(stream(member_key(seed), "proxy"), step)
        keys = jax.vmap(lambda place: jax.random.fold_in(step_key, place))(jnp.arange(len(labels)))

        def some(keys, images, labels):
            noise = jax.vmap(lambda key: jax.random.normal(key, images.shape[1:]))(keys)
            t = jnp.full(len(labels), PROXY_STEP)
            return network.apply({"params": params}, diffusion.q_sample(schedule, images, t, noise), t, labels)[1]

        return _in_chunks(some, keys, images, labels)

    return encoder


def _schedule(settings: Settings) -> diffusion.Schedule:
    return diffusion.Schedule(settings.diffusion.timesteps, settings.diffusion.beta_start, settings.diffusion.beta_end)


def calls(labels: int) -> int:
    """Network calls that one denoising step of so many labels takes."""
    return -(-labels // SAMPLES_AT_ONCE["cpu" if platform() == "cpu" else "accelerator"])


def _in_chunks(function, *arrays):
    """`function` of arrays [S, ...], for at most `SAMPLES_AT_ONCE` rows at a time."""
    count = len(arrays[0])
    chunks = calls(count)
    if chunks <= 1:
        return function(*arrays)
    at_once = -(-count // chunks)
    # the last chunk is filled up with the first rows again; what comes of them is dropped
    places = jnp.arange(chunks * at_once).reshape(chunks, at_once) % count
    drawn = jax.lax.map(lambda chosen: function(*(x[chosen] for x in arrays)), places)
    return jax.tree.map(lambda x: x.reshape(chunks * at_once, *x.shape[2:])[:count], drawn)
