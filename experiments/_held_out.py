"""What experiments on models with a hole in their data share: labels in the hole and outside, asked of all models."""

from typing import Any

import numpy as np
import xarray as xr
from scipy.spatial import KDTree

from diffgeo.claims.intervals import share_resolution
from diffgeo.errors import require
from diffgeo.settings import TINY, adapt

REGIONS = ("held out", "seen")
NUMBERS = ("x", "y", "both")
ASKED = 32
"""Labels of each region."""
RESOLUTION = share_resolution(ASKED)
"""Of a share of them, as `claims.compare` takes it."""
CHOICE = 27
"""Seed by which they are chosen, the same for all models."""
OURS = "a question of this project, beyond both papers"
TINY_HOLE = adapt(
    TINY,
    {"hole_area_fraction": (0.2, 0.4)},
    data={"hole": "square"},
    evaluation={"label_source": "grid", "stored_images": 64},
)


def asked_labels(model: Any, apart: float = 0.5) -> np.ndarray:
    """Return float32[region, ASKED, 2], labels this many pixels apart, at least one from the border, by `REGIONS`.

    "held out": where drawing the nearest training label is never right, over a pixel from it in x or in y. "seen": at
    most half a pixel from one. A region of fewer labels repeats them; there is noise of its own for each.

    Raises:
      UserError: if no label is held out.
    """
    values = np.arange(1, model.settings.data.size - 1.5, apart).astype(np.float32)
    labels = np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1).reshape(-1, 2)
    distance = KDTree(model.training_labels).query(labels, p=np.inf)[0]
    chosen = []
    for region in (distance > 1, distance <= 0.5):
        inside = np.random.default_rng(CHOICE).permutation(labels[region])
        require(len(inside) > 0, "no label is held out: ask models whose data have a hole over two pixels wide")
        chosen.append(np.resize(inside, (ASKED, 2)))
    return np.stack(chosen)


def shares_right(hits: np.ndarray) -> np.ndarray:
    """Return float32[..., number]: shares of bool[..., L, 2] hits that are right, by `NUMBERS`."""
    return np.concatenate([hits.mean(axis=-2), hits.all(axis=-1).mean(axis=-1)[..., None]], axis=-1).astype(np.float32)


def largest_hole(values: xr.DataArray) -> xr.DataArray:
    """Return values of the models with the largest hole."""
    return values.sel(hole_area_fraction=values["hole_area_fraction"].max())
