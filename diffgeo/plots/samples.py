"""Generated images with their true centers, alone and beside the learning curves."""

from collections.abc import Iterable
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle
from matplotlib.ticker import MaxNLocator

from diffgeo.data import regions
from diffgeo.errors import UserError, require
from diffgeo.plots import style
from diffgeo.plots.curves import curve_legend, draw_curves, draw_failure_modes, mode_legend, modes_of
from diffgeo.plots.tables import (
    evaluated_steps,
    factors_of,
    read_member,
    read_table,
    require_papers,
    select,
    settings_text,
)
from diffgeo.results import data_at, settings_of_member
from diffgeo.settings import Data

SIDE = 5  # images in a row and in a column of a block
DOT_COLOR, FRAME_COLOR = "#E8112D", "#BDBDBD"


@style.styled
def sample_grid(results: xr.Dataset, step: int | np.integer, **selection: Any) -> Figure:
    """Draw up to 5 x 5 generated images of a member at a step, each with its true center as a red dot.

    [2402.03305, Fig. 3, top]. Centers are pixels of the image; a center outside the image has no dot. Of a user's data
    set, factors named x and y are the center; without them there are no dots. Images of three channels are in color.

    Args:
      results: a results Dataset.
      step: one of its evaluated steps.
      **selection: axis values that single out a member, as in `increment=0.1, seed=0`.

    Raises:
      UserError: for an unknown axis, value or step, a step not evaluated yet, or a selection of several members.
    """
    member = read_member(results, selection)
    _check_steps(member, [step])
    figure = style.new_figure(4.4, 4.9)
    _draw_step(figure.subplots(), member, int(step))
    _set_title(figure, member)
    return figure


@style.styled
def sample_phases(results: xr.Dataset, steps: Iterable[int] | None = None, **selection: Any) -> Figure:
    """Draw blocks of 5 x 5 generated images of a member, side by side, at an early, a middle and a late step.

    [2402.03305, Fig. 3, top: phases A, B, C].

    Args:
      results: a results Dataset.
      steps: the steps to show; by default the first evaluated after step 0, that whose accuracy is nearest
        to half of the last, and the last evaluated (fewer blocks if fewer are evaluated).
      **selection: axis values that single out a member, as in `increment=0.1, seed=0`.

    Raises:
      UserError: as `sample_grid`.
    """
    member = read_member(results, selection)
    steps = phase_steps(member) if steps is None else [int(step) for step in steps]
    _check_steps(member, steps)
    figure = style.new_figure(0.3 + 3.2 * len(steps), 3.9)
    for ax, step in zip(figure.subplots(1, len(steps), squeeze=False)[0], steps, strict=True):
        _draw_step(ax, member, step)
    _set_title(figure, member)
    return figure


@style.styled
def overview(results: xr.Dataset, axis: str | None = "increment") -> Figure:
    """Draw an overview of the experiment: samples, accuracies, failure modes.

    Top: `sample_phases` of the best member, that of highest accuracy at its last evaluated step.
    Bottom left: accuracy of all members by axis value. Bottom right: failure modes of that member's setting,
    all seeds.

    Args:
      results: a results Dataset; dims beside `axis`, `seed` and `step` must be selected or have length 1.
      axis: the axis shown by color; None for a single setting.

    Raises:
      UserError: as `learning_curves`, `failure_modes` and `sample_phases`.
    """
    accuracy = read_table(results, "accuracy", axis)
    at_axis, at_seed = best_member(accuracy.values)
    setting = {} if axis is None else {axis: accuracy.axis_values[at_axis]}
    one_setting = select(results, setting)
    modes = modes_of(results)
    tables = {name: read_table(one_setting, name, None) for name in modes}
    seeded = "seed" in one_setting.dims
    member = read_member(one_setting, {"seed": accuracy.seeds[at_seed]} if seeded else {})

    steps = phase_steps(member)
    figure = style.new_figure(style.WIDTH, 7.4)
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=(3.9, 3.5)).ravel()
    for ax, step in zip(top.subplots(1, len(steps), squeeze=False)[0], steps, strict=True):
        _draw_step(ax, member, step)
    number = accuracy.values.shape[0] * accuracy.values.shape[1]
    which = f"the best of {number} models" if number > 1 else "the model"
    _set_title(top, member, f"Samples of {which}")

    left, right = bottom.subplots(1, 2)
    draw_curves(left, accuracy, "accuracy", ticks=3)
    left.set_title("accuracy of every model")
    handles, title = curve_legend(accuracy, axis)
    _legend_beside(left, handles, title)
    draw_failure_modes(right, tables, modes, ticks=3)
    words = settings_text(one_setting, without=("seed",))
    right.set_title(f"samples at {words}" if words else "samples")
    _legend_beside(right, mode_legend(next(iter(tables.values())), modes), None)
    return figure


@style.styled
def region_samples(results: xr.Dataset, axis: str, region: str = "ood", seed: int | None = None) -> Figure:
    """Draw blocks of up to 5 x 5 samples with labels in a region, at the last step, a block per axis value.

    [2402.03305, Fig. 9; 2408.13256, Fig. 10c, f]. Labels are spread evenly over those of the region whose samples are
    stored; a label outside the image has no dot. Of "ood" labels the hole is shaded in every image.

    Args:
      results: a results Dataset.
      axis: a block per value.
      region: in whose labels ("all", "ood", ...).
      seed: of the models; None for the first.

    Raises:
      UserError: for an unknown axis or region, or if no stored sample lies in it.
    """
    require_papers(results, "region_samples")
    if axis not in results.dims:
        raise UserError(f"there is no axis {axis!r} in these results")
    chosen = results.isel(seed=0) if seed is None and "seed" in results.dims else results
    chosen = chosen if seed is None else select(results, {"seed": seed})
    values = list(results[axis].values)
    side = min(3.2, 9.7 / min(4, len(values)))
    figure, axes, _ = style.panels(len(values), 4, (0.3, side), (0.5, 0.45 + side))
    for ax, value in zip(axes, values, strict=True):
        member = read_member(chosen, {axis: value})
        last = int(np.flatnonzero(evaluated_steps(member))[-1])
        images = member["samples"].isel(step=last).transpose("kept", "row", "column").values
        labels = member["label"].transpose("sample", "factor").values[: len(images)]
        data = data_at(results, **{axis: value})
        inside = np.flatnonzero(np.isfinite(labels).all(axis=1) & regions.masks(data, labels, [region])[region])
        if not inside.size:
            raise UserError(
                f"no stored sample lies in the region {region!r}: store more by --set=evaluation.stored_images=..."
            )
        shown = inside[np.unique(np.linspace(0, len(inside) - 1, min(SIDE**2, len(inside))).round().astype(int))]
        hole = regions.held_out(data) if region == "ood" else None
        shaded = None if hole is None else hole.moved(-data.margin)
        draw_samples(ax, images[shown], labels[shown] - member["origin"].values, shaded)
        step = int(np.asarray(member["step"].values).reshape(-1)[last])
        ax.set_title(f"{style.setting_text(axis, value)}\nstep {style.thousands(step)}")
    words = {"all": "all labels", "ood": "held-out labels"}.get(region, f"labels of the {region} part")
    _set_title(figure, chosen.drop_vars(axis), f"Samples of {words}")
    return figure


@style.styled
def truth_and_sample(results: xr.Dataset, label: tuple[float, float] | None = None, **selection: Any) -> Figure:
    """Draw the true image of a label beside a member's sample, at the last step [2408.13256, Fig. 6d].

    Args:
      results: a results Dataset.
      label: (x, y) in pixels of the frame; the stored sample whose label is nearest is drawn. None for the middle.
      **selection: axis values that single out a member; of `sigma`, if it is not named, the smallest.

    Raises:
      UserError: as `sample_grid`.
    """
    require_papers(results, "truth_and_sample")
    smallest = {"sigma": results["sigma"].values.min()} if "sigma" in results.dims else {}
    member = read_member(results, smallest | selection)
    member = member.isel(step=int(np.flatnonzero(evaluated_steps(member))[-1]))
    data = settings_of_member(member).data
    labels = member["label"].transpose("sample", "factor").values[: member.sizes["kept"]]
    wanted = np.full(2, data.margin + (data.size - 1) / 2) if label is None else np.asarray(label)
    distance = np.where(np.isfinite(labels).all(axis=1), np.abs(labels - wanted).sum(axis=1), np.inf)
    nearest = int(distance.argmin())
    center = labels[nearest] - member["origin"].values
    drawn = member["samples"].isel(kept=nearest).transpose("row", "column").values
    figure = style.new_figure(6.4, 4.3)
    pictures = {"true image": true_image(data, center), "sample": drawn}
    for ax, (name, image) in zip(figure.subplots(1, 2, sharey=True), pictures.items(), strict=True):
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
        ax.scatter(*center, s=14, facecolors="none", edgecolors=DOT_COLOR, linewidths=0.8)
        ax.set_title(name)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.set_xlabel("x (pixels)")
        ax.set_ylabel("y (pixels)" if name == "true image" else "")
        style.set_ticks(ax)
    words = f"Label ({labels[nearest, 0]:g}, {labels[nearest, 1]:g}) (red), step {int(member['step']):,}"
    figure.suptitle(f"{words}\n{settings_text(member, without=('step',))}")
    return figure


def true_image(data: Data, center: Float[np.ndarray, " 2"]) -> Float[np.ndarray, "N N"]:
    """Return the gray values 0 to 255 of a label's image, as `diffgeo.images.render`, without JAX."""
    offset = np.arange(data.size)[:, None] - center[None, :]
    if data.periodic:
        offset = np.mod(offset + data.size / 2, data.size) - data.size / 2
    along_x, along_y = np.exp(-np.square(offset / data.sigma) / 4).T
    both = along_y[:, None] * along_x if data.kind == "bump" else (along_y[:, None] + along_x) / 2
    return 255.0 * (1.0 - both)


def draw_samples(
    ax: Axes, images: np.ndarray, centers: Float[np.ndarray, "n 2"], shaded: regions.Region | None = None
) -> None:
    """Draw up to 5 x 5 images in an axes, in reading order, each with a red dot at its center.

    Args:
      ax: an empty axes; its ticks and frame are removed.
      images: [n, N, N], 0 black to 255 white, rows from the top; or [n, N, N, 3] in color.
      centers: (x, y) in pixels; those outside the image, or NaN, are not drawn.
      shaded: drawn over every image, in pixels of the image.
    """
    images, centers = np.asarray(images)[: SIDE**2], np.asarray(centers)[: SIDE**2]
    number, rows, columns = images.shape[:3]
    side = min(SIDE, int(np.ceil(np.sqrt(number))))
    pitch = np.array([columns, rows]) * 1.08  # a gap of 8 % between images
    dots = []
    for index, (image, center) in enumerate(zip(images, centers, strict=True)):
        corner = pitch * (index % side, index // side)  # (x, y) of the image's pixel (0, 0)
        extent = (corner[0] - 0.5, corner[0] + columns - 0.5, corner[1] + rows - 0.5, corner[1] - 0.5)
        ax.imshow(image, cmap="gray", vmin=0, vmax=255, extent=extent, interpolation="nearest")
        frame = Rectangle((extent[0], extent[3]), columns, rows, fill=False, edgecolor=FRAME_COLOR, linewidth=0.7)
        ax.add_patch(frame)
        for piece in [] if shaded is None else shaded.pieces:
            (left, right), (top, bottom) = np.add(piece.x, corner[0]), np.add(piece.y, corner[1])
            inside = Rectangle((left, top), right - left, bottom - top, **style.HELD_OUT)
            inside.set_clip_path(frame)
            ax.add_patch(inside)
        if np.all(center >= -0.5) and np.all(center < np.array([columns, rows]) - 0.5):
            dots.append(corner + center)
    dots = np.array(dots).reshape(-1, 2)
    # The white rim keeps the dot visible on a black bump.
    ax.scatter(dots[:, 0], dots[:, 1], s=12, color=DOT_COLOR, edgecolors="white", linewidths=0.5, zorder=3)
    # Wider margins than the gaps, so that blocks side by side stay apart.
    last = pitch * (side, -(-number // side)) - 0.08 * np.array([columns, rows]) - 0.5
    ax.set_xlim(-0.5 - 0.14 * columns, last[0] + 0.14 * columns)
    ax.set_ylim(last[1] + 0.03 * rows, -0.5 - 0.03 * rows)
    ax.set_aspect("equal")
    ax.set_axis_off()


def phase_steps(member: xr.Dataset) -> list[int]:
    """Return the early, middle and late step of a member, ascending; fewer if fewer are evaluated.

    Early is the first evaluated after step 0, late the last, middle the step between them whose accuracy is
    nearest to half of the last step's.
    """
    steps = np.asarray(member["step"].values).reshape(-1)
    accuracy = read_table(member, "accuracy", None).values[0, 0]
    evaluated = np.flatnonzero(np.isfinite(accuracy))
    if (steps[evaluated] > 0).any():
        evaluated = evaluated[steps[evaluated] > 0]
    chosen = [evaluated[0], evaluated[-1]]
    between = evaluated[1:-1]
    if between.size:
        chosen.append(between[np.argmin(np.abs(accuracy[between] - 0.5 * accuracy[evaluated[-1]]))])
    return sorted({int(steps[index]) for index in chosen})


def best_member(values: Float[np.ndarray, "A S T"]) -> tuple[int, int]:
    """Return (axis index, seed index) of the member with the highest value at its last evaluated step."""
    last = np.full(values.shape[:2], -np.inf)
    for index in np.ndindex(*last.shape):
        finite = values[index][np.isfinite(values[index])]
        if finite.size:
            last[index] = finite[-1]
    at_axis, at_seed = np.unravel_index(np.argmax(last), last.shape)
    return int(at_axis), int(at_seed)


def _draw_step(ax: Axes, member: xr.Dataset, step: int) -> None:
    """Draw the samples of a member at a step, titled with the step and the accuracy."""
    index = int(np.flatnonzero(np.asarray(member["step"].values).reshape(-1) == step)[0])
    images = _pictures(member["samples"].isel(step=index))
    draw_samples(ax, images, _centers(member)[: len(images)])
    accuracy = read_table(member, "accuracy", None).values[0, 0, index]
    ax.set_title(f"step {style.thousands(step)}, accuracy {accuracy:.2f}")


def _pictures(samples: xr.DataArray) -> np.ndarray:
    """Return samples as [n, N, N] gray or [n, N, N, 3] colors."""
    channels = samples.sizes.get("channel", 1)
    require(
        channels in (1, 3),
        f"the samples have {channels} channels: a picture shows 1, in gray, or 3, red, green and blue",
    )
    return samples.transpose("kept", "row", "column", *(("channel",) if channels > 1 else ())).values


def _centers(member: xr.Dataset) -> Float[np.ndarray, "S 2"]:
    """Return the labels' (x, y) in pixels of the image; NaN if they have no factors of these names."""
    labels = np.asarray(member["label"].transpose("sample", "factor").values, np.float64)
    if "origin" in member:  # results older than extended frames lack it
        labels = labels - member["origin"].values
    names = factors_of(member)
    if not {"x", "y"} <= {*names}:
        return np.full((len(labels), 2), np.nan)
    return labels[:, [names.index("x"), names.index("y")]]


def _check_steps(member: xr.Dataset, steps: Iterable[int | np.integer]) -> None:
    known = np.asarray(member["step"].values).reshape(-1)
    done = known[evaluated_steps(member)]
    for step in steps:
        if step not in done:
            choices = [style.thousands(other) for other in done]
            choices = choices if len(choices) <= 12 else [*choices[:5], "...", *choices[-3:]]
            reason = "has not been evaluated yet" if step in known else "is not a step of the results"
            raise UserError(f"step {step} {reason}: choose one of {' '.join(choices)}")


def _set_title(figure: Figure | SubFigure, member: xr.Dataset, opening: str = "Samples") -> None:
    settings = settings_text(member)
    legend = " (red: the center asked for)" if {"x", "y"} <= {*factors_of(member)} else ""
    figure.suptitle(f"{opening}{' at ' if settings else ''}{settings}{legend}")


def _legend_beside(ax: Axes, handles: list[Line2D], title: str | None) -> None:
    """Draw a legend right of the axes, where no curve can be covered."""
    ax.legend(
        handles=handles,
        title=title,
        loc="upper left",
        bbox_to_anchor=(1.0, 1.03),
        borderaxespad=0.2,
        fontsize=8,
        title_fontsize=8,
        alignment="left",
        labelspacing=0.35,
    )
