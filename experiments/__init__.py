"""Experiments of the papers' figures, a file each: figure, claim, scaling, cost and command, then the declaration."""

import importlib
import pkgutil

from diffgeo.errors import UserError, suggestion
from diffgeo.experiment import Experiment


def names() -> list[str]:
    """Return the names of all experiments, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> Experiment:
    """Return the experiment of a name.

    Raises:
      UserError: if there is no such experiment.
    """
    if name not in names():
        raise UserError(f"unknown experiment {name!r}{suggestion(name, names())}")
    return importlib.import_module(f"experiments.{name}").EXPERIMENT
