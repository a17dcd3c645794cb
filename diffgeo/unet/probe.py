"""Activations of any block of the UNet, for questions that go beyond the tensors it records itself.

The training step knows nothing of this: flax captures what submodules return.
"""

import functools
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffgeo.settings.allowed import CONDITIONING, LAYERS, check_layers
from diffgeo.unet.unet import UNet, initial_parameters, parameter_count

MODULES = {
    "inc": ("inc", None),
    "layer0": ("down1", None),
    "layer0_attention": ("sa1", None),
    "layer1": ("down2", None),
    "layer1_attention": ("sa2", None),
    "layer2": ("down3", None),
    "layer2_attention": ("sa3", None),
    "bottleneck0": ("bot1", None),
    "bottleneck1": ("bot2", None),
    "bottleneck2": ("bot3", None),
    "layer3": ("up1", 0),
    "layer3_attention": ("sa4", None),
    "layer4": ("up2", 0),
    "layer4_pre_embedding": ("up2", 1),
    "layer4_attention": ("sa5", None),
    "layer5": ("up3", 0),
    "layer5_attention": ("sa6", None),
}
"""Layer -> submodule of the UNet that returns it, and its index where that returns several tensors."""


def activations(
    network: UNet,
    params: Mapping[str, Any],
    images: Float[Array, "n N N C"],
    t: Int[Array, " n"],
    centers: Float[Array, "n K"],
    layers: Sequence[str] = LAYERS,
) -> dict[str, Float[Array, "n h w c"]]:
    """Return the activations of these layers in one forward pass.

    A pure function, to be jitted and mapped; blocks behind the last of the layers then cost nothing. At N = 32 and
    b = 64 all layers of an image take 2 MB.

    Args:
      network: the module.
      params: its parameters.
      images: float[n, N, N, C], noised to t, as the network sees them.
      t: int[n], the diffusion step, 1 .. T.
      centers: float[n, K], the label.
      layers: some of `allowed.LAYERS`, or "conditioning".

    Returns:
      Layer -> float32[n, h, w, c], in the order of `layers`; h = w is N halved, rounded up, as often as the image was,
      or 1 of the conditioning.

    Raises:
      UserError: for an unknown layer, or as the network.
    """
    check_layers(layers)
    # without attention, what follows it is what is before it
    read = {layer: layer if network.attention else layer.removesuffix("_attention") for layer in layers}
    paths = {(MODULES[layer][0],) for layer in read.values() if layer != CONDITIONING}

    def wanted(module: nn.Module, method: str) -> bool:
        return method == "__call__" and module.path in paths

    variables = {"params": params}
    captured: Any = network.apply(variables, images, t, centers, capture_intermediates=wanted)[1]
    found = {}
    for layer in layers:
        if layer == CONDITIONING:
            (sown,) = captured["intermediates"][CONDITIONING]
            found[layer] = sown.astype(jnp.float32)[:, None, None]
            continue
        name, index = MODULES[read[layer]]
        (returned,) = captured["intermediates"][name]["__call__"]
        found[layer] = (returned if index is None else returned[index]).astype(jnp.float32)
    return found


class Block(NamedTuple):
    """A layer of the network: what it is and what it takes, read from the module by shapes alone."""

    layer: str
    kind: str
    """Class of the submodule: DoubleConv, Down, Up, SelfAttention."""
    side: int
    channels: int
    parameters: int
    conditioned: bool
    """Whether the submodule has a map from the conditioning, PE(t) | PE(x) | PE(y)."""
    skip: str
    """The earlier layer that an Up block takes beside the one before it; "" of others."""


def describe(network: UNet, size: int) -> tuple[Block, ...]:
    """Return the blocks of the network for N = size, in the order of the forward pass; nothing is computed.

    Each submodule has one entry, that of its output; `layer4_pre_embedding` has none. The layer that an Up block skips
    to is the last one before the bottleneck of the block's own side and of the channels that its input has beyond those
    of the layer before it.
    """
    params = jax.eval_shape(functools.partial(initial_parameters, network, shape=(size, size, 1)), jax.random.key(0))
    images = jax.ShapeDtypeStruct((1, size, size, 1), jnp.float32)
    t, centers = jax.ShapeDtypeStruct((1,), jnp.int32), jax.ShapeDtypeStruct((1, 2), jnp.float32)
    layers = [layer for layer in LAYERS if MODULES[layer][1] != 1]
    layers = [layer for layer in layers if network.attention or not layer.endswith("_attention")]
    kinds: dict[tuple[str, ...], str] = {}

    def note(method, args, kwargs, context):
        kinds[context.module.path] = type(context.module).__name__
        return method(*args, **kwargs)

    with nn.intercept_methods(note):
        shapes = jax.eval_shape(functools.partial(activations, network, layers=layers), params, images, t, centers)
    blocks: list[Block] = []
    for layer in layers:
        name = MODULES[layer][0]
        own, (_, side, _, channels) = params[name], shapes[layer].shape
        kind, skip = kinds[(name,)], ""
        if kind == "Up":
            taken = own["conv1"]["conv1"]["kernel"].shape[2] - blocks[-1].channels
            fitting = [each.layer for each in blocks if (each.side, each.channels) == (side, taken)]
            skip = [each for each in fitting if LAYERS.index(each) < LAYERS.index("bottleneck0")][-1]
        blocks.append(Block(layer, kind, side, channels, parameter_count(own), "emb" in own, skip))
    return tuple(blocks)
