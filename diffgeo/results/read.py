"""Reading stored results: the Dataset of a work folder, its settings, and the data settings of a member.

Results of earlier versions are renamed to this one's names as they are opened (`diffgeo.settings.migration`).
"""

import functools
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from diffgeo.errors import DamagedError, UserError, one_line, require
from diffgeo.results import checked
from diffgeo.results.checked import CheckedStore, Chunk
from diffgeo.results.metadata import Metadata, check_grid
from diffgeo.results.schema import EVALUATION, MISSING
from diffgeo.results.workdir import open_workdir
from diffgeo.settings import Data, Grid, Settings, migration
from diffgeo.settings.allowed import COMMON, OWN


def open_results(workdir: str | Path) -> xr.Dataset:
    """Open the Dataset of a work folder, read lazily; safe while the run is still writing.

    Raises:
      UserError: if the folder has no results.
    """
    path = open_workdir(workdir).results
    if not path.exists():
        raise UserError(f"no results in {str(workdir)!r}: start a run there with launch.train first")
    return open_store(path)


def open_store(path: Path) -> xr.Dataset:
    """Open a results store, read lazily, with this version's names.

    Raises:
      UserError: for metadata that is damaged, or none of this library's; when values are read, for damaged ones.
    """
    return dataset_of(checked_store(path), str(path))


def checked_store(path: Path, write: bool = False) -> CheckedStore:
    """Return the store in a folder, its metadata validated and its chunks to be compared with their checksums.

    Raises:
      UserError: as `open_store`.
    """
    fix = f"launch.analyze --workdir={path.parent} --repair computes anew what its checkpoints give"
    try:
        read = checked.read_folder(path)
        return checked.open_folder(path, read, lambda chunk, wrong: damaged_chunk(path, read, chunk, wrong, fix), write)
    except DamagedError as error:
        raise UserError(f"results {str(path)!r} are damaged, or not a run's: {error}; {fix}") from error


def damaged_chunk(path: Path, read: Metadata, chunk: Chunk, wrong: str, fix: str) -> UserError:
    """Return the error of a damaged chunk: its variable, steps and members, its file, what is wrong, and the fix."""
    return UserError(f"{describe(read, chunk)} of the results is damaged: {str(path / chunk.file)!r} {wrong}; {fix}")


def describe(read: Metadata, chunk: Chunk) -> str:
    """Return the variable, the evaluation step and the member of a chunk in words."""
    ranges = chunk.ranges(read.arrays[chunk.array])
    try:
        settings = settings_from(read.attributes["settings"])
        axes = json.loads(read.attributes["settings"])["axes"]
    except (KeyError, TypeError, ValueError, UserError):
        return repr(chunk.array)
    known = {"step": Grid(settings).evaluation_steps, **axes}
    alone = {dim: known[dim][at.start] for dim, at in ranges.items() if dim in known and at.stop - at.start == 1}
    step = f" at step {alone.pop('step')}" if "step" in alone else ""
    of_member = ", ".join(f"{dim}={value}" for dim, value in alone.items() if dim in axes and len(axes[dim]) > 1)
    return f"{chunk.array!r}{step}{' of ' * bool(of_member)}{of_member}"


def dataset_of(store: CheckedStore, where: str) -> xr.Dataset:
    """Return the Dataset in a store, read lazily, with this version's names.

    Raises:
      UserError: if its settings cannot be read, or its arrays are not of them.
    """
    read = store.metadata
    try:
        upgraded = upgrade(xr.open_zarr(store, chunks=None, zarr_format=2, consolidated=True, decode_times=False))
        if "settings" in upgraded.attrs:
            settings = settings_of(upgraded)
            lengths = {name: len(values) for name, values in json.loads(read.attributes["settings"])["axes"].items()}
            check_grid(read.arrays, lengths, len(Grid(settings).evaluation_steps))
    except UserError:
        raise
    except Exception as error:  # xarray and zarr raise many kinds for attributes that are not a Dataset's
        raise UserError(f"results {where!r} are damaged, or not a run's: {one_line(error)}") from error
    return upgraded


def load_results(workdir: str | Path) -> xr.Dataset:
    """Load results into memory, but for snapshots: they are the largest part, and read when they are used."""
    results = open_results(workdir)
    for name, variable in results.variables.items():
        if name != "pca_scores":
            variable.load()
    return results


def upgrade(stored: xr.Dataset) -> xr.Dataset:
    """Return a stored Dataset with this version's names of variables and dims, and with all of its settings."""
    known = {*stored.variables, *stored.dims}
    names = {new: old for new, old in old_names(stored.attrs).items() if old in known}
    renamed = stored.rename({old: new for new, old in names.items()})
    if "settings" not in stored.attrs:
        return renamed
    settings = migration.upgrade_settings(json.loads(stored.attrs["settings"]))
    return renamed.assign_attrs(settings=json.dumps(settings))


def select_scores(results: xr.Dataset, label_set: str = OWN, readout: str | None = None) -> xr.Dataset:
    """Return results whose scores and predictions are of one set of labels and one read-out, without those dims.

    Results written before these dims were stored have one of each, and are returned as they are. Of the common labels
    `label` and `prediction` are theirs, and variables of the samples at the members' own labels, such as images and
    activations, are left out.

    Args:
      results: of any version; selected ones are returned as they are.
      label_set: "own", the papers' choice, or "common", equal for all members.
      readout: "subpixel", or None for that of the settings.

    Raises:
      UserError: for a set of labels or a read-out that was not stored.
    """
    stored = {"label_set": [OWN], "readout": [None]}
    if "label_set" in results.dims:
        stored = {"label_set": results["label_set"].values.tolist(), "readout": results["readout"].values.tolist()}
        readout = stored["readout"][0] if readout is None else readout
    elif readout is not None and "settings" in results.attrs:
        stored["readout"] = [settings_tree(results)["evaluation"]["readout"]]
    for name, wanted in (("label_set", label_set), ("readout", readout)):
        known = [str(value) for value in stored[name]]
        require(str(wanted) in known, f"no {name} {wanted!r} is stored in these results, only {', '.join(known)}")
    if "label_set" not in results.dims:
        return results
    if label_set == COMMON:
        results = results.drop_dims("sample").rename(common_label="label", common_prediction="prediction")
        results = results.rename(common="sample")
    else:
        results = results.drop_dims("common", errors="ignore")
    return results.sel(label_set=label_set, readout=readout, drop=True)


def unfinished_step(results: xr.Dataset) -> int | None:
    """Return the first evaluation step that results of some member lack; None if the run is finished."""
    lacking = results["group_complete"].sel(group=EVALUATION).load() == MISSING
    steps = lacking["step"].values[lacking.any([dim for dim in lacking.dims if dim != "step"]).values]
    return int(steps[0]) if len(steps) else None


def old_names(attributes: Mapping[str, Any]) -> dict[str, str]:
    """Return new -> stored name of variables and dims of a store with these attributes; empty for this format."""
    if "store_format" in attributes:
        return {}
    return {new: old for old, new in {**migration.DIMS, **migration.VARIABLES}.items()}


def settings_tree(dataset: xr.Dataset) -> dict[str, Any]:
    """Return the run's settings as plain dicts, from the Dataset's attributes."""
    return json.loads(dataset.attrs["settings"])


def settings_of(dataset: xr.Dataset) -> Settings:
    """Return the run's settings, from the Dataset's attributes."""
    return settings_from(dataset.attrs["settings"])


@functools.lru_cache(maxsize=16)  # checking a large grid takes longer than reading one member of it
def settings_from(text: str) -> Settings:
    """Return the settings in the attribute of a Dataset, of any version."""
    return Settings.from_json(migration.upgrade_settings(json.loads(text)))


def settings_of_member(member: xr.Dataset) -> Settings:
    """Return the settings of the single member that results were reduced to, from its coordinates."""
    settings = settings_of(member)
    values = {name: np.asarray(member[name].values).reshape(-1)[0] for name in settings.axes}
    return settings.at(**{name: _value(value) for name, value in values.items()})


def data_at(results: xr.Dataset, /, **coordinates: Any) -> Data:
    """Return the data settings of the members at these coordinates; axes of length 1 need none."""
    settings = settings_of(results)
    known = {name: results[name].values.reshape(-1)[0] for name in settings.axes if name != "seed"} | coordinates
    return settings.at(**{name: _value(value) for name, value in known.items()}).data


def _value(label: Any) -> Any:
    """Return the setting that a coordinate of results stands for: None for NaN."""
    value = None if label is None else np.asarray(label).item()
    return None if isinstance(value, float) and math.isnan(value) else value
