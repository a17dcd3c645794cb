"""Declarations, label tables, results, claims and pictures load without JAX; every module has a layer."""

import configparser
import subprocess
import sys

from tests.support.programs import REPOSITORY

PROGRAM = """
import sys
import diffgeo
import experiments
import diffgeo.claims, diffgeo.plots, diffgeo.report, diffgeo.representation, diffgeo.results
import diffgeo.data.computed, diffgeo.data.label_tables, diffgeo.data.regions
import diffgeo.percolation, diffgeo.readout, diffgeo.settings
declared = [experiments.find(name) for name in experiments.names()]
assert len(declared) > 3
print(*sorted({"jax", "jaxlib", "flax", "orbax", "cv2", "umap", "ripser", "sklearn"} & set(sys.modules)))
"""


def test_declarations_label_tables_and_pictures_load_without_jax():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_every_module_of_the_library_has_a_layer():
    contracts = configparser.ConfigParser()
    contracts.read(REPOSITORY / "setup.cfg")
    layers = contracts["importlinter:contract:line"]["layers"].replace("|", " ").split()
    folder = REPOSITORY / "diffgeo"
    library = [*folder.glob("*.py"), *(path.parent for path in folder.glob("*/__init__.py"))]
    modules = {f"diffgeo.{path.stem}" for path in library if path.stem != "__init__"}
    assert set(layers) == modules | {"experiments", "launch"}


def test_two_modules_alone_are_excepted_from_loading_without_jax():
    contracts = configparser.ConfigParser()
    contracts.read(REPOSITORY / "setup.cfg")
    assert contracts["importlinter:contract:nojax"]["ignore_imports"].split("\n")[1:] == [
        "diffgeo.host.distributed -> jax",
        "diffgeo.data.computed -> diffgeo.images",
    ]
