"""Reading stored results: the Dataset of a work folder, its settings, and the data settings of a member.

Results of earlier versions are renamed to this one's names as they are opened (`diffgeo.settings.migration`).
"""

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from diffgeo.errors import UserError, require
from diffgeo.results.schema import EVALUATION, MISSING
from diffgeo.results.workdir import open_workdir
from diffgeo.settings import Data, Settings, migration
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
    """Open a results store, read lazily, with this version's names."""
    return upgrade(xr.open_zarr(str(path), chunks=None))


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
    return _settings(dataset.attrs["settings"])


@functools.lru_cache(maxsize=16)  # checking a large grid takes longer than reading one member of it
def _settings(text: str) -> Settings:
    return Settings.from_json(json.loads(text))


def settings_of_member(member: xr.Dataset) -> Settings:
    """Return the settings of the single member that results were reduced to, from its coordinates."""
    settings = settings_of(member)
    values = {name: np.asarray(member[name].values).reshape(-1)[0] for name in settings.axes}
    return settings.at(**{name: np.asarray(value).item() for name, value in values.items()})


def data_at(results: xr.Dataset, /, **coordinates: Any) -> Data:
    """Return the data settings of the members at these coordinates; axes of length 1 need none."""
    settings = settings_of(results)
    known = {name: results[name].values.reshape(-1)[0] for name in settings.axes if name != "seed"} | coordinates
    return settings.at(**{name: np.asarray(value).item() for name, value in known.items()}).data
