"""Members added to a finished run: more values of one of its axes.

The configuration is rewritten first, by one rename: with the new values, and with every wave's members, so that the
earlier waves keep their folders. From there on the run is an unfinished one, continued by the same command; its store
gains the new members, missing everywhere, when it is opened (`Results.grow`).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from diffgeo import readout
from diffgeo.costs.storage import ALL
from diffgeo.errors import require
from diffgeo.host import distributed, runtime
from diffgeo.results import Workdir, open_results
from diffgeo.results.read import unfinished_step
from diffgeo.results.workdir import read_run
from diffgeo.run import Run, execute
from diffgeo.run import folder as run_folder
from diffgeo.run.evaluation import empty_results
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.settings import Settings, override
from diffgeo.settings.migration import STORE_FORMAT


def added_values(settings: Settings, assignments: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """Return axis -> values to add, from assignments as of `settings.override`.

    Args:
      settings: of the run.
      assignments: 'axes.NAME=v1,v2', of one axis.

    Raises:
      UserError: for a setting that is no axis, or not exactly one axis.
    """
    for assignment in assignments:
        path = assignment.partition("=")[0]
        require(path.startswith("axes."), f"{path!r} is a setting of the finished run: --extend adds values of an axis")
    names = [assignment.partition("=")[0].removeprefix("axes.") for assignment in assignments]
    require(len(names) == 1, f"--extend adds values of one axis, not of {len(names)}: give one, as --seeds=3,4,5")
    require(
        names[0] in settings.axes,
        f"{names[0]!r} is no axis of the run ({', '.join(settings.axes)}): start a new one, with that axis",
    )
    return {names[0]: override(settings, *assignments).axes[names[0]]}


def extend(
    run: Run,
    folder: str | Path,
    added: Mapping[str, Sequence[Any]],
    provenance: Mapping[str, str] | None = None,
    waves: int | None = None,
    say: Callable[[str], None] = distributed.say,
) -> xr.Dataset | None:
    """Add members to a finished run and train them; earlier members stay as they are, bit for bit.

    Called again after a stop, with the same values, it goes on.

    Args:
      run: the run that the folder holds, with the settings of its configuration.
      folder: its work folder.
      added: one axis -> values to add behind those that it has.
      provenance: as of `execute`.
      waves: number of waves of the new members; None takes as few as fit the devices.
      say: where one-line messages go.

    Returns:
      As `execute`, of all members.

    Raises:
      UserError: if the run is unfinished, has one of the values, or its results have no room for the new members.
      Interrupted: after SIGTERM, SIGHUP or SIGINT, with the state saved.
    """
    require(run.compute is None, f"{run.experiment} trains nothing: there are no members to add")
    runtime.prepare()
    readout.load_packages()
    workdir, config = read_run(folder)
    distributed.broadcast(lambda: bool(run_folder.settle(run, workdir)))
    ((axis, values),) = added.items()
    if config.get("extensions", [])[-1:] != [{axis: list(values)}]:
        config = _add(run, workdir, config, axis, tuple(values), waves, say)
    settings = Settings.from_json(config["settings"], run.settings.dataset, run.settings.conditionings)
    return execute(dataclasses.replace(run, settings=settings), folder, provenance, say=say)


def _add(
    run: Run,
    workdir: Workdir,
    config: dict[str, Any],
    axis: str,
    values: tuple,
    waves: int | None,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the configuration of the extended run; return it."""
    for value in values:
        require(value not in run.grid.axes[axis], f"{axis}={value} is in the run already: leave it out")
    # its grid is the new members alone, since one axis grows
    new = dataclasses.replace(run, settings=_with_axis(run.settings, axis, values))
    whole = _with_axis(run.settings, axis, (*run.grid.axes[axis], *values))
    at_once = run_folder.members_at_once(new, build_tables(new.grid), waves)
    earlier = run.grid.waves_of(config)
    listed = new.grid.listed((*earlier, *new.grid.waves(at_once)))
    extended = config | {
        "settings": dataclasses.replace(run, settings=whole).identity["settings"],
        "waves": listed,
        "extensions": [*config.get("extensions", []), {axis: list(values)}],
    }

    def write() -> dict[str, Any]:
        _check(run, new, workdir, axis)
        kept = dataclasses.replace(new, keep=run.keep or config.get("keep", ALL))
        run_folder.check_room(run_folder.storage_of(kept, at_once), workdir, say)
        workdir.write_config(extended)
        return extended

    with workdir:
        return distributed.broadcast(write)


def _with_axis(settings: Settings, axis: str, values: tuple) -> Settings:
    return dataclasses.replace(settings, axes={**settings.axes, axis: values})


def _check(run: Run, new: Run, workdir: Workdir, axis: str) -> None:
    """Raise `UserError` unless the run is finished and its store has room for the new members; on process 0."""
    where = repr(str(workdir.path))
    run_folder.settle(run, workdir)  # again, now that the folder is held
    stored = open_results(workdir.path)
    require(
        stored.attrs.get("store_format") == STORE_FORMAT,
        f"the results in {where} are of an earlier version's format: train the new members in a folder of their own",
    )
    step = unfinished_step(stored)
    require(
        step is None,
        f"the run in {where} is unfinished (step {step} is not evaluated): finish it by its own command first",
    )
    empty = empty_results(new, plan_waves(new.grid, build_tables(new.grid), {}), {})
    apart = "give the new members a run of their own, and join both by launch.merge"
    for dim, size in empty.sizes.items():
        if dim == axis:
            kept = empty[axis].values.astype(stored[axis].dtype)
            same = np.array_equal(kept, empty[axis].values, equal_nan=kept.dtype.kind == "f")
            require(same, f"{axis} in {where} is of {stored[axis].dtype}: {apart}")
            continue
        same = dim not in stored.coords or np.array_equal(empty[dim], stored[dim])
        require(
            dim in stored.sizes and size <= stored.sizes[dim] and same,
            f"the new members' {dim!r} differs from that of the results in {where}: {apart}",
        )
    lacking = set(map(str, stored.data_vars)) ^ set(map(str, empty.data_vars))
    require(not lacking, f"the results in {where} have or lack {sorted(lacking)}: run launch.analyze there first")
