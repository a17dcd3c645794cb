"""Results that follow from the settings alone, of experiments that train nothing.

JAX renders the images and is imported inside the functions that need them, so that stored results are read and plotted
without it.
"""

import dataclasses
import json
from collections.abc import Mapping, Sequence

import numpy as np
import xarray as xr

from diffgeo import percolation
from diffgeo.data.label_tables import PARTS, build_label_table, parts_of
from diffgeo.errors import UserError
from diffgeo.settings import Data, Settings, migration
from diffgeo.settings.allowed import kind_index


def example_images(settings: Settings, examples: Mapping[str, tuple[str, float, float]]) -> xr.Dataset:
    """Return single images, and the same stripes on the whole frame [2402.03305, Fig. 2; 2408.13256, Fig. 1, 9a-d].

    Args:
      settings: `data` gives size, margin and sigma.
      examples: name -> (kind, x, y): x and y in units of the image's side, or, if negative, of the margin.

    Returns:
      `image`[example, row, column] and `whole`[example, frame_row, frame_column], gray values 0 (dark) to 255,
      `label`[example, factor] in pixels of the frame, and the `part` of the frame that it lies in.

    Raises:
      UserError: for a margin that is not a whole number of pixels.
    """
    from diffgeo import images

    data = settings.data
    margin = round(data.margin)
    if margin != data.margin:
        raise UserError(f"margin={data.margin} must be a whole number of pixels for an image of the frame")
    kinds = np.array([kind_index(kind) for kind, _, _ in examples.values()])
    relative = np.array([center for _, *center in examples.values()])
    centers = np.where(relative < 0, relative * margin, relative * data.size)
    labels = (centers + margin).astype(np.float32)

    def rendered(centers: np.ndarray, side: int) -> np.ndarray:
        return images.to_uint8(images.render(centers, data.sigma, kinds, side))

    return xr.Dataset(
        {
            "image": (("example", "row", "column"), rendered(centers, data.size)),
            "whole": (("example", "frame_row", "frame_column"), rendered(labels, data.size + 2 * margin)),
            "label": (("example", "factor"), labels),
        },
        {
            "example": list(examples),
            "part": ("example", parts_of(data, labels)),
            "factor": ["x", "y"],
        },
    )


def label_tables(settings: Settings, tables: Mapping[str, Mapping[str, object]]) -> xr.Dataset:
    """Return the labels of several data sets side by side [2408.13256, Fig. 4a-b, 9e-h, 10a, 10d, 14a].

    Args:
      settings: `data` holds what the tables have in common.
      tables: name -> the fields of `Data` in which a table differs.

    Returns:
      `label`[table, row, factor] in pixels of the frame, NaN beyond a table's end; `kind` and `part`[table, row],
      indices into `allowed.KINDS` and `label_tables.PARTS`, -1 beyond the end; `data`[table], the settings as JSON.
    """
    table_settings = [dataclasses.replace(settings.data, **fields) for fields in tables.values()]
    built = [build_label_table(data) for data in table_settings]
    shape = (len(built), max(int(table.count) for table in built))
    label = np.full((*shape, 2), np.nan, np.float32)
    kind, part = np.full(shape, -1, np.int8), np.full(shape, -1, np.int8)
    names = list(PARTS)
    for i, (data, table) in enumerate(zip(table_settings, built, strict=True)):
        label[i, : table.count], kind[i, : table.count] = table.centers, table.kinds
        part[i, : table.count] = [names.index(name) for name in parts_of(data, table.centers)]
    return xr.Dataset(
        {
            "label": (("table", "row", "factor"), label),
            "kind": (("table", "row"), kind),
            "part": (("table", "row"), part),
        },
        {
            "table": list(tables),
            "data": ("table", [json.dumps(data.to_json()) for data in table_settings]),
            "factor": ["x", "y"],
        },
    )


def data_of(tables: xr.Dataset, name: str) -> Data:
    """Return the settings of a table of `label_tables` by its name; raise `UserError` for an unknown name."""
    known = tables["table"].values.tolist()
    if name not in known:
        raise UserError(f"there is no table {name!r} in these results: choose one of {', '.join(known)}")
    fields = json.loads(str(tables["data"].sel(table=name).values))
    return Data(**migration.rename(fields, migration.SETTINGS["data"]))


def neighbor_overlap(settings: Settings) -> xr.Dataset:
    """Return the overlap of a bump on a pixel with that an increment away in x [2402.03305, Fig. 7b; 2408.13256, 6b].

    The papers divide by the norm of "a" and do not say which of the two that is: both are returned. Divided by the norm
    of the bump beside the pixel, which is fainter, the overlap exceeds 1 and has a cusp at half a pixel.

    Args:
      settings: axes "sigma" and "increment", in pixels.

    Returns:
      `overlap`[divisor, sigma, increment], divisor "on_pixel" or "off_pixel".
    """
    from diffgeo import images

    sigmas, increments = (_axis(settings, name) for name in ("sigma", "increment"))
    size = settings.data.size
    on = (size // 2, size // 2)
    values = np.empty((2, len(sigmas), len(increments)))
    for s, sigma in enumerate(sigmas):
        for i, increment in enumerate(increments):
            off = (on[0] + increment, on[1])
            values[:, s, i] = images.overlap(on, off, sigma, size), images.overlap(off, on, sigma, size)
    return xr.Dataset(
        {"overlap": (("divisor", "sigma", "increment"), values)},
        {"divisor": ["on_pixel", "off_pixel"], "sigma": sigmas, "increment": increments},
    )


def cluster_masses(settings: Settings, thresholds: Sequence[float]) -> xr.Dataset:
    """Return the largest cluster of random subsets of the lattice [2408.13256, Fig. 6c, 13, 14b].

    See `percolation.simulate`.

    Args:
      settings: axes "sigma" (pixels), "kept_fraction" and "subset_seed"; `data` gives size and increment.
      thresholds: overlaps above which two bumps are connected.

    Returns:
      `largest_fraction`[threshold, sigma, kept_fraction, subset_seed], every fraction drawn independently (D.1);
      `largest_fraction_nested`, where each larger fraction contains the smaller ones (D.2), the very points that
      members are trained on; and `kept`[kept_fraction], the number of points.
    """
    sigmas, fractions, seeds = (_axis(settings, name) for name in ("sigma", "kept_fraction", "subset_seed"))
    data = settings.data

    def simulate(nested: bool) -> tuple[xr.DataArray, xr.DataArray]:
        runs = [
            percolation.simulate(
                data.size, data.spacing, sigmas, thresholds, fractions, percolation.Draws(1, seed, nested)
            )
            for seed in seeds.tolist()
        ]
        joined = xr.concat([run.isel(repeat=0, drop=True)["largest_fraction"] for run in runs], "subset_seed")
        joined = joined.assign_coords(subset_seed=seeds)
        return joined.transpose("threshold", "sigma", "kept_fraction", "subset_seed"), runs[0]["kept"]

    (independent, kept), (nested, _) = simulate(False), simulate(True)
    return xr.Dataset({"largest_fraction": independent, "largest_fraction_nested": nested, "kept": kept})


def _axis(settings: Settings, name: str) -> np.ndarray:
    if name not in settings.axes:
        raise UserError(f"this experiment needs an axis {name!r}: pass --set=axes.{name}=value,value,...")
    return np.asarray(settings.axes[name])
