"""Allowed values of settings and their validation; imports no JAX."""

import math
from collections.abc import Iterable

from diffgeo.errors import UserError, require, require_choice

KINDS = ("bump", "sos")
"""Image kinds; a label table stores the index into this tuple."""

HOLES = ("none", "cross", "lesion", "square", "corner")
"""Shapes of the held-out region; see `diffgeo.data.regions`."""

CONV_IMPLS = ("auto", "lax", "matrix", "dense", "fold", "split", "winograd")
"""Implementations of the 3 x 3 convolution; all give the same numbers and exact gradients."""

DTYPES = ("float32", "bfloat16")
"""Types of the network's products and activations; parameters and long sums are float32 in both."""

ENCODINGS = ("sinusoid", "sinusoid_literal", "one_hot", "joint_one_hot", "periodic")
"""Encodings of labels; see `diffgeo.unet.encodings`."""

CONDITIONINGS = ("concat", "sum", "film")
"""Ways in which the codes of the diffusion step and the label reach a block, beside a user's own modules; see
`diffgeo.unet.UNet`."""

SCHEDULES = ("one_cycle", "constant")
"""Learning-rate schedules; both start at `WARMUP_START` of the peak and reach it after `train.warmup_fraction`."""

WARMUP_START = 1 / 25  # PyTorch's div_factor of OneCycleLR
WARMUP_END = WARMUP_START / 1e4  # of the peak, at the end of a one-cycle; PyTorch's final_div_factor

REMAT = ("none", "blocks")
"""Rematerialization in the backward pass: nothing, or the inside of each block."""

LABEL_SOURCES = ("train", "grid", "uniform")
"""Evaluation labels: drawn from the training labels, the N x N unit grid, or uniform and equal for all members."""

OWN, COMMON = "own", "common"
"""Sets of evaluation labels: those of `evaluation.label_source`, and the `num_common` that all members have."""

OBJECTIVES = ("noise", "image", "velocity", "flow")
"""Targets of the network's prediction; see `diffgeo.diffusion.Schedule`."""

SAMPLERS = ("ddim", "ancestral")
"""Reverse-process samplers; see `diffgeo.diffusion`."""

READOUTS = ("contour", "darkest", "subpixel", "contour_literal")
"""Read-outs: of 2402.03305 (Alg. 1) and of 2408.13256 (A.3), ours, and Alg. 1 with x + w / 2; see `diffgeo.readout`."""

SUBPIXEL = "subpixel"
"""The read-out of our own statistics."""

LAYER = "layer4"
"""The representation that the papers study: output of the second Up block before its attention."""

RECORDED = (LAYER, "layer4_pre_embedding", "layer4_attention")
"""Tensors that the network records beside the noise; see `diffgeo.unet.UNet`."""

LAYERS = (
    "inc",
    *("layer0", "layer0_attention", "layer1", "layer1_attention", "layer2", "layer2_attention"),
    *("bottleneck0", "bottleneck1", "bottleneck2"),
    *("layer3", "layer3_attention", "layer4_pre_embedding", "layer4", "layer4_attention"),
    *("layer5", "layer5_attention"),
)
"""Layers whose activations `diffgeo.unet.activations` returns, in the order of the forward pass.

"inc" is the first DoubleConv; "layer0" to "layer2" are the Down and "layer3" to "layer5" the Up blocks, before their
attention; the bottleneck is three DoubleConvs."""

CONDITIONING = "conditioning"
"""Input of every block beside the image, PE(t) | PE(x) | PE(y) or a module's function of these codes, read and edited
as activations of one pixel. The fields that runs record do not include it."""

EDITABLE = (CONDITIONING, *(layer for layer in LAYERS if layer != "layer4_pre_embedding"))
"""Layers that `diffgeo.unet.UNet` takes edits of; the other is inside of a block."""

FIELD_TIMESTEPS = (1, 100, 300, 600)
"""Diffusion steps t at which fields of `LAYERS` are recorded: the last denoising step, and three on the way there."""

PHASES = ("A", "B", "C")
"""Phases of learning [2402.03305, section 3]; results store the index."""

OUTCOMES = ("correct", "no_bump", "wrong_place", "several_bumps")
"""Success and the three failure modes of a sample [2402.03305, section 3]; results store the index."""

NEVER = -1
"""`nonfinite_step` of a member whose loss has been finite throughout."""

POOLINGS = 3  # of the network: an image is halved this many times
MIN_SIGMA = 1e-3  # pixels; far under any image's resolution, keeps 1/sigma^2 and its gradient finite
EDGE = 1e-4  # pixels; labels are float32, the edges of images and holes are not


def kind_index(kind: str) -> int:
    """Return the index of an image kind in `KINDS`; raise `UserError` for an unknown one."""
    require_choice("image kind", kind, KINDS)
    return KINDS.index(kind)


def check_size(size: int, ceil_mode: bool = False) -> None:
    """Raise `UserError` unless an image of this side can be halved three times (rounded up with `ceil_mode`)."""
    multiple = 2**POOLINGS
    if size < multiple or (size % multiple and not ceil_mode):
        nearest = max(1, round(size / multiple)) * multiple
        other = ", or model.ceil_mode=true" if size > multiple else ""
        raise UserError(f"image size {size} is not a multiple of {multiple}: try {nearest}{other}")


def check_network(base_channels: int, embedding: int, heads: int, conv_impl: str, dtype: str) -> None:
    """Raise `UserError` unless a `diffgeo.unet.UNet` can be built with these attributes."""
    if base_channels < 1 or heads < 1 or base_channels % heads:
        raise UserError(f"base_channels={base_channels} must be a positive multiple of heads={heads}, itself positive")
    require_choice("conv_impl", conv_impl, CONV_IMPLS)
    require_choice("dtype", dtype, DTYPES)


def check_encoding(encoding: str) -> None:
    """Raise `UserError` unless this is one of `ENCODINGS`."""
    require_choice("encoding", encoding, ENCODINGS)


def check_conditioning(conditioning: str, own: Iterable[str] = ()) -> None:
    """Raise `UserError` unless this is one of `CONDITIONINGS`, or of the names of a user's own modules."""
    require_choice("conditioning", conditioning, (*CONDITIONINGS, *own))


def code_width(embedding: int, factors: int) -> int:
    """Return the width of each of the codes of the diffusion step and the K factors: the largest even one that fits."""
    return 2 * (embedding // (2 * (factors + 1)))


def check_embedding(embedding: int, factors: int) -> None:
    """Raise `UserError` unless the conditioning holds a pair of sine and cosine of the step and of each factor."""
    codes = factors + 1
    require(
        embedding >= 2 * codes, f"embedding={embedding} must be at least {2 * codes}: {codes} pairs of sine and cosine"
    )


def check_labels(encoding: str, embedding: int, span: tuple[float, float], factors: int) -> None:
    """Raise `UserError` unless the encoding tells all labels apart; see `diffgeo.unet.encodings`.

    Args:
      encoding: one of `ENCODINGS`.
      embedding: width of the whole conditioning.
      span: smallest and largest value of a factor.
      factors: K.
    """
    width = code_width(embedding, factors)
    cells = math.floor((factors * width) ** (1 / factors) + 1e-9)
    places = {"one_hot": width, "joint_one_hot": cells}.get(encoding)
    if places is None:
        return
    require(span[0] >= 0, f"encoding={encoding!r} begins at label 0, and the data's go down to {span[0]}: take another")
    require(
        places > span[1],
        f"encoding={encoding!r} ends at label {places - 1} with embedding={embedding}, and the data's go up to "
        f"{span[1]}: widen it",
    )


def check_layers(layers: Iterable[str]) -> None:
    """Raise `UserError` unless these are some of `LAYERS`, or the conditioning."""
    for layer in layers:
        require_choice("layer", layer, (*LAYERS, CONDITIONING))


def check_edits(layers: Iterable[str]) -> None:
    """Raise `UserError` unless these are some of `EDITABLE`."""
    for layer in layers:
        require_choice("layer to edit", layer, EDITABLE)


def check_remat(remat: str) -> None:
    """Raise `UserError` unless this is one of `REMAT`."""
    require_choice("remat", remat, REMAT)
