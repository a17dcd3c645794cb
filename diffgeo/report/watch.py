"""A run as another terminal sees it, also on another machine: from files alone, none of them locked or written."""

import time
from pathlib import Path

import numpy as np
import xarray as xr

from diffgeo.errors import DamagedError, UserError
from diffgeo.logs.status import FINISHED, STOPPED, Status, clock, duration, read_status
from diffgeo.results.read import open_results, select_scores, unfinished_step
from diffgeo.results.schema import COMPLETE, EVALUATION
from diffgeo.results.workdir import Workdir, read_run

SILENT_SECONDS = 60
"""Silence after which a run that does not say it has ended is in doubt; it writes its status every few seconds."""
EVALUATIONS, FIGURES = 5, 5
"""How many of the newest are shown."""


def ended(folder: str | Path) -> bool:
    """Return whether a run has said that it finished or was stopped; one that says nothing, whether all is evaluated.

    Raises:
      UserError: if the folder holds no run.
    """
    workdir, _ = read_run(folder)
    status = _status(workdir)
    if status is None:
        results = open_results(workdir.path) if workdir.results.exists() else None
        return results is not None and ("group_complete" not in results or unfinished_step(results) is None)
    return status.phase in (FINISHED, STOPPED)


def describe(folder: str | Path) -> str:
    """Return what a run is doing, its last numbers and its newest figures, in lines.

    Raises:
      UserError: if the folder holds no run, or its results are damaged.
    """
    workdir, config = read_run(folder)
    lines = [f"{config['experiment']} {config['preset']} in {workdir.path}", *_doing(workdir)]
    if workdir.results.exists():
        lines += _evaluations(select_scores(open_results(workdir.path)))
    return "\n".join([*lines, *_figures(workdir)])


def _status(workdir: Workdir) -> Status | None:
    try:
        return read_status(workdir.path)
    except DamagedError as error:
        raise UserError(f"{str(workdir.path)!r}: {error}; the next run in it writes the file anew") from error


def _doing(workdir: Workdir) -> list[str]:
    status = _status(workdir)
    if status is None:
        return ["no progress.json: the run has not begun to train, trains nothing, or is of an earlier version"]
    lines, silent = [status.line()], time.time() - status.written
    if silent > SILENT_SECONDS and status.phase not in (FINISHED, STOPPED):
        since = f"nothing was written for {duration(silent)} (since {clock(status.written)})"
        lines.append(
            f"{since}: it was killed or paused, or clocks differ; the same command goes on from what is stored"
        )
    return lines


def _evaluations(results: xr.Dataset) -> list[str]:
    """Return a line for each of the newest evaluations: means and ranges over the models that have it."""
    if "group_complete" not in results or "accuracy" not in results:
        return []
    members = [dim for dim in results["group_complete"].dims if dim not in ("step", "group")]
    complete = results["group_complete"].sel(group=EVALUATION).transpose(*members, "step").values == COMPLETE
    has_any = complete.reshape(-1, complete.shape[-1]).any(axis=0)
    lines = []
    for index in np.flatnonzero(has_any)[-EVALUATIONS:]:
        at, there = results.isel(step=index), complete[..., index]
        accuracy = at["accuracy"].isel(region=0, missing_dims="ignore").transpose(*members).values[there]
        loss = at["loss"].transpose(*members).values[there] if "loss" in results else np.array([])
        known = f", loss {np.nanmean(loss):.4f}" if np.isfinite(loss).any() else ""
        step = int(results["step"].values[index])
        lines.append(
            f"  step {step:,}: {there.sum()} of {there.size} models evaluated, accuracy {np.nanmean(accuracy):.2f} "
            f"({np.nanmin(accuracy):.2f} to {np.nanmax(accuracy):.2f}){known}"
        )
    return lines or ["  nothing is evaluated yet"]


def _figures(workdir: Workdir) -> list[str]:
    """Return a line for each of the newest figures, the newest first, and for the report."""
    found = []
    for path in (*workdir.figures.glob("*.png"), workdir.path / "report.html"):
        try:
            found.append((path.stat().st_mtime, path))
        except FileNotFoundError:  # replaced at this moment, or not there
            continue
    return [f"  {clock(at)} {path}" for at, path in sorted(found, reverse=True)[:FIGURES]]
