"""Selections from a results Dataset for pictures: a metric as a plain array, a member, its evaluated steps.

A results Dataset has the grid's axes as dims (any names, usually `seed` among them) and the dims of
`OTHER_DIMS`; NaN means "not evaluated yet".
"""

import json
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from diffgeo.data.regions import ALL
from diffgeo.errors import UserError, require
from diffgeo.plots.style import setting_text, value_text
from diffgeo.representation import LENGTHS
from diffgeo.results import select_scores
from diffgeo.results.schema import DIMS
from diffgeo.settings.allowed import LAYER, OUTCOMES

# "readout" is a dim, but grids of earlier versions may have the setting of this name as an axis
OTHER_DIMS = (*(dim for dim in DIMS if dim != "readout"), *LENGTHS)
"""Dims of results that are not axes of the grid."""

READ = {"region": ALL, "tensor": LAYER}
"""Dims of which a single value is drawn unless another is selected: all samples, the papers' representation."""

SMALLER_IS_BETTER = ("loss", "val_loss", *OUTCOMES[1:])


class Table(NamedTuple):
    """A metric of all members: A axis values, S seeds, T steps; NaN where the results are not finite."""

    values: Float[np.ndarray, "A S T"]
    axis_values: list[Any]  # A of them; [None] without an axis
    seeds: list[Any]  # S of them; [None] if the results have no seeds
    steps: Int[np.ndarray, " T"]


def metrics_of(results: xr.Dataset) -> list[str]:
    """Return names of the variables that hold one number per member and step."""
    results = select_scores(results)
    not_a_metric = set(OTHER_DIMS) - {"step", *READ}
    return [
        str(name)
        for name, variable in results.data_vars.items()
        if "step" in variable.dims and not not_a_metric & set(variable.dims) and variable.dtype.kind in "fiu"
    ]


def read_table(results: xr.Dataset, metric: str, axis: str | None) -> Table:
    """Return a metric as an array over `axis`, seeds and steps.

    Dims of length 1 are dropped; scores are those of `select_scores`, and of a `region` or a `tensor` dim, the value of
    `READ` is read.

    Raises:
      UserError: the metric or the axis does not exist, other dims are left, or nothing is evaluated yet.
    """
    results = select_scores(results)
    array = _metric(results, metric)
    if axis == "seed":
        raise UserError('axis="seed" cannot be used, since seeds are drawn in every picture: give another axis or None')
    array = array.squeeze([dim for dim in array.dims if array.sizes[dim] == 1 and dim not in (axis, "seed", "step")])
    if axis is not None and axis not in array.dims:
        choices = [repr(str(dim)) for dim in array.dims if dim not in (*OTHER_DIMS, "seed")] or ["None"]
        raise UserError(f"{metric!r} has no axis {axis!r}: give axis={' or '.join(choices)}")
    refuse_dims(array, [dim for dim in array.dims if dim not in (axis, "seed", "step")])
    axis_values = [None] if axis is None else _values(array, axis)
    seeds = _values(array, "seed") if "seed" in array.dims else [None]
    if "seed" not in array.dims and "seed" in array.coords:
        seeds = [array.coords["seed"].values[()]]
    order = [dim for dim in (axis, "seed", "step") if dim in array.dims]
    steps = np.asarray(results["step"].values, np.int64).reshape(-1)
    values = np.asarray(array.transpose(*order).values, np.float64)
    values = values.reshape(len(axis_values), len(seeds), len(steps))
    values = np.where(np.isfinite(values), values, np.nan)
    if np.isnan(values).all():
        raise UserError(f"no value of {metric!r} has been evaluated yet: wait for the run's first evaluation")
    return Table(values, axis_values, seeds, steps)


def seed_mean(values: Float[np.ndarray, "S T"]) -> Float[np.ndarray, " T"]:
    """Return the mean over the seeds that have any value; NaN at steps where one of those has none.

    A mean that loses a seed at a step would jump there and look like learning.
    """
    begun = np.isfinite(values).any(axis=1)
    return values[begun].mean(axis=0) if begun.any() else np.full(values.shape[1], np.nan)


def best_seeds(metric: str, values: Float[np.ndarray, "A S T"]) -> list[int | None]:
    """Return the index of the best seed per axis value at the last step that any seed has a value at; None without any.

    Best is highest, but lowest for `SMALLER_IS_BETTER`. The papers train three seeds and show the best at
    the end [2402.03305, B.6]. The first wins a tie.
    """
    values = -values if metric in SMALLER_IS_BETTER else values
    best = []
    for members in values:
        evaluated = np.flatnonzero(np.isfinite(members).any(axis=0))
        best.append(int(np.nanargmax(members[:, evaluated[-1]])) if evaluated.size else None)
    return best


FIRST = "first"
"""In place of an axis value: the first that the results have."""


def select(results: xr.Dataset, selection: Mapping[str, Any]) -> xr.Dataset:
    """Return the results at the given axis values (numbers are matched to 5 digits, `FIRST` is the first one).

    Axes of length 1 are dropped.

    Raises:
      UserError: for an axis or a value that does not exist.
    """
    results = select_scores(results)
    for name, value in selection.items():
        axes = [str(dim) for dim in results.dims if dim not in OTHER_DIMS]
        if name not in axes:
            raise UserError(
                f"there is no axis {name!r} to select {value!r} on: the axes are {', '.join(axes) or 'none'}"
            )
        known = _values(results, name)
        matches = [0] if value == FIRST else [index for index, other in enumerate(known) if _same(value, other)]
        if not matches:
            raise UserError(
                f"{name} = {value!r} is not in the results: choose one of {', '.join(map(value_text, known))}"
            )
        results = results.isel({name: matches[0]})
    return results.squeeze([dim for dim in results.dims if results.sizes[dim] == 1 and dim not in OTHER_DIMS])


def read_member(results: xr.Dataset, selection: Mapping[str, Any]) -> xr.Dataset:
    """Return the results of a single member.

    Raises:
      UserError: as `select`, if more than one member is left, or if no samples are in the results.
    """
    for required in ("samples", "label"):
        if required not in results:
            raise UserError(f"there is no {required!r} in these results, only {', '.join(map(str, results.data_vars))}")
    member = select(results, selection)
    refuse_dims(member, [dim for dim in member["samples"].dims if dim not in OTHER_DIMS])
    return member


def factors_of(results: xr.Dataset) -> list[str]:
    """Return the names of the K factors of labels; results of the first versions, which lack them, have x and y."""
    return [str(name) for name in results["factor"].values] if "factor" in results.coords else ["x", "y"]


def require_plane(results: xr.Dataset, what: str) -> None:
    """Raise `UserError` unless labels are (x, y), over which `what` is drawn."""
    factors = factors_of(results)
    require(
        factors == ["x", "y"],
        f"{what} is drawn over the factors x and y, and these results have {', '.join(factors)}: draw accuracies of "
        "the factors by plots.learning_curves or plots.failure_modes",
    )


def require_papers(results: xr.Dataset, what: str) -> None:
    """Raise `UserError` for results of a user's data set, whose regions and true images the results do not hold."""
    dataset = json.loads(results.attrs.get("settings", "{}")).get("dataset")
    require(
        dataset is None,
        f"{what} shows the papers' bumps or stripes, and these results are of {(dataset or {}).get('name')!r}: draw "
        "its samples by plots.sample_grid",
    )


def evaluated_steps(member: xr.Dataset) -> Bool[np.ndarray, " T"]:
    """Return the mask of steps at which a member's accuracy has been evaluated.

    Raises:
      UserError: if at none.
    """
    return np.isfinite(read_table(member, "accuracy", None).values[0, 0])


def settings_text(results: xr.Dataset, without: Sequence[str | None] = ()) -> str:
    """Return in words the settings that all results have in common: the axes that were selected or have length 1."""
    parts = []
    for name, coordinate in results.coords.items():
        if coordinate.size == 1 and name not in (*OTHER_DIMS, *without):
            parts.append(setting_text(str(name), coordinate.values.reshape(-1)[0]))
    return ", ".join(parts)


def _metric(results: xr.Dataset, metric: str) -> xr.DataArray:
    available = metrics_of(results)
    if metric not in available:
        raise UserError(
            f"there is no metric {metric!r} in these results: choose one of {', '.join(available) or 'none'}"
        )
    array = results[metric]
    for dim, value in READ.items():
        if dim in array.dims:
            names = _values(array, dim)
            if value not in names:
                raise UserError(
                    f'{metric!r} has no {dim} "{value}", only {", ".join(map(str, names))}: use results.sel({dim}=...)'
                )
            array = array.isel({dim: names.index(value)})
    return array


def refuse_dims(data: xr.Dataset | xr.DataArray, left: Sequence[Hashable]) -> None:
    """Raise `UserError` if dims are left that a picture does not show."""
    if not left:
        return
    examples = ", ".join(f"{dim}={_quoted(_values(data, dim)[0])}" for dim in left)
    raise UserError(
        f"one value of {' and of '.join(map(str, left))} must be selected first: use results.sel({examples})"
    )


def _values(data: xr.Dataset | xr.DataArray, dim: Hashable) -> list[Any]:
    """Return the coordinate values of a dim as numpy scalars; its indices if it has none."""
    return list(data[dim].values) if dim in data.coords else list(range(data.sizes[dim]))


def _quoted(value: Any) -> str:
    return repr(str(value)) if isinstance(value, str) else value_text(value)


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, str) or isinstance(other, str):
        return str(value) == str(other)
    return bool(np.isclose(value, other, rtol=1e-5, atol=0.0))  # 0.1 equals the float32 nearest to it
