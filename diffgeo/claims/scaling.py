"""Labels needed for a threshold accuracy, and their growth with the image [2408.13256, section 3.2, Fig. 5]."""

import dataclasses
from collections.abc import Callable

import numpy as np
import xarray as xr

from diffgeo.claims.scores import scores
from diffgeo.claims.select import of_role
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
    axes = [str(dim) for dim in results["nonfinite_step"].dims if dim != "seed"]
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
    chosen = of_role(results, dataset)
    last = _last(chosen)
    counts = _alone(labels_of(chosen)).sortby("kept_fraction")
    lasting = _alone(lasting_labels(chosen)).isel(kept_fraction=0, drop=True)
    smallest = counts.isel(kept_fraction=0, drop=True)
    tight = xr.where(lasting >= TIGHT * smallest, smallest.astype(float), np.nan)
    return _crossings(last, counts, tight, threshold)


def bumps_needed(results: xr.Dataset, dataset: str, threshold: float) -> xr.DataArray:
    """Return the labels of the 2D part alone at which the last accuracy reaches a threshold, per size.

    Stripes, whose number is linear in N by design, are not counted. NaN where the threshold is not crossed between two
    fractions: where the smallest is over it already, how few would do was not measured.
    """
    chosen = of_role(results, dataset)
    counts = (_alone(labels_of(chosen)) - _alone(lasting_labels(chosen))).sortby("kept_fraction")
    return _crossings(
        _last(chosen), counts, xr.full_like(counts.isel(kept_fraction=0, drop=True), np.nan, float), threshold
    )


def scaling_exponent(needed: xr.DataArray) -> xr.DataArray:
    """Return the least-squares slope of log labels needed against log N, per seed.

    Args:
      needed: from `labels_needed` or `bumps_needed`, dims "size" and "seed".

    Raises:
      UserError: if the threshold is not crossed at every size, or if the grid has another axis.
    """
    if left := set(needed.dims) - {"seed", "size"}:
        raise UserError(f"one value of {' and of '.join(sorted(map(str, left)))} must be selected first")
    undefined = needed.isnull()
    if undefined.any():
        lacking = undefined.any("seed").transpose("size").values
        sizes = sorted({int(size) for size in undefined["size"].values[lacking]})
        raise UserError(f"a crossing of the threshold between two fractions at N = {', '.join(map(str, sizes))}")
    logs = np.log(needed["size"].astype(float))
    centered = logs - logs.mean()
    return (np.log(needed) * centered).sum("size", skipna=False) / (centered**2).sum()


def _last(chosen: xr.Dataset) -> xr.DataArray:
    return _alone(scores(chosen)["accuracy"].isel(step=-1)).sortby("kept_fraction")


def _alone(values: xr.DataArray) -> xr.DataArray:
    return values.squeeze("dataset", drop=True)


def _crossings(accuracy: xr.DataArray, counts: xr.DataArray, smallest: xr.DataArray, threshold: float) -> xr.DataArray:
    """Return the count at which accuracy first crosses a threshold; `smallest` where the first one is over it."""

    def crossing(accuracy: np.ndarray, counts: np.ndarray, smallest: float) -> float:
        over = np.flatnonzero(accuracy >= threshold)
        if not over.size:
            return np.nan
        if over[0] == 0:
            return float(smallest)
        i, logs = over[0], np.log(counts)
        part = (threshold - accuracy[i - 1]) / (accuracy[i] - accuracy[i - 1])
        return float(np.exp(logs[i - 1] + part * (logs[i] - logs[i - 1])))

    dims = [["kept_fraction"], ["kept_fraction"], []]
    return xr.apply_ufunc(crossing, accuracy, counts, smallest, input_core_dims=dims, vectorize=True)
