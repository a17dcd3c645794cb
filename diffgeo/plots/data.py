"""Pictures of what a run starts from: example images, labels of the data sets, held-out regions, the network.

They show Datasets of `diffgeo.data.computed`.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from diffgeo.data import label_tables, regions
from diffgeo.data.computed import data_of
from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.settings import Data
from diffgeo.settings.allowed import LAYER, kind_index

WINDOW: dict[str, Any] = {"fill": False, "edgecolor": style.TEXT_COLOR, "linewidth": 1.2}

GROUPS = {
    ("2d", "sos"): ("2D sum of stripes", style.OKABE_ITO["green"], "o"),
    ("2d", "bump"): ("2D bump", style.OKABE_ITO["purple"], "D"),
    ("rim", "sos"): ("rim: crossing partly visible", style.OKABE_ITO["black"], "x"),
    ("1d", "sos"): ("1D stripe", style.OKABE_ITO["blue"], "s"),
    ("0d", "sos"): ("0D: outside in both", style.OKABE_ITO["orange"], "^"),
}
"""(part, kind) -> (words, color, marker); distinguishable by the marker alone."""

BLOCK_COLORS = {"DoubleConv": "sky blue", "Down": "blue", "Up": "green", "SelfAttention": "orange"}
BLOCK_WORDS = {
    "DoubleConv": "two convolutions",
    "Down": "pooling, four convolutions",
    "Up": "upsampling, four convolutions",
    "SelfAttention": "self-attention",
}


@style.styled
def example_images(results: xr.Dataset, examples: Sequence[str]) -> Figure:
    """Draw single images with their pixel axes [2402.03305, Fig. 2; 2408.13256, Fig. 1].

    Args:
      results: from `computed.example_images`.
      examples: names, a panel each.
    """
    chosen = results.sel(example=list(examples))
    figure = style.new_figure(0.6 + 3.4 * len(examples), 3.9)
    for ax, name in zip(figure.subplots(1, len(examples), squeeze=False)[0], examples, strict=True):
        example = chosen.sel(example=name)
        ax.imshow(example["image"].values, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        origin = (example.sizes["frame_row"] - example.sizes["row"]) / 2
        x, y = example["label"].values - origin
        ax.set_title(f"{name}, center ({x:g}, {y:g})")
        _pixel_axes(ax)
    return figure


@style.styled
def factorized_and_coupled(results: xr.Dataset, example: str, count: int = 8) -> Figure:
    """Draw a bump as the product of two stripes, and as a whole, beside the labels to be learned [2402.03305, Fig. 1].

    Args:
      results: from `computed.example_images`.
      example: name of a bump; its profiles along x and y are the stripes.
      count: K, values of x and of y.
    """
    darkness = 255.0 - results["image"].sel(example=example).values.astype(float)
    peak = np.unravel_index(darkness.argmax(), darkness.shape)
    along_x, along_y = np.ones_like(darkness) * darkness[peak[0]], np.ones_like(darkness) * darkness[:, [peak[1]]]
    figure = style.new_figure(style.WIDTH, 5.6)
    rows = figure.subplots(2, 4, gridspec_kw={"width_ratios": (1, 1, 1, 1.15)})
    pictures = (
        [(along_x, "a stripe at x"), (along_y, "a stripe at y"), (along_x * along_y / darkness.max(), "their product")],
        [None, None, (darkness, "the bump as a whole")],
    )
    lattice = np.stack(np.meshgrid(np.arange(count), np.arange(count)), axis=-1).reshape(-1, 2)
    single = np.concatenate([np.stack([np.arange(count), np.full(count, -2)], axis=1)] * 2)
    single[count:] = single[count:, ::-1]
    seen = ((single, f"2 K = {2 * count} stripes"), (lattice, f"K² = {count**2} bumps"))
    colors = (style.OKABE_ITO["blue"], style.OKABE_ITO["vermillion"])
    for axes, shown, (labels, words), color in zip(rows, pictures, seen, colors, strict=True):
        for ax, picture, sign in zip(axes, shown, ("\u00d7", "=", ""), strict=False):
            if picture is None:
                ax.set_axis_off()
                continue
            ax.imshow(255.0 - picture[0], cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            ax.set_title(picture[1])
            ax.set(xticks=[], yticks=[])
            if shown[0] is not None:
                ax.text(1.08, 0.5, sign, transform=ax.transAxes, fontsize=16, ha="center", va="center")
        last = axes[-1]
        last.scatter(*labels.T, s=26, color=color, linewidths=0)
        last.set(xlim=(-3, count), ylim=(count, -3), aspect="equal", xticks=[], yticks=[], xlabel="x", ylabel="y")
        last.set_title(f"to be learned: {words}")
    for ax, words in zip(rows[:, 0], ("factorized", "coupled"), strict=True):
        ax.text(-0.06, 0.5, words, transform=ax.transAxes, rotation=90, ha="right", va="center", fontsize=12)
    figure.suptitle(f"Two ways to draw a bump at any of K = {count} values of x and of y")
    return figure


@style.styled
def network(results: xr.Dataset) -> Figure:
    """Draw the network's blocks as they follow from its module [2402.03305, Fig. 6; 2408.13256, Fig. 7].

    A box a block, its height by side and its width by the logarithm of channels; a dot where the conditioning enters.

    Args:
      results: of a run that trains nothing, which holds the blocks of `unet.describe` as the attribute "network".

    Raises:
      UserError: for results without it.
    """
    if "network" not in results.attrs:
        raise UserError("the network's blocks are not in these results: run launch.train on this experiment again")
    blocks = json.loads(results.attrs["network"])
    figure = style.new_figure(style.WIDTH, 5.4)
    ax = figure.subplots()
    largest = max(block["side"] for block in blocks)
    places: dict[str, tuple[float, float, float, float]] = {}
    left = 0.0
    for block in blocks:
        width, height = 0.12 * np.log2(block["channels"]), 0.35 + 2.4 * block["side"] / largest
        attends = block["kind"] == "SelfAttention"
        left += 0.06 if attends else 0.5
        level = -1.5 * np.log2(largest / block["side"])
        color = style.OKABE_ITO[BLOCK_COLORS[block["kind"]]]
        edge = 2.2 if block["layer"] == LAYER else 0.6
        looks: dict[str, Any] = {"facecolor": color, "edgecolor": style.TEXT_COLOR, "linewidth": edge}
        ax.add_patch(Rectangle((left, level - height / 2), width, height, **looks))
        places[block["layer"]] = left, level, width, height
        if not attends:
            words = block["layer"].replace("bottleneck", "bottleneck\n").replace("layer", "layer ")
            ax.text(left + width / 2, level + height / 2 + 0.12, words, ha="center", fontsize=8)
            ax.text(left + width / 2, level - height / 2 - 0.12, _size_words(block), ha="center", va="top", fontsize=7)
        if block["conditioned"]:
            ax.plot(left + width / 2, level, "o", color="white", markeredgecolor=style.TEXT_COLOR, markersize=7)
        if block["skip"]:
            x, _, wide, _ = places[block["skip"]]
            start, end, under, over = x + wide / 2, left + width / 2, level + height / 2, level + height / 2 + 0.65
            ax.plot([start, start, end], [under, over, over], color=style.NEUTRAL, linewidth=1.2)
            ax.annotate("", (end, under + 0.38), (end, over), arrowprops={"arrowstyle": "->", "color": style.NEUTRAL})
        left += width
    side, arrow = blocks[0]["side"], {"arrowstyle": "->", "color": style.TEXT_COLOR}
    for end, words, align in ((0.45, "image", "right"), (left + 0.45, "noise", "left")):
        ax.annotate("", (end, 0.0), (end - 0.4, 0.0), arrowprops=arrow)
        at = end - 0.45 if align == "right" else end + 0.05
        ax.text(at, 0.0, f"{words}\n{side}²", ha=align, va="center", fontsize=8)
    ax.set(xlim=(-0.7, left + 1.1), ylim=(-5.9, 2.2), aspect="equal")
    ax.set_axis_off()
    handles: list[Any] = [
        Patch(facecolor=style.OKABE_ITO[color], edgecolor=style.TEXT_COLOR, label=BLOCK_WORDS[kind])
        for kind, color in BLOCK_COLORS.items()
    ]
    dot: dict[str, Any] = {"marker": "o", "linestyle": "", "color": "white", "markeredgecolor": style.TEXT_COLOR}
    handles.append(Line2D([], [], **dot, label="the conditioning, PE(t) | PE(x) | PE(y), is added"))
    handles.append(Line2D([], [], color=style.NEUTRAL, label="skip, concatenated"))
    figure.legend(handles=handles, loc="outside lower center", ncols=3)
    total = sum(block["parameters"] for block in blocks)
    figure.suptitle(f"The network: {total / 1e6:.3g} million parameters in blocks; layer 4 is the representation")
    return figure


@style.styled
def frame_examples(results: xr.Dataset, examples: Sequence[str]) -> Figure:
    """Draw stripes or bump on the whole frame, the image outlined, above the image [2408.13256, Fig. 9a-d].

    Args:
      results: from `computed.example_images`.
      examples: names, a column each.
    """
    figure = style.new_figure(style.WIDTH, 5.6)
    axes = figure.subplots(2, len(examples), squeeze=False)
    side, frame = results.sizes["row"], results.sizes["frame_row"]
    margin = (frame - side) / 2
    for (upper, lower), name in zip(axes.T, examples, strict=True):
        example = results.sel(example=name)
        upper.imshow(example["whole"].values, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        outside = regions.Region("outside", (_box(-0.5, frame - 0.5),), (_box(margin - 0.5, margin + side - 0.5),))
        outside.draw(upper, facecolor=style.OKABE_ITO["sky blue"], alpha=0.45, linewidth=0)
        upper.add_patch(Rectangle((margin - 0.5, margin - 0.5), side, side, **WINDOW))
        x, y = example["label"].values
        upper.plot(x, y, "o", color=style.OKABE_ITO["vermillion"], markeredgecolor="white", markersize=6)
        upper.set_title(f"{name}\nlabel ({x:.4g}, {y:.4g})")
        lower.imshow(example["image"].values, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        lower.spines[:].set(color=style.TEXT_COLOR, linewidth=1.2)
        for ax, of in ((upper, "the frame"), (lower, "the image")):
            _pixel_axes(ax)
            ax.set_xlabel(f"x in {of} (pixels)")
            ax.set_ylabel(f"y in {of} (pixels)" if name == examples[0] else "")
    figure.suptitle("Frame of the labels (top; blue: not seen by the model; dot: the label) and image (bottom)")
    return figure


@style.styled
def latents(results: xr.Dataset, tables: Sequence[str]) -> Figure:
    """Draw labels of data sets in the frame, by part and kind; held-out regions red [2408.13256, Fig. 9e-h, 10a, d].

    Args:
      results: from `computed.label_tables`.
      tables: names, a panel each.
    """
    columns = len(tables) if len(tables) < 4 else 2
    rows = -(-len(tables) // columns)
    figure = style.new_figure(style.WIDTH if columns > 2 else 8.4, 0.9 + rows * (3.3 if columns > 2 else 4.1))
    present, any_held_out = [], False
    for ax, name in zip(figure.subplots(rows, columns, squeeze=False).ravel(), tables, strict=True):
        table, data = results.sel(table=name), data_of(results, name)
        any_held_out |= draw_held_out(ax, data)
        for group, (_, color, marker) in GROUPS.items():
            rows_of = _rows_of(table, *group)
            if not rows_of.any():
                continue
            present.append(group)
            x, y = table["label"].values[rows_of].T
            shape = {"linewidths": 0.8} if marker == "x" else {"linewidths": 0}
            ax.scatter(x, y, s=9 if marker == "x" else 7, color=color, marker=marker, **shape)
        _frame_axes(ax, data)
        ax.set_title(f"{name}: {int((table['part'].values >= 0).sum()):,} labels")
    legend = [
        Line2D([], [], linestyle="", marker=marker, color=color, label=words)
        for group, (words, color, marker) in GROUPS.items()
        if group in present
    ]
    legend += [Patch(**style.HELD_OUT, label="held out of the 2D part")] if any_held_out else []
    legend += [Patch(**WINDOW, label="labels within the image")]
    figure.legend(handles=legend, loc="outside lower center", ncols=3 if len(legend) > 4 else len(legend))
    return figure


@style.styled
def nested_latents(results: xr.Dataset, tables: Sequence[str]) -> Figure:
    """Draw labels of nested subsets, those new in each in orange [2408.13256, Fig. 14a].

    Args:
      results: from `computed.label_tables`.
      tables: names, each containing the one before.
    """
    shown = style.panels(len(tables), 5, (style.WIDTH, 0.0), (0.7, 2.15), share=True)
    before: set = set()
    for index, (ax, name) in enumerate(zip(shown.axes, tables, strict=True)):
        data = data_of(results, name)
        labels = results["label"].sel(table=name).values
        labels = labels[np.isfinite(labels).all(axis=1)] - data.margin
        new = np.array([tuple(label) not in before for label in labels.tolist()])
        before = {tuple(label) for label in labels.tolist()}
        for chosen, color, marker in ((~new, "blue", "o"), (new, "orange", "s")):
            ax.scatter(*labels[chosen].T, s=3.5, color=style.OKABE_ITO[color], marker=marker, linewidths=0)
        ax.set_title(f"{data.kept_fraction:g} of the data: {len(labels):,}")
        ax.set_aspect("equal")
        ax.set(xlim=(-1, data.size), ylim=(data.size, -1))
        style.set_ticks(ax)
        ax.set_xlabel("x (pixels)" if shown.is_bottom(index) else "")
        ax.set_ylabel("y (pixels)" if shown.is_left(index) else "")
    figure = shown.figure
    kinds = (("blue", "o", "in the smaller part already"), ("orange", "s", "new in this part"))
    handles = [
        Line2D([], [], linestyle="", marker=marker, color=style.OKABE_ITO[color], label=words)
        for color, marker, words in kinds
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    return figure


@style.styled
def label_histograms(results: xr.Dataset, tables: Sequence[str]) -> Figure:
    """Draw the number of labels at each x and y of the image; the held-out band red [2408.13256, Fig. 4a, b].

    Labels outside the image on the other axis are counted too: they keep every position of a stripe in the data.

    Args:
      results: from `computed.label_tables`.
      tables: names, a row of panels each.
    """
    figure = style.new_figure(style.WIDTH, 0.9 + 2.1 * len(tables))
    axes = figure.subplots(len(tables), 2, squeeze=False, sharex=True)
    for row, (pair, name) in enumerate(zip(axes, tables, strict=True)):
        table, data = results.sel(table=name), data_of(results, name)
        for axis, ax in enumerate(pair):
            width = data.spacing[axis]  # a bar for each value of the lattice
            bins = width * (np.arange(np.ceil((data.size + 2 * data.margin) / width) + 1) - 0.5) - data.margin
            bottom = np.zeros(len(bins) - 1)
            for group, (words, color, _) in GROUPS.items():
                values = table["label"].values[_rows_of(table, *group), axis] - data.margin
                if len(values):
                    counts = np.histogram(values, bins)[0]
                    ax.bar(bins[:-1] + width / 2, counts, 0.85 * width, bottom=bottom, color=color, label=words)
                    bottom += counts
            held = regions.scored(data).get("intersection")
            if held is not None:
                low, high = held.moved(-data.margin).boxes[0].x
                ax.axvspan(low, high, **style.HELD_OUT)
                ax.set_xticks([0, low, high, data.size], [f"{tick:g}" for tick in (0, low, high, data.size)])
            for edge in (-width / 2, data.size - width / 2):
                ax.axvline(edge, color=style.TEXT_COLOR, linewidth=1.0, linestyle=(0, (2, 2)))
            style.open_frame(ax)
            ax.set_ylabel(f"{name}: labels" if axis == 0 else "")
            ax.set_xlabel(f"{'xy'[axis]} in the image (pixels)" if row == len(tables) - 1 else "")
    bars = {label: handle for ax in axes.ravel() for handle, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    handles = [*bars.values(), Patch(**style.HELD_OUT)]
    dotted = Line2D([], [], color=style.TEXT_COLOR, linewidth=1.0, linestyle=(0, (2, 2)))
    figure.legend(
        [*handles, dotted], [*bars, "held-out band", "edge of the image"], loc="outside lower center", ncols=5
    )
    return figure


def draw_held_out(ax: Axes, data: Data, **changed: Any) -> bool:
    """Shade the held-out region of a member's `Data` in label coordinates; return whether there is any."""
    region = regions.held_out(data)
    if region is not None:
        region.draw(ax, **style.HELD_OUT | changed)
    return region is not None


def _rows_of(table: xr.Dataset, part: str, kind: str) -> np.ndarray:
    """Return the mask of a table's rows of a part and a kind."""
    return (table["part"].values == list(label_tables.PARTS).index(part)) & (table["kind"].values == kind_index(kind))


def _size_words(block: Mapping[str, Any]) -> str:
    return f"{block['side']}² \u00d7 {block['channels']}\n{style.thousands(block['parameters'])}"


def _box(low: float, high: float) -> regions.Box:
    return regions.Box((low, high), (low, high))


def _frame_axes(ax: Axes, data: Data) -> None:
    """Set equal axes in label coordinates with y downward, as in images; the image outlined."""
    side = data.size + 2 * data.margin
    ax.add_patch(Rectangle((data.margin, data.margin), data.size, data.size, **WINDOW))
    ax.set(xlim=(-1.5, side + 0.5), ylim=(side + 0.5, -1.5), aspect="equal")
    ax.set_xlabel("x of the label (pixels)")
    ax.set_ylabel("y of the label (pixels)")
    style.set_ticks(ax)


def _pixel_axes(ax: Axes) -> None:
    ax.set_xlabel("x (pixels)")
    ax.set_ylabel("y (pixels)")
    style.set_ticks(ax)
