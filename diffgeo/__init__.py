"""Conditional diffusion models on Gaussian bumps: data, training of whole grids, analysis of what they learned.

    import diffgeo as dg

    run = dg.load("runs/quickstart")                    # dg.train("quickstart", workdir="runs/quickstart") trains it
    model = run.member(increment=0.25, seed=1)
    samples = model.sample(x=[2, 5], y=4, draws=8)

The packages follow the line of data: `settings`, `data`, `unet` and `diffusion`, `training`, `run`, `results`,
`claims`, `plots`, `report`; beside it `costs` predicts and `bench` measures, and `api` is the Python interface.
Importing `diffgeo` imports none of them, and no JAX: names and packages are imported when they are used.
"""

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

__version__ = "0.2.0.dev0"

_HOMES = {
    "load": "diffgeo.api.saved_run",
    "SavedRun": "diffgeo.api.saved_run",
    "train": "diffgeo.api.train",
    "extend": "diffgeo.api.train",
    "merge": "diffgeo.api.train",
    "measure": "diffgeo.api.train",
    "TrainedMember": "diffgeo.model.trained_member",
    "Activations": "diffgeo.model.activations",
    "from_torch": "diffgeo.api.torch",
    "to_torch": "diffgeo.api.torch",
    "Experiment": "diffgeo.experiment",
    "Plot": "diffgeo.experiment",
    "Metric": "diffgeo.experiment",
    "Dataset": "diffgeo.settings",
    "Factor": "diffgeo.settings",
    "render": "diffgeo.images",
    "interval": "diffgeo.claims",
    "Claim": "diffgeo.claims",
    "judge": "diffgeo.claims",
    "compare": "diffgeo.claims",
    "UserError": "diffgeo.errors",
}
"""Public name -> module that defines it; `__init__.pyi` declares the same names to type checkers."""

_PACKAGES = ("claims", "images", "percolation", "plots", "readout", "representation", "results", "settings", "unet")
"""Modules and packages that are attributes of `diffgeo` without being imported first."""

__all__ = [*_HOMES, *_PACKAGES]  # pyright: ignore[reportUnsupportedDunderAll]


class _Checkout:
    """Finder of `diffgeo.experiments` and `diffgeo.launch`, which lie beside this package in a checkout."""

    @staticmethod
    def find_spec(name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return where the two are; see `importlib.abc.MetaPathFinder`."""
        if name not in (f"{__name__}.experiments", f"{__name__}.launch"):
            return None
        folder = Path(__file__).parents[1] / name.rpartition(".")[2]
        places = [str(folder)]
        return importlib.util.spec_from_file_location(name, folder / "__init__.py", submodule_search_locations=places)


if not (Path(__file__).parent / "launch").is_dir():  # a wheel has them inside
    sys.meta_path.insert(0, _Checkout)  # before the finder of an editable install, which may be of another checkout


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    if name in _PACKAGES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
