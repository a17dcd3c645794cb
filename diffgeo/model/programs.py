# pyright: strict, reportUnknownMemberType=false
"""Programs of a single model: samples and activations, compiled once for a few numbers of labels."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jaxtyping import Float32

from diffgeo import unet
from diffgeo.data.sources import source_of
from diffgeo.host import runtime
from diffgeo.settings import Program, Settings
from diffgeo.training import labels as evaluated
from diffgeo.training import sampling
from diffgeo.training.ensemble import PROGRAMS

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
      layer: one of `allowed.LAYERS`.
      shown: images in [-1, 1].
      labels: in frame coordinates.
      t: diffusion step that the images are noised to.
    """
    runtime.start()
    program, params, seed, step = member
    inputs = _filled(shown), _filled(labels)
    found = _encoder(program, layer)(params, np.uint32(seed), np.int32(step), *inputs, np.int32(t))
    return np.asarray(found[layer])[: len(labels)]


def true_images(settings: Settings, labels: np.ndarray) -> Float32[np.ndarray, "S N N C"]:
    """Return the images in [-1, 1] that labels float32[S, K] in frame coordinates ask for."""
    runtime.start()
    origin = np.full(labels.shape[1], settings.data.margin, np.float32)
    return source_of(settings).images(labels, origin)


def own_labels(settings: Settings) -> Float32[np.ndarray, "S K"]:
    """Return the labels that the evaluations of the model with these settings sample, in frame coordinates."""
    runtime.start()
    return evaluated.own_labels(settings, source_of(settings).table())


def _filled(rows: np.ndarray) -> np.ndarray:
    """Return an array [S, ...] filled up to a number of rows in `ROWS` with its first row."""
    count = len(rows)
    wanted = next((size for size in ROWS if count <= size), -(-count // ROWS[-1]) * ROWS[-1])
    return np.concatenate([rows, np.repeat(rows[:1], wanted - count, axis=0)])
