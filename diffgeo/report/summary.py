"""Summary of a run in a single small file: the data of its figures and verdicts, without activations and most samples.

A summary keeps every score of every member and evaluation, the labels, the last predictions and samples, and the UMAP
of the papers' tensor at every evaluation. Of the other steps that figures show, it keeps as many samples as they show
and the clouds of the papers' tensor. All else is set to missing. Clouds are stored in half precision (3 digits, more
than a figure shows). Where that takes more than `LIMIT`, clouds of controls, and samples and clouds of steps before the
last, are kept of the first seed alone, which is the one that figures of a member show; the UMAP of the papers' tensor
at every evaluation, too, if that is not enough.
"""

import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numcodecs
import numpy as np
import xarray as xr
from zarr.storage import LocalStore

from diffgeo.errors import DamagedError, UserError, one_line, require
from diffgeo.host.disk import local_path, refusal, refusals, refused
from diffgeo.host.files import atomic_path
from diffgeo.plots.members import shown_steps
from diffgeo.plots.samples import SIDE
from diffgeo.results.checked import chunk_place, open_memory
from diffgeo.results.metadata import CONSOLIDATED, Metadata, consolidate, parse
from diffgeo.results.read import dataset_of
from diffgeo.results.schema import encoded
from diffgeo.settings.allowed import LAYER
from diffgeo.settings.migration import STORE_FORMAT

ENDING = ".zip"
LIMIT = 1_000_000
"""Bytes from which on a summary keeps less; every one in experiments/gallery is smaller."""

MOST_BYTES = 2**28
"""Bytes of the files in a summary that is read: hundreds of times its own."""

DROPPED = ("pca_scores",)
"""Variables that are left out: the activations themselves, in the basis of their principal components."""

EVERY_STEP = ("umap",)
"""Variables of which the papers' tensor is kept at every step: R^2 by region is computed from it."""

STEP_DIMS = ("sample", "common", "kept", "mode", "view", "bar", "angle_bin", "residual_bin")
"""Dims of large variables, which are kept only at the steps that figures show."""


def is_summary(path: Path) -> bool:
    """Return whether a path is a summary's rather than a work folder's.

    Raises:
      UserError: if it is, and there is none.
    """
    if path.suffix != ENDING or path.is_dir():
        return False
    with refusals(path):
        require(path.exists(), f"no summary {str(path)!r}: write one by launch.report --summary")
    return True


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
    path = local_path(path)
    if path.suffix != ENDING:
        raise UserError(f"a summary is a zip file, so {str(path)!r} must end in {ENDING}")
    levels = ((True, True), (False, True), (False, False)) if results.sizes.get("seed", 1) > 1 else ((True, True),)
    for all_seeds, all_clouds in levels:
        if _pack(reduced(results, all_seeds, all_clouds), path) <= LIMIT:
            break
    return path


def _pack(small: xr.Dataset, path: Path) -> int:
    """Write reduced results as a zip file, atomically; return its bytes."""
    # results of an older store have this version's names once they are opened, so the format is this version's, too
    small = small.assign_attrs(store_format=STORE_FORMAT)
    packed = numcodecs.Blosc("zstd", clevel=9, shuffle=numcodecs.Blosc.SHUFFLE)  # 2/3 of the default codec's size
    encoding = {
        name: {"chunks": tuple(max(1, size) for size in variable.shape)} | encoded(packed)
        for name, variable in small.variables.items()
    }
    with atomic_path(path) as part, tempfile.TemporaryDirectory(dir=path.parent) as folder:
        how: Any = {"zarr_format": 2, "consolidated": False, "write_empty_chunks": True}
        small.to_zarr(LocalStore(folder), mode="w", encoding=encoding, **how)
        consolidate(Path(folder))
        with zipfile.ZipFile(part, "w", zipfile.ZIP_STORED) as archive:
            for file in sorted(Path(folder).rglob("*")):
                if file.is_file():
                    archive.write(file, file.relative_to(folder))
    return path.stat().st_size


def read(path: str | Path) -> xr.Dataset:
    """Read the results in a summary into memory, clouds in single precision.

    Raises:
      UserError: if the file is not a summary.
    """
    fix = "write one by launch.report --summary"
    try:
        files = _files(Path(path))
        metadata = parse(files.get(CONSOLIDATED, b""))
        _check_names(files, metadata)
        store = open_memory(files, metadata, lambda chunk, wrong: DamagedError(f"{chunk.file} {wrong}"))
        results = dataset_of(store, str(path)).load()
    except Exception as error:  # zipfile raises many kinds for a file that is cut or changed
        if (found := refused(error)) is not None:
            raise refusal(Path(path), found) from error
        raise UserError(f"{str(path)!r} is not a summary of a run ({one_line(error)}): {fix}") from error
    half = [name for name, variable in results.data_vars.items() if variable.dtype == np.float16]
    return results.assign({name: results[name].astype(np.float32) for name in half})


def _files(path: Path) -> dict[str, bytes]:
    """Return the content of every file in an archive, each compared with the archive's own checksum of it."""
    with zipfile.ZipFile(path) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        if sum(entry.file_size for entry in entries) > MOST_BYTES:
            raise DamagedError(f"it holds more than {MOST_BYTES:,} bytes")
        files = {entry.filename: archive.read(entry) for entry in entries}
    if len(files) < len(entries):
        raise DamagedError("it holds a file twice")
    return files


def _check_names(files: Mapping[str, bytes], metadata: Metadata) -> None:
    """Raise `DamagedError` for a file that is none of the arrays': under another name, its values would be missing."""
    for name in files:
        array, _, file = name.rpartition("/")
        info = metadata.arrays.get(array)
        if name not in (CONSOLIDATED, *metadata.tree) and (info is None or chunk_place(info, file) is None):
            raise DamagedError(f"{name!r} is none of its arrays'")


def reduced(results: xr.Dataset, all_seeds: bool = True, all_clouds: bool = True) -> xr.Dataset:
    """Return the results with only the data of figures and verdicts, as the module describes.

    Args:
      results: of a run, loaded.
      all_seeds: keep of every seed what single figures show of the first alone.
      all_clouds: keep of every seed the UMAP of the papers' tensor at every evaluation.
    """
    small = results.drop_vars([name for name in DROPPED if name in results])
    if "step" not in small.dims or "label" not in small:
        return small
    shown = _shown(small)
    first = True if all_seeds or "seed" not in small.dims else small["seed"] == small["seed"][0]
    for name, variable in small.data_vars.items():
        large = set(variable.dims) & set(STEP_DIMS)
        if "step" not in variable.dims or not large:
            continue
        last = small["step"] == small["step"][-1]
        keep = last | (shown & first if name not in ("prediction", "common_prediction") else False)
        if "kept" in variable.dims:
            keep = last | (keep & (xr.DataArray(np.arange(small.sizes["kept"]), dims="kept") < SIDE**2))
        if "tensor" in variable.dims:
            keep = (last & ((small["tensor"] == LAYER) | first)) | (keep & (small["tensor"] == LAYER))
        if name in EVERY_STEP:
            keep = keep | ((small["tensor"] == LAYER) & (True if all_clouds else first))
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
