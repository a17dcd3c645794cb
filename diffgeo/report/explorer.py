"""Data of a run that its page explores: coordinates of the representation over steps, errors, and sample images.

All of it is plain JSON. Numbers are 16-bit codes between the ends of a block, a member and step each, in base64, so
that a page stays small; what does not fit the budget is thinned evenly, and the page says so.
"""

import base64
import io
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from matplotlib.colors import to_hex
from PIL import Image

from diffgeo.plots import style
from diffgeo.plots.clouds import color_map
from diffgeo.plots.samples import SIDE
from diffgeo.plots.tables import factors_of
from diffgeo.report.sample_errors import COLORS, TOP, drawn_labels, error_unit, sample_errors
from diffgeo.results import select_scores, settings_of
from diffgeo.results.schema import FIELDS_OF_LAYERS
from diffgeo.settings import Factor
from diffgeo.settings.allowed import LAYER

CODES = 65_534  # of a value between the ends of its block; the code after it is a missing one
FEWEST_STEPS, FEWEST_SAMPLES, MOST_SAMPLES = 6, 64, 1024
BYTES = 6  # of a point: three codes

CLOUDS = {"umap": "3-D UMAP", "pca": "principal components 1 to 3"}
TENSORS = {
    LAYER: "the representation (layer4)",
    f"{LAYER}_pre_embedding": "layer4 before the label is added",
    f"{LAYER}_proxy": "layer4 on true images",
    "pixels": "true images' pixels",
    "generated_pixels": "generated images' pixels",
}
"""Variables and values of `tensor` -> wording; any other is shown unchanged."""

FIELD_WORDS = ("additive share of every layer", "effective dimension of every layer")
FIELDS: dict[str, str] = dict(zip(FIELDS_OF_LAYERS, FIELD_WORDS, strict=True))


class Budget(NamedTuple):
    """Bytes of a run on a page, before base64: of points, and of images before they are compressed."""

    points: int = 2_500_000
    images: int = 2_500_000

    def shared(self, runs: int) -> "Budget":
        """Return the budget of each of several runs on a page."""
        return Budget(self.points // runs, self.images // runs)


class View(NamedTuple):
    """Points of every member, step and sample: float[M, T, S, 3], NaN where there are none; titles of the axes."""

    name: str
    points: np.ndarray
    axes: Sequence[str]


def explore(results: xr.Dataset, budget: Budget = Budget()) -> dict[str, Any] | None:
    """Return what the page's script shows of a run, or None of one that trained nothing or is not evaluated yet.

    Args:
      results: of a run, loaded, with or without the dims of `select_scores`.
      budget: of bytes.
    """
    if "step" not in results.dims or "label" not in results or "accuracy" not in results:
        return None
    settings, scores = settings_of(results), select_scores(results)
    axes = [name for name in settings.axes if name in scores.dims]
    factors = settings.factors

    def read(array: xr.DataArray, *dims: str) -> np.ndarray:
        missing = {name: scores.sizes[name] for name in axes if name not in array.dims}
        values = array.expand_dims(missing).transpose(*axes, *dims).values
        return values.reshape(-1, *values.shape[len(axes) :])

    labels, accuracy = read(scores["label"], "sample", "factor"), _scores(scores, "accuracy", read)
    if not np.isfinite(accuracy).any():
        return None
    errors, drawn = (
        read(sample_errors(results), "step", "sample"),
        read(drawn_labels(results), "step", "sample", "factor"),
    )
    views = [*_clouds(scores, read), _drawn(labels, drawn, errors, factors, error_unit(results))]
    views.sort(key=lambda view: not view.name.endswith(TENSORS[LAYER]))  # controls, and what is no representation, last
    kept = _thin(views, len(labels[0]), budget.points)
    channels = ["channel"] if "channel" in scores["samples"].dims else []
    images = read(scores["samples"].isel(kept=slice(0, SIDE**2)), "step", "kept", "row", "column", *channels)
    members = list(np.ndindex(*(scores.sizes[name] for name in axes)))
    last = [int(np.flatnonzero(known)[-1]) if known.any() else -1 for known in np.isfinite(accuracy)]
    best = int(np.nanargmax([each[at] if at >= 0 else math.nan for each, at in zip(accuracy, last, strict=True)]))
    return {
        "axes": [
            {"name": style.axis_label(name), "values": [_value_words(name, value) for value in scores[name].values]}
            for name in axes
        ],
        "best": [int(at) for at in members[best]],
        "last": int(scores["step"].values[last[best]]),
        "steps": scores["step"].values.tolist(),
        "factors": [_factor(factor, labels[..., k]) for k, factor in enumerate(factors)],
        "unit": error_unit(results),
        "top": TOP,
        "error_colors": _stops(style.mpl.colormaps[COLORS].reversed()),
        "labels": _pack(labels[:, None, kept.samples]),
        "errors": _pack(errors[:, :, kept.samples, None], kept.steps),
        "views": [
            {"name": view.name, "axes": list(view.axes), "points": _pack(view.points[:, :, kept.samples], kept.steps)}
            for view in views[: kept.views]
        ],
        "fields": [_field(scores, name, read) for name in FIELDS if name in scores],
        "accuracy": _rounded(accuracy),
        "loss": _rounded(read(scores["loss"], "step")),
        "sheets": _sheets(images, kept.steps, budget.images),
        "dots": _dots(scores, labels, read),
        "notes": kept.notes,
    }


def _scores(scores: xr.Dataset, name: str, read: Any) -> np.ndarray:
    array = scores[name]
    return read(array.isel(region=0, drop=True) if "region" in array.dims else array, "step")


def _clouds(scores: xr.Dataset, read: Any) -> list[View]:
    """Return the UMAP and the principal components of every recorded tensor, as far as they are stored."""
    views = []
    for variable, words in CLOUDS.items():
        if variable not in scores:
            continue
        last = scores[variable].dims[-1]
        titles = ["", "", ""] if variable == "umap" else [f"component {number}" for number in (1, 2, 3)]
        for tensor in scores["tensor"].values.tolist():
            points = read(
                scores[variable].sel(tensor=tensor, drop=True).isel({last: slice(0, 3)}), "step", "sample", last
            )
            if points.shape[-1] == 3 and np.isfinite(points).any():
                views.append(View(f"{words} of {TENSORS.get(tensor, tensor)}", points, titles))
    return views


def _drawn(labels: np.ndarray, drawn: np.ndarray, errors: np.ndarray, factors: Sequence[Factor], unit: str) -> View:
    """Return where samples were drawn: at their factors and error; of one factor, over the one asked for."""
    names = [style.factor_label(factor) for factor in factors]
    error, error_name = errors[..., None], f"error ({unit})"
    if len(factors) == 1:
        asked = np.broadcast_to(labels[:, None], drawn.shape)
        return View(
            "labels drawn", np.concatenate([asked, drawn, error], -1), [f"asked {names[0]}", names[0], error_name]
        )
    if len(factors) == 2:
        return View("labels drawn", np.concatenate([drawn, error], -1), [*names, error_name])
    return View("labels drawn", drawn[..., :3], names[:3])


class Kept(NamedTuple):
    """What fits the budget: indices of steps and samples, number of views, and sentences on what does not."""

    steps: np.ndarray
    samples: np.ndarray
    views: int
    notes: list[str]


def _thin(views: Sequence[View], samples: int, limit: int) -> Kept:
    """Return what of the views takes at most so many bytes: fewer steps first, then samples, then fewer views."""
    present = [np.asarray(np.isfinite(view.points).any(axis=(2, 3))) for view in views]
    whole_steps = views[0].points.shape[1]
    shape = [whole_steps, min(samples, MOST_SAMPLES), len(views)]

    def evenly(count: int, of: int) -> np.ndarray:
        return np.unique(np.linspace(0, of - 1, count).round().astype(int))

    def size() -> int:
        steps = evenly(shape[0], whole_steps)
        return sum(int(mask[:, steps].sum()) for mask in present[: shape[2]]) * shape[1] * BYTES

    while size() > limit:
        if shape[0] > FEWEST_STEPS:
            shape[0] -= 1
        elif shape[1] > FEWEST_SAMPLES:
            shape[1] = max(FEWEST_SAMPLES, 3 * shape[1] // 4)
        elif shape[2] > 1:
            shape[2] -= 1
        elif shape[0] > 2:
            shape[0] -= 1
        else:
            break
    every = (whole_steps, samples, len(views))
    counts = zip(shape, every, ("steps", "samples", "views"), strict=True)
    left = ", ".join(f"{count:,} of {whole:,} {name}" for count, whole, name in counts if count < whole)
    notes = [f"To keep the page small it holds {left}; the results have all of them."] if left else []
    return Kept(evenly(shape[0], every[0]), evenly(shape[1], samples), shape[2], notes)


def _pack(values: np.ndarray, steps: np.ndarray | None = None) -> dict[str, Any]:
    """Return values as codes, the blocks that have any: [M, T, S, D] -> [B, S, D] with (m, t) of each of B."""
    present = np.isfinite(values).any(axis=(2, 3))
    if steps is not None:
        present &= np.isin(np.arange(values.shape[1]), steps)
    blocks = values[present].astype(np.float64)
    blocks[~np.isfinite(blocks)] = np.nan
    low = np.nanmin(blocks, axis=(1, 2)) if len(blocks) else np.empty(0)
    span = np.nanmax(blocks, axis=(1, 2)) - low if len(blocks) else np.empty(0)
    share = (blocks - low[:, None, None]) / np.where(span > 0, span, 1.0)[:, None, None]
    codes = np.where(np.isfinite(share), np.round(share * CODES), CODES + 1).astype("<u2")
    ends = {"low": [float(f"{x:.7g}") for x in low], "span": [float(f"{x:.7g}") for x in span]}
    data = base64.b64encode(codes.tobytes()).decode("ascii")
    return {"at": np.argwhere(present).tolist(), "shape": list(values.shape[2:]), **ends, "data": data}


def _field(scores: xr.Dataset, name: str, read: Any) -> dict[str, Any]:
    """Return a number of every layer and diffusion step, which is drawn as a surface over both."""
    layers, times = scores["layer"].values.tolist(), scores["timestep"].values.tolist()
    return {
        "name": FIELDS[name],
        "layers": layers,
        "timesteps": times,
        "points": _pack(read(scores[name], "step", "layer", "timestep")),
    }


def _sheets(images: np.ndarray, steps: np.ndarray, limit: int) -> dict[str, Any] | None:
    """Return a PNG of every member: a row of images for each step that is stored; None of images without a picture.

    Args:
      images: uint8[M, T, kept, row, column] or with three channels; all white where nothing is stored.
      steps: indices of those to show.
      limit: bytes of all images together.
    """
    if images.ndim == 6 and images.shape[-1] != 3:
        return None
    stored = (images[:, steps] != 255).reshape(len(images), len(steps), -1).any(axis=2)
    share = limit / max(1, int(stored.sum()) * images[0, 0].size)
    if share < 1:
        steps = steps[np.unique(np.linspace(0, len(steps) - 1, max(2, int(share * len(steps)))).round().astype(int))]
    sheets, rows = [], []
    for member in images:
        shown = [int(step) for step in steps if (member[step] != 255).any()]
        rows.append(shown)
        sheets.append(_png(member[shown]) if shown else "")
    return {"images": sheets, "steps": rows, "count": images.shape[2], "side": [images.shape[4], images.shape[3]]}


def _png(images: np.ndarray) -> str:
    """Return a sheet of images [T, kept, row, column, ...] as the address of a PNG."""
    wide = np.moveaxis(images, 2, 1)  # [T, row, kept, column, ...]
    sheet = wide.reshape(wide.shape[0] * wide.shape[1], wide.shape[2] * wide.shape[3], *wide.shape[4:])
    raw = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(sheet)).save(raw, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(raw.getvalue()).decode("ascii")


def _dots(scores: xr.Dataset, labels: np.ndarray, read: Any) -> list[Any] | None:
    """Return the centers asked for of every member's images, in pixels; None without factors named x and y."""
    names = factors_of(scores)
    if not {"x", "y"} <= {*names}:
        return None
    origin = read(scores["origin"], "factor")[:, None] if "origin" in scores else 0.0
    centers = (labels - origin)[:, : SIDE**2, [names.index("x"), names.index("y")]]
    return _rounded(centers, 2)


def _factor(factor: Factor, values: np.ndarray) -> dict[str, Any]:
    known = values[np.isfinite(values)]
    low, high = (0.0, factor.period) if factor.period else (float(known.min()), float(known.max()))
    return {
        "name": factor.name,
        "label": style.factor_label(factor),
        "low": low,
        "high": high if high > low else low + 1,
        "colors": _stops(color_map(factor.period)),
        "cyclic": factor.period is not None,
    }


def _stops(colors: Any) -> list[str]:
    return [to_hex(colors(share)) for share in np.linspace(0.0, 1.0, 17)]


def _value_words(name: str, value: Any) -> str:
    if isinstance(value, float | np.floating) and math.isnan(value):
        return "none"
    return style.VALUE_WORDS.get(name, {}).get(str(value)) or style.value_text(value)


def _rounded(values: np.ndarray, digits: int = 4) -> list[Any]:
    """Return nested lists of rounded numbers, None for those that are not finite."""
    if values.ndim > 1:
        return [_rounded(each, digits) for each in values]
    return [round(float(value), digits) if math.isfinite(value) else None for value in values]
