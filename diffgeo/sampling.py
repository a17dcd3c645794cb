"""Samples, and on request activations, of one member; `diffgeo.mapping` maps it over a grid."""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from diffgeo import diffusion
from diffgeo.grid import member_key, stream
from diffgeo.settings import Settings

SAMPLES_AT_ONCE = 256  # labels per network call; bounds the memory of activations


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
    schedule = diffusion.Schedule(
        settings.diffusion.timesteps, settings.diffusion.beta_start, settings.diffusion.beta_end
    )

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

        count = len(labels)
        chunks = -(-count // SAMPLES_AT_ONCE)
        if chunks <= 1:
            return some(keys, labels)
        at_once = -(-count // chunks)
        # the last chunk is filled up with the first labels again; their samples are dropped
        places = jnp.arange(chunks * at_once).reshape(chunks, at_once) % count
        drawn = jax.lax.map(lambda chosen: some(keys[chosen], labels[chosen]), places)
        return jax.tree.map(lambda x: x.reshape(chunks * at_once, *x.shape[2:])[:count], drawn)

    return sampler
