"""The conditional UNet of both papers and its recorded tensors [2402.03305 Fig. 6; 2408.13256 Fig. 7]."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from diffgeo.errors import require
from diffgeo.settings import Factor, Program
from diffgeo.settings.allowed import (
    CONDITIONING,
    RECORDED,
    check_conditioning,
    check_edits,
    check_embedding,
    check_encoding,
    check_network,
    check_remat,
    check_size,
)
from diffgeo.settings.conditionings import Conditioner
from diffgeo.unet import encodings
from diffgeo.unet.layers import DoubleConv, Down, Linear, SelfAttention, Up


class UNet(nn.Module):
    """Predict the noise in an image from the image, the diffusion step and the label.

    Three Down and three Up blocks, each followed by self-attention, around a bottleneck of three plain
    DoubleConvs. Layers are counted as in the papers: 0-2 Down, 3-5 Up. "Layer 4" is the second Up block;
    its output before attention is the representation that the papers study.

    Attributes:
      base_channels: b, channels at full resolution; a multiple of `heads`. The papers: 64.
      embedding: width of the conditioning PE(t) | PE(x) | PE(y), or of K factors, at least 2 (K + 1). Each encoding has
        the largest even width that fits K + 1 times; the rest (4 of 256, none of 768) is zero. The papers do not state
        it.
      heads: attention heads.
      conv_impl: implementation of the convolutions, see `diffgeo.unet.conv.conv3x3`.
      dtype: "float32", or "bfloat16": products, convolutions and activations then are bfloat16; parameters,
        encodings, statistics of norms, softmax, the noise and the recorded tensors stay float32.
      remat: one of `allowed.REMAT`. "blocks" stores only the inputs of each DoubleConv, Down, Up and attention block
        for the gradient and recomputes the rest in the backward pass: the same numbers, less memory, a third more work.
      ceil_mode: allow any side from 8 on, each pooling rounding half the side up. The papers' network halves 32 three
        times; at a multiple of 8 both settings are the same network.
      encoding: of labels, and of the diffusion step if it is a sinusoid; one of `allowed.ENCODINGS`, see
        `diffgeo.unet.encodings`. It has no parameters: all have the same ones.
      conditioning: "concat", as the papers: the codes side by side, then SiLU and a Linear to each block's features,
        which are added. "sum": each code has a Linear of its own to `embedding`, and their sum takes the codes' place.
        "film": as "concat", but the Linear gives a scale and a shift, h (1 + scale) + shift [Perez et al. 2018].
        A module of the user's takes the codes and returns what takes their place; see
        `diffgeo.settings.conditionings`.
      factors: of a user's data set, for "periodic"; () for the papers'.
      attention: False leaves out all self-attention; layers after attention are then those before it.
    """

    base_channels: int = 64
    embedding: int = 768
    heads: int = 4
    conv_impl: str = "auto"
    dtype: str = "float32"
    remat: str = "none"
    ceil_mode: bool = False
    encoding: str = "sinusoid"
    conditioning: str | Conditioner = "concat"
    factors: tuple[Factor, ...] = ()
    attention: bool = True

    def __post_init__(self):
        check_network(self.base_channels, self.embedding, self.heads, self.conv_impl, self.dtype)
        check_encoding(self.encoding)
        if isinstance(self.conditioning, str):
            check_conditioning(self.conditioning)
        check_remat(self.remat)
        super().__post_init__()

    @nn.compact
    def __call__(
        self,
        images: Float[Array, "n N N C"],
        t: Int[Array, " n"],
        centers: Float[Array, "n K"],
        edits: Mapping[str, Callable[[Array], Array]] | None = None,
    ) -> tuple[Float[Array, "n N N C"], dict[str, Float[Array, "n h w c"]]]:
        """Return the predicted noise and the recorded tensors.

        Args:
          images: float[n, N, N, C], N a multiple of 8, or at least 8 with `ceil_mode`.
          t: int[n], the diffusion step, 1 .. T.
          centers: float[n, K], the label: of the papers (x, y) in pixels.
          edits: layer of `allowed.EDITABLE` -> function of its activations [n, h, w, c] to those that take their place
            in all that follows, of the same shape; they keep the network's dtype. Of "conditioning" h = w = 1.

        Returns:
          The predicted noise float[n, N, N, C], and a dict of float[n, N/2, N/2, b], rounded up: "layer4" (the Up
          block's output), "layer4_pre_embedding" (the same before the conditioning is added: a control, since the
          label enters there) and "layer4_attention" (after its attention), the first and the last of them as edited.

        Raises:
          UserError: if N is not a multiple of 8, or below 8 with `ceil_mode`, K codes do not fit the embedding, the
            user's module or an edit returns another shape, or a layer to edit does not exist.
        """
        edits = edits or {}
        check_edits(edits)
        size, b = images.shape[1], self.base_channels
        check_size(size, self.ceil_mode)
        check_embedding(self.embedding, centers.shape[1])
        codes = encodings.codes(t.astype(jnp.float32), centers, self.embedding, self.encoding, size, self.factors)
        if not isinstance(self.conditioning, str):
            conditioning: Any = _conditioned_by(self.conditioning, codes)
        elif self.conditioning == "sum":
            conditioning = sum(Linear(self.embedding, name=f"code{k}")(code) for k, code in enumerate(codes))
        else:
            conditioning = jnp.concatenate(codes, axis=-1)
            conditioning = jnp.pad(conditioning, ((0, 0), (0, self.embedding - conditioning.shape[-1])))
        film = self.conditioning == "film"
        self.sow("intermediates", CONDITIONING, conditioning)

        def block(kind: Callable, *args: Any, **kwargs: Any) -> nn.Module:
            return (nn.remat(kind) if self.remat == "blocks" else kind)(*args, **kwargs)

        def edited(layer: str, x: Array) -> Array:
            return _edited(layer, x, edits[layer]) if layer in edits else x

        if CONDITIONING in edits:
            conditioning = edited(CONDITIONING, conditioning[:, None, None])[:, 0, 0]

        def attend(name: str, layer: int, x: Array) -> Array:
            x = block(SelfAttention, self.heads, name=name)(x) if self.attention else x
            return edited(f"layer{layer}_attention", x)

        def down(name: str, layer: int, features: int, x: Array) -> Array:
            return edited(f"layer{layer}", block(Down, features, self.conv_impl, film, name=name)(x, conditioning))

        def up(name: str, layer: int, features: int, x: Array, skip: Array) -> tuple[Array, Array]:
            x, before = block(Up, features, self.conv_impl, film, name=name)(x, skip, conditioning)
            return edited(f"layer{layer}", x), before

        x1 = edited("inc", block(DoubleConv, b, impl=self.conv_impl, name="inc")(images.astype(self.dtype)))
        x2 = attend("sa1", 0, down("down1", 0, 2 * b, x1))
        x3 = attend("sa2", 1, down("down2", 1, 4 * b, x2))
        x = attend("sa3", 2, down("down3", 2, 4 * b, x3))
        for k, features in enumerate((8 * b, 8 * b, 4 * b)):
            x = block(DoubleConv, features, impl=self.conv_impl, name=f"bot{k + 1}")(x)
            x = edited(f"bottleneck{k}", x)
        x = attend("sa4", 3, up("up1", 3, 2 * b, x, x3)[0])
        layer4, layer4_pre_embedding = up("up2", 4, b, x, x2)
        layer4_attention = attend("sa5", 4, layer4)
        x = attend("sa6", 5, up("up3", 5, b, layer4_attention, x1)[0])
        noise = Linear(images.shape[-1], name="outc")(x.astype(jnp.float32))
        recorded = (layer4, layer4_pre_embedding, layer4_attention)
        return noise, {name: x.astype(jnp.float32) for name, x in zip(RECORDED, recorded, strict=True)}


def from_program(program: Program, remat: str = "none") -> UNet:
    """Return the network of a program; `remat` as in `UNet`."""
    model = program.model
    attributes = (model.base_channels, model.embedding, model.heads, model.conv_impl, model.dtype)
    factors = () if program.dataset is None else tuple(program.dataset.factors)
    conditioning = program.conditioner or model.conditioning
    return UNet(*attributes, remat, model.ceil_mode, model.encoding, conditioning, factors, model.attention)


def _conditioned_by(conditioner: Conditioner, codes: Sequence[Float[Array, "n width"]]) -> Float[Array, "n E"]:
    """Return what a user's module makes of the codes; within the `__call__` of the network."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):  # the user's code need not be strict
        made = conditioner(name="conditioning")(list(codes))
    shape, rows = jnp.shape(made), len(codes[0])
    require(
        len(shape) == 2 and shape[0] == rows,
        f"the conditioning module returns {list(shape)}: return [{rows}, E], a row for each of the codes'",
    )
    return jnp.asarray(made, jnp.float32)


def _edited(layer: str, x: Array, edit: Callable[[Array], Array]) -> Array:
    """Return what an edit makes of a layer's activations."""
    made = jnp.asarray(edit(x))
    require(
        made.shape == x.shape,
        f"the edit of {layer} returns {list(made.shape)}: return the activations' shape, {list(x.shape)}",
    )
    return made.astype(x.dtype)


def initial_parameters(
    module: UNet, key: Key[Array, ""], shape: Sequence[int], num_factors: int = 2
) -> Mapping[str, Any]:
    """Initialize the parameters of `module` from a typed key; their shapes do not depend on N.

    Args:
      module: the network.
      key: a typed key.
      shape: (N, N, C) of images.
      num_factors: K.
    """
    images = jnp.zeros((1, *shape))
    return module.init(key, images, jnp.ones((1,), jnp.int32), jnp.zeros((1, num_factors)))["params"]


def parameter_count(parameters: Any) -> int:
    """Return the number of trained scalars."""
    return sum(leaf.size for leaf in jax.tree.leaves(parameters))
