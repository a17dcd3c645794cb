"""Small runs that are really trained, in this process; what tests compare of them."""

import hashlib
from pathlib import Path

import jax
import numpy as np
import xarray as xr

from diffgeo import results
from diffgeo.experiment import SourceFile
from diffgeo.run import Run, execute
from diffgeo.training import Placement
from tests.support.settings import tiny


class OneDevice(Placement):
    """Members one after another on the first device: each device's programs are compiled anew."""

    def place(self, members, tables, devices=None):
        """See `Placement`."""
        return super().place(members, tables, jax.devices()[:1])


def small(*analyses: str, keep: str | None = None, source: SourceFile | None = None, **axes) -> Run:
    """Return a run of an experiment that is not declared anywhere, on this process's threads."""
    settings = tiny(**(axes or {"increment": (0.5, 1.0), "seed": (0, 1)}))
    return Run("made-up", "none", settings, OneDevice("loop"), analyses, keep=keep, source=source)


def train(run: Run, folder: Path, said: list[str] | None = None, waves: int | None = None) -> Path:
    """Train a run in a folder to its end; return the folder."""
    execute(run, folder, {"command": f"made {folder.name}"}, waves, say=[].append if said is None else said.append)
    return folder


def digests(folder: Path) -> dict[str, str]:
    """Return every file below a folder with its content's digest."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def assert_same_members(one: Path | xr.Dataset, other: Path, **at) -> None:
    """Assert that the members of `one` at these coordinates are bit-equal in `other`, which may have more.

    Args:
      one: a run's folder, or its results.
      other: a run's folder.
      **at: axis -> values.
    """
    a = one if isinstance(one, xr.Dataset) else results.open_results(one).load()
    b = results.open_results(other).load()
    assert set(a.data_vars) == set(b.data_vars)
    for name in a.data_vars:
        coordinates = {axis: a[axis].values for axis in a[name].dims if axis in ("increment", "seed", "sigma")} | at
        np.testing.assert_array_equal(b[name].sel(coordinates), a[name].sel(coordinates), err_msg=str(name))
