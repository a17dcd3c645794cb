# pyright: strict, reportUnknownMemberType=false
"""Programs of a single model: samples and activations, compiled once for a few numbers of labels."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from diffgeo import diffusion, unet
from diffgeo.data.sources import source_of
from diffgeo.host import runtime
from diffgeo.settings import Program, Settings
from diffgeo.training import labels as evaluated
from diffgeo.training import sampling
from diffgeo.training.ensemble import PROGRAMS
from diffgeo.training.keys import member_key, stream

BoundMember = tuple[Program, Mapping[str, Any], int, int]
"""Program, parameters, seed and training step of a model."""

ROWS = (16, 64, 256)
"""Numbers of labels that programs are compiled for; beyond them, multiples of the last."""


@functools.lru_cache(PROGRAMS)
def _sampler(program: Program) -> Callable[..., Any]:
    return jax.jit(sampling.make_sampler(program))


@functools.lru_cache(PROGRAMS)
def _encoder(program: Program, layer: str) -> Callable[..., Any]:
    return jax.jit(sampling.make_encoder(program, (layer,)))


def draw(
    member: BoundMember,
    labels: np.ndarray,
    edits: Mapping[str, np.ndarray] | None = None,
    within: tuple[int, int] = (0, 0),
) -> Float32[np.ndarray, "S N N C"]:
    """Return one image for each label float32[S, K]; see `sampling.make_sampler`.

    Args:
      member: program, parameters, seed and training step.
      labels: in frame coordinates.
      edits: layer -> float32[S, h, w, c], added to its activations.
      within: first and last diffusion step t at which they are.
    """
    runtime.start()
    program, params, seed, step = member
    inputs = [np.uint32(seed), np.int32(step), _filled(labels)]
    if edits:
        inputs += [{layer: _filled(shift) for layer, shift in edits.items()}, np.array(within, np.int32)]
    drawn, _ = _sampler(program)(params, *inputs)
    return np.asarray(drawn)[: len(labels)]


@functools.lru_cache(PROGRAMS)
def layer_shape(program: Program, layer: str) -> tuple[int, ...]:
    """Return (h, w, c) of a layer's activations; nothing is computed."""
    network = unet.from_program(program)
    images = jax.ShapeDtypeStruct((1, *program.image_shape), np.float32)
    t, labels = jax.ShapeDtypeStruct((1,), np.int32), jax.ShapeDtypeStruct((1, program.num_factors), np.float32)

    def shapes(images: Any, t: Any, labels: Any) -> Any:
        key = jax.random.key(0)
        params = unet.initial_parameters(network, key, program.image_shape, program.num_factors)
        return unet.activations(network, params, images, t, labels, (layer,))

    return jax.eval_shape(shapes, images, t, labels)[layer].shape[1:]


def encode(
    member: BoundMember,
    layer: str,
    shown: np.ndarray,
    labels: np.ndarray,
    t: int,
) -> Float32[np.ndarray, "S h w c"]:
    """Return activations at images float32[S, N, N, C] with labels float32[S, K]; see `sampling.make_encoder`.

    Args:
      member: program, parameters, seed and training step.
      layer: one of `allowed.LAYERS`, or "conditioning".
      shown: images in [-1, 1].
      labels: in frame coordinates.
      t: diffusion step that the images are noised to.
    """
    runtime.start()
    program, params, seed, step = member
    inputs = _filled(shown), _filled(labels)
    found = _encoder(program, layer)(params, np.uint32(seed), np.int32(step), *inputs, np.int32(t))
    return np.asarray(found[layer])[: len(labels)]


def tangent_kernel(member: BoundMember, labels: np.ndarray, t: int, draws: int) -> Float32[np.ndarray, "S S"]:
    """Return the tangent kernel between labels float32[S, K] in frame coordinates; see `TrainedMember.tangent_kernel`.

    Gradients of all labels are held at once, S P floats of P parameters.
    """
    runtime.start()
    program, params, seed, _ = member
    gradients, kernel = _tangents(program), np.zeros((len(labels), len(labels)), np.float64)
    for draw in range(draws):
        rows = [gradients(params, np.uint32(seed), draw, part, np.int32(t)) for part in _parts(labels, ROWS[0])]
        tangents = np.concatenate([np.asarray(part) for part in rows])[: len(labels)]
        kernel += tangents @ tangents.T
    return (kernel / draws).astype(np.float32)


@functools.lru_cache(PROGRAMS)
def _tangents(program: Program) -> Callable[..., Any]:
    """Return the jitted gradients float32[n, P] of a random sum of the predicted noise, at labels [n, K]."""
    network = unet.from_program(program)
    schedule = diffusion.from_settings(program.diffusion)

    def tangents(params: Any, seed: Any, draw: Any, labels: Any, t: Any) -> Any:
        noise_key, sum_key = jax.random.split(jax.random.fold_in(stream(member_key(seed), "tangent"), draw))
        noise = jax.random.normal(noise_key, (1, *program.image_shape))
        image = diffusion.q_sample(schedule, jnp.zeros_like(noise), t[None], noise)
        weights = jax.random.normal(sum_key, program.image_shape)

        def sum_of_noise(params: Any, label: Any) -> Any:
            return (network.apply({"params": params}, image, t[None], label[None])[0][0] * weights).sum()

        def flat(label: Any) -> Any:
            return jax.flatten_util.ravel_pytree(jax.grad(sum_of_noise)(params, label))[0]

        return jax.vmap(flat)(labels)

    return jax.jit(tangents)


def true_images(settings: Settings, labels: np.ndarray) -> Float32[np.ndarray, "S N N C"]:
    """Return the images in [-1, 1] that labels float32[S, K] in frame coordinates ask for."""
    runtime.start()
    origin = np.full(labels.shape[1], settings.data.margin, np.float32)
    return source_of(settings).images(labels, origin)


def own_labels(settings: Settings) -> Float32[np.ndarray, "S K"]:
    """Return the labels that the evaluations of the model with these settings sample, in frame coordinates."""
    runtime.start()
    return evaluated.own_labels(settings, source_of(settings).table())


def _parts(rows: np.ndarray, size: int) -> list[np.ndarray]:
    """Return an array [S, ...] in parts of `size` rows, the last filled up with its first row."""
    return [_filled(rows[at : at + size]) for at in range(0, len(rows), size)]


def _filled(rows: np.ndarray) -> np.ndarray:
    """Return an array [S, ...] filled up to a number of rows in `ROWS` with its first row."""
    count = len(rows)
    wanted = next((size for size in ROWS if count <= size), -(-count // ROWS[-1]) * ROWS[-1])
    return np.concatenate([rows, np.repeat(rows[:1], wanted - count, axis=0)])
