"""Labels needed for a threshold accuracy, and their growth with the image [2408.13256, section 3.2, Fig. 5]."""

import dataclasses
from collections.abc import Callable

import numpy as np
import xarray as xr

from diffgeo.claims.bootstrap import scores
from diffgeo.claims.intervals import RESAMPLE
from diffgeo.data import label_tables
from diffgeo.errors import UserError
from diffgeo.results import data_at
from diffgeo.settings import Data

TIGHT = 0.9
"""Least part of the smallest label table that is kept at every fraction, for the size of that table to stand for the
labels needed if its accuracy is over the threshold: the labels needed then lie between that part and the whole table,
so an exponent over N from 8 to 24 is off by less than 0.1."""


def labels_of(results: xr.Dataset) -> xr.DataArray:
    """Return int, the number of labels in each member's table, from the settings; dims are the axes but the seed."""
    return _counted(results, lambda data: int(label_tables.build_label_table(data).count))


def lasting_labels(results: xr.Dataset) -> xr.DataArray:
    """Return int, the part of `labels_of` that every fraction keeps: labels of parts other than "2d"; same dims."""

    def count(data: Data) -> int:
        others = "+".join(part for part in data.dataset.split("+") if part not in ("2d", "grid"))
        return int(label_tables.build_label_table(dataclasses.replace(data, dataset=others)).count) if others else 0

    return _counted(results, count)


def _counted(results: xr.Dataset, count: Callable[[Data], int]) -> xr.DataArray:
    """Return a count of each member's labels; dims are the grid's axes but the seed."""
    axes = [str(dim) for dim in results["readout_ceiling"].dims if dim != "seed"]
    values = np.empty([results.sizes[dim] for dim in axes], int)
    for index in np.ndindex(*values.shape):
        chosen = {dim: results[dim].values[i] for dim, i in zip(axes, index, strict=True)}
        values[index] = count(data_at(results, **chosen))
    return xr.DataArray(values, {dim: results[dim].values for dim in axes}, axes)


def labels_needed(results: xr.Dataset, dataset: str, threshold: float) -> xr.DataArray:
    """Return the labels at which the last accuracy reaches a threshold, per size; NaN where it never or always does.

    Between two fractions, accuracy is interpolated linearly in the logarithm of the number of labels. Where the
    smallest fraction is already over the threshold, its number of labels is returned if at least a part `TIGHT` of them
    is kept at every fraction (stripes beside few bumps): no data set of this kind is much smaller.
    """
    last = scores(results)["accuracy"].isel(step=-1).sel(dataset=dataset, drop=True).sortby("kept_fraction")
    counts = np.log(labels_of(results).sel(dataset=dataset, drop=True).sortby("kept_fraction"))
    lasting = lasting_labels(results).sel(dataset=dataset, drop=True).isel(kept_fraction=0, drop=True)

    def crossing(accuracy: np.ndarray, logs: np.ndarray, lasting: np.integer) -> float:
        over = np.flatnonzero(accuracy >= threshold)
        if not over.size:
            return np.nan
        if over[0] == 0:
            smallest = float(np.exp(logs[0]))
            return smallest if lasting >= TIGHT * smallest else np.nan
        i = over[0]
        part = (threshold - accuracy[i - 1]) / (accuracy[i] - accuracy[i - 1])
        return float(np.exp(logs[i - 1] + part * (logs[i] - logs[i - 1])))

    dims = [["kept_fraction"], ["kept_fraction"], []]
    return xr.apply_ufunc(crossing, last, counts, lasting, input_core_dims=dims, vectorize=True)


def scaling_exponent(results: xr.Dataset, dataset: str, threshold: float) -> xr.DataArray:
    """Return the least-squares slope of log labels needed against log N; dims `RESAMPLE` and seed.

    Raises:
      UserError: if the threshold is not crossed at every size, or if the grid has another axis.
    """
    needed = labels_needed(results, dataset, threshold)
    if left := set(needed.dims) - {RESAMPLE, "seed", "size"}:
        raise UserError(f"one value of {' and of '.join(sorted(map(str, left)))} must be selected first")
    undefined = needed.isel({RESAMPLE: 0}).isnull()
    if undefined.any():
        lacking = undefined.any("seed").transpose("size").values
        sizes = sorted({int(size) for size in undefined["size"].values[lacking]})
        raise UserError(
            f"accuracy {threshold:g} is not crossed within the fractions at N = {', '.join(map(str, sizes))} "
            f"({dataset}): more steps, or other fractions, would"
        )
    logs = np.log(needed["size"].astype(float))
    centered = logs - logs.mean()
    return (np.log(needed) * centered).sum("size", skipna=False) / (centered**2).sum()
