"""Style of all pictures: sizes, panels, colors, wording of axes, number formats, and saving."""

import contextlib
import functools
import io
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, ParamSpec, TypeVar

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from diffgeo.errors import UserError
from diffgeo.host.files import atomic_path
from diffgeo.plots.alt_text import describe
from diffgeo.settings import Factor

P = ParamSpec("P")
R = TypeVar("R")

DPI = 120  # a picture of 10 inches is 1,200 pixels wide: sharp at a README's 900
WIDTH = 10.0  # inches; the widest picture, at which 10 point text stays legible in a README
DESCRIPTION = "Description"  # PNG's own keyword of a text for what a picture shows
GRAYS, HUES = 40, 216  # palette of a saved file: 256 colors make it a third as large as full color

OKABE_ITO = {
    "black": "#000000",
    "orange": "#E69F00",
    "sky blue": "#56B4E9",
    "green": "#009E73",
    "yellow": "#F0E442",
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "purple": "#CC79A7",
}
"""The palette of Okabe and Ito (2008), distinguishable under all common color-vision deficiencies."""

# No yellow: it vanishes on white.
_ORDER = ("blue", "orange", "green", "purple", "vermillion", "black", "sky blue")
CATEGORICAL = tuple(OKABE_ITO[name] for name in _ORDER)
SEQUENTIAL = "viridis"
TEXT_COLOR = "#262626"
SPINE_COLOR = "#8C8C8C"
GRID_COLOR = "#E6E6E6"
NEUTRAL = "#555555"  # lines that stand for no single axis value: means, controls
GUIDE_COLOR = "#777777"  # slopes to compare with
EMPTY_COLOR = "#B8B8B8"
HELD_OUT: dict[str, Any] = {"facecolor": OKABE_ITO["vermillion"], "alpha": 0.28, "linewidth": 0}

AXIS_LABELS = {
    "increment": "increment d (pixels)",
    "increment_x": "increment of x (pixels)",
    "increment_y": "increment of y (pixels)",
    "sigma": "sigma (pixels)",
    "step": "training step",
    "seed": "seed",
    "size": "image side N (pixels)",
    "hole_width": "hole width (pixels)",
    "hole_area_fraction": "held-out share",
    "kept_fraction": "kept fraction",
    "margin": "margin of the frame (pixels)",
    "subset_seed": "random draw",
    "threshold": "threshold overlap",
    "accuracy": "accuracy",
    "loss": "training loss (mean squared error)",
    "val_loss": "validation loss (mean squared error)",
    "correct": "fraction correct",
    "no_bump": "fraction without a bump",
    "wrong_place": "fraction at a wrong place",
    "several_bumps": "fraction with several bumps",
    "r2": "averaged R² on the 3-D UMAP",
    "probe_r2": "cross-validated R² of a linear probe",
    "neighbor_r2": "R² of nearest neighbors",
    "participation_ratio": "effective dimension",
    "total_variance": "variance of the representation",
    "intrinsic_dimension": "intrinsic dimension",
    "additive_share": "additive share of the variance",
}
"""Wording, with units, of axes and metrics; any other name is shown unchanged."""

FACTOR_SCORES = {
    "accuracy": "accuracy of {}",
    "r2": "R² of {} on the 3-D UMAP",
    "probe_r2": "cross-validated R² of a linear probe of {}",
    "neighbor_r2": "R² of {} by nearest neighbors",
}
"""Scores of a factor, whose name ends in that of the factor -> wording."""

UNIT_WORDS = {"px": "pixels", "deg": "degrees"}
"""Units of factors -> wording; any other is shown unchanged."""

VALUE_WORDS = {
    "dataset": {
        f"{parts}{with_0d}": words  # as the paper names the models, whose data have 0D labels as well
        for parts, words in (("2d", "2D"), ("1d", "1D"), ("2d+1d", "2D + 1D"), ("1d+rim", "1D with rim"))
        for with_0d in ("", "+0d")
    },
    "hole": {"square": "interior square", "corner": "exterior square"},
    "kind": {"sos": "sum of stripes", "bump": "bump"},
    "region": {
        "all": "all labels",
        "id": "outside the hole (ID)",
        "ood": "held out (OOD)",
        "vertical": "vertical part",
        "horizontal": "horizontal part",
        "intersection": "intersection",
    },
}
"""Axes whose values are names -> the wording of each; any other value is shown unchanged."""

RC: dict[Any, Any] = {
    "font.size": 10,
    "font.family": "DejaVu Sans",
    "text.color": TEXT_COLOR,
    "axes.titlesize": 10,
    "axes.labelsize": 10,
    "axes.labelcolor": TEXT_COLOR,
    "axes.edgecolor": SPINE_COLOR,
    "axes.linewidth": 0.8,
    "axes.grid": False,
    "legend.fontsize": 9,
    "legend.title_fontsize": 9,
    "legend.frameon": False,
    "legend.handlelength": 2.4,
    "figure.titlesize": 11,
    "figure.facecolor": "white",
    "hatch.linewidth": 0.6,
    "hatch.color": EMPTY_COLOR,
}


class Picture(Figure):
    """A Figure that a notebook shows without pyplot or any backend being set up."""

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        with context():
            self.savefig(buffer, format="png", dpi=DPI)
        return buffer.getvalue()


@contextlib.contextmanager
def context() -> Iterator[None]:
    """Set matplotlib's defaults and `RC` within, whatever a matplotlibrc says; restore what was set before.

    Entered by `styled` functions and by `save`.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(RC)
        yield


def styled(function: Callable[P, R]) -> Callable[P, R]:
    """Run a plotting function inside `context`."""

    @functools.wraps(function)
    def inside(*args: P.args, **kwargs: P.kwargs) -> R:
        with context():
            return function(*args, **kwargs)

    return inside


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches, laid out by constrained layout."""
    return Picture(figsize=(width, height), layout="constrained")


def axis_label(name: str) -> str:
    """Return the wording with units of an axis or metric; the name itself if `AXIS_LABELS` lacks it.

    Scores of the factors of a user's data set are worded as those of x and y.
    """
    if name in AXIS_LABELS:
        return AXIS_LABELS[name]
    for score, words in FACTOR_SCORES.items():
        if name.startswith(f"{score}_"):
            return words.format(name.removeprefix(f"{score}_"))
    return name


def factor_label(factor: Factor) -> str:
    """Return the wording with its unit of a factor, as in "x (pixels)"; the name alone of one without a unit."""
    unit = UNIT_WORDS.get(factor.unit, factor.unit)
    return f"{factor.name} ({unit})" if unit else factor.name


def value_text(value: Any) -> str:
    """Return an axis value as a tick label: 0.1 (not 0.10000000149), 320,000, or the string itself."""
    if isinstance(value, bool | np.bool_ | str):
        return str(value)
    if isinstance(value, int | np.integer):
        return f"{int(value):,}"
    return f"{float(value):g}"


def setting_text(name: str, value: Any) -> str:
    """Return a setting in words, as in "increment d = 0.1 pixels"; a named value as in `VALUE_WORDS`."""
    if str(value) in VALUE_WORDS.get(name, {}):
        return VALUE_WORDS[name][str(value)]
    if name == "seed":
        return f"seed {value_text(value)}"
    words, _, unit = axis_label(name).partition(" (")
    return f"{words} = {value_text(value)} {unit.rstrip(')')}".rstrip()


def thousands(value: int | float | np.integer, _position: int | None = None) -> str:
    """Return the tick text of a step: 320000 -> "320,000"."""
    return f"{value:,.0f}"


def value_colors(values: Sequence[Any]) -> list[Any]:
    """Return a color per axis value: viridis (dark to light) for numbers, Okabe-Ito for names."""
    named = any(isinstance(value, str) for value in values)
    if len(values) == 1 or (named and len(values) <= len(CATEGORICAL)):
        return list(CATEGORICAL[: len(values)])
    # The last tenth of viridis is too light for a line on white.
    return [mpl.colormaps[SEQUENTIAL](level) for level in np.linspace(0.0, 0.9, len(values))]


def set_ticks(ax: Axes) -> None:
    """Style tick marks and labels of an axes.

    Ticks are created when the figure is drawn, long after `context` was left, so what they look like must
    be stored on the axes and not be left to rcParams.
    """
    ax.tick_params(labelsize=9, color=SPINE_COLOR, labelcolor=TEXT_COLOR, length=3, width=0.8)


def open_frame(ax: Axes) -> None:
    """Style the ticks, and leave out the frame's top and right."""
    set_ticks(ax)
    ax.spines[["top", "right"]].set_visible(False)


def light_grid(ax: Axes, axis: Literal["both", "x", "y"] = "both") -> None:
    """Draw a light grid behind the data, in an open frame."""
    open_frame(ax)
    ax.grid(True, axis=axis, color=GRID_COLOR, linewidth=0.7)
    ax.set_axisbelow(True)


def set_step_axis(ax: Axes, ticks: int = 4) -> None:
    """Draw a light grid in an open frame, and an x axis of training steps with thousands separated."""
    light_grid(ax)
    ax.set_xlabel(axis_label("step"))
    ax.xaxis.set_major_locator(MaxNLocator(nbins=ticks, integer=True))
    ax.xaxis.set_major_formatter(FuncFormatter(thousands))


def set_log_axis(ax: Axes) -> None:
    """Set a logarithmic y axis labeled with plain numbers at 1, 2 and 5 of each decade."""
    ax.set_yscale("log")
    ax.yaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0)))
    ax.yaxis.set_major_formatter(FuncFormatter(lambda value, _position: f"{value:g}"))
    ax.yaxis.set_minor_formatter(NullFormatter())


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
      width: inches of the figure: those outside the panels, and those of each column; `WIDTH` at most.
      height: likewise, of each row.
      share: let all panels have the same x axis and the same y axis.
    """
    columns = max(1, min(columns, count))
    rows = -(-count // columns)
    figure = new_figure(min(WIDTH, width[0] + width[1] * columns), height[0] + height[1] * rows)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=share, sharey=share).ravel().tolist()
    for spare in axes[count:]:
        spare.remove()
    return Panels(figure, axes[:count], columns)


def seed_legend(seeds: int, color: Any = NEUTRAL) -> list[Line2D]:
    """Return handles of a thick line, the mean, and a thin line, each seed; of a single seed the first alone."""
    thick = Line2D([], [], color=color, linewidth=2.2, label="one seed" if seeds == 1 else f"mean of {seeds} seeds")
    thin = Line2D([], [], color=color, linewidth=0.8, alpha=0.6, label="each seed")
    return [thick] if seeds == 1 else [thick, thin]


def save(figure: Figure, path: str | os.PathLike) -> Path:
    """Write a figure as PNG or PDF, atomically: a reader sees the old file or the whole new one, never a part.

    A PNG holds the figure in words, see `description`.

    Args:
      figure: any Figure.
      path: file name ending in .png or .pdf; missing folders are made.

    Returns:
      The path written.

    Raises:
      UserError: for another ending.
    """
    path = Path(path)
    if path.suffix not in (".png", ".pdf"):
        raise UserError(f"a picture is saved as PNG or PDF, so {str(path)!r} must end in .png or .pdf")
    raw = io.BytesIO()
    with context():
        figure.savefig(raw, format=path.suffix[1:], dpi=DPI)
    with atomic_path(path) as part:
        if path.suffix == ".pdf":
            part.write_bytes(raw.getvalue())
        else:
            with Image.open(raw) as picture:
                flat = _with_palette(picture.convert("RGB"))
            about = PngInfo()
            about.add_itxt(DESCRIPTION, describe(figure))
            flat.save(part, format="PNG", optimize=True, dpi=(DPI, DPI), pnginfo=about)
    return path


def description(path: str | os.PathLike) -> str:
    """Return what a saved PNG shows in words, for an alt text; "" of one that another program wrote."""
    with Image.open(path) as picture:
        return str(picture.info.get(DESCRIPTION, ""))


def _with_palette(picture: Image.Image) -> Image.Image:
    """Return the RGB picture in 256 colors: evenly spaced grays, and the hues that it uses most, exactly.

    Pillow's own choice of a palette averages over colors and gives neighboring curves one color.
    """
    pixels = np.asarray(picture).reshape(-1, 3)
    spread = pixels.max(axis=1).astype(int) - pixels.min(axis=1)
    hues, counts = np.unique(pixels[spread > 12], axis=0, return_counts=True)
    grays = np.repeat(np.linspace(0, 255, GRAYS).round().astype(np.uint8)[:, None], 3, axis=1)
    colors = np.concatenate([grays, hues[np.argsort(-counts, kind="stable")[:HUES]]])
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors.tobytes())
    # No dithering: it would put dots into plain areas, and dots do not compress.
    return picture.quantize(palette=palette, dither=Image.Dither.NONE)
