"""Damaged results computed anew: what is damaged is set aside and recorded as missing, the analysis fills it in.

Values that follow from the settings are written again at once. What training alone knew stays missing, and is named.
"""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from diffgeo.errors import DamagedError, UserError
from diffgeo.host import distributed
from diffgeo.results import Results, Workdir, checked, damage
from diffgeo.results.checked import COMPLETE_GROUPS, Chunk
from diffgeo.results.damage import Damage
from diffgeo.results.metadata import Metadata
from diffgeo.results.read import describe
from diffgeo.results.schema import LOSS, MISSING
from diffgeo.results.workdir import read_run
from diffgeo.run import Run
from diffgeo.run.evaluation import empty_results
from diffgeo.run.folder import settle
from diffgeo.run.waves import build_tables, plan_waves

TRAINED = "nonfinite_step"
"""Variable that training alone knows, and that is there from the start."""


def repair(run: Run, folder: str | Path, say: Callable[[str], None] = distributed.say) -> None:
    """Set damaged parts of a run's results aside and record them as missing; `run.analyze` computes them anew.

    Args:
      run: what was run.
      folder: its work folder.
      say: called with a line for each damaged part.

    Raises:
      UserError: if the folder holds no run, one of another configuration, or is in use; if a value that training alone
        knew cannot be told from the others.
    """
    workdir, config = read_run(folder)
    with workdir:
        distributed.broadcast(lambda: _repair(run, workdir, config, say))


def _repair(run: Run, workdir: Workdir, config: Mapping[str, Any], say: Callable[[str], None]) -> None:
    settle(run, workdir)
    path = workdir.results
    if not path.exists():
        return
    if run.compute is not None:
        _set_computed_aside(workdir, say)
        return
    empty, grid = empty_results(run, plan_waves(run.grid, build_tables(run.grid), config), {}), run.grid
    try:
        read = checked.read_folder(path)
    except DamagedError as error:
        _renew(workdir, empty, str(error), say)
        read = checked.read_folder(path)
    found = [one for one in damage.find(path, read) if one is not None]
    for one in found:
        aside = damage.set_aside(path / one.chunk.file, workdir.path)
        where = "" if aside is None else f", set aside as {str(aside)!r}"
        say(f"{describe(read, one.chunk)} of the results is damaged ({one.chunk.file} {one.wrong}){where}")
    for one in sorted(found, key=lambda one: read.arrays[one.chunk.array].group is not None):
        _mend(Results(path, grid), read, one, empty, say)
    if not found:
        say(f"no damage in {str(path)!r}")


def _set_computed_aside(workdir: Workdir, say: Callable[[str], None]) -> None:
    """Set the results of a run that trains nothing aside as a whole if anything in them is damaged."""
    try:
        found = damage.find(workdir.results, checked.read_folder(workdir.results))
        wrong = next((f"{one.chunk.file} {one.wrong}" for one in found if one is not None), None)
    except DamagedError as error:
        wrong = str(error)
    if wrong is not None:
        aside = damage.set_aside(workdir.results, workdir.path)
        say(f"the results in {str(workdir.path)!r} are damaged ({wrong}): set aside as {str(aside)!r}")


def _renew(workdir: Workdir, empty: xr.Dataset, wrong: str, say: Callable[[str], None]) -> None:
    """Make a store anew whose metadata are damaged, with those of its chunks that are sound and fit."""
    aside = damage.set_aside(workdir.results, workdir.path)
    assert aside is not None
    Results.create(workdir.results, empty)
    kept = 0
    for name, info in checked.read_folder(workdir.results).arrays.items():
        for place in checked.places(info):
            file = Chunk(name, place).file
            old = aside / file
            if old.is_file() and checked.wrong_in(info, old.read_bytes()) is None:
                shutil.copyfile(old, workdir.results / file)
                kept += 1
    say(f"metadata of the results are damaged ({wrong}): set aside as {str(aside)!r}, {kept} sound chunks taken over")


def _mend(store: Results, read: Metadata, one: Damage, empty: xr.Dataset, say: Callable[[str], None]) -> None:
    """Write a chunk again that follows from the settings, or record its groups as missing."""
    chunk, info = one.chunk, read.arrays[one.chunk.array]
    ranges = chunk.ranges(info)
    if chunk.array == COMPLETE_GROUPS:
        store.overwrite(chunk.array, ranges, MISSING)
        for step in store.steps[ranges["step"]]:  # what training alone knows is complete where it is known
            known = np.isfinite(store.at("loss", step)).reshape(-1)
            store.record([member for member in store.members if known[member.index]], step, LOSS)
    elif info.group is None:
        store.overwrite(chunk.array, ranges, _known(store, chunk, ranges, empty))
    else:
        store.forget(info, ranges)
        if info.group == LOSS:
            say(f"the loss before step {_steps(store, ranges)} is known to training alone: it stays missing")


def _known(store: Results, chunk: Chunk, ranges: dict[str, slice], empty: xr.Dataset) -> np.ndarray:
    """Return the values of a chunk that follow from the settings."""
    name = store.current_name(chunk.array)
    if name == TRAINED and not np.isfinite(store.at("loss", store.steps[-1])).all():
        raise UserError(
            f"{TRAINED!r} of the results is damaged, and some losses are not finite: when they ceased to be is known "
            "to training alone, so train these members again in a new folder"
        )
    if name not in empty.variables:
        raise UserError(f"{name!r} of the results is damaged and does not follow from the run's settings: no repair")
    return np.asarray(empty[name].isel({dim: at for dim, at in ranges.items() if dim in empty[name].dims}).values)


def _steps(store: Results, ranges: dict[str, slice]) -> str:
    return ", ".join(map(str, store.steps[ranges["step"]]))
