"""Selections and reductions of results that claims share: analyzed metrics, a single data set, means over axes."""

import numpy as np
import xarray as xr

from diffgeo.claims.claim import PRECONDITION, Comparison, compare
from diffgeo.claims.intervals import share_resolution
from diffgeo.claims.scores import sample_counts, scores
from diffgeo.data import regions
from diffgeo.data.label_tables import with_role
from diffgeo.errors import UserError
from diffgeo.settings.allowed import LAYER

LEARNED = 0.5
"""Accuracy over which a model counts as trained."""

NOT_AXES = ("seed", "step")


def of_role(results: xr.Dataset, role: str) -> xr.Dataset:
    """Return the results of the models of a data set, which stay an axis of length 1.

    Raises:
      UserError: if the results have no such data set.
    """
    return results.sel(dataset=[with_role([str(name) for name in results["dataset"].values], role)])


def analyzed(results: xr.Dataset, name: str) -> xr.DataArray:
    """Return a metric of the representations.

    Raises:
      UserError: if a checkpoint after the first lacks it.
    """
    if name not in results:
        raise UserError(f"{name!r} was not measured in this run: run it with its analyses, or launch.analyze")
    array = results[name]
    values = array.sel(tensor=LAYER) if "tensor" in array.dims else array
    # the cloud of the untrained network may be degenerate; every later checkpoint must have a value
    later = values.isel(step=slice(1, None))
    missing = (later < 0) if name == "phase" else later.isnull()
    if missing.any():
        raise UserError(f"{int(missing.sum())} values of {name!r} are missing: finish the run, or launch.analyze")
    return array


def has(results: xr.Dataset, name: str) -> bool:
    """Return whether a metric was measured at every evaluation after the first; summaries drop some."""
    if name not in results:
        return False
    values = results[name].sel(tensor=LAYER) if "tensor" in results[name].dims else results[name]
    return bool(values.isel(step=slice(1, None)).notnull().all())


def learned(results: xr.Dataset, description: str, region: str = regions.ALL) -> Comparison:
    """Return the precondition that models have learned: last accuracy in a region, mean over axes, over `LEARNED`."""
    last = scores(results, region)["accuracy"].isel(step=-1)
    resolution = share_resolution(int(sample_counts(results, region).min()))
    return compare(description, mean_over_axes(last), LEARNED, role=PRECONDITION, resolution=resolution)


def at_peak_of_others(values: xr.DataArray, dim: str) -> xr.DataArray:
    """Return each seed's value where the mean of the other seeds is largest along a dim.

    A seed's own maximum favors noise: it is over 0 where nothing rises. The place is chosen by other data here.
    """
    picked = []
    for seed in values["seed"].values:
        peak = int(values.sel(seed=values["seed"] != seed).mean(dim="seed").argmax(dim))
        picked.append(float(values.sel(seed=seed).isel({dim: peak})))
    return xr.DataArray(picked, {"seed": values["seed"].values}, ["seed"])


def log(values: xr.DataArray) -> xr.DataArray:
    """Return natural logarithms."""
    return xr.apply_ufunc(np.log, values)


def mean_over_axes(values: xr.DataArray, *kept: str) -> xr.DataArray:
    """Return the mean over the grid's axes except the seed and those kept."""
    return values.mean([dim for dim in values.dims if dim not in (*NOT_AXES, *kept)])
