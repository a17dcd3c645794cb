"""Where a training step's time goes: its kinds of parts alone, forward and backward, on request beside PyTorch's."""

import functools
from collections import Counter
from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from diffgeo import unet
from diffgeo.bench.cases import pairs, torch_reference, train_case
from diffgeo.costs import timing
from diffgeo.settings import Settings
from diffgeo.training import step
from diffgeo.training.ensemble import jit_once
from diffgeo.unet.layers import Conv3x3, Norm, SelfAttention

KINDS = {"convolutions": Conv3x3, "norms": Norm, "attention": SelfAttention}
PARTS = (*KINDS, "optimizer")


def layers_called(settings: Settings) -> dict[str, Counter]:
    """What the network calls in a step: part -> how often each (layer, shape of its input).

    "norms" are those over images; an attention block with all that is in it counts as "attention".
    """
    network = unet.from_settings(settings.model)
    found: dict[str, Counter] = {part: Counter() for part in KINDS}
    n, size = settings.train.batch_size, settings.data.size

    def note(call, arguments, keywords, context):
        layer = context.module
        for part, kind in KINDS.items():
            if type(layer) is kind and getattr(layer, "over", "image") == "image":
                found[part][layer.clone(parent=None, name=None), arguments[0].shape] += 1
        return call(*arguments, **keywords)

    def forward():
        params = step.initial_state(settings.program, 0).params
        with nn.intercept_methods(note):
            return network.apply({"params": params}, jnp.zeros((n, size, size, 1)), jnp.ones(n, int), jnp.zeros((n, 2)))

    jax.eval_shape(forward)
    return found


def _normal(seed: int, tree):
    """Standard normal numbers in the shapes of a tree."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape), x.dtype), tree)


def _passes(calls: Counter) -> Callable[[], object]:
    """Both passes of all calls as one compiled program: outputs, gradients of parameters and inputs.

    Every call has numbers of its own, or equal ones would be computed once; one by one, small layers would show what it
    takes to start a program.
    """
    layers = [layer for (layer, _), count in calls.items() for _ in range(count)]
    images = [jax.ShapeDtypeStruct(shape, jnp.float32) for (_, shape), count in calls.items() for _ in range(count)]
    params = [jax.eval_shape(layer.init, jax.random.key(0), one) for layer, one in zip(layers, images, strict=True)]
    known = _normal(0, list(zip(params, images, strict=True)))
    outputs = [jax.eval_shape(layer.apply, *own) for layer, own in zip(layers, known, strict=True)]

    @jax.jit
    def both(known, cotangents):
        found = []
        for layer, own, cotangent in zip(layers, known, cotangents, strict=True):
            out, back = jax.vjp(layer.apply, *own)
            found.append((out, back(cotangent)))
        return found

    return functools.partial(both, known, _normal(1, outputs))


def _optimizer(settings: Settings) -> Callable[[], object]:
    """What a step does with a gradient, compiled; the state is donated as in training."""
    state = jit_once(lambda: step.initial_state(settings.program, 0))()
    gradient = _normal(0, state.params)
    update = jax.jit(step.make_update(settings.train), donate_argnums=0)
    held = [state]

    def one():
        held[0] = update(held[0], jnp.float32(1.0), gradient)
        return held[0]

    return one


def part_case(settings: Settings, part: str, repeats: int, torch: bool) -> dict:
    """Seconds that one of `PARTS` takes in a step of one model, were nothing else there.

    Args:
      settings: network, batch and step.
      part: all calls of that kind are timed and added up.
      repeats: measurements, after one that compiles.
      torch: also time PyTorch's, alternately.
    """
    if part == "optimizer":
        ours, count = _optimizer(settings), 1
    else:
        calls = layers_called(settings)[part]
        ours, count = _passes(calls), sum(calls.values())
    theirs = torch_reference().Trainer(settings).parts()[part] if torch else []

    def our_seconds():
        return timing.seconds(ours)

    def their_seconds():
        return sum(timing.seconds(one) for one in theirs)

    our_seconds()
    their_seconds()
    return pairs(our_seconds, their_seconds if torch else None, repeats) | {"calls": count}


def cases(name: str, settings: Settings, repeats: int, steps: int, torch: bool) -> dict[str, Callable[[], dict]]:
    """The whole step of one model and each of `PARTS`: name -> what times it."""
    found = {f"{name}_step": lambda: train_case(settings, 1, repeats, steps, torch)}
    for part in PARTS:
        found[f"{name}_{part}"] = lambda part=part: part_case(settings, part, repeats, torch)
    return found
