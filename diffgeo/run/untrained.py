"""Runs of experiments that train nothing: their Dataset (see `diffgeo.computed`) computed, stored, drawn."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import xarray

from diffgeo import results
from diffgeo.experiment import Plot
from diffgeo.pictures import draw
from diffgeo.run import Run, settle
from diffgeo.settings import Settings
from diffgeo.workdir import Workdir


def compute(
    run: Run,
    folder: str | Path,
    function: Callable[[Settings], xarray.Dataset],
    plots: Sequence[Plot] = (),
    provenance: Mapping[str, str] | None = None,
    say=print,
) -> xarray.Dataset:
    """Computes an experiment's Dataset into a work folder, unless it is there, and draws its figures.

    Args:
      run: what to compute; its layout is not used.
      folder: the work folder, made if need be.
      function: from the run's settings to the Dataset stored in DIR/results.zarr.
      plots: pictures drawn into DIR/figures.
      provenance: strings stored with the results (command, commit, ...).
      say: where one-line messages go.

    Returns:
      The results, loaded.

    Raises:
      UserError: for a folder of another configuration or in use, or settings that the function refuses.
    """
    workdir = Workdir(folder)
    settle(run, workdir)
    with workdir:
        if settle(run, workdir) is not None and workdir.results.exists():
            say(f"the run in {folder} is complete: nothing left to compute")
        else:
            found = function(run.settings)  # before the configuration: a refused setting leaves no run behind
            workdir.write_config(run.identity)
            about = {"experiment": run.experiment, "preset": run.preset, "settings": json.dumps(run.settings.to_json())}
            results.Results.create(workdir.results, found.assign_attrs(about | dict(provenance or {})))
        found = results.open_results(folder).load()
        draw(found, plots, workdir.figures, say)
    return found
