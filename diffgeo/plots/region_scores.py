"""Scores over training in parts of the labels, and joint accuracy against that of independent coordinates."""

from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffgeo.claims import scores
from diffgeo.plots import style
from diffgeo.plots.last_step import REGION_COLORS, at_region, value_words
from diffgeo.plots.tables import Table, read_table, seed_mean

MAX_COLUMNS = 4  # panels side by side


@style.styled
def region_curves(
    results: xr.Dataset, axis: str, regions: Sequence[str] = ("id", "ood"), metric: str = "accuracy"
) -> Figure:
    """Draw a metric over training steps in and out of a hole: a panel per axis value, a color per region.

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
    """Draw R^2 on the 3-D UMAP over training of samples in and out of a hole, as `region_curves` [2402.03305, Fig. 9].

    See `claims.scores.region_r2`.
    """
    tables = {}
    for region in regions:
        shown = xr.Dataset({"r2": scores.region_r2(results, region)}).assign_coords(step=results["step"])
        tables[region] = read_table(shown, "r2", axis)
    return _curves(tables, axis, "r2")


@style.styled
def joint_against_product(results: xr.Dataset, axis: str, regions: Sequence[str] = ("all",)) -> Figure:
    """Draw the accuracy of x and y together against the product of both, a dot per member and evaluation.

    On the diagonal x is right as often where y is right as where it is not: the coordinates are generated
    independently. Above it samples are right or wrong as a whole. Beyond the papers. Small to large dots: early to
    late steps.

    Args:
      results: a results Dataset.
      axis: a panel per value.
      regions: shown by color.

    Raises:
      UserError: as `region_curves`.
    """
    tables = {
        region: [read_table(at_region(results, region), f"accuracy{end}", axis) for end in ("", "_x", "_y")]
        for region in regions
    }
    names = next(iter(tables.values()))[0].axis_values
    shown = style.panels(len(names), MAX_COLUMNS, (1.6, 2.9), (0.9, 2.8), share=True)
    for index, (ax, name) in enumerate(zip(shown.axes, names, strict=True)):
        ax.plot([0, 1], [0, 1], color=style.SPINE_COLOR, linewidth=1.0, linestyle="--")
        for region, (both, x, y) in tables.items():
            late = np.linspace(4, 40, len(both.steps))[None, 1:]
            product = x.values[index, :, 1:] * y.values[index, :, 1:]
            joint = both.values[index, :, 1:]
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
        ax.set_xlabel("accuracy of x times that of y" if shown.is_bottom(index) else "")
        ax.set_ylabel("accuracy of both" if shown.is_left(index) else "")
        style.set_ticks(ax)
    figure = shown.figure
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


def _curves(tables: Mapping[str, Table], axis: str, metric: str) -> Figure:
    """Draw a panel per axis value, with a line per seed and their mean for every table."""
    first = next(iter(tables.values()))
    shown = style.panels(len(first.axis_values), MAX_COLUMNS, (1.4, 3.2), (0.9, 2.7), share=True)
    lowest = min(float(np.nanmin(table.values)) for table in tables.values())
    for index, (ax, name) in enumerate(zip(shown.axes, first.axis_values, strict=True)):
        for region, table in tables.items():
            color = _color(region)
            for seed in table.values[index]:
                ax.plot(table.steps, seed, color=color, linewidth=0.8, alpha=0.6)
            ax.plot(table.steps, seed_mean(table.values[index]), color=color, linewidth=2.2)
        style.set_step_axis(ax, 3)
        ax.set_ylim(min(-0.02, 1.05 * lowest), 1.03)
        ax.set_title(style.setting_text(axis, name))
        ax.set_ylabel(style.axis_label(metric) if shown.is_left(index) else "")
        if not shown.is_bottom(index):
            ax.set_xlabel("")
    figure = shown.figure
    handles = [
        Line2D([], [], color=_color(region), linewidth=2.2, label=value_words("region", region)) for region in tables
    ]
    handles.append(Line2D([], [], color=style.NEUTRAL, linewidth=2.2, label=f"mean of {len(first.seeds)} seeds"))
    handles.append(Line2D([], [], color=style.NEUTRAL, linewidth=0.8, label="each seed"))
    figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def _color(region: str) -> str:
    return REGION_COLORS.get(region, style.NEUTRAL)
