"""Maps over the label plane: accuracy per label, and the held-out region."""

from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from diffgeo import readout
from diffgeo.data import regions
from diffgeo.data.label_tables import with_role
from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.plots.heat_maps import EMPTY
from diffgeo.plots.samples import DOT_COLOR
from diffgeo.plots.tables import evaluated_steps, read_member, read_table, require_papers, settings_text
from diffgeo.results import data_at, select_scores, settings_of_member
from diffgeo.settings import Data

OUTLINE: dict[str, Any] = {"fill": False, "edgecolor": style.OKABE_ITO["vermillion"], "linewidth": 1.6}


@style.styled
def error_map(results: xr.Dataset, axis: str | None = None, step: int | None = None) -> Figure:
    """Draw the fraction of samples right in x and y per pixel of the label plane; held-out regions red.

    A column of panels per value of `axis`, a row per seed and, of several seeds, a row of their mean. Coordinates are
    those of the labels; cells without a label are hatched. Labels on a region's edge are held out.

    Args:
      results: a results Dataset; dims beside `axis`, `seed` and `step` must be selected or have length 1.
      axis: the axis across the columns; None for a single setting.
      step: one of the evaluated steps; None for the last.

    Raises:
      UserError: for an unknown axis or step, for dims left over, and if nothing is evaluated yet.
    """
    require_papers(results, "error_map")
    table = read_table(results, "accuracy", axis)
    evaluated = table.steps[np.isfinite(table.values).any(axis=(0, 1))]
    step = int(evaluated[-1]) if step is None else step
    if step not in evaluated:
        raise UserError(f"step {step} is not evaluated: choose one of {' '.join(map(style.thousands, evaluated))}")
    at_step = select_scores(results).isel(step=int(np.flatnonzero(table.steps == step)[0]))
    members = [data_at(results, **({} if axis is None else {axis: value})) for value in table.axis_values]
    shape = (len(table.axis_values), len(table.seeds))
    label, predicted = (_by_member(at_step[name], axis, shape) for name in ("label", "prediction"))
    low = np.floor(np.nanmin(label, axis=(0, 1, 2)) + 0.5).astype(int)
    high = np.floor(np.nanmax(label, axis=(0, 1, 2)) + 0.5).astype(int)

    rows, columns = len(table.seeds) + (len(table.seeds) > 1), len(members)
    figure = style.new_figure(min(style.WIDTH, 2.0 + 3.0 * columns), 1.0 + rows * min(3.0, 8.0 / columns))
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    colors = mpl.colormaps[style.SEQUENTIAL].with_extremes(bad=(0, 0, 0, 0))
    missing, held, pictures = False, False, []
    for column, data in enumerate(members):
        maps = [cell_shares(*pair, data, low, high) for pair in zip(label[column], predicted[column], strict=True)]
        names = ["one model" if seed is None else f"seed {style.value_text(seed)}" for seed in table.seeds]
        if len(maps) > 1:
            maps.append(_mean(maps))
            names.append(f"mean of {len(table.seeds)} seeds")
        for row, (ax, shares, name) in enumerate(zip(axes[:, column], maps, names, strict=True)):
            ax.patch.set(**EMPTY, linewidth=0.0)
            picture = ax.imshow(
                np.ma.masked_invalid(shares),
                cmap=colors,
                vmin=0,
                vmax=1,
                interpolation="nearest",
                extent=(low[0] - 0.5, high[0] + 0.5, high[1] + 0.5, low[1] - 0.5),
            )
            pictures.append(picture)
            missing |= bool(np.isnan(shares).any())
            region = regions.held_out(data)
            if region is not None:
                region.draw(ax, **OUTLINE)
                held = True
            heading = "" if axis is None or row else style.setting_text(axis, table.axis_values[column]) + "\n"
            ax.set_title(heading + name)
            ax.set_xlabel("x of the label (pixels)" if row == rows - 1 else "")
            ax.set_ylabel("" if column else "y of the label (pixels)")
            style.set_ticks(ax)
    figure.colorbar(pictures[-1], ax=axes, label="share of samples within 1 pixel", fraction=0.04, pad=0.02, aspect=28)
    style.set_ticks(figure.axes[-1])
    figure.axes[-1].spines["outline"].set_visible(False)
    handles = [Patch(**OUTLINE, label="held out")] if held else []
    handles += [Patch(**EMPTY, linewidth=0.6, label="no label")] if missing else []
    if handles:
        figure.legend(handles=handles, loc="outside lower center", ncols=2)
    settings = settings_text(results, without=(axis, "seed"))
    figure.suptitle(f"Right samples at step {style.thousands(step)}{', ' + settings if settings else ''}")
    return figure


@style.styled
def labeled_sample(results: xr.Dataset, region: str = "intersection", **selection: Any) -> Figure:
    """Draw a sample of a held-out label at the last step, the parts of the hole named on it [2408.13256, Fig. 4f].

    Args:
      results: a results Dataset of members with a hole.
      region: in which the label lies: of the stored samples there, the middle one is drawn.
      **selection: axis values that single out a member; `dataset` by its role, see `label_tables.role_of`.

    Raises:
      UserError: as `sample_grid`, or if no stored sample lies in the region.
    """
    require_papers(results, "labeled_sample")
    if "dataset" in selection:
        selection["dataset"] = with_role(results["dataset"].values.tolist(), selection["dataset"])
    member = read_member(results, selection)
    member = member.isel(step=int(np.flatnonzero(evaluated_steps(member))[-1]))
    data = settings_of_member(member).data
    labels = member["label"].transpose("sample", "factor").values[: member.sizes["kept"]]
    stored = np.flatnonzero(regions.masks(data, labels, [region])[region])
    if not stored.size:
        raise UserError(f"no stored sample lies in the region {region!r}: store more by --set=evaluation.stored_images")
    chosen = int(stored[len(stored) // 2])
    figure = style.new_figure(4.6, 5.5)
    ax = figure.subplots()
    gray = member["samples"].isel(kept=chosen).transpose("row", "column").values
    ax.imshow(gray, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
    shapes = regions.SHAPES[data.hole](data)
    parts = {part.name: part for part in shapes[1:] or shapes}
    handles: list[Any] = []
    for name, color in zip(parts, ("blue", "orange", "vermillion"), strict=False):
        color = style.OKABE_ITO[color]
        parts[name].moved(-data.margin).draw(ax, facecolor=color, alpha=0.28, linewidth=0)
        handles.append(Patch(facecolor=color, alpha=0.28, linewidth=0, label=style.VALUE_WORDS["region"][name]))
    handles += ax.plot(*(labels[chosen] - member["origin"].values), "o", color=DOT_COLOR, mec="white", label="label")
    ax.set_xlim(-0.5, gray.shape[1] - 0.5)
    ax.set_ylim(gray.shape[0] - 0.5, -0.5)
    ax.set_xlabel("x (pixels)")
    ax.set_ylabel("y (pixels)")
    style.set_ticks(ax)
    figure.legend(handles=handles, loc="outside lower center", ncols=2)
    settings = settings_text(member, without=("step",))
    figure.suptitle(f"Sample of a held-out label, step {int(member['step']):,}\n{settings}")
    return figure


def cell_shares(
    label: Float[np.ndarray, "S 2"], predicted: Float[np.ndarray, "S 2"], data: Data, low: np.ndarray, high: np.ndarray
) -> Float[np.ndarray, "rows columns"]:
    """Return the fraction of right samples per cell of a pixel around integer labels low ... high; NaN without samples.

    Args:
      label, predicted: (x, y) in pixels of the frame; labels that are NaN are left out, samples without a center are
        wrong, and a member without any is not evaluated.
      data: the member's, for distances on the circle if it is periodic.
      low, high: int[2], the first and the last cell in x and y.

    Returns:
      Indexed [y, x], as images are.
    """
    known = np.isfinite(label).all(axis=1) & np.isfinite(predicted).any()
    label, predicted = label[known], predicted[known]
    right = readout.hits(predicted, label, period=data.period).all(axis=1)
    x, y = (np.floor(label + 0.5).astype(int) - low).T
    total, hit = np.zeros((2, high[1] - low[1] + 1, high[0] - low[0] + 1))
    np.add.at(total, (y, x), 1)
    np.add.at(hit, (y, x), right)
    return np.divide(hit, total, out=np.full_like(hit, np.nan), where=total > 0)


def _mean(maps: Sequence[np.ndarray]) -> Float[np.ndarray, "rows columns"]:
    """Return the mean over the seeds that have a label in a cell."""
    stacked = np.array(maps)
    number = np.isfinite(stacked).sum(axis=0)
    return np.divide(np.nansum(stacked, axis=0), number, out=np.full(number.shape, np.nan), where=number > 0)


def _by_member(array: xr.DataArray, axis: str | None, shape: tuple[int, int]) -> Float[np.ndarray, "A seeds S 2"]:
    """Return centers by axis value and seed."""
    inner = ("sample", "factor")
    order = [dim for dim in (axis, "seed") if dim in array.dims]
    array = array.squeeze([dim for dim in array.dims if array.sizes[dim] == 1 and dim not in (*order, *inner)])
    values = np.asarray(array.transpose(*order, *inner).values, np.float64)
    return values.reshape(*shape, *values.shape[-2:])
