"""Samples of the last evaluation, label by label: where they were asked for and drawn, and what copying would score."""

import functools
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from diffgeo import readout
from diffgeo.claims.intervals import share_resolution
from diffgeo.claims.scores import is_subpixel, own_scores
from diffgeo.data import label_tables, regions
from diffgeo.data.nearest_seen import copied_hits
from diffgeo.errors import UserError
from diffgeo.results import data_at
from diffgeo.settings import Data
from diffgeo.settings.allowed import SUBPIXEL

BOTH, X, Y = "both", "x", "y"
PARTS = (BOTH, X, Y)
"""Parts of a label that a sample can get right: both coordinates, or one of them."""

READING = 0.05
"""Pixels by which the sub-pixel read-out may err: by it a copy at exactly the tolerance may be read as right."""


def last_samples(results: xr.Dataset) -> xr.Dataset:
    """Return the samples of the last evaluation of every member, read to a fraction of a pixel where images are stored.

    By the sub-pixel read-out where it was stored, or where the images of all samples were and can be read again; else
    by the run's own. A coordinate that cannot be read, of a stripe that is not there, is NaN and never right.

    Returns:
      A Dataset over the grid's axes and "sample", NaN where a member has fewer labels: `asked` and `drawn` (pixels of
      the frame; dim "factor"), `hit` and `copied` (dim "part", `PARTS`): whether it is right, and the expected hits of
      drawing the nearest label of the training data instead (`nearest_seen.copied_hits`).

    Raises:
      UserError: if the run is not finished.
    """
    asked = results["label"].transpose(..., "sample", "factor")
    axes = tuple(str(dim) for dim in asked.dims[:-2])
    again = not is_subpixel(results) and results.sizes["kept"] == results.sizes["sample"]
    tolerance = 1 + READING if again or is_subpixel(results) else 1.0
    drawn = _drawn(own_scores(results), axes, again)
    hit, copied = (np.full((*asked.shape[:-1], len(PARTS)), np.nan) for _ in range(2))
    for index in np.ndindex(*asked.shape[:-2]):
        data = _data(results, axes, index)
        known = np.isfinite(asked.values[index]).all(axis=-1)
        labels, places = asked.values[index][known], drawn[index][known]
        found = readout.hits(places, labels, period=data.period)
        hit[index][known] = np.column_stack([found.all(axis=1), found])
        copied[index][known] = _copied(data, labels.tobytes(), tolerance)
    coords = {dim: results[dim].values for dim in axes}
    by_part = ((*axes, "sample", "part"), hit), ((*axes, "sample", "part"), copied)
    variables = {"asked": asked, "drawn": ((*axes, "sample", "factor"), drawn)}
    return xr.Dataset(
        variables | dict(zip(("hit", "copied"), by_part, strict=True)),
        {**coords, "part": list(PARTS), "factor": results["factor"].values},
    )


def _drawn(results: xr.Dataset, axes: tuple[str, ...], again: bool) -> np.ndarray:
    """Return float[axes, sample, factor], the places drawn at the last evaluation in pixels of the frame.

    If `again`, they are read from the images.
    """
    last = results.isel(step=-1)
    drawn = last["prediction"].transpose(*axes, "sample", "factor").values.copy()
    finished = last["accuracy"].sel(region=regions.ALL) if "region" in last["accuracy"].dims else last["accuracy"]
    if finished.isnull().any():  # places may be NaN where nothing can be read
        raise UserError("samples of the last evaluation are missing: finish the run first")
    if not again:
        return drawn
    images = last["samples"].transpose(*axes, "kept", "row", "column").values
    for index in np.ndindex(*drawn.shape[:-2]):
        data = _data(results, axes, index)
        known = np.isfinite(results["label"].transpose(*axes, "sample", "factor").values[index]).all(axis=-1)
        own = images[index][known][:, : data.size, : data.size]
        places = readout.predict_centers(own, SUBPIXEL, data.kind, data.sigma, data.periodic)
        drawn[index][known] = places + results["origin"].transpose(*axes, "factor").values[index]
    return drawn


def in_region(results: xr.Dataset, region: str) -> xr.DataArray:
    """Return bool over the grid's axes and "sample": which labels lie in a region."""
    asked = results["label"].transpose(..., "sample", "factor")
    axes = tuple(str(dim) for dim in asked.dims[:-2])
    mask = np.zeros(asked.shape[:-1], bool)
    for index in np.ndindex(*mask.shape[:-1]):
        labels = asked.values[index]
        known = np.isfinite(labels).all(axis=1)
        mask[index][known] = regions.masks(_data(results, axes, index), labels[known], [region])[region]
    return xr.DataArray(mask, {dim: results[dim].values for dim in axes}, (*axes, "sample"))


class HeldOut(NamedTuple):
    """Scores of held-out labels; dims are the grid's axes."""

    share: xr.DataArray
    """Share of right samples."""
    copied: xr.DataArray
    """Share that copying the nearest seen label would get right."""
    labels: xr.DataArray
    """Number of labels behind each share; 0 where there is none, and the shares are NaN."""

    @property
    def excess(self) -> xr.DataArray:
        """Share less that of copying."""
        return self.share - self.copied

    @property
    def resolution(self) -> float:
        """`share_resolution` of the member with the fewest labels, of those that have any."""
        counts = self.labels.values[self.labels.values > 0]
        return share_resolution(int(counts.min()) if counts.size else 1)

    def sel(self, **chosen: Any) -> "HeldOut":
        """Return the scores at these coordinates."""
        return HeldOut(*(each.sel(chosen, drop=True) for each in self))


def held_out(samples: xr.Dataset, mask: xr.DataArray, part: str = BOTH, far: str | None = None) -> HeldOut:
    """Score the samples of some labels.

    Args:
      samples: from `last_samples`.
      mask: bool, the labels; `in_region` for a region.
      part: what must be right: "both", "x" or "y".
      far: keep only labels that copying the nearest seen label never gets right in this part ("both", "x" or "y"):
        those at least a pixel from every label of the training data, in that part. None keeps all.
    """
    if far is not None:
        mask = mask & (samples["copied"].sel(part=far, drop=True) == 0)
    share, copied = (samples[name].sel(part=part, drop=True).where(mask).mean("sample") for name in ("hit", "copied"))
    return HeldOut(share, copied, mask.sum("sample"))


def drawn_slope(samples: xr.Dataset, mask: xr.DataArray, factor: str) -> xr.DataArray:
    """Return the least-squares slope of the place drawn on the place asked for, within each half of some labels.

    1 if the model interpolates between the values that it has seen, 0 if it draws the nearest of them whatever is
    asked. The halves, below and above the middle of the labels, have an offset of their own: a model that copies draws
    one edge in one half and the other in the other, which over both has a slope of 1.5. NaN where each half has a
    single value. Dims are the grid's axes.
    """
    asked, drawn = (samples[name].sel(factor=factor, drop=True).where(mask) for name in ("asked", "drawn"))
    middle, asked = asked.mean("sample"), asked.where(drawn.notnull())
    product, spread = 0.0, 0.0
    for half in (asked < middle, asked > middle):
        places = asked.where(half)
        centered = places - places.mean("sample")
        product = product + (centered * drawn).sum("sample")
        spread = spread + (centered**2).sum("sample")
    return product / xr.where(spread > 0, spread, np.nan)


def _data(results: xr.Dataset, axes: tuple[str, ...], index: tuple[int, ...]) -> Data:
    chosen = {dim: results[dim].values[i] for dim, i in zip(axes, index, strict=True) if dim != "seed"}
    return data_at(results, **chosen)


@functools.lru_cache(maxsize=256)
def _copied(data: Data, labels: bytes, tolerance: float) -> np.ndarray:
    """Return `copied_hits` of labels of a member's data; those of its seeds are the same."""
    table = label_tables.build_label_table(data)
    asked = np.frombuffer(labels, np.float32).reshape(-1, 2)
    return copied_hits(asked, table.centers[: int(table.count)], tolerance, data.period)
