"""Activations of any block of the UNet, for questions that go beyond the tensors it records itself.

The training step knows nothing of this: flax captures what submodules return.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from diffgeo.settings.allowed import LAYERS, check_layers
from diffgeo.unet.unet import UNet

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
      layers: some of `allowed.LAYERS`.

    Returns:
      Layer -> float32[n, h, w, c], in the order of `layers`; h = w is N halved, rounded up, as often as the image was.

    Raises:
      UserError: for an unknown layer, or as the network.
    """
    check_layers(layers)
    paths = {(MODULES[layer][0],) for layer in layers}

    def wanted(module: nn.Module, method: str) -> bool:
        return method == "__call__" and module.path in paths

    variables = {"params": params}
    captured: Any = network.apply(variables, images, t, centers, capture_intermediates=wanted)[1]
    found = {}
    for layer in layers:
        name, index = MODULES[layer]
        (returned,) = captured["intermediates"][name]["__call__"]
        found[layer] = (returned if index is None else returned[index]).astype(jnp.float32)
    return found
