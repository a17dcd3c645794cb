# pyright: strict, reportUnknownMemberType=false
"""Models exchanged with PyTorch, which is needed to write its tensors and not to read them."""

from typing import Any

from diffgeo.errors import UserError, require
from diffgeo.host import runtime
from diffgeo.model.trained_member import TrainedMember
from diffgeo.settings import Grid, Settings
from diffgeo.unet import torch_weights


def from_torch(weights: Any, settings: Settings) -> TrainedMember:
    """Open a PyTorch model of the papers' network as a member, to be sampled and looked into like one of a run.

    Module names are those of `diffgeo.unet.torch_weights`: inc, down1, sa1, ... outc.

    Args:
      weights: a module, its state_dict (of tensors or numpy arrays), or a checkpoint that holds one at any depth, as
        {"state_dict": ...}; what DataParallel, torch.compile, AveragedModel, FSDP or Lightning add to names is dropped.
      settings: of one model: network, diffusion, data, and how it is sampled.

    Raises:
      UserError: if there are no weights of this network, or of several, if they are not finite or do not fit the
        settings, or if these are of a grid of several models or of conditioning other than "concat".

    >>> model = load("runs/quickstart").member(increment=0.5, seed=1)
    >>> same = from_torch({"state_dict": to_torch(model, numpy=True)}, model.settings)
    >>> bool((same.sample(x=3, y=4).images == model.sample(x=3, y=4, seed=1).images).all())
    True
    """
    members = Grid(settings).members
    if len(members) > 1:
        raise UserError(f"these settings are of {len(members)} models: give those of one, as settings.at(seed=0)")
    _check_conditioning(settings)
    runtime.start()  # reading them asks for devices
    params = torch_weights.to_flax(torch_weights.unwrap(weights))
    model = settings.model
    for name, width in torch_weights.widths(params).items():
        asked = getattr(model, name)
        require(asked == width, f"model.{name}={asked} does not fit the weights: set it to {width}")
    return TrainedMember(members[0].settings, members[0].coordinates, settings.train.steps, params)


def to_torch(member: TrainedMember, numpy: bool = False) -> dict[str, Any]:
    """Return a member's parameters as the state_dict of the PyTorch network.

    Args:
      member: from `SavedRun.member` or `from_torch`.
      numpy: give numpy arrays instead of tensors.

    Returns:
      Name -> float32 tensor on the CPU; convolution kernels are [O, C, 3, 3], matrices [O, C].

    Raises:
      UserError: if tensors are asked for and PyTorch is not installed, or for conditioning other than "concat".

    >>> model = load("runs/quickstart").member(increment=0.5, seed=1)
    >>> to_torch(model, numpy=True)["outc.weight"].shape
    (1, 4, 1, 1)
    """
    _check_conditioning(member.settings)
    state_dict = torch_weights.from_flax(member.params)
    if numpy:
        return state_dict
    try:
        import torch
    except ImportError as error:
        raise UserError("PyTorch is not installed: pip install torch, or take arrays by numpy=True") from error
    return {name: torch.from_numpy(array) for name, array in state_dict.items()}


def _check_conditioning(settings: Settings) -> None:
    conditioning = settings.model.conditioning
    require(
        conditioning == "concat",
        f"model.conditioning={conditioning!r} has no form in PyTorch here: only 'concat', the papers', has",
    )
