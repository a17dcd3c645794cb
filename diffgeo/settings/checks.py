"""Checks of values by their declared type, and of stored trees, which may be a stranger's, by their known keys."""

import dataclasses
import math
import types
import typing
from collections.abc import Iterable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from diffgeo.errors import UserError, require, suggestion

MOST: dict[str, float] = {
    "size": 4096,
    "base_channels": 8192,
    "embedding": 2**20,
    "heads": 1024,
    "timesteps": 10**6,
    "steps": 2**32,
    "batch_size": 2**24,
    "every_steps": 2**32,
    "log_every": 2**32,
    "num_samples": 2**24,
    "num_common": 2**24,
    "num_validation": 2**24,
    "stored_images": 2**24,
    "sampler_steps": 10**6,
    "subset_seed": 2**32 - 1,
    "learning_rate": 1e3,
    "weight_decay": 1e3,
    "sigma": 1e6,
    "margin": 4096,
    "hole_width": 1e6,
    "hole_center": 1e6,
    "increment": 1e6,
    "increment_x": 1e6,
    "increment_y": 1e6,
}
"""Largest values of settings: far over any that can be run, so that a typing error is named rather than allocated."""

WORDS = {int: "an integer", float: "a finite number", bool: "true or false", str: "text", types.NoneType: "none"}


def check_fields(section: Any) -> None:
    """Raise `UserError` unless every field of a section has a value of its type, finite and no larger than `MOST`."""
    for field in dataclasses.fields(section):
        if field.name != "parameters":
            check_value(field.name, getattr(section, field.name), field.type)


def check_value(name: str, value: Any, kind: Any) -> None:
    """Raise `UserError` unless a value is of an annotated type, finite and no larger than `MOST`."""
    kinds = typing.get_args(kind) or (kind,)
    words = " or ".join(WORDS[one] for one in kinds)
    require(any(_is(value, one) for one in kinds), f"{name}={_short(value)} must be {words}")
    most = MOST.get(name, math.inf)
    large = isinstance(value, Real) and not isinstance(value, bool) and float(value) > most
    require(not large, f"{name}={_short(value)} must be at most {most:,.15g}")


def _is(value: Any, kind: type) -> bool:
    if kind in (int, float) and isinstance(value, bool | np.bool_):
        return False
    if kind is float:
        return isinstance(value, Real) and math.isfinite(value)
    return isinstance(value, {int: Integral, bool: (bool, np.bool_)}.get(kind, kind))


def check_keys(what: str, tree: Any, known: Iterable[str], needed: Iterable[str] = ()) -> None:
    """Raise `UserError` unless a tree is a mapping of known keys that has the needed ones."""
    known = list(known)
    if not isinstance(tree, Mapping):
        raise UserError(f"{what} is {_short(tree)}, not an object with {', '.join(known)}")
    for key in tree:
        require(key in known, f"{what} has an unknown {_short(key)}{suggestion(str(key), known)}")
    for key in needed:
        require(key in tree, f"{what} has no {key!r}")


def check_axes(axes: Any) -> None:
    """Raise `UserError` unless stored axes are names with lists of plain values."""
    check_keys("settings.axes", axes, axes if isinstance(axes, Mapping) else ["seed"])
    for name, values in axes.items():
        plain = isinstance(values, list | tuple) and all(isinstance(v, Real | str | None) for v in values)
        require(plain, f"settings.axes.{name} is {_short(values)}, not a list of values")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
