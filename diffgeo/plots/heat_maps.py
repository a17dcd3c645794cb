"""Heat maps of a metric over an axis of the grid and the training steps."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.patches import Patch

from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.plots.tables import best_seeds, read_table, settings_text

MAX_COLUMNS = 4  # panels side by side; more would make the step labels collide
STEP_LABELS = 3  # labeled cells of a panel, at most
EMPTY: dict[str, Any] = {
    "facecolor": "#EFEFEF",
    "edgecolor": style.EMPTY_COLOR,
    "hatch": "////",
}  # cells without a value


@style.styled
def phase_diagram(results: xr.Dataset, metric: str = "accuracy", axis: str = "increment") -> Figure:
    """Draw a metric over an axis (upward) and training steps: a panel per seed, and a panel of the best seeds.

    Each panel is a heat map with a row of cells per axis value, however unevenly those are spaced, and a
    column per evaluation. The last panel shows for each axis value the seed that is best at the last
    evaluated step, as the papers do [2402.03305, Fig. 4 and B.6]; the seed is named on its right.
    The panels of single seeds are there because that selection hides the variance. All panels share a
    color scale: 0 to 1, or the metric's range for the loss and for values outside 0 to 1.
    Hatched cells are not evaluated yet.

    Args:
      results: a results Dataset; dims beside `axis`, `seed` and `step` must be selected or have length 1.
      metric: a variable with a number per member and step.
      axis: the axis drawn upward.

    Raises:
      UserError: for an unknown metric or axis, for dims left over, and if nothing is evaluated yet.
    """
    table = read_table(results, metric, axis)
    choice = best_seeds(metric, table.values)
    maps = [*np.moveaxis(table.values, 1, 0), _best(table.values, choice)]
    row_height = 0.85 + 0.2 * max(6, min(len(table.axis_values), 20))
    shown = style.panels(len(maps), MAX_COLUMNS, (2.4, 2.3), (1.5, row_height))
    figure, axes = shown.figure, shown.axes

    limits, pictures = _limits(metric, table.values), []
    for index, (ax, cells) in enumerate(zip(axes, maps, strict=True)):
        pictures.append(draw_cells(ax, cells, table.axis_values, table.steps, limits))
        ax.set_xlabel(style.axis_label("step"))
        if shown.is_left(index):
            ax.set_ylabel(style.axis_label(axis))
        else:
            ax.tick_params(labelleft=False)
    for ax, seed in zip(axes, table.seeds, strict=False):
        ax.set_title("one model" if seed is None else f"seed {style.value_text(seed)}")
    _mark_best(axes[-1], table.seeds, choice)

    figure.colorbar(pictures[-1], ax=list(axes), label=style.axis_label(metric), fraction=0.05, pad=0.02, aspect=28)
    style.set_ticks(figure.axes[-1])
    figure.axes[-1].spines["outline"].set_visible(False)
    if np.isnan(table.values).any():
        missing = Patch(**EMPTY, linewidth=0.6, label="not evaluated")
        figure.legend(handles=[missing], loc="outside lower right")
    settings = settings_text(results, without=(axis, "seed"))
    figure.suptitle(f"{style.axis_label(metric)} during training{', ' + settings if settings else ''}")
    return figure


@style.styled
def phase_diagrams(results: xr.Dataset, metric: str, axis: str, panels: str) -> Figure:
    """Draw `phase_diagram` for each value of another axis: a row of panels, those of the seeds and of the best.

    [2402.03305, Fig. 8]. All panels share a color scale.

    Args:
      results: a results Dataset; dims beside `axis`, `panels`, `seed` and `step` must have length 1.
      metric: a variable with a number per member and step.
      axis: the axis drawn upward.
      panels: the axis with a row of panels for each value.

    Raises:
      UserError: as `phase_diagram`.
    """
    if panels not in results.dims:
        raise UserError(f"there is no axis {panels!r} in these results")
    tables = {value: read_table(results.sel({panels: value}), metric, axis) for value in results[panels].values}
    limits = _limits(metric, np.stack([table.values for table in tables.values()]))
    columns = len(next(iter(tables.values())).seeds) + 1
    figure = style.new_figure(min(style.WIDTH, 2.4 + 2.3 * columns), 1.1 + len(tables) * 2.2)
    axes, pictures = figure.subplots(len(tables), columns, squeeze=False), []
    for index, (row, (value, table)) in enumerate(zip(axes, tables.items(), strict=True)):
        choice = best_seeds(metric, table.values)
        for ax, panel in zip(row, [*np.moveaxis(table.values, 1, 0), _best(table.values, choice)], strict=True):
            pictures.append(draw_cells(ax, panel, table.axis_values, table.steps, limits))
            ax.set_xlabel(style.axis_label("step") if index == len(axes) - 1 else "")
            ax.tick_params(labelleft=ax is row[0])
        row[0].set_ylabel(style.axis_label(axis))
        for ax, seed in zip(row, table.seeds, strict=False):
            name = "one model" if seed is None else f"seed {style.value_text(seed)}"
            ax.set_title(f"{style.setting_text(panels, value)}\n{name}" if ax is row[0] else name)
        _mark_best(row[-1], table.seeds, choice)
    figure.colorbar(pictures[-1], ax=axes, label=style.axis_label(metric), fraction=0.05, pad=0.02, aspect=40)
    style.set_ticks(figure.axes[-1])
    figure.axes[-1].spines["outline"].set_visible(False)
    return figure


def draw_cells(
    ax: Axes,
    values: Float[np.ndarray, "A T"],
    axis_values: Sequence[Any],
    steps: Int[np.ndarray, " T"],
    limits: tuple[float, float],
) -> AxesImage:
    """Draw a heat map of cells: rows are axis values from the bottom up, columns are steps; NaN is hatched."""
    ax.patch.set(**EMPTY, linewidth=0.0)
    colors = mpl.colormaps[style.SEQUENTIAL].with_extremes(bad=(0, 0, 0, 0))
    picture = ax.imshow(
        np.ma.masked_invalid(values),
        cmap=colors,
        vmin=limits[0],
        vmax=limits[1],
        origin="lower",
        aspect="auto",
        interpolation="nearest",
    )
    ax.set_yticks(range(len(axis_values)), [style.value_text(value) for value in axis_values])
    # Whole multiples of a stride, so that equal distances between labels are equal numbers of steps.
    stride = max(1, -(-(len(steps) - 1) // (STEP_LABELS - 1)))
    shown = range(0, len(steps), stride)
    ax.set_xticks(shown, [style.thousands(steps[index]) for index in shown])
    style.set_ticks(ax)
    ax.spines[:].set_visible(False)
    return picture


def _best(values: Float[np.ndarray, "A S T"], choice: Sequence[int | None]) -> Float[np.ndarray, "A T"]:
    """Return the chosen seed's values per axis value; NaN where there is none."""
    empty = np.full(values.shape[-1], np.nan)
    return np.stack([empty if c is None else v[c] for v, c in zip(values, choice, strict=True)])


def _mark_best(ax: Axes, seeds: Sequence[Any], choice: Sequence[int | None]) -> None:
    """Set title, frame and, right of each row, the chosen seed."""
    ax.set_title("best seed at the last step\n(the papers' selection)", fontweight="bold")
    ax.spines[:].set(visible=True, color=style.TEXT_COLOR, linewidth=1.6)
    right = ax.secondary_yaxis("right")
    names = ["" if c is None or seeds[c] is None else style.value_text(seeds[c]) for c in choice]
    right.set_yticks(range(len(choice)), names)
    right.set_ylabel("seed shown")
    right.tick_params(labelsize=8, length=0, labelcolor=style.TEXT_COLOR)
    right.spines[:].set_visible(False)


def _limits(metric: str, values: np.ndarray) -> tuple[float, float]:
    low, high = float(np.nanmin(values)), float(np.nanmax(values))
    return (0.0, 1.0) if metric != "loss" and low >= 0.0 and high <= 1.0 else (low, high)
