"""One file per figure: what it shows, what it costs, how to run it; then declarations. `find` looks one up by name."""

import importlib
import pkgutil

from diffgeo.errors import UserError, suggestion
from diffgeo.experiment import Experiment


def names() -> list[str]:
    """Names of all experiments, sorted."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def find(name: str) -> Experiment:
    """The experiment of this name; raises `UserError` for an unknown one."""
    if name not in names():
        raise UserError(f"unknown experiment {name!r}{suggestion(name, names())}")
    return importlib.import_module(f"experiments.{name}").EXPERIMENT
