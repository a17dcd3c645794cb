"""Models of a finished run measured by another experiment: results copied where both have them, checkpoints linked."""

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from diffgeo.costs.storage import ALL
from diffgeo.errors import require
from diffgeo.growth.merge import Part, copy_values, link_checkpoints, read_part
from diffgeo.host.disk import check_folder, local_path
from diffgeo.host.files import atomic_path, write_json
from diffgeo.results import Results, Workdir, open_results
from diffgeo.results.workdir import CONFIG
from diffgeo.run import Run
from diffgeo.run.evaluation import empty_results
from diffgeo.run.waves import build_tables, plan_waves


def borrow(
    run: Run, trained: str | Path, out: str | Path, copy: bool = False, provenance: Mapping[str, str] | None = None
) -> Path:
    """Make a work folder in which the models of a finished run are another experiment's, still to be measured.

    The finished run stays as it is. `run.analyze` then measures what the new folder's results lack. A folder made
    before from the same models is left as it is.

    Args:
      run: of the other experiment, at the finished run's settings.
      trained: work folder of the finished run.
      out: the new work folder, which appears once it is complete.
      copy: copy checkpoints; otherwise they are linked, relative to `out`, and are read where they lie.
      provenance: strings stored with the new results; those of the finished run are in the attribute "sources".

    Returns:
      The new work folder.

    Raises:
      UserError: for an unfinished run, one that trained nothing or has other settings, an experiment that trains
        nothing, or an `out` that holds anything else, such as the models of another run.
    """
    out = local_path(out)
    check_folder(out)
    begun = Workdir(out).read_config()
    may_be = "sources" in begun if begun else not out.exists() or not any(out.iterdir())
    require(may_be, f"{str(out)!r} exists: choose a new folder")
    require(run.compute is None, f"{run.experiment!r} trains nothing, so it measures no models: choose another")
    part = read_part(trained)
    if begun:
        same = np.array_equal(open_results(out)["loss"], part.results["loss"], equal_nan=True)
        require(same, f"{str(out)!r} measures other models than those in {str(trained)!r}: choose a new folder")
        return out
    require(
        part.config["settings"] == run.identity["settings"],
        f"{run.experiment!r} is not at the settings of the models in {str(trained)!r}",
    )
    tables = build_tables(run.grid)
    empty = empty_results(run, plan_waves(run.grid, tables, part.config), dict(provenance or {}))
    _check_shapes(empty, part)
    sources = [part.record]
    config = {name: value for name, value in part.config.items() if not name.startswith("experiment")}
    config |= run.record | {"keep": ALL, "sources": sources}
    waves = range(len(run.grid.waves_of(part.config)))
    with atomic_path(out) as made:
        Results.create(made / "results.zarr", empty.assign_attrs(sources=json.dumps(sources)))
        copy_values(made / "results.zarr", empty, run.grid, part)
        link_checkpoints(part, {index: Workdir(made).checkpoints(index) for index in waves}, out, copy)
        write_json(made / CONFIG, config)
    return out


def _check_shapes(empty: xr.Dataset, part: Part) -> None:
    """Raise `UserError` if a variable that both have is of another shape: of an earlier version."""
    for name, variable in empty.data_vars.items():
        if name in part.results and name != "group_complete":
            require(
                part.results[name].sizes == variable.sizes,
                f"{name!r} has other dims in {part.folder!r} than by this version: run launch.analyze on it first",
            )
