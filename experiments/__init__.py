"""Experiments of the papers' figures, a file each: figure, claim, scaling, cost and command, then the declaration."""

import importlib
import pkgutil

from diffgeo.errors import UserError, suggestion
from diffgeo.experiment import Experiment
from experiments._panels import PANELS, Panel

__all__ = ["PANELS", "Panel", "find", "names"]


def names() -> list[str]:
    """Return the names of all experiments, sorted."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return sorted(name for name in found if not name.startswith("_"))


def find(name: str) -> Experiment:
    """Return the experiment of a name.

    Raises:
      UserError: if there is no such experiment.
    """
    if name not in names():
        raise UserError(f"unknown experiment {name!r}{suggestion(name, names())}")
    return importlib.import_module(f"experiments.{name}").EXPERIMENT
