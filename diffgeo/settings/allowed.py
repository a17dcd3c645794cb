"""What settings may be: names and checks that need no JAX, so that declarations and reports load without it."""

from diffgeo.errors import UserError

KINDS = ("bump", "sos")
"""Names of the image kinds; a label table stores the index into this tuple."""

CONV_FORMS = ("auto", "lax", "matrix", "dense", "fold", "split", "winograd")
"""Forms of the 3 x 3 convolution; all give the same numbers and exact gradients."""

COMPUTE = ("float32", "bfloat16")
"""Types of the network's products and activations; parameters and sums over many numbers are float32 in both."""

REMAT = ("none", "blocks")
"""What a training step computes again in its backward pass, rather than to hold it: nothing, or each block."""

POOLINGS = 3  # of the network: images must be halved so many times

RECORDED = ("layer4", "layer4_pre_embedding", "layer4_attention")
"""Tensors that the network records beside the noise; see `diffgeo.unet.UNet`."""

NEVER = -1  # frozen_step of a member that was not frozen


def kind_index(kind: str) -> int:
    """Index of a kind's name in `KINDS`; raises `UserError` for an unknown name."""
    if kind not in KINDS:
        raise UserError(f"unknown image kind {kind!r}: choose one of {', '.join(KINDS)}")
    return KINDS.index(kind)


def check_size(size: int, ceil_mode: bool = False) -> None:
    """Raises `UserError` unless an image of this side can be halved three times, halves rounded up with `ceil_mode`."""
    multiple = 2**POOLINGS
    if size < multiple or (size % multiple and not ceil_mode):
        nearest = max(1, round(size / multiple)) * multiple
        other = ", or model.ceil_mode=true" if size > multiple else ""
        raise UserError(f"image size {size} is not a multiple of {multiple}: try {nearest}{other}")


def check_network(base_channels: int, embedding: int, heads: int, conv: str, compute: str) -> None:
    """Raises `UserError` unless `diffgeo.unet.UNet` can be built of these."""
    if base_channels < 1 or heads < 1 or base_channels % heads:
        raise UserError(f"base_channels={base_channels} must be a positive multiple of heads={heads}, itself positive")
    if embedding < 6:
        raise UserError(f"embedding={embedding} must be at least 6: three pairs of sine and cosine")
    if conv not in CONV_FORMS:
        raise UserError(f"unknown convolution form {conv!r}: choose one of {', '.join(CONV_FORMS)}")
    if compute not in COMPUTE:
        raise UserError(f"unknown type of computation {compute!r}: choose one of {', '.join(COMPUTE)}")


def check_remat(remat: str) -> None:
    """Raises `UserError` unless this is one of `REMAT`."""
    if remat not in REMAT:
        raise UserError(f"unknown remat {remat!r}: choose one of {', '.join(REMAT)}")
