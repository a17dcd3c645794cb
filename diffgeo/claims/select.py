"""Selections and reductions of results shared by the claims: last step, a single data set, means over axes."""

import xarray as xr
from scipy.stats import rankdata

from diffgeo.claims.bootstrap import scores
from diffgeo.claims.intervals import RESAMPLE
from diffgeo.errors import UserError
from diffgeo.settings.allowed import LAYER

LEARNED = 0.5
"""Accuracy over which a model counts as trained."""

NOT_AXES = (RESAMPLE, "seed", "step")


def at_last_step(results: xr.Dataset, region: str, dataset: str) -> xr.Dataset:
    """Return the accuracies in a region, at the last step, of the models of a data set.

    Raises:
      UserError: if the results have no such data set or region, or the run is not finished.
    """
    if dataset not in results["dataset"].values:
        raise UserError(f"there is no data set {dataset!r} in these results")
    return scores(results, region).isel(step=-1).sel(dataset=dataset, drop=True)


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


def mean_over_axes(values: xr.DataArray, *kept: str) -> xr.DataArray:
    """Return the mean over the grid's axes except the seed and those kept."""
    return values.mean([dim for dim in values.dims if dim not in (*NOT_AXES, *kept)])


def gain(values: xr.DataArray) -> xr.DataArray:
    """Return the last value less the first, over steps."""
    return values.isel(step=-1, drop=True) - values.isel(step=0, drop=True)


def ranks(values: xr.DataArray) -> xr.DataArray:
    """Return ranks over steps, ties averaged, for a rank correlation."""
    return xr.apply_ufunc(rankdata, values, input_core_dims=[["step"]], output_core_dims=[["step"]], vectorize=True)
