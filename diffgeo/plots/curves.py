"""Curves over training steps: metrics by axis value, and failure modes of samples."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffgeo.plots import style
from diffgeo.plots.tables import Table, factors_of, read_table, seed_mean, settings_text
from diffgeo.settings.allowed import OUTCOMES

MAX_COLUMNS = 4  # panels side by side

MODE_COLORS = ("green", "blue", "orange", "purple")
MODES: dict[str, tuple[str, str, Any]] = {
    name: (name.replace("_", " "), style.OKABE_ITO[color], line)
    for name, color, line in zip(
        OUTCOMES,
        MODE_COLORS,
        ("-", (0, (5, 1.6)), (0, (5, 1.4, 1, 1.4)), (0, (1.2, 1.2))),
        strict=True,
    )
}
"""Name of an outcome -> (words, color, line style); distinguishable by color or line alone."""

LINES = ("-", (0, (5, 1.6)), (0, (1.2, 1.2)), (0, (5, 1.4, 1, 1.4)))


def modes_of(results: xr.Dataset) -> Mapping[str, tuple[str, str, Any]]:
    """Return `MODES`, or of a user's data set, which has no such outcomes, the shares of samples right in each factor.

    As `MODES`: score -> (words, color, line style), first that of all factors together.
    """
    if "correct" in results or factors_of(results) == ["x", "y"]:
        return MODES
    scores = {"accuracy": "all factors right"} | {f"accuracy_{name}": f"{name} right" for name in factors_of(results)}
    looks = zip(itertools.cycle((*MODE_COLORS, "vermillion")), itertools.cycle(LINES), strict=False)  # 5 x 4 pairs
    return {
        name: (words, style.OKABE_ITO[color], line)
        for (name, words), (color, line) in zip(scores.items(), looks, strict=False)
    }


@style.styled
def learning_curves(
    results: xr.Dataset, metrics: str | Sequence[str] = ("accuracy",), axis: str | None = "increment"
) -> Figure:
    """Draw metrics over training steps: a panel per metric, a thin line per member, a thick line per mean.

    [2402.03305, Fig. 5]. Colors are axis values: dark to light for numbers, distinct hues for names.
    The mean is over all seeds that have begun and ends where one of them has no value yet.

    Args:
      results: a results Dataset; dims beside `axis`, `seed` and `step` must be selected or have length 1.
      metrics: name or names of variables with a number per member and step.
      axis: the axis shown by color; None for a single setting.

    Raises:
      UserError: for an unknown metric or axis, for dims left over, and if nothing is evaluated yet.
    """
    metrics = (metrics,) if isinstance(metrics, str) else tuple(metrics)
    tables = [read_table(results, metric, axis) for metric in metrics]
    figure, axes, _ = style.panels(len(tables), 3, (2.2, 4.0), (0.5, 3.1))
    for ax, metric, table in zip(axes, metrics, tables, strict=True):
        draw_curves(ax, table, metric)
    # Right of the panels: inside one of them it would cover curves.
    handles, title = curve_legend(tables[0], axis)
    figure.legend(handles=handles, title=title, loc="outside right upper", alignment="left")
    settings = settings_text(results, without=(axis, "seed"))
    if settings:
        figure.suptitle(settings)
    return figure


@style.styled
def failure_modes(results: xr.Dataset, axis: str | None = None) -> Figure:
    """Draw failure modes over training: fractions correct, no bump, wrong place, several bumps.

    [2402.03305, section 3]. Of a user's data set: fractions right in each factor, and in all. A thin line per seed, a
    thick one for their mean; one panel per value of `axis`.

    Args:
      results: a results Dataset; dims beside `axis`, `seed` and `step` must be selected or have length 1.
      axis: a panel per value of this axis; None for a single setting.

    Raises:
      UserError: for an unknown axis, dims left over, a missing fraction, and if nothing is evaluated yet.
    """
    modes = modes_of(results)
    tables = {name: read_table(results, name, axis) for name in modes}
    first = next(iter(tables.values()))
    values = first.axis_values
    single = len(values) == 1
    size = ((6.0, 0.0), (3.8, 0.0)) if single else ((1.0, 2.8), (0.9, 2.2))
    shown = style.panels(len(values), MAX_COLUMNS, *size, share=True)
    for index, (ax, value) in enumerate(zip(shown.axes, values, strict=True)):
        draw_failure_modes(ax, tables, modes, index, ticks=4 if shown.columns < 3 else 3)
        if shown.is_bottom(index):
            ax.tick_params(labelbottom=True)  # sharing hides these where a removed panel was below
        else:
            ax.set_xlabel("")
        if not shown.is_left(index):
            ax.set_ylabel("")
        if axis is not None:
            ax.set_title(style.setting_text(axis, value))
    figure = shown.figure
    narrow = figure.get_figwidth() < 7
    figure.legend(handles=mode_legend(first, modes), loc="outside lower center", ncols=3 if narrow else 6)
    settings = settings_text(results, without=(axis, "seed"))
    if settings:
        figure.suptitle(settings)
    return figure


def draw_curves(ax: Axes, table: Table, metric: str, ticks: int = 4) -> None:
    """Draw all members (thin) and means over seeds (thick) of one metric, colored by axis value."""
    colors = style.value_colors(table.axis_values)
    for members, color in zip(table.values, colors, strict=True):
        _draw_seeds(ax, table.steps, members, color, "-")
    for members, color in zip(table.values, colors, strict=True):  # means on top of all members
        _draw_mean(ax, table.steps, members, color, "-")
    style.set_step_axis(ax, ticks)
    ax.set_ylabel(style.axis_label(metric))
    low, high = np.nanmin(table.values), np.nanmax(table.values)
    if metric == "loss" and low > 0:
        style.set_log_axis(ax)
    elif low >= 0 and high <= 1:
        ax.set_ylim(-0.02, 1.03)


def draw_failure_modes(
    ax: Axes, tables: Mapping[str, Table], modes: Mapping[str, tuple], index: int = 0, ticks: int = 4
) -> None:
    """Draw the fractions of `modes_of` at an axis value (by its index), each seed thin and the mean thick."""
    for name, (_, color, line) in modes.items():
        _draw_seeds(ax, tables[name].steps, tables[name].values[index], color, line)
    for name, (_, color, line) in modes.items():
        _draw_mean(ax, tables[name].steps, tables[name].values[index], color, line)
    style.set_step_axis(ax, ticks)
    ax.set_ylabel("fraction of samples")
    ax.set_ylim(-0.02, 1.03)


def curve_legend(table: Table, axis: str | None) -> tuple[list[Line2D], str | None]:
    """Return handles and title: a line per axis value (none without an axis), then mean and seeds."""
    handles = []
    if axis is not None:
        for value, color in zip(table.axis_values, style.value_colors(table.axis_values), strict=True):
            handles.append(Line2D([], [], color=color, linewidth=2.2, label=style.value_text(value)))
    color = style.value_colors([None])[0] if axis is None else style.NEUTRAL
    return handles + style.seed_legend(len(table.seeds), color), None if axis is None else style.axis_label(axis)


def mode_legend(table: Table, modes: Mapping[str, tuple]) -> list[Line2D]:
    """Return handles: the modes, then mean and seeds."""
    handles = [Line2D([], [], color=c, linestyle=line, linewidth=2.2, label=words) for words, c, line in modes.values()]
    return handles + style.seed_legend(len(table.seeds))


def _draw_seeds(
    ax: Axes, steps: Int[np.ndarray, " T"], members: Float[np.ndarray, "S T"], color: Any, line: Any
) -> None:
    for seed in members:
        ax.plot(
            steps,
            seed,
            color=color,
            linestyle=line,
            linewidth=0.8,
            alpha=0.55,
            marker=_marker(seed),
            markersize=3,
        )


def _draw_mean(
    ax: Axes, steps: Int[np.ndarray, " T"], members: Float[np.ndarray, "S T"], color: Any, line: Any
) -> None:
    mean = seed_mean(members)
    ax.plot(steps, mean, color=color, linestyle=line, linewidth=2.2, marker=_marker(mean), markersize=5)


def _marker(values: np.ndarray) -> str:
    """Return the marker of a dot where a single value would make no visible line."""
    return "o" if np.isfinite(values).sum() == 1 else ""
