"""Results as a table of plain text: one row a member and step, for spreadsheets and other languages."""

import csv
import io
import itertools
from pathlib import Path

import numpy as np
import xarray as xr

from diffgeo.errors import UserError
from diffgeo.host.disk import local_path
from diffgeo.host.files import atomic_write
from diffgeo.results import settings_of

SPREAD = ("label_set", "readout", "region", "tensor")
"""Dims behind a member and step whose values become columns of their own: "accuracy ood", "r2 layer4"."""


def write_csv(results: xr.Dataset, path: str | Path) -> Path:
    """Write one row a member and evaluation: its coordinates, the step, and every number that is measured once there.

    Variables with other dims than the grid's axes, step and `SPREAD` (samples, spectra, bars) are left out. A missing
    value is an empty cell.

    Args:
      results: of a run, loaded.
      path: of the file.

    Returns:
      The path.

    Raises:
      UserError: for results without steps, such as those of a figure that trains nothing.
    """
    if "step" not in results.dims:
        raise UserError("these results have no step: only those of a run that trains are a table of members and steps")
    axes = [name for name in settings_of(results).axes if name in results.dims]
    keys = [*axes, "step"]
    columns: dict[str, np.ndarray] = {}
    for name, variable in results.data_vars.items():
        extra = [dim for dim in variable.dims if dim not in keys]
        if "step" not in variable.dims or variable.dtype.kind not in "fiu" or not set(extra) <= set(SPREAD):
            continue
        values = variable.transpose(*keys, *extra)
        for chosen in itertools.product(*(results[dim].values for dim in extra)):
            index = dict(zip(extra, chosen, strict=True))
            columns[" ".join([str(name), *map(str, chosen)])] = values.sel(index).values
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*keys, *columns])
    for at in np.ndindex(*(results.sizes[name] for name in keys)):
        place = [results[name].values[i] for name, i in zip(keys, at, strict=True)]
        cells = [values[at] for values in columns.values()]
        writer.writerow([*place, *("" if isinstance(cell, np.floating) and np.isnan(cell) else cell for cell in cells)])
    return atomic_write(local_path(path), text.getvalue())
