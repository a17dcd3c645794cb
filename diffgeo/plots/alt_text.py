"""Figures in words, for those who do not see them: panels, axes, what is drawn in each, between which values."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import Collection, PathCollection
from matplotlib.figure import Figure
from matplotlib.patches import StepPatch

PANELS = 6
"""Panels that are described one by one; the others are counted."""


def describe(figure: Figure) -> str:
    """Return what a figure shows, in sentences: titles, axes with their ranges, numbers of lines, points and images.

    >>> figure = Figure()
    >>> ax = figure.subplots()
    >>> ax.set(title="of one model", xlabel="training step", ylabel="accuracy")  # doctest: +ELLIPSIS
    [...]
    >>> _ = ax.plot([0, 100], [0.0, 0.9], label="seed 0")
    >>> describe(figure)
    'of one model: a line of accuracy over training step, 0 to 100, ending at 0.9; legend: seed 0.'
    """
    titles = [part.get_suptitle() for part in (figure, *figure.subfigs)]
    bars = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
    panels = [words for ax in figure.axes if ax not in bars and (words := _panel(ax))]
    legends = [legend for part in (figure, *figure.subfigs) for legend in part.legends]
    sentences = [*titles, *([f"{len(panels)} panels"] if len(panels) > 1 else []), *panels[:PANELS]]
    if len(panels) > PANELS:
        sentences.append(f"and {len(panels) - PANELS} panels more of the same kind")
    sentences += [words for ax in bars if (words := _color_bar(ax))]
    sentences += [f"Legend: {entries}" for entries in map(_entries, legends) if entries]
    return " ".join(f"{_one_line(sentence)}." for sentence in sentences if sentence.strip())


def _panel(ax: Axes) -> str:
    """Return a panel in words; "" of one that shows nothing."""
    if not ax.get_visible():
        return ""
    drawn = [*_lines(ax), *_marks(ax)]
    if not drawn:
        return ""
    title = ax.get_title()
    legend = ax.get_legend()
    entries = f"; legend: {_entries(legend)}" if legend is not None else ""
    return (f"{title}: " if title else "") + ", ".join(drawn) + entries


def _color_bar(ax: Axes) -> str:
    name = ax.get_ylabel() or ax.get_xlabel()
    return f"Color: {name}, {_range(ax.get_ylim() if ax.get_ylabel() else ax.get_xlim())}" if name else ""


def _lines(ax: Axes) -> list[str]:
    of_data = [line for line in ax.get_lines() if line.get_transform() == ax.transData]  # others are guides
    shown = [line for line in of_data if line.get_visible() and np.size(line.get_xdata()) > 1]
    if not shown:
        return []
    ends = [y[np.isfinite(y)][-1] for y in (_numbers(line.get_ydata()) for line in shown) if np.isfinite(y).any()]
    number = "a line" if len(shown) == 1 else f"{len(shown)} lines"
    across = np.concatenate([_numbers(line.get_xdata()) for line in shown])
    return [f"{number}{_over(ax, across)}" + (f", ending at {_range(ends)}" if ends else "")]


def _marks(ax: Axes) -> list[str]:
    """Return images, scattered points, bars and maps of a panel in words."""
    found = []
    if ax.images:
        found.append(_count(len(ax.images), "image") + _over(ax, ()))
    points = [each for each in ax.collections if isinstance(each, PathCollection) and each.get_visible()]
    if number := sum(_number_of_points(each) for each in points):
        found.append(_count(number, "point") + ("" if ax.images else _over(ax, ())))
    if maps := [each for each in ax.collections if type(each).__name__ in ("QuadMesh", "PolyQuadMesh")]:
        found.append(_count(len(maps), "map") + _over(ax, ()))
    if ax.containers:
        found.append(_count(sum(map(len, ax.containers)), "bar") + _over(ax, ()))
    if steps := [each for each in ax.patches if isinstance(each, StepPatch)]:
        found.append(_count(len(steps), "histogram") + _over(ax, ()))
    if not found and (others := len(ax.collections) + len(ax.patches) + len(ax.texts)):
        found.append(f"a drawing of {_count(others, 'part')}")
    return found


def _number_of_points(scatter: Collection) -> int:
    places: Any = getattr(scatter, "_offsets3d", None)
    return np.shape(scatter.get_offsets())[0] if places is None else len(places[0])


def _over(ax: Axes, across: Sequence[float] | np.ndarray) -> str:
    """Return " of UP over ACROSS, from LOW to HIGH", with the labels of axes that share them."""
    up, along = _shared_label(ax, "y"), _shared_label(ax, "x")
    words = (f" of {up}" if up else "") + (f" over {along}" if along else "")
    known = np.asarray(across, float)
    known = known[np.isfinite(known)]
    return words + (f", {_range(known)}" if known.size and along else "")


def _shared_label(ax: Axes, axis: str) -> str:
    siblings = getattr(ax, f"get_shared_{axis}_axes")().get_siblings(ax)
    labels = [getattr(each, f"get_{axis}label")() for each in (ax, *siblings)]
    return next((label for label in labels if label), "")


def _numbers(values: Any) -> np.ndarray:
    values = np.atleast_1d(values)
    return values.astype(float) if values.dtype.kind in "fiub" else np.arange(len(values), dtype=float)


def _range(values: Iterable[float]) -> str:
    low, high = min(values), max(values)
    low, high = (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" for value in (low, high))
    return low if low == high else f"{low} to {high}"


def _entries(legend: Any) -> str:
    return ", ".join(_one_line(text.get_text()) for text in legend.get_texts())


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' if number != 1 else ''}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).rstrip(".")
