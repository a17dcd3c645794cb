"""Breakdown of a training step: its kinds of layers timed alone, forward and backward, optionally against PyTorch."""

import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

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
from diffgeo.training.optimizer import hyperparameters
from diffgeo.unet.layers import Conv3x3, Norm, SelfAttention

KINDS = {"convolutions": Conv3x3, "norms": Norm, "attention": SelfAttention}
PARTS = (*KINDS, "optimizer")


def layers_called(settings: Settings) -> dict[str, Counter]:
    """Return the layers that the network calls in a step: part -> count of each (layer, shape of its input).

    "norms" are those over images; an attention block counts as "attention" with all its layers.
    """
    program = settings.program
    network = unet.from_program(program)
    calls: dict[str, Counter] = {part: Counter() for part in KINDS}
    n = settings.train.batch_size

    def record(method: Callable, arguments: tuple, keywords: dict, context: nn.module.InterceptorContext) -> Any:
        layer = context.module
        for part, kind in KINDS.items():
            if type(layer) is kind and getattr(layer, "over", "image") == "image":
                calls[part][layer.clone(parent=None, name=None), arguments[0].shape] += 1
        return method(*arguments, **keywords)

    def forward() -> Any:
        params = step.initial_state(program, 0).params
        images, labels = jnp.zeros((n, *program.image_shape)), jnp.zeros((n, program.num_factors))
        with nn.intercept_methods(record):
            return network.apply({"params": params}, images, jnp.ones(n, int), labels)

    jax.eval_shape(forward)
    return calls


def _normal(seed: int, tree: Any) -> Any:
    """Draw standard normal numbers in the shapes of a tree."""
    random = np.random.default_rng(seed)
    return jax.tree.map(lambda x: jnp.asarray(random.normal(size=x.shape), x.dtype), tree)


def _passes(calls: Counter) -> Callable[[], object]:
    """Compile both passes of all calls as a single program: outputs, gradients of parameters and inputs.

    Every call has different numbers, since XLA would merge equal calls; timed separately, small layers would show the
    cost of starting a program.
    """
    layers = [layer for (layer, _), count in calls.items() for _ in range(count)]
    inputs = [jax.ShapeDtypeStruct(shape, jnp.float32) for (_, shape), count in calls.items() for _ in range(count)]
    params = [jax.eval_shape(layer.init, jax.random.key(0), x) for layer, x in zip(layers, inputs, strict=True)]
    arguments = _normal(0, list(zip(params, inputs, strict=True)))
    outputs = [jax.eval_shape(layer.apply, *args) for layer, args in zip(layers, arguments, strict=True)]

    @jax.jit
    def passes(arguments: Any, cotangents: Any) -> Any:
        results = []
        for layer, args, cotangent in zip(layers, arguments, cotangents, strict=True):
            out, pullback = jax.vjp(layer.apply, *args)
            results.append((out, pullback(cotangent)))
        return results

    return functools.partial(passes, arguments, _normal(1, outputs))


def _optimizer(settings: Settings) -> Callable[[], object]:
    """Compile a step's optimizer update; the state is donated as in training."""
    program = settings.program
    state = jit_once(lambda: step.layout(program).ravel_all(step.initial_state(program, 0)))()
    gradient = _normal(0, state.params)
    given = hyperparameters(settings.train)
    jitted = jax.jit(step.make_update(program), donate_argnums=0)

    def update() -> object:
        nonlocal state
        state = jitted(state, jnp.float32(1.0), gradient, given)
        return state

    return update


def part_case(settings: Settings, part: str, repeats: int, torch: bool) -> dict[str, Any]:
    """Measure the seconds that a part of a model's training step takes alone.

    Args:
      settings: network, batch and step.
      part: one of `PARTS`; the times of all its calls are summed.
      repeats: measurements, after the first, which compiles.
      torch: also time PyTorch's, alternately.
    """
    if part == "optimizer":
        ours, count = _optimizer(settings), 1
    else:
        calls = layers_called(settings)[part]
        ours, count = _passes(calls), sum(calls.values())
    theirs = torch_reference().Trainer(settings).parts()[part] if torch else []

    def our_seconds() -> float:
        return timing.seconds(ours)

    def their_seconds() -> float:
        return sum(timing.seconds(call) for call in theirs)

    our_seconds()
    their_seconds()
    return pairs(our_seconds, their_seconds if torch else None, repeats) | {"calls": count}


def cases(
    name: str, settings: Settings, repeats: int, steps: int, torch: bool
) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return the whole step of a model and each of `PARTS`: name -> a function that times it."""
    variants = ("eager_fused",) if torch else ()
    parts = {f"{name}_{part}": functools.partial(part_case, settings, part, repeats, torch) for part in PARTS}
    return {f"{name}_step": functools.partial(train_case, settings, 1, repeats, steps, variants)} | parts
