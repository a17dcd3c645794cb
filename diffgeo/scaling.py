"""How many labels a threshold accuracy needs, and how that grows with the image [2408.13256, section 3.2, Fig. 5]."""

import numpy as np
import xarray

from diffgeo import datasets
from diffgeo.claims import RESAMPLE
from diffgeo.errors import UserError
from diffgeo.results import data_at
from diffgeo.scores import scores


def labels_of(results: xarray.Dataset) -> xarray.DataArray:
    """int: number of labels in each member's table, from the settings alone; dims are the grid's axes but the seed."""
    axes = [str(dim) for dim in results["ceiling"].dims if dim != "seed"]
    values = np.empty([results.sizes[dim] for dim in axes], int)
    for place in np.ndindex(*values.shape):
        chosen = {dim: results[dim].values[i] for dim, i in zip(axes, place, strict=True)}
        values[place] = datasets.build(data_at(results, **chosen)).count
    return xarray.DataArray(values, {dim: results[dim].values for dim in axes}, axes)


def labels_needed(results: xarray.Dataset, dataset: str, threshold: float) -> xarray.DataArray:
    """Labels with which the last accuracy reaches a threshold, per size; NaN where it does not, or always does.

    Between two fractions the accuracy is taken to be linear in the logarithm of the number of labels.
    """
    last = scores(results)["accuracy"].isel(step=-1).sel(dataset=dataset, drop=True).sortby("fraction")
    counts = np.log(labels_of(results).sel(dataset=dataset, drop=True).sortby("fraction"))

    def crossing(accuracy, logs):
        over = np.flatnonzero(accuracy >= threshold)
        if not over.size or over[0] == 0:
            return np.nan
        i = over[0]
        part = (threshold - accuracy[i - 1]) / (accuracy[i] - accuracy[i - 1])
        return np.exp(logs[i - 1] + part * (logs[i] - logs[i - 1]))

    return xarray.apply_ufunc(crossing, last, counts, input_core_dims=[["fraction"], ["fraction"]], vectorize=True)


def scaling_exponent(results: xarray.Dataset, dataset: str, threshold: float) -> xarray.DataArray:
    """Slope of log labels needed against log N, by least squares; dims `RESAMPLE` and seed.

    Raises:
      UserError: if the threshold is not crossed at every size, or if another axis is left.
    """
    needed = labels_needed(results, dataset, threshold)
    if left := set(needed.dims) - {RESAMPLE, "seed", "size"}:
        raise UserError(f"one value of {' and of '.join(sorted(map(str, left)))} must be selected first")
    lost = needed.isel({RESAMPLE: 0}).isnull()
    if lost.any():
        sizes = sorted({int(size) for size in lost["size"].values[lost.any("seed").transpose("size").values]})
        raise UserError(
            f"accuracy {threshold:g} is not crossed within the fractions at N = {', '.join(map(str, sizes))} "
            f"({dataset}): more steps, or other fractions, would"
        )
    logs = np.log(needed["size"].astype(float))
    centred = logs - logs.mean()
    return (np.log(needed) * centred).sum("size", skipna=False) / (centred**2).sum()
