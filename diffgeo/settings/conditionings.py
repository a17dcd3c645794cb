"""Conditioning of the network by modules of a user's own, and what they are called with."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from diffgeo.errors import UserError, require
from diffgeo.settings.allowed import CONDITIONINGS

Conditioner = Callable[..., Any]
"""A flax module's class, or what makes one from `name=`, as `functools.partial(Module, width=64)`.

The module is called with a list of the codes, float32[n, width] each, see `diffgeo.unet.encodings`: that of the
diffusion step, then those of the factors in their order (one for all with "joint_one_hot"). It returns the
conditioning, float[n, E] of any width E, which every block maps to its features by SiLU and a Linear of its own and
adds. Compiled programs are cached by it, so that it must be hashable, as classes and partials are."""


def check_conditioners(conditionings: Mapping[str, Conditioner]) -> None:
    """Raise `UserError` for a name that is no identifier or is taken, or a module that cannot be called."""
    for name, module in conditionings.items():
        require(name.isidentifier(), f"conditioning {name!r} is not a Python identifier: rename it")
        require(name not in CONDITIONINGS, f"conditioning {name!r} is one of {', '.join(CONDITIONINGS)}: rename it")
        require(callable(module), f"conditioning {name!r} is {module!r}: give the class of a flax module")


def described(names: Iterable[str], conditionings: Mapping[str, Conditioner]) -> dict[str, Conditioner]:
    """Return name -> the module at hand, or one that says that its file is needed, for the names of a stored run."""
    return {name: conditionings.get(name, _undeclared) for name in names}


def _undeclared(**attributes: Any) -> Any:
    """Stand for a module that is known by its name alone."""
    raise UserError(
        "the network's conditioning is a module that was declared in a file of its user: name that file by "
        "--experiment=FILE"
    )
