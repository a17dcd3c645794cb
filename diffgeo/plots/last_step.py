"""Metrics at the last step: over an axis of the grid, in parts of the labels, and the data needed for an accuracy."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from diffgeo.claims import scaling
from diffgeo.data.label_tables import role_of
from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.plots.tables import Table, factors_of, read_table, refuse_dims, select, settings_text

REGION_COLORS = {
    "all": style.OKABE_ITO["black"],
    "id": style.OKABE_ITO["blue"],
    "ood": style.OKABE_ITO["vermillion"],
    "vertical": style.OKABE_ITO["orange"],
    "horizontal": style.OKABE_ITO["green"],
    "intersection": style.OKABE_ITO["purple"],
}
FACTOR_LOOKS = tuple(
    zip((style.OKABE_ITO[color] for color in ("blue", "orange", "green", "purple")), ("o", "s", "^", "D"), strict=True)
)
"""Colors and markers of the factors, in turn: those of the papers are x and y."""
GUIDES: tuple[tuple[int, Any, str], ...] = ((1, ":", "linear in N"), (2, "--", "quadratic in N"))
MARKERS = ("o", "s", "D", "^", "v", "P", "X")

Lines = Mapping[Any, tuple[Sequence[Any], np.ndarray]]
"""Value that a color stands for -> (axis values, float[S, A] at the last step)."""


@style.styled
def final_values(
    results: xr.Dataset,
    axis: str,
    by: str | None = None,
    metrics: Sequence[str] = ("accuracy",),
    values: Sequence[Any] | None = None,
    panels: str | None = None,
    **selection: Any,
) -> Figure:
    """Draw metrics at the last evaluated step over an axis: a dot per seed, a line through the means.

    [2408.13256, Fig. 4g, 5a-b, 6e, 11b, 12].

    Args:
      results: a results Dataset.
      axis: a numeric axis of the grid, drawn across.
      by: shown by color and marker: another axis, or "region"; None for a single line.
      metrics: a row of panels each.
      values: of `by`, to draw; None for all.
      panels: an axis with a panel for each value; None for a single panel.
      **selection: a value of each other axis, or of "region" (by default "all").

    Raises:
      UserError: for an unknown axis, region or metric, dims left over, and if nothing is evaluated yet.
    """
    region = selection.pop("region", None)
    chosen = select(results, selection) if selection else results
    chosen = at_region(chosen, region) if region else chosen
    tables = {}
    for panel in [None] if panels is None else list(chosen[_axis(chosen, panels)].values):
        shown = chosen if panels is None else chosen.sel({panels: panel})
        for metric in metrics:
            tables[metric, panel] = _lines(shown, metric, axis, by, values)
    columns = len(tables) // len(metrics)
    figure = style.new_figure(min(style.WIDTH, 2.4 + 3.8 * columns), 0.6 + 3.2 * len(metrics))
    axes = figure.subplots(len(metrics), columns, squeeze=False, sharex=True, sharey="row")
    kinds = list(next(iter(tables.values())))
    colors = _colors(by, kinds)
    for ax, ((metric, panel), lines) in zip(axes.ravel(), tables.items(), strict=True):
        for (across, members), color, marker in zip(lines.values(), colors, MARKERS * 3, strict=False):
            for seed in members:
                ax.plot(across, seed, linestyle="", marker=marker, markersize=4, color=color, alpha=0.55)
            ax.plot(across, members.mean(axis=0), color=color, linewidth=2.0)
        ax.set_xlabel(style.axis_label(axis))
        ax.set_ylabel(style.axis_label(metric) if panel is None or ax in axes[:, 0] else "")
        if panels is not None:
            ax.set_title(style.setting_text(panels, panel))
        _limit_values(ax, metric, lines)
    handles = [
        Line2D([], [], color=color, marker=marker, markersize=5, linewidth=2.0, label=value_words(by, kind))
        for kind, color, marker in zip(kinds, colors, MARKERS * 3, strict=False)
    ]
    handles.append(Line2D([], [], color=style.NEUTRAL, linewidth=2.0, label="mean of the seeds"))
    handles.append(Line2D([], [], color=style.NEUTRAL, linestyle="", marker="o", markersize=4, label="each seed"))
    title = style.axis_label(by) if by in ("sigma", "kept_fraction") else None
    figure.legend(
        handles=handles if by is not None else handles[1:], title=title, loc="outside right upper", alignment="left"
    )
    settings = settings_text(chosen, without=(axis, by, panels, "seed", "step"))
    parts = ["At the last step", settings, value_words("region", region) if region else ""]
    figure.suptitle(", ".join(part for part in parts if part))
    return figure


def final_losses(results: xr.Dataset, axis: str, by: str | None = None, **selection: Any) -> Figure:
    """Draw the training loss at the last step and, where it was measured, the validation loss [2408.13256, Fig. 14c].

    Args:
      results, axis, by, **selection: as of `final_values`.
    """
    measured = [name for name in ("loss", "val_loss") if name in results]
    return final_values(results, axis, by, measured, **selection)


@style.styled
def part_scores(results: xr.Dataset, axis: str, regions: Sequence[str]) -> Figure:
    """Draw the accuracy of each factor at the last step in parts of the labels, per model [2408.13256, Fig. 4c-e].

    Args:
      results: a results Dataset with regions.
      axis: whose values are the models, in columns.
      regions: a panel each.
    """
    looks = dict(zip(factors_of(results), itertools.cycle(FACTOR_LOOKS), strict=False))
    shifts = 0.68 * ((np.arange(len(looks)) + 0.5) / len(looks) - 0.5)
    figure = style.new_figure(style.WIDTH, 3.9)
    axes = figure.subplots(1, len(regions), squeeze=False, sharey=True)[0]
    for ax, region in zip(axes, regions, strict=True):
        shown = at_region(results, region)
        for shift, (factor, (color, marker)) in zip(shifts, looks.items(), strict=True):
            last = _last(read_table(shown, f"accuracy_{factor}", axis))
            position = np.arange(len(last)) + shift
            ax.bar(position, last.mean(axis=1), 0.6 / len(looks), color=color, alpha=0.4)
            for members in last.T:
                ax.plot(position, members, linestyle="", marker=marker, markersize=5, color=color)
        names = [value_words(axis, value) for value in shown[axis].values]
        ax.set_xticks(range(len(names)), names, rotation=20 if len(names) > 3 else 0)
        ax.set_title(value_words("region", region))
        style.light_grid(ax, "y")
        ax.set_ylim(-0.02, 1.05)
    axes[0].set_ylabel("accuracy at the last step")
    handles = [
        Line2D([], [], color=color, linestyle="", marker=marker, label=f"{factor}, each seed (bar: mean)")
        for factor, (color, marker) in looks.items()
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@style.styled
def data_needed(results: xr.Dataset, threshold: float = 0.6) -> Figure:
    """Draw the labels needed for a threshold accuracy against the image's side, on log axes [2408.13256, Fig. 5c].

    A dot per seed, lines fitted to all of them with their exponents and intervals, guides linear and quadratic in N.
    Sizes at which the threshold is not crossed within the run's fractions have no dot; a hollow dot is the smallest
    data set, already over it (`scaling.labels_needed`).

    Args:
      results: with the axes "size", "dataset" and "kept_fraction".
      threshold: of the last accuracy, in (0, 1).

    Raises:
      UserError: if an axis is missing, the run is not finished, or the threshold is crossed nowhere.
    """
    from diffgeo.claims import compare, numbers

    for name in ("size", "dataset", "kept_fraction"):
        _axis(results, name)
    known = ("size", "dataset", "kept_fraction", "seed", "step", "region")
    refuse_dims(results, [dim for dim in results["accuracy"].dims if dim not in known])
    figure = style.new_figure(7.6, 4.6)
    ax = figure.subplots()
    sizes = results["size"].values.astype(float)
    handles, first, hollow = [], [], False
    smallest = scaling.labels_of(results).min("kept_fraction")
    for name, color, marker in zip(results["dataset"].values, style.CATEGORICAL, MARKERS, strict=False):
        needed = scaling.labels_needed(results, role_of(str(name)), threshold)
        points = needed.transpose("size", "seed").values
        at_most = np.isclose(points, smallest.sel(dataset=name).transpose("size").values[:, None])
        hollow |= bool(at_most.any())
        for members, bound in zip(points.T, at_most.T, strict=True):
            dots = {"linestyle": "", "marker": marker, "markersize": 6, "color": color, "alpha": 0.7}
            ax.plot(sizes, np.where(bound, np.nan, members), **dots)
            if bound.any():
                ax.plot(sizes, np.where(bound, members, np.nan), **dots, markerfacecolor="none")
        label = value_words("dataset", name)
        try:
            exponent = compare("exponent", scaling.scaling_exponent(needed))
            ax.plot(sizes, np.exp(_fit(sizes, points)), color=color, linewidth=2.0)
            label += f": N^{numbers(exponent)}"
        except UserError:
            label += ": not crossed at every size"
        handles.append(Line2D([], [], color=color, marker=marker, linewidth=2.0, label=label))
        first.append(np.nanmin(points) if np.isfinite(points).any() else np.nan)
    if hollow:
        gray: dict[str, Any] = {"linestyle": "", "color": style.GUIDE_COLOR, "markerfacecolor": "none"}
        handles.append(Line2D([], [], marker="o", **gray, label="hollow: the smallest data set, already over it"))
    if not np.isfinite(first).any():
        raise UserError(f"accuracy {threshold:g} is crossed at no size within the fractions of this run")
    base = 0.7 * np.nanmin(first)
    for power, line, words in GUIDES:
        ax.plot(sizes, base * (sizes / sizes[0]) ** power, color=style.GUIDE_COLOR, linestyle=line, linewidth=1.2)
        handles.append(Line2D([], [], color=style.GUIDE_COLOR, linestyle=line, linewidth=1.2, label=words))
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(sizes, [f"{size:g}" for size in sizes], minor=False)
    ax.minorticks_off()
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(style.thousands))
    ax.set_xlabel(style.axis_label("size"))
    ax.set_ylabel(f"labels needed for accuracy {threshold:g}")
    style.open_frame(ax)
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


def at_region(results: xr.Dataset, region: str) -> xr.Dataset:
    """Return the results with the scores of a region; raise `UserError` for an unknown one."""
    known = list(results["region"].values) if "region" in results.dims else ["all"]
    if region not in known:
        raise UserError(f"there is no region {region!r} in these results: choose one of {', '.join(map(str, known))}")
    return results.sel(region=region) if "region" in results.dims else results


def _lines(results: xr.Dataset, metric: str, axis: str, by: str | None, values: Sequence[Any] | None) -> Lines:
    """Return the lines of a panel, one for each value of `by`."""
    if by is None:
        table = read_table(results, metric, axis)
        return {None: (table.axis_values, _last(table).T)}
    if by == "region":
        kinds = values or [name for name in ("all", "id", "ood") if name in results["region"].values]
        shown = {kind: at_region(results, kind) for kind in kinds}
    else:
        known = list(results[_axis(results, by)].values)
        shown = {kind: results.sel({by: kind}) for kind in (values or known)}
    lines = {}
    for kind, part in shown.items():
        table = read_table(part, metric, axis)
        lines[kind] = (table.axis_values, _last(table).T)
    return lines


def _last(table: Table) -> np.ndarray:
    """Return float[A, S] of the last step that any member has; NaN for those that lack it."""
    evaluated = np.flatnonzero(np.isfinite(table.values).any(axis=(0, 1)))
    return table.values[:, :, evaluated[-1]]


def _fit(sizes: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Return the log of the fitted labels at each size, by least squares over all seeds."""
    slope, offset = np.polyfit(np.log(sizes), np.log(points).mean(axis=1), 1)
    return offset + slope * np.log(sizes)


def _axis(results: xr.Dataset, name: str) -> str:
    if name not in results.dims:
        raise UserError(f"there is no axis {name!r} in these results: the dims are {', '.join(map(str, results.dims))}")
    return name


def _colors(by: str | None, kinds: Sequence[Any]) -> list[Any]:
    if by == "region":
        return [REGION_COLORS.get(kind, style.NEUTRAL) for kind in kinds]
    return style.value_colors(kinds)


def value_words(name: str | None, value: Any) -> str:
    """Return the text of a value in a legend or title; the bare number where the legend's title names the axis."""
    if value is None:
        return ""
    return style.value_text(value) if name in ("sigma", "kept_fraction") else style.setting_text(str(name), value)


def _limit_values(ax: Axes, metric: str, lines: Lines) -> None:
    style.light_grid(ax)
    if metric.startswith("accuracy"):
        ax.set_ylim(-0.02, 1.03)
    elif metric in ("loss", "val_loss") and all(np.nanmin(members) > 0 for _, members in lines.values()):
        style.set_log_axis(ax)
