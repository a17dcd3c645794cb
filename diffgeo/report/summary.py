"""Summary of a run in a single small file: the data of its figures and verdicts, without activations and most samples.

A summary keeps every score of every member and evaluation, the labels, the last predictions and samples, and the UMAP
of the papers' tensor at every evaluation. Of the other steps that figures show, it keeps as many samples as they show
and the clouds of the papers' tensor. All else is set to missing. Clouds are stored in half precision (3 digits, more
than a figure shows).
"""

import tempfile
import zipfile
from pathlib import Path

import numcodecs
import numpy as np
import xarray as xr
from zarr.storage import ZipStore

from diffgeo.errors import UserError
from diffgeo.host.files import atomic_path
from diffgeo.plots.members import shown_steps
from diffgeo.plots.samples import SIDE
from diffgeo.results.read import upgrade
from diffgeo.settings.allowed import LAYER
from diffgeo.settings.migration import STORE_FORMAT

ENDING = ".zip"
LIMIT = 1_000_000
"""Bytes; every summary in experiments/gallery is smaller."""

DROPPED = ("pca_scores",)
"""Variables that are left out: the activations themselves, in the basis of their principal components."""

EVERY_STEP = ("umap",)
"""Variables of which the papers' tensor is kept at every step: R^2 by region is computed from it."""

STEP_DIMS = ("sample", "common", "kept", "mode", "view", "bar", "angle_bin", "residual_bin")
"""Dims of large variables, which are kept only at the steps that figures show."""


def write(results: xr.Dataset, path: str | Path) -> Path:
    """Write a summary, a zip file of a zarr store, atomically.

    Args:
      results: of a run, loaded.
      path: ending in .zip.

    Returns:
      The path.

    Raises:
      UserError: if the path has another ending.
    """
    path = Path(path)
    if path.suffix != ENDING:
        raise UserError(f"a summary is a zip file, so {str(path)!r} must end in {ENDING}")
    # results of an older store have this version's names once they are opened, so the format is this version's, too
    small = reduced(results).assign_attrs(store_format=STORE_FORMAT)
    packed = numcodecs.Blosc("zstd", clevel=9, shuffle=numcodecs.Blosc.SHUFFLE)  # 2/3 of the default codec's size
    encoding = {
        name: {"chunks": variable.shape, "compressors": packed}
        for name, variable in small.data_vars.items()
        if variable.ndim
    }
    with atomic_path(path) as part, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        small.to_zarr(folder, mode="w", zarr_format=2, consolidated=True, encoding=encoding)
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder))
    return path


def read(path: str | Path) -> xr.Dataset:
    """Read the results in a summary into memory, clouds in single precision.

    Raises:
      UserError: if the file is not a summary.
    """
    try:
        if not zipfile.is_zipfile(path):
            raise ValueError("no zip file")
        with ZipStore(Path(path), mode="r") as store:
            results = upgrade(xr.open_zarr(store, chunks=None)).load()
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{str(path)!r} is not a summary of a run: write one by launch.report --summary") from error
    half = [name for name, variable in results.data_vars.items() if variable.dtype == np.float16]
    return results.assign({name: results[name].astype(np.float32) for name in half})


def reduced(results: xr.Dataset) -> xr.Dataset:
    """Return the results with only the data of figures and verdicts, as the module describes."""
    small = results.drop_vars([name for name in DROPPED if name in results])
    if "step" not in small.dims or "label" not in small:
        return small
    shown = _shown(small)
    for name, variable in small.data_vars.items():
        large = set(variable.dims) & set(STEP_DIMS)
        if "step" not in variable.dims or not large:
            continue
        last = small["step"] == small["step"][-1]
        keep = last | (shown if name not in ("prediction", "common_prediction") else False)
        if "kept" in variable.dims:
            keep = last | (keep & (xr.DataArray(np.arange(small.sizes["kept"]), dims="kept") < SIDE**2))
        if "tensor" in variable.dims:
            keep = last | (keep & (small["tensor"] == LAYER))
        if name in EVERY_STEP:
            keep = keep | (small["tensor"] == LAYER)
        if variable.dtype == np.uint8:
            small[name] = variable.where(keep, np.uint8(255)).astype(np.uint8).transpose(*variable.dims)
        else:
            small[name] = variable.where(keep).transpose(*variable.dims)
        if "tensor" in variable.dims and variable.dtype == np.float32:
            small[name] = _half(small[name])
    for name in small.variables:
        small[name].encoding = {}
    for name, variable in small.data_vars.items():
        variable.attrs = results[name].attrs
    return small


def _shown(results: xr.Dataset) -> xr.DataArray:
    """Return bool over the grid's axes and step: the first evaluation, and those that figures of a member show."""
    axes = [dim for dim in results["label"].dims if dim not in ("sample", "factor")]
    shape = [results.sizes[dim] for dim in (*axes, "step")]
    coords = {dim: results[dim] for dim in (*axes, "step")}
    shown = xr.DataArray(np.zeros(shape, bool), coords, (*axes, "step"))
    for index in np.ndindex(*shape[:-1]):
        member = results.isel(dict(zip(axes, index, strict=True)))
        if np.isfinite(member["accuracy"]).any():
            shown.values[index] = np.isin(results["step"].values, [0, *shown_steps(member)])
    return shown


def _half(values: xr.DataArray) -> xr.DataArray:
    """Return values in half precision, or unchanged if a finite value would overflow."""
    finite = values.values[np.isfinite(values.values)]
    fits = not finite.size or np.abs(finite).max() < np.finfo(np.float16).max
    return values.astype(np.float16) if fits else values
