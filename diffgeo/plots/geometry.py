"""Pictures of the measures of representations: spectra, dimension, persistence diagrams, rings.

`clouds` is a mapping from a name (a step, "model", and the controls "untrained" and "pixels") to the
result of `diffgeo.representation.analyze` for it, or to any mapping with the fields that a function names, such as a
Dataset of a single cloud. `results` is a results Dataset whose variables are fields of `analyze` over the grid's axes,
`seed` and `step`.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.plots.curves import draw_curves
from diffgeo.plots.tables import Table, read_table, seed_mean, settings_text
from diffgeo.representation.barcodes import read_bars
from diffgeo.representation.rings import ANGLE_EDGES, PAIRS, RESIDUAL_EDGES, STATISTICS

COLORS = {
    "model": style.OKABE_ITO["blue"],
    "untrained": style.OKABE_ITO["orange"],
    "pixels": style.OKABE_ITO["green"],
    "generated pixels": style.OKABE_ITO["sky blue"],
    "Clifford torus": style.OKABE_ITO["purple"],
    "3-D torus": style.OKABE_ITO["vermillion"],
}
"""Colors of the clouds that are often shown; any other is drawn in the model's color."""

Clouds = Mapping[str, Mapping[Any, Any]]
"""Name of a cloud -> its fields by name."""

UNTRAINED_DOTS: dict[str, Any] = {"linestyle": "", "marker": "o", "markerfacecolor": "none", "color": style.TEXT_COLOR}
CONTROL_LINES = ((0, (6, 2)), (0, (1.2, 1.6)), (0, (6, 2, 1.2, 2)))
HOMOLOGY = (("H0", "o", "blue"), ("H1", "^", "orange"), ("H2", "s", "green"))
PAIR_WORDS = {"x_on_y": "x on y", "x_on_x": "x on x", "y_on_y": "y on y"}
STATISTIC_WORDS = {"angles": "angle (degrees)", "residual": "residual"}
IDEAL_WORDS = {"clifford": "Clifford torus", "torus3d": "3-D torus"}
IDEAL_LINES = {"clifford": "-", "torus3d": (0, (3, 1.1))}  # y on y is the same for both: dashes show what they cover


@style.styled
def spectra(clouds: Clouds, count: int = 15) -> Figure:
    """Draw the fraction of variance in each of the first principal components, a panel per cloud.

    [2408.13256, Fig. 2d]. The first four, as many as a Clifford torus needs, are dark; each panel gives their share
    and, where known, the effective dimension and the accuracy. Clouds are checkpoints and the controls.

    Args:
      clouds: name -> fields "spectrum" [modes] and "total_variance", and if known "participation_ratio" and "accuracy".
      count: components shown.

    Raises:
      UserError: for no cloud or a missing field.
    """
    _check(clouds, ("spectrum", "total_variance"))
    shown = style.panels(len(clouds), _columns(len(clouds)), (1.2, 2.5), (0.6, 2.2), share=True)
    for index, (ax, (name, fields)) in enumerate(zip(shown.axes, clouds.items(), strict=True)):
        share = np.asarray(fields["spectrum"], np.float64)[:count] / float(fields["total_variance"])
        numbers = np.arange(1, len(share) + 1)
        ax.bar(numbers[:4], share[:4], color=COLORS.get(name, COLORS["model"]))
        ax.bar(numbers[4:], share[4:], color="#B5B5B5")
        notes = [f"first 4: {100 * share[:4].sum():.0f} %"]
        if "participation_ratio" in fields:
            notes.append(f"dimension {float(fields['participation_ratio']):.1f}")
        if "accuracy" in fields:
            notes.append(f"accuracy {float(fields['accuracy']):.2f}")
        ax.text(0.97, 0.95, "\n".join(notes), transform=ax.transAxes, ha="right", va="top", fontsize=9)
        ax.set_title(name)
        style.open_frame(ax)
        if shown.is_bottom(index):
            ax.set_xlabel("principal component")
            ax.tick_params(labelbottom=True)
        if shown.is_left(index):
            ax.set_ylabel("share of variance")
    return shown.figure


@style.styled
def effective_dimension(results: xr.Dataset, axis: str | None = None, controls: Clouds | None = None) -> Figure:
    """Draw accuracy (top) and participation ratio (bottom) over training, every seed thin and their mean thick.

    [2408.13256, Fig. 2c]. Horizontal lines: the controls, and 4, the dimension of a Clifford torus. Hollow dots mark
    step 0: samples of an untrained network are noise, so that the training starts at the step after it.

    Args:
      results: a results Dataset with "accuracy" and "participation_ratio".
      axis: the axis shown by color; None for a single setting.
      controls: name -> field "participation_ratio".

    Raises:
      UserError: for a missing variable or field, an unknown axis or dims left over.
    """
    controls = controls or {}
    tables = [read_table(results, metric, axis) for metric in ("accuracy", "participation_ratio")]
    figure = style.new_figure(6.4, 5.6)
    axes = figure.subplots(2, 1, sharex=True)
    for ax, table, metric in zip(axes, tables, ("accuracy", "participation_ratio"), strict=True):
        draw_curves(ax, table, metric)
    untrained = tables[1].steps[0] == 0
    if untrained:
        first = tables[1].values[:, :, 0].ravel()
        axes[1].plot(np.zeros(len(first)), first, **UNTRAINED_DOTS)
    axes[0].set_xlabel("")
    values = _lines(axes[1], controls, lambda fields: float(fields["participation_ratio"]))
    axes[1].axhline(4.0, color=COLORS["Clifford torus"], linewidth=1.2, linestyle=(0, (1.2, 1.2)))
    handles = _seed_legend(tables[1], axis)
    handles += [_control_handle(index, name) for index, name in enumerate(controls)]
    handles.append(Line2D([], [], color=COLORS["Clifford torus"], linestyle=(0, (1.2, 1.2)), label="Clifford torus"))
    if untrained:
        handles.append(Line2D([], [], **UNTRAINED_DOTS, label="step 0: untrained"))
    top = max([4.0, np.nanmax(tables[1].values), *values])
    axes[1].set_ylim(0.0, 1.08 * top)
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    settings = settings_text(results, without=(axis, "seed"))
    if settings:
        figure.suptitle(settings)
    return figure


@style.styled
def persistence_diagrams(clouds: Clouds) -> Figure:
    """Draw persistence diagrams H0, H1, H2 side by side [2408.13256, Fig. 2b].

    Classes still alive at the threshold have no death: they are drawn side by side in the gray band above, and
    each panel counts them. Lengths are shown relative to the threshold, so that clouds can be compared.

    Args:
      clouds: name -> fields "bars" ([homology, bars, 2], or a list of [bars, 2]; NaN rows are left out) and
        "bar_threshold"; the Betti numbers of the titles are read from these bars.

    Raises:
      UserError: for no cloud or a missing field.
    """
    _check(clouds, ("bars", "bar_threshold"))
    shown = style.panels(len(clouds), _columns(len(clouds)), (0.8, 2.8), (0.7, 3.1), share=True)
    for index, (ax, (name, fields)) in enumerate(zip(shown.axes, clouds.items(), strict=True)):
        _draw_bars(ax, fields["bars"], float(fields["bar_threshold"]))
        # of what is shown, not what was stored
        betti = read_bars([np.asarray(degree) for degree in fields["bars"]], float(fields["bar_threshold"])).betti
        ax.set_title(f"{name}\nBetti numbers {', '.join(f'{number:.0f}' for number in betti)}")
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("birth / threshold")
        if shown.is_left(index):
            ax.set_ylabel("death / threshold")
    handles = [
        Line2D([], [], marker=marker, color=style.OKABE_ITO[color], linestyle="", label=name)
        for name, marker, color in HOMOLOGY
    ]
    shown.figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return shown.figure


@style.styled
def ring_histograms(clouds: Clouds) -> Figure:
    """Draw histograms of angles and residuals between rings: rows x on y, x on x, y on y; a column per cloud.

    [2408.13256, Fig. 3]: the model between ideal tori and controls. Angles above, residuals below; the dotted line is
    the mean.

    Args:
      clouds: name -> fields "ring_angles" [3, bins], "ring_residual" [3, bins] and "ring_mean" [3, 2].

    Raises:
      UserError: for no cloud or a missing field.
    """
    _check(clouds, ("ring_angles", "ring_residual", "ring_mean"))
    figure = style.new_figure(min(style.WIDTH, 1.4 + 1.75 * len(clouds)), 8.4)
    blocks = figure.subfigures(2, 1, squeeze=False).ravel()
    for block, field, edges, statistic in zip(
        blocks, ("ring_angles", "ring_residual"), (ANGLE_EDGES, RESIDUAL_EDGES), STATISTICS, strict=True
    ):
        axes = block.subplots(3, len(clouds), squeeze=False, sharex=True, sharey=True)
        for column, (name, fields) in enumerate(clouds.items()):
            for row, pair in enumerate(PAIRS):
                ax = axes[row, column]
                shares = np.asarray(fields[field], np.float64)[row]
                mean = float(np.asarray(fields["ring_mean"])[row, STATISTICS.index(statistic)])
                _draw_shares(ax, name, shares, edges, mean)
                ax.set_xticks((0, 45, 90) if statistic == "angles" else (0.0, 0.5, 1.0))
                if column == 0:
                    ax.set_ylabel(f"{PAIR_WORDS[pair]}\nshare of pairs")
                if row == 0:
                    ax.set_title(name)
            axes[-1, column].set_xlabel(STATISTIC_WORDS[statistic])
    blocks[0].suptitle("Angles between the planes of two rings (dotted: mean)")
    blocks[1].suptitle("Share of a ring's variance outside another's plane (dotted: mean)")
    return figure


@style.styled
def literal_angles(clouds: Clouds) -> Figure:
    """Draw histograms of angles between single components of rings: rows x on y, x on x, y on y; a column per cloud.

    [2408.13256, B.2, Fig. 3] as published, for comparison with it: two components of a circle may be any, so that
    circles in one plane show all angles. The dotted line is the mean.

    Args:
      clouds: name -> fields "ring_angles_literal" [3, bins] and "ring_mean_literal" [3].

    Raises:
      UserError: for no cloud or a missing field.
    """
    _check(clouds, ("ring_angles_literal", "ring_mean_literal"))
    figure = style.new_figure(min(style.WIDTH, 1.4 + 1.75 * len(clouds)), 4.4)
    axes = figure.subplots(3, len(clouds), squeeze=False, sharex=True, sharey=True)
    for column, (name, fields) in enumerate(clouds.items()):
        for row, ax in enumerate(axes[:, column]):
            shares = np.asarray(fields["ring_angles_literal"], np.float64)[row]
            mean = float(np.asarray(fields["ring_mean_literal"])[row])
            _draw_shares(ax, name, shares, ANGLE_EDGES, mean)
            ax.set_xticks((0, 45, 90))
            if column == 0:
                ax.set_ylabel(f"{PAIR_WORDS[PAIRS[row]]}\nshare of pairs")
        axes[0, column].set_title(name)
        axes[-1, column].set_xlabel(STATISTIC_WORDS["angles"])
    figure.suptitle("Angles between single principal components of two rings (dotted: mean)")
    return figure


@style.styled
def wasserstein_curves(results: xr.Dataset, controls: Clouds | None = None) -> Figure:
    """Draw Wasserstein distances of the rings' statistics to an ideal Clifford torus and 3-D torus, over training.

    [2408.13256, Fig. 8]. Every seed thin, their mean thick; controls as horizontal lines of the same colors.

    Args:
      results: a results Dataset with "wasserstein_clifford" and "wasserstein_torus3d" over (seed,) step, ring_pair and
        ring_statistic; other dims must be selected or have length 1.
      controls: name -> the same two fields, [3, 2].

    Raises:
      UserError: for a missing variable or field, dims left over, and if nothing is evaluated yet.
    """
    controls = controls or {}
    figure = style.new_figure(style.WIDTH, 6.2)
    axes = figure.subplots(len(STATISTICS), len(PAIRS), sharex=True)
    for ideal, words in IDEAL_WORDS.items():
        name = f"wasserstein_{ideal}"
        if name not in results:
            raise UserError(f"there is no {name!r} in these results: ask for the analysis 'rings'")
        if controls:
            _check(controls, (name,))
        for row, column in np.ndindex(*axes.shape):
            panel = results[[name]].isel(ring_pair=column, ring_statistic=row, drop=True)
            table = read_table(panel, name, None)
            for members in table.values[0]:
                axes[row, column].plot(table.steps, members, color=COLORS[words], linewidth=0.8, alpha=0.55)
            mean = seed_mean(table.values[0])
            axes[row, column].plot(table.steps, mean, color=COLORS[words], linewidth=2.2, linestyle=IDEAL_LINES[ideal])
            _lines(
                axes[row, column],
                controls,
                lambda fields, name=name, row=row, column=column: float(np.asarray(fields[name])[column, row]),
                COLORS[words],
            )
    for row, column in np.ndindex(*axes.shape):
        ax = axes[row, column]
        style.set_step_axis(ax, 3)
        ax.set_ylim(0.0, None)
        if row == 0:
            ax.set_title(PAIR_WORDS[PAIRS[column]])
            ax.set_xlabel("")
        if column == 0:
            words = "angles (degrees)" if row == 0 else "residuals"
            ax.set_ylabel(f"distance of {words}")
    handles = [
        Line2D([], [], color=COLORS[words], linewidth=2.2, linestyle=IDEAL_LINES[ideal], label=f"to {words}")
        for ideal, words in IDEAL_WORDS.items()
    ]
    handles += style.seed_legend(results.sizes.get("seed", 1))
    handles += [_control_handle(index, name) for index, name in enumerate(controls)]
    figure.legend(handles=handles, loc="outside lower center", ncols=6)
    settings = settings_text(results, without=("seed", "ring_pair", "ring_statistic"))
    opening = "Wasserstein distance of the rings' statistics to those of ideal tori"
    figure.suptitle(f"{opening}{', ' + settings if settings else ''}")
    return figure


def _draw_shares(ax: Axes, name: str, shares: np.ndarray, edges: np.ndarray, mean: float) -> None:
    ax.stairs(shares, edges, fill=True, color=COLORS.get(name, COLORS["model"]))
    ax.axvline(mean, color=style.TEXT_COLOR, linestyle=(0, (1.2, 1.6)), linewidth=1.1)
    style.open_frame(ax)
    ax.set_xlim(edges[0], edges[-1])
    ax.set_ylim(0.0, 1.05)


def _draw_bars(ax: Axes, diagrams: Any, threshold: float) -> None:
    ax.plot([0, 1], [0, 1], color=style.EMPTY_COLOR, linewidth=0.8)
    ax.axhspan(1.05, 1.19, color="#EDEDED", linewidth=0)
    counts = []
    for index, ((name, marker, color), diagram) in enumerate(zip(HOMOLOGY, diagrams, strict=False)):
        bars = np.asarray(diagram, np.float64)
        bars = bars[~np.isnan(bars[:, 0])] / threshold
        alive = np.isinf(bars[:, 1])
        look = {"marker": marker, "color": style.OKABE_ITO[color], "edgecolors": "white", "linewidths": 0.4}
        ax.scatter(bars[~alive, 0], bars[~alive, 1], s=20, alpha=0.75, zorder=3, **look)
        # slightly separated, else classes born together would hide each other
        heights = 1.12 + 0.045 * np.linspace(-1, 1, max(2, alive.sum()))[: alive.sum()] * (alive.sum() > 1)
        ax.scatter(bars[alive, 0], heights, s=36, zorder=4 + index, clip_on=False, **look)
        counts.append(f"{name}: {alive.sum()}")
    style.open_frame(ax)
    ax.set_xlim(-0.04, 1.04)
    ax.set_ylim(-0.04, 1.22)
    ax.set_yticks((0.0, 0.5, 1.0, 1.12), ("0", "0.5", "1", "alive"))
    ax.text(0.98, 0.03, "alive at the threshold\n" + ", ".join(counts), transform=ax.transAxes, ha="right", fontsize=8)


def _columns(count: int) -> int:
    """Return the panels of a row: five in one, as a model between two ideals and two controls is, else four."""
    return count if count <= 5 else 4


def _lines(
    ax: Axes, controls: Clouds, value: Callable[[Mapping[Any, Any]], float], color: str = style.NEUTRAL
) -> list[float]:
    """Draw a horizontal line per control; return their heights."""
    heights = [value(fields) for fields in controls.values()]
    for index, height in enumerate(heights):
        ax.axhline(height, color=color, linewidth=1.2, linestyle=CONTROL_LINES[index % len(CONTROL_LINES)])
    return heights


def _control_handle(index: int, name: str) -> Line2D:
    return Line2D(
        [], [], color=style.NEUTRAL, linewidth=1.2, linestyle=CONTROL_LINES[index % len(CONTROL_LINES)], label=name
    )


def _seed_legend(table: Table, axis: str | None) -> list[Line2D]:
    """Return handles: a line per axis value (none without an axis), then mean and seeds."""
    colors = style.value_colors(table.axis_values)
    if axis is None:
        return style.seed_legend(len(table.seeds), colors[0])
    values = zip(table.axis_values, colors, strict=True)
    named = [Line2D([], [], color=color, linewidth=2.2, label=style.setting_text(axis, v)) for v, color in values]
    return named + style.seed_legend(len(table.seeds))


def _check(clouds: Clouds, fields: Sequence[str]) -> None:
    if not clouds:
        raise UserError("there is no cloud to draw: give at least one name with its fields")
    for name, cloud in clouds.items():
        for field in fields:
            if field not in cloud:
                raise UserError(f"{name!r} has no field {field!r}: analyze it with the group that holds it")
