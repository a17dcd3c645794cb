"""Figures of several panels, and the legends that they share."""

from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from diffgeo.plots import style


class Panels(NamedTuple):
    """A figure with an axes for each panel, in reading order."""

    figure: Figure
    axes: list[Axes]
    columns: int

    def is_left(self, index: int) -> bool:
        """Return whether a panel stands in the first column."""
        return index % self.columns == 0

    def is_bottom(self, index: int) -> bool:
        """Return whether a panel has none below it."""
        return index >= len(self.axes) - self.columns


def panels(
    count: int, columns: int, width: tuple[float, float], height: tuple[float, float], share: bool = False
) -> Panels:
    """Return a figure of panels, at most `columns` side by side.

    Args:
      count: number of panels.
      columns: the most in a row.
      width: inches of the figure: those outside the panels, and those of each column; `style.WIDTH` at most.
      height: likewise, of each row.
      share: let all panels have the same x axis and the same y axis.
    """
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    figure = style.new_figure(min(style.WIDTH, width[0] + width[1] * columns), height[0] + height[1] * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return Panels(figure, axes[:count], columns)


def seed_legend(seeds: int, color: Any = style.NEUTRAL) -> list[Line2D]:
    """Return handles of a thick line, the mean, and a thin line, each seed; of a single seed the first alone."""
    thick = Line2D([], [], color=color, linewidth=2.2, label="one seed" if seeds == 1 else f"mean of {seeds} seeds")
    thin = Line2D([], [], color=color, linewidth=0.8, alpha=0.6, label="each seed")
    return [thick] if seeds == 1 else [thick, thin]
