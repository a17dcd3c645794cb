"""Scores over training in parts of the labels, and joint accuracy against that of independent coordinates."""

from collections.abc import Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffgeo.claims import bootstrap
from diffgeo.plots import style
from diffgeo.plots.final_values import REGION_COLORS, at_region, value_words
from diffgeo.plots.tables import read_table, seed_mean

MAX_COLUMNS = 4  # panels side by side


@style.styled
def region_curves(
    results: xr.Dataset, axis: str, regions: Sequence[str] = ("id", "ood"), metric: str = "accuracy"
) -> Figure:
    """A metric over training steps in and out of a hole: a panel per axis value, a color per region.

    [2402.03305, Fig. 9; 2408.13256, Fig. 10b, e]. Thin lines: each seed; thick: their mean.

    Args:
      results: with regions.
      axis: a panel per value.
      regions: names in the results' dim `region`.
      metric: a variable with the dim `region`.

    Raises:
      UserError: for an unknown axis or region, and if nothing is evaluated yet.
    """
    tables = {region: read_table(at_region(results, region), metric, axis) for region in regions}
    return _curves(tables, axis, metric)


@style.styled
def region_r2(results: xr.Dataset, axis: str, regions: Sequence[str] = ("id", "ood")) -> Figure:
    """R^2 on the 3-D UMAP over training, of samples in and out of a hole; as `region_curves` [2402.03305, Fig. 9].

    See `scores.region_r2`.
    """
    tables = {}
    for region in regions:
        shown = xr.Dataset({"r2": bootstrap.region_r2(results, region)}).assign_coords(step=results["step"])
        tables[region] = read_table(shown, "r2", axis)
    return _curves(tables, axis, "r2")


@style.styled
def joint_against_product(results: xr.Dataset, axis: str, regions: Sequence[str] = ("all",)) -> Figure:
    """Accuracy of x and y together against the product of both, a dot per member and evaluation after step 0.

    On the diagonal x is right as often as not where y is: the coordinates are made independently. Above it samples are
    right or wrong as a whole. Beyond the papers. Small to large dots: early to late steps.

    Args:
      results: a results Dataset.
      axis: a panel per value.
      regions: told by color.

    Raises:
      UserError: as `region_curves`.
    """
    tables = {
        region: [read_table(at_region(results, region), f"accuracy{end}", axis) for end in ("", "_x", "_y")]
        for region in regions
    }
    names = next(iter(tables.values()))[0].axis_values
    columns = min(MAX_COLUMNS, len(names))
    rows = -(-len(names) // columns)
    figure = style.new_figure(min(style.WIDTH, 1.6 + 2.9 * columns), 0.9 + 2.8 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for place, name in enumerate(names):
        ax = axes[place]
        ax.plot([0, 1], [0, 1], color=style.SPINE_COLOR, linewidth=1.0, linestyle="--")
        for region, (both, x, y) in tables.items():
            late = np.linspace(4, 40, len(both.steps))[None, 1:]
            product = x.values[place, :, 1:] * y.values[place, :, 1:]
            joint = both.values[place, :, 1:]
            ax.scatter(
                product,
                joint,
                s=np.broadcast_to(late, joint.shape),
                color=_color(region),
                alpha=0.6,
                linewidths=0,
            )
        ax.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), aspect="equal")
        ax.set_title(style.setting_text(axis, name))
        ax.set_xlabel("accuracy of x times that of y" if place >= len(names) - columns else "")
        ax.set_ylabel("" if place % columns else "accuracy of both")
        style.set_ticks(ax)
    for spare in axes[len(names) :]:
        spare.remove()
    handles = [
        Line2D(
            [],
            [],
            linestyle="",
            marker="o",
            color=_color(region),
            label=value_words("region", region),
        )
        for region in regions
    ]
    handles.append(Line2D([], [], color=style.SPINE_COLOR, linestyle="--", label="independent coordinates"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(3, len(handles)))
    figure.suptitle("A dot for each seed and evaluation, larger at later steps")
    return figure


def _curves(tables: dict, axis: str, metric: str) -> Figure:
    """A panel per axis value, a line per seed and one of their mean for every table."""
    first = next(iter(tables.values()))
    columns = min(MAX_COLUMNS, len(first.axis_values))
    rows = -(-len(first.axis_values) // columns)
    figure = style.new_figure(min(style.WIDTH, 1.4 + 3.2 * columns), 0.9 + 2.7 * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    lowest = min(float(np.nanmin(table.values)) for table in tables.values())
    for place, name in enumerate(first.axis_values):
        ax = axes[place]
        for region, table in tables.items():
            color = _color(region)
            for one in table.values[place]:
                ax.plot(table.steps, one, color=color, linewidth=0.8, alpha=0.6)
            ax.plot(table.steps, seed_mean(table.values[place]), color=color, linewidth=2.2)
        style.set_step_axis(ax, 3)
        ax.set_ylim(min(-0.02, 1.05 * lowest), 1.03)
        ax.set_title(style.setting_text(axis, name))
        ax.set_ylabel("" if place % columns else style.axis_label(metric))
        if place < len(first.axis_values) - columns:
            ax.set_xlabel("")
    for spare in axes[len(first.axis_values) :]:
        spare.remove()
    handles = [
        Line2D([], [], color=_color(region), linewidth=2.2, label=value_words("region", region)) for region in tables
    ]
    handles.append(Line2D([], [], color="#555555", linewidth=2.2, label=f"mean of {len(first.seeds)} seeds"))
    handles.append(Line2D([], [], color="#555555", linewidth=0.8, label="each seed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def _color(region: str) -> str:
    return REGION_COLORS.get(region, "#555555")
