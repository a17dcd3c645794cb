"""Overlaps of bumps and the clusters that they form, of computed Datasets (`diffgeo.data.computed`) and of runs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffgeo import percolation
from diffgeo.data import label_tables
from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.plots.tables import read_table
from diffgeo.results import data_at

DIVISORS = {
    "on_pixel": "divided by the norm of the bump on a pixel",
    "off_pixel": "divided by the norm of the other bump",
}


@style.styled
def neighbor_overlap(results: xr.Dataset) -> Figure:
    """Draw the overlap of two bumps against their distance d, per sigma [2402.03305, Fig. 7b; 2408.13256, Fig. 6b].

    A panel per norm that it may be divided by; dashed: exp(-d^2 / 16 sigma^2), the limit of infinitely small pixels.

    Args:
      results: from `computed.neighbor_overlap`.
    """
    sigmas, increments = results["sigma"].values, results["increment"].values
    colors = style.value_colors(list(sigmas))
    figure = style.new_figure(style.WIDTH, 4.4)
    for ax, (divisor, words) in zip(figure.subplots(1, 2), DIVISORS.items(), strict=True):
        for sigma, color in zip(sigmas, colors, strict=True):
            values = results["overlap"].sel(divisor=divisor, sigma=sigma).values
            ax.plot(increments, values, color=color, linewidth=1.8)
            ax.plot(increments, np.exp(-(increments**2) / (16 * sigma**2)), color=color, linewidth=0.9, linestyle="--")
        ax.axvline(0.5, color=style.SPINE_COLOR, linewidth=0.8, linestyle=":")
        ax.set(yscale="log", ylim=(1e-3, 40), xlim=(0, increments.max()))
        ax.set_title(words)
        ax.set_xlabel("distance = " + style.axis_label("increment"))
        style.light_grid(ax)
    figure.axes[0].set_ylabel("overlap $\\|\\sqrt{ab}\\|_2\\, /\\, \\|a\\|_2$")
    handles = _sigma_legend(sigmas, colors)
    handles.append(Line2D([], [], color=style.NEUTRAL, linewidth=0.9, linestyle="--", label="continuum"))
    figure.legend(handles=handles, title=style.axis_label("sigma"), loc="outside right upper", alignment="left")
    return figure


@style.styled
def cluster_masses(results: xr.Dataset, thresholds: Sequence[float], variable: str = "largest_fraction") -> Figure:
    """Draw the largest cluster's fraction of the points against the kept fraction, per sigma [2408.13256, Fig. 6c].

    A panel per threshold overlap [Fig. 13]; thin lines: each draw, thick: their mean.

    Args:
      results: from `computed.cluster_masses`.
      thresholds: a selection of the results'.
      variable: "largest_fraction", or "largest_fraction_nested" for nested subsets [Fig. 14b].

    Raises:
      UserError: for a threshold that the results lack.
    """
    known = results["threshold"].values
    for threshold in thresholds:
        if not np.isclose(known, threshold).any():
            raise UserError(f"threshold {threshold} is not in the results: choose from {', '.join(map(str, known))}")
    sigmas, fractions = results["sigma"].values, results["kept_fraction"].values
    colors = style.value_colors(list(sigmas))
    size = ((7.6, 0.0), (4.4, 0.0)) if len(thresholds) == 1 else ((style.WIDTH, 0.0), (0.5, 3.0))
    shown = style.panels(len(thresholds), 3, *size, share=True)
    for index, (ax, threshold) in enumerate(zip(shown.axes, thresholds, strict=True)):
        masses = results[variable].isel(threshold=int(np.argmin(np.abs(known - threshold))))
        for sigma, color in zip(sigmas, colors, strict=True):
            draws = masses.sel(sigma=sigma).transpose("kept_fraction", "subset_seed").values
            ax.plot(fractions, draws, color=color, linewidth=0.7, alpha=0.5)
            ax.plot(fractions, draws.mean(axis=1), color=color, linewidth=2.2, marker="o", markersize=3)
        ax.set(xlim=(0, 1.03), ylim=(-0.02, 1.04), xticks=(0.2, 0.4, 0.6, 0.8, 1.0))
        ax.set_title(f"threshold overlap {threshold:g}")
        ax.set_xlabel(style.axis_label("kept_fraction") if shown.is_bottom(index) else "")
        ax.set_ylabel("largest cluster / points kept" if shown.is_left(index) else "")
        style.light_grid(ax)
    figure = shown.figure
    number = results.sizes["subset_seed"]
    handles = _sigma_legend(sigmas, colors)
    handles.append(Line2D([], [], color=style.NEUTRAL, linewidth=2.2, label=f"mean of {number} draws"))
    handles.append(Line2D([], [], color=style.NEUTRAL, linewidth=0.7, alpha=0.7, label="each draw"))
    figure.legend(handles=handles, title=style.axis_label("sigma"), loc="outside right upper", alignment="left")
    if variable == "largest_fraction_nested":
        figure.suptitle("Nested subsets: each larger one contains the smaller")
    return figure


@style.styled
def simulated_and_trained(results: xr.Dataset, threshold: float = 0.005) -> Figure:
    """Draw the largest cluster of the data that models were trained on, and their last accuracy, per sigma.

    [2408.13256, Fig. 6c, e]. Left: the cluster of the members' training labels (Fig. 14b). Right: a dot per seed, lines
    through the means.

    Args:
      results: of a trained grid with the axes "sigma" and "kept_fraction".
      threshold: overlap over which two bumps are connected.

    Raises:
      UserError: if an axis is missing, or nothing is evaluated yet.
    """
    for name in ("sigma", "kept_fraction"):
        if name not in results.dims:
            raise UserError(f"there is no axis {name!r} in these results")
    sigmas, fractions = results["sigma"].values, results["kept_fraction"].values
    colors = style.value_colors(list(sigmas))
    figure = style.new_figure(style.WIDTH, 4.4)
    left, right = figure.subplots(1, 2, sharex=True, sharey=True)
    for sigma, color in zip(sigmas, colors, strict=True):
        masses = []
        for fraction in fractions:
            data = data_at(results, sigma=sigma, kept_fraction=fraction)
            centers = label_tables.build_label_table(data).centers - data.margin
            masses.append(percolation.largest_cluster(centers, data.sigma, data.size, threshold))
        left.plot(fractions, masses, color=color, linewidth=2.2, marker="o", markersize=4)
        table = read_table(results.sel(sigma=sigma), "accuracy", "kept_fraction")
        last = table.values[:, :, np.flatnonzero(np.isfinite(table.values).any(axis=(0, 1)))[-1]]
        for members in last.T:
            right.plot(fractions, members, color=color, linestyle="", marker="o", markersize=4, alpha=0.6)
        right.plot(fractions, last.mean(axis=1), color=color, linewidth=2.2)
    left.set_title(f"simulated: threshold overlap {threshold:g}")
    left.set_ylabel("largest cluster / points kept")
    right.set_title("trained: last accuracy")
    right.set_ylabel("accuracy")
    right.tick_params(labelleft=True)
    for ax in (left, right):
        ax.set(xlim=(0, 1.03), ylim=(-0.02, 1.04))
        ax.set_xlabel(style.axis_label("kept_fraction"))
        style.light_grid(ax)
    handles = _sigma_legend(sigmas, colors)
    handles.append(Line2D([], [], color=style.NEUTRAL, linestyle="", marker="o", markersize=4, label="each seed"))
    figure.legend(handles=handles, title=style.axis_label("sigma"), loc="outside right upper", alignment="left")
    return figure


def _sigma_legend(sigmas: np.ndarray, colors: Sequence[Any]) -> list[Line2D]:
    return [
        Line2D([], [], color=color, linewidth=2.2, label=style.value_text(sigma))
        for sigma, color in zip(sigmas, colors, strict=True)
    ]
