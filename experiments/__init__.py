"""Experiments of the papers' figures, a file each: figure, claim, scaling, cost and command, then the declaration."""

import importlib
import pkgutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

if __name__ == "experiments":  # as a checkout's folder is also called: one package, whatever name asks for it
    sys.modules[__name__] = importlib.import_module("diffgeo.experiments")

from diffgeo.errors import UserError, suggestion
from diffgeo.experiment import Experiment, check_source

from . import _own, _panels, _power

PANELS = _panels.PANELS
Panel = _panels.Panel
DESIGNS = _power.DESIGNS
power_table = _power.markdown

__all__ = ["DESIGNS", "PANELS", "Panel", "find", "names", "of_run", "power_table", "resolve"]


def names() -> list[str]:
    """Return the names of all experiments, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def find(name: str) -> Experiment:
    """Return the built-in experiment of a name; runs no code of a user's, so the name may come from a work folder.

    Raises:
      UserError: if there is no such experiment.
    """
    if name not in names():
        raise UserError(f"unknown experiment {name!r}{suggestion(name, names())}")
    return importlib.import_module(f"{__name__}.{name}").EXPERIMENT


def resolve(name: str) -> Experiment:
    """Return the experiment that a user asks for, running the user's code if it names any.

    Args:
      name: of a built-in experiment; or `path/to/file.py`, or `package.module:NAME`, see `_own.load`. Never one that
        was read from a work folder: those may be a stranger's.

    Raises:
      UserError: if there is no such experiment, its file fails, or it has the name of a built-in one.
    """
    if not _own.is_own(name):
        return find(name)
    declared = _own.load(name)
    if declared.name in names():
        raise UserError(f"{name!r} declares an experiment named like the built-in {declared.name!r}: rename it")
    return declared


def of_run(stored: Mapping[str, Any], where: str, given: Sequence[str] = (), allow_changed: bool = False) -> Experiment:
    """Return the experiment that a stored run is of.

    Args:
      stored: configuration of a work folder or attributes of results: "experiment", and of a user's own its file's name
        and digest.
      where: the folder or file, for messages.
      given: experiments that the user named for this, as of `resolve`; that of the run's name is taken.
      allow_changed: go on with another version of the user's file.

    Raises:
      UserError: if a user's own experiment is not given, or differs from the run's.
    """
    declared = {experiment.name: experiment for experiment in map(resolve, given)}
    own = declared.get(stored["experiment"])
    if own is None and declared and stored["experiment"] not in names():
        raise UserError(
            f"the run in {where!r} is of experiment {stored['experiment']!r}, and {', '.join(given)} "
            f"declares {', '.join(map(repr, declared))}: name its file by --experiment"
        )
    check_source(stored, None if own is None else own.source, where, allow_changed)
    return find(stored["experiment"]) if own is None else own
