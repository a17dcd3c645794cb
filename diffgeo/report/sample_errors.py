"""Errors of single samples over the label plane: how far each is drawn from the label asked for."""

from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from diffgeo.errors import require
from diffgeo.plots import style
from diffgeo.plots.tables import factors_of, read_member, settings_text
from diffgeo.readout.scores import distances
from diffgeo.results import select_scores, settings_of
from diffgeo.settings.allowed import SUBPIXEL

TOP = 3.0
"""Error, in tolerances, from which on all have one color: what is farther is at another place altogether."""

COLORS = "plasma"


def drawn_labels(results: xr.Dataset) -> xr.DataArray:
    """Return the factors read out of the samples at own labels, by the sub-pixel read-out where it is stored."""
    stored = "readout" in results.dims and SUBPIXEL in results["readout"].values
    return select_scores(results, readout=SUBPIXEL if stored else None)["prediction"]


def sample_errors(results: xr.Dataset) -> xr.DataArray:
    """Return each sample's distance from the label asked for, in tolerances (of the papers: pixels).

    Returns:
      float64, dims of the predictions without "factor"; NaN where a sample cannot be read.
    """
    factors = settings_of(results).factors
    drawn, asked = xr.broadcast(drawn_labels(results), results["label"])
    drawn, asked = (each.transpose(..., "factor") for each in (drawn, asked))
    count = len(factors)
    away = distances(
        drawn.values.reshape(-1, count), asked.values.reshape(-1, count), [factor.period for factor in factors]
    )
    errors = np.linalg.norm(away / [factor.tolerance for factor in factors], axis=1)
    return xr.DataArray(errors.reshape(drawn.shape[:-1]), dims=drawn.dims[:-1])


def error_unit(results: xr.Dataset) -> str:
    """Return the unit of `sample_errors` in words: of factors in pixels that are right to a pixel, pixels."""
    plain = all(factor.tolerance == 1 and factor.unit == "px" for factor in settings_of(results).factors)
    return "pixels" if plain else "tolerances"


@style.styled
def sample_error_map(results: xr.Dataset, **selection: Any) -> Figure:
    """Draw a dot per sample of a member at its last step, at the label asked for, colored by how far off it is drawn.

    A cross is a sample that cannot be read. Of more than two factors, over the first two; of one, the error is drawn
    upward.

    Args:
      results: a results Dataset.
      **selection: axis values that single out a member, as in `increment=0.1, seed=0`.

    Raises:
      UserError: as `read_member`, and if no sample has been read yet.
    """
    member = read_member(results.assign(sample_error=sample_errors(results)), selection)
    errors = member["sample_error"].transpose("step", "sample").values
    known = np.flatnonzero(np.isfinite(errors).any(axis=1))
    require(known.size > 0, "no prediction is stored in these results: wait for the run's first evaluation")
    labels, error = member["label"].transpose("sample", "factor").values, errors[known[-1]]
    factors = list(settings_of(results).factors)
    read = np.isfinite(error)
    across, up = labels[:, 0], labels[:, 1] if len(factors) > 1 else np.where(read, error, 0.0)
    figure = style.new_figure(5.4, 4.6)
    ax = figure.subplots()
    shown = ax.scatter(
        across[read], up[read], c=error[read], s=16, cmap=mpl.colormaps[COLORS].reversed(), vmin=0, vmax=TOP
    )
    ax.scatter(across[~read], up[~read], marker="x", s=16, color=style.NEUTRAL, linewidths=0.8)
    ax.set_xlabel(style.factor_label(factors[0]))
    ax.set_ylabel(style.factor_label(factors[1]) if len(factors) > 1 else f"error ({error_unit(results)})")
    if factors_of(results)[:2] == ["x", "y"]:
        ax.set_aspect("equal")
        ax.invert_yaxis()  # as in images, whose rows are counted from the top
    style.open_frame(ax)
    bar = figure.colorbar(shown, ax=ax, label=f"error ({error_unit(results)})", extend="max")
    style.set_ticks(bar.ax)
    step = int(np.asarray(member["step"].values).reshape(-1)[known[-1]])
    crosses = f", {np.count_nonzero(~read & np.isfinite(across))} crosses: not read" if not read.all() else ""
    figure.suptitle(f"Error of every sample at step {step:,}{crosses}\n{settings_text(member, without=('step',))}")
    return figure
