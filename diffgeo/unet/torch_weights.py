"""Conversion of weights between the network's usual PyTorch form and `diffgeo.unet.UNet`; does not import PyTorch.

That form names its modules inc, down1 .. down3, sa1 .. sa6, bot1 .. bot3, up1 .. up3 and outc, and is the
network of 2402.03305, Fig. 6 (2408.13256, Fig. 7) block by block. With the same weights both compute the same
numbers.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from diffgeo.errors import UserError
from diffgeo.unet.unet import UNet, initial_parameters

FIRST = "inc.double_conv.0.weight"  # the key by which a network is known
WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
"""What torch.compile, FSDP and activation checkpointing add to the names of whatever module they wrap."""
AVERAGED = "n_averaged"  # a count that torch.optim.swa_utils.AveragedModel stores beside the weights
SHOWN = 4  # keys that an error message names; the others are counted

# module of `UNet` inside its parent, by the parent's kind -> the same module in PyTorch
DOUBLE_CONV = {
    "conv1": "double_conv.0",
    "norm1": "double_conv.1",
    "conv2": "double_conv.3",
    "norm2": "double_conv.4",
}
MODULES = {
    "inc": DOUBLE_CONV,
    "bot": DOUBLE_CONV,
    "down": {"conv1": "maxpool_conv.1", "conv2": "maxpool_conv.2", "emb": "emb_layer.1"},
    "up": {"conv1": "conv.0", "conv2": "conv.1", "emb": "emb_layer.1"},
    "sa": {
        "ln": "ln",
        "in_proj": "mha.in_proj",
        "out_proj": "mha.out_proj",
        "ff_ln": "ff_self.0",
        "ff1": "ff_self.1",
        "ff2": "ff_self.3",
    },
    "outc": {},
}


def _torch_key(path: tuple[str, ...]) -> str:
    """Return the PyTorch key of the parameter at this path of `UNet`'s tree."""
    block, *inner, leaf = (name for name in path if name != "dense")
    kind = block.rstrip("0123456789")
    names = [block]
    for depth, name in enumerate(inner):  # below the first level, only a DoubleConv has submodules
        names.append((MODULES[kind] if depth == 0 else DOUBLE_CONV)[name])
    # MultiheadAttention keeps its input projection as bare parameters, joined by "_"
    joint = "_" if names[-1] == "mha.in_proj" else "."
    return ".".join(names) + joint + ("bias" if leaf == "bias" else "weight")


def _torch_shape(shape: tuple[int, ...], key: str) -> tuple[int, ...]:
    """Return the PyTorch shape of a parameter that has this shape in `UNet`."""
    if key == "outc.weight":  # a 1 x 1 convolution there, a Linear here
        return (shape[1], shape[0], 1, 1)
    if len(shape) == 4:  # kernel [3, 3, C, O] -> [O, C, 3, 3]
        return (shape[3], shape[2], shape[0], shape[1])
    return shape[::-1]


def _flax_array(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Return a float32 copy of a PyTorch parameter in the layout of `UNet`; a view would change with later training."""
    array = array.transpose(2, 3, 1, 0) if len(shape) == 4 else array.T
    return np.array(array.reshape(shape), np.float32, order="C")


def _numpy(value: Any) -> np.ndarray:
    """Return a tensor's or array's values as float32, not always a copy."""
    if hasattr(value, "detach"):
        value = value.detach().cpu().float().numpy()
    return np.asarray(value, np.float32)


def _listed(names: Iterable[str]) -> str:
    names = sorted(names)
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _size(state_dict: Mapping[str, Any], key: str, axis: int, default: int) -> int:
    """Return the length of an entry's axis, or `default` if it is missing, which `to_flax` reports."""
    shape = np.shape(state_dict[key]) if key in state_dict else ()
    return shape[axis] if axis < len(shape) else default


def unwrap(weights: Any) -> Mapping[str, Any]:
    """Return the state_dict of the network in a module, a state_dict, or a checkpoint: a dict that holds one.

    Raises:
      UserError: if there is none, or several (such as "model" and "ema").
    """
    if hasattr(weights, "state_dict"):
        weights = weights.state_dict()
    if not isinstance(weights, Mapping):
        raise UserError(f"{weights!r:.60} is no state_dict: give a module, its state_dict, or what torch.load returns")
    found = _networks(weights)
    if not found:
        raise UserError(f"no weights of the network are among {_listed(map(str, weights))}: none is {FIRST!r}")
    if len(found) > 1:
        raise UserError(f"several networks are in the checkpoint: give one of {', '.join(found)}")
    return next(iter(found.values()))


def _networks(tree: Any, path: str = "checkpoint") -> dict[str, Mapping[str, Any]]:
    """Return path -> state_dict of the dicts in a tree of dicts that hold a key of the network."""
    if not isinstance(tree, Mapping):
        return {}
    if _prefixes(tree):
        return {path: tree}
    return {
        name: network for key, branch in tree.items() for name, network in _networks(branch, f"{path}[{key!r}]").items()
    }


def _prefixes(state_dict: Mapping[str, Any]) -> list[str]:
    """Return what stands before the network's first key, for each network in a state_dict."""
    keys = [WRAPPERS.sub("", str(key)) for key in state_dict]
    return [key.removesuffix(FIRST) for key in keys if key == FIRST or key.endswith(f".{FIRST}")]


def _without_prefix(state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    prefixes = _prefixes(state_dict)
    if len(prefixes) > 1:
        listed = ", ".join(repr(prefix) for prefix in prefixes)
        raise UserError(f"several networks are in the state_dict, under the prefixes {listed}: give the keys of one")
    prefix = prefixes[0] if prefixes else ""  # without the first key, what is missing is reported
    plain = {WRAPPERS.sub("", str(key)).removeprefix(prefix): value for key, value in state_dict.items()}
    return {key: value for key, value in plain.items() if key != AVERAGED}


def widths(params: Mapping[str, Any]) -> dict[str, int]:
    """Return the fields of `diffgeo.settings.Model` that parameters of `UNet` fix: base_channels and embedding."""
    first, embedding = params["inc"]["conv1"]["kernel"], params["down1"]["emb"]["dense"]["kernel"]
    return {"base_channels": first.shape[-1], "embedding": embedding.shape[0]}


def from_flax(params: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Convert parameters of `diffgeo.unet.UNet` to the PyTorch network's state_dict, the inverse of `to_flax`.

    Args:
      params: nested dict of arrays.

    Returns:
      Name -> float32 numpy array, none of which shares memory with `params`.
    """
    state_dict = {}
    for path, leaf in jax.tree_util.tree_flatten_with_path(params)[0]:
        key = _torch_key(tuple(entry.key for entry in path))
        shape = _torch_shape(leaf.shape, key)
        array = np.asarray(leaf).reshape(*shape[2:], shape[1], shape[0]) if len(shape) == 4 else np.asarray(leaf)
        array = array.transpose(3, 2, 0, 1) if len(shape) == 4 else array.T
        state_dict[key] = np.array(array, np.float32, order="C")
    return state_dict


def to_flax(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Convert the state_dict of the PyTorch network to parameters of `diffgeo.unet.UNet`.

    The number of base channels b is read from inc.double_conv.0.weight [b, 1, 3, 3], the embedding's width E
    from down1.emb_layer.1.weight [2 b, E]; build the module as `UNet(base_channels=b, embedding=E)`. The
    number of heads is not in the weights.

    Args:
      state_dict: name -> torch tensor (any device and floating dtype) or numpy array. A prefix that all names share,
        as DataParallel ("module.") or Lightning ("model.") add it, is dropped, and `WRAPPERS` at any place.

    Returns:
      `UNet`'s "params": nested dict of float32 numpy arrays, none of which shares memory with `state_dict`.
      Convolution kernels are [3, 3, C, O], matrices [C, O].

    Raises:
      UserError: if keys are missing, unexpected, or wrongly shaped, or values are not finite.
    """
    state_dict = _without_prefix(state_dict)
    b = _size(state_dict, FIRST, 0, UNet.base_channels)
    embedding = _size(state_dict, "down1.emb_layer.1.weight", 1, UNet.embedding)
    channels = _size(state_dict, "inc.double_conv.0.weight", 1, 1)
    module = UNet(b, embedding, heads=1)
    template = jax.eval_shape(lambda key: initial_parameters(module, key, (8, 8, channels)), jax.random.key(0))
    paths, treedef = jax.tree_util.tree_flatten_with_path(template)
    expected = {_torch_key(tuple(entry.key for entry in path)): leaf.shape for path, leaf in paths}

    missing, unexpected = expected.keys() - state_dict.keys(), state_dict.keys() - expected.keys()
    if missing or unexpected:
        problems = [("missing", missing), ("unexpected", unexpected)]
        listed = "; ".join(f"{problem}: {_listed(keys)}" for problem, keys in problems if keys)
        raise UserError(f"the state_dict is not that of the network of inc, down, sa, bot, up, outc, {listed}")
    wrong = []
    for key, shape in expected.items():
        given, required = tuple(np.shape(state_dict[key])), _torch_shape(shape, key)
        if given != required:
            wrong.append(f"{key} is {given} in place of {required}")
    if wrong:
        raise UserError(f"wrong shapes for base_channels={b}, embedding={embedding}: {_listed(wrong)}")
    arrays = [_flax_array(_numpy(state_dict[key]), shape) for key, shape in expected.items()]
    if bad := [key for key, array in zip(expected, arrays, strict=True) if not np.isfinite(array).all()]:
        raise UserError(f"weights are not finite: {_listed(bad)}: give those of a checkpoint before training diverged")
    return jax.tree.unflatten(treedef, arrays)
