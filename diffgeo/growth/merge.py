"""Finished runs of one experiment joined into one: results copied, checkpoints linked.

Members that several runs have must be equal, and all members together must be a full grid: claims, figures and the
store's dims are of grids, so a hole would be a member that looks untrained.
"""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from diffgeo.claims import rules
from diffgeo.costs.storage import ALL
from diffgeo.errors import UserError, require
from diffgeo.host.disk import check_folder, local_path
from diffgeo.host.files import atomic_path, write_json
from diffgeo.results import Results, Workdir, open_results
from diffgeo.results.read import unfinished_step
from diffgeo.results.schema import axis_labels
from diffgeo.results.store import open_arrays, writable
from diffgeo.results.workdir import CONFIG, first_difference, read_run
from diffgeo.settings import Axes, Grid, Member, Settings
from diffgeo.settings.migration import STORE_FORMAT

ABOUT = ("command", "commit", "hardware", "versions")
"""Attributes of each run's results that are kept for it in the joined ones' "sources"."""

SHOWN = 3
"""Members that a message names."""


class Part(NamedTuple):
    """A finished run to join, or whose models another experiment measures."""

    folder: str
    workdir: Workdir
    config: dict[str, Any]
    grid: Grid
    results: xr.Dataset

    @property
    def members(self) -> dict[tuple, Member]:
        """Coordinates -> member."""
        return {tuple(member.coordinates.values()): member for member in self.grid.members}

    @property
    def record(self) -> dict[str, Any]:
        """Where its members come from, for the record."""
        about = {name: self.results.attrs[name] for name in ABOUT if name in self.results.attrs}
        return {"workdir": self.folder, "axes": {name: list(values) for name, values in self.grid.axes.items()}} | about


def merge(
    folders: Sequence[str | Path], out: str | Path, copy: bool = False, provenance: Mapping[str, str] | None = None
) -> xr.Dataset:
    """Join finished runs, as those of array jobs, into a new folder; the runs themselves stay as they are.

    Args:
      folders: work folders of one experiment and preset whose settings differ in values of axes alone. Values are in
        the order in which they come first.
      out: the new work folder, which appears once it is complete.
      copy: copy checkpoints; otherwise they are linked, relative to `out`, and are read where they lie.
      provenance: strings stored with the new results; those of each run are in the attribute "sources".

    Returns:
      The joined results, read lazily.

    Raises:
      UserError: for one folder, an unfinished run, runs of different settings or files, members that differ between
        runs (quotes member and variable) or are in none (quotes them), or an `out` that exists.
    """
    out = local_path(out)
    check_folder(out)
    require(len(folders) > 1, f"{len(folders)} folder is nothing to join: give two or more")
    require(not out.exists() or not any(out.iterdir()), f"{str(out)!r} exists: choose a new folder by --out")
    parts = [read_part(folder) for folder in folders]
    for part in parts[1:]:
        _check_same(parts[0], part)
    axes = {
        name: tuple(dict.fromkeys(value for part in parts for value in part.grid.axes[name]))
        for name in parts[0].grid.axes
    }
    tree = {**parts[0].config["settings"], "axes": {name: list(values) for name, values in axes.items()}}
    grid = Grid(Settings.from_json(tree | {"axes": Axes(axes)}))
    _check_members(grid, parts)
    sources = [part.record for part in parts]
    about = {"settings": json.dumps(tree), "sources": json.dumps(sources), "store_format": STORE_FORMAT}
    about |= rules.shared([part.results.attrs for part in parts])
    empty = _empty(grid, parts).assign_attrs(parts[0].results.attrs | about | dict(provenance or {}))
    waves = [(part, index, wave) for part in parts for index, wave in enumerate(part.grid.waves_of(part.config))]
    listed = parts[0].grid.listed(wave for _, _, wave in waves)
    config = parts[0].config | {"settings": tree, "keep": ALL, "waves": listed, "sources": sources}
    config.pop("extensions", None)
    with atomic_path(out) as made:
        Results.create(made / "results.zarr", empty)
        for part in parts:
            copy_values(made / "results.zarr", empty, grid, part)
        for number, (part, index, _) in enumerate(waves):
            link_checkpoints(part, {index: Workdir(made).checkpoints(number)}, out, copy)
        write_json(made / CONFIG, {"store_format": STORE_FORMAT} | config)
    return open_results(out)


def read_part(folder: str | Path) -> Part:
    """Return a finished run.

    Raises:
      UserError: if there is none, it is unfinished, or trained nothing.
    """
    workdir, config = read_run(folder)
    results = open_results(folder)
    require("group_complete" in results, f"the run in {str(folder)!r} trained no model or is old: it cannot be taken")
    step = unfinished_step(results)
    require(
        step is None,
        f"the run in {str(folder)!r} is unfinished (step {step} is not evaluated): finish it by its own command first",
    )
    return Part(str(folder), workdir, config, Grid(Settings.from_json(config["settings"])), results)


def _check_same(first: Part, other: Part) -> None:
    """Raise `UserError` unless two runs differ in values of axes alone."""

    def identity(part: Part) -> dict[str, Any]:
        tree = {name: part.config.get(name) for name in ("experiment", "preset", "experiment_sha256")}
        settings = part.config["settings"]
        return tree | {"settings": settings | {"axes": list(settings["axes"])}}

    difference = first_difference(identity(first), identity(other))
    if difference:
        name, one, two = difference
        raise UserError(
            f"{first.folder!r} and {other.folder!r} differ in {name} ({json.dumps(one)}, {json.dumps(two)}): "
            "only runs that differ in values of axes can be joined"
        )
    for name in {*first.results.variables, *other.results.variables}:
        held = [part for part in (first, other) if name in part.results.variables]
        require(
            len(held) == 2 and first.results[name].dims == other.results[name].dims,
            f"{name!r} has other dims in {first.folder!r} than in {other.folder!r}, or one of them lacks it: "
            "run launch.analyze on both with this version",
        )


def _check_members(grid: Grid, parts: Sequence[Part]) -> None:
    """Raise `UserError` unless every member of the grid is in a run, and equal in all that have it."""
    holes = []
    for member in grid.members:
        point = tuple(member.coordinates.values())
        holders = [part for part in parts if point in part.members]
        if not holders:
            holes.append(str(member))
        for other in holders[1:]:
            _check_equal(member, holders[0], other)
    if holes:
        more = f" and {len(holes) - SHOWN} more" if len(holes) > SHOWN else ""
        raise UserError(
            f"no run has {'; '.join(holes[:SHOWN])}{more}: joined runs are a full grid, train what is missing in a "
            "folder of its own and join that, too"
        )


def _check_equal(member: Member, one: Part, other: Part) -> None:
    at = member.labels
    for name in one.results.data_vars:
        held, again = one.results[name].sel(at).values, other.results[name].sel(at).values
        if not np.array_equal(held, again, equal_nan=held.dtype.kind == "f"):
            raise UserError(
                f"member {member} has another {name!r} in {one.folder!r} than in {other.folder!r}: "
                "leave one of these runs out"
            )


def _empty(grid: Grid, parts: Sequence[Part]) -> xr.Dataset:
    """Return the joined results without values; dims such as sample are as long as the longest."""
    first = parts[0].results
    lengths = dict(zip(grid.axes, grid.shape, strict=True))
    for dim in first.sizes:
        if dim in first.coords and dim not in lengths:
            for part in parts[1:]:
                require(
                    np.array_equal(first[dim], part.results[dim]),
                    f"{str(dim)!r} in {parts[0].folder!r} differs from that in {part.folder!r}: they cannot be joined",
                )
        lengths.setdefault(str(dim), max(part.results.sizes[dim] for part in parts))
    variables = {}
    for name, variable in first.data_vars.items():
        fill = {"f": np.nan, "u": 255}.get(variable.dtype.kind, 0)  # images are padded in white
        shape = [lengths[str(dim)] for dim in variable.dims]
        variables[name] = (variable.dims, np.broadcast_to(np.array(fill, variable.dtype), shape), variable.attrs)
    coordinates = {name: first[name].variable for name in first.coords if name not in grid.axes}
    return xr.Dataset(variables, coordinates | {name: axis_labels(values) for name, values in grid.axes.items()})


def copy_values(path: Path, into: xr.Dataset, grid: Grid, part: Part) -> None:
    """Write a run's values into another store, a step at a time: snapshots of a large grid take gigabytes.

    Args:
      path: of the store.
      into: what it was created from; of variables and groups that it lacks nothing is written.
      grid: of the store, which has the run's members.
      part: the run.
    """
    store = open_arrays(path, write=True)
    places: dict[str, np.ndarray] = {
        name: np.array([values.index(value) for value in part.grid.axes[name]]) for name, values in grid.axes.items()
    }
    groups = list(into["group"].values)
    shared = part.results.sel(group=[group for group in part.results["group"].values if group in groups])
    places["group"] = np.array([groups.index(group) for group in shared["group"].values], int)
    # what is complete is recorded last: then what it is of is there
    for name, variable in sorted(shared.data_vars.items(), key=lambda item: item[0] == "group_complete"):
        if name not in into:
            continue
        for step in range(variable.sizes["step"]) if "step" in variable.dims else (None,):
            values = variable if step is None else variable.isel(step=slice(step, step + 1))
            at = {dim: places.get(str(dim), slice(0, size)) for dim, size in values.sizes.items()}
            if step is not None:
                at["step"] = slice(step, step + 1)
            writable(store, str(name)).oindex[tuple(at[dim] for dim in values.dims)] = values.values


def link_checkpoints(part: Part, waves: Mapping[int, Path], out: Path, copy: bool) -> None:
    """Give a new run the checkpoints of a finished one, as links relative to where it will be, or copied.

    Args:
      part: the finished run.
      waves: index of its wave -> folder of the new run's, which does not exist yet.
      out: where the new run's folder will be.
      copy: copy them.
    """
    for index, wave in waves.items():
        stored = Path(os.path.realpath(part.workdir.checkpoints(index)))
        wave.parent.mkdir(exist_ok=True)
        if copy:
            shutil.copytree(stored, wave)
        else:
            wave.symlink_to(os.path.relpath(stored, os.path.realpath(out / "checkpoints")), True)
