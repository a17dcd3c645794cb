"""Runs of experiments that train nothing: their Dataset (see `diffgeo.data.computed`) computed, stored, drawn."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import xarray as xr

from diffgeo import unet
from diffgeo.report.figures import draw
from diffgeo.results import Results, open_results, open_workdir
from diffgeo.run.folder import settle
from diffgeo.run.run import Run
from diffgeo.settings.migration import STORE_FORMAT


def compute(
    run: Run,
    folder: str | Path,
    provenance: Mapping[str, str] | None = None,
    say: Callable[[str], None] = print,
) -> xr.Dataset:
    """Compute an experiment's Dataset into a work folder, unless it is there, and draw its figures.

    Args:
      run: what to compute; its placement is not used.
      folder: the work folder, made if need be.
      provenance: strings stored with the results (command, commit, ...).
      say: where one-line messages go.

    Returns:
      The results, loaded.

    Raises:
      UserError: for a folder of another configuration or in use, or settings that the function refuses.
    """
    assert run.compute is not None
    workdir = open_workdir(folder)
    settle(run, workdir)
    with workdir:
        if settle(run, workdir) is not None and workdir.results.exists():
            say(f"the run in {folder} is complete: nothing left to compute")
        else:
            computed = run.compute(run.settings)  # before the configuration: a refused setting leaves no run behind
            workdir.write_config(run.record)
            # pictures are drawn without JAX: the network comes to them as its blocks
            blocks = unet.describe(unet.from_program(run.settings.program), run.settings.data.size)
            network = {"network": json.dumps([block._asdict() for block in blocks])}
            about = {"store_format": STORE_FORMAT} | run.attributes | network | dict(provenance or {})
            Results.create(workdir.results, computed.assign_attrs(about))
        results = open_results(folder).load()
        draw(results, run.plots, workdir.figures, say)
    return results
