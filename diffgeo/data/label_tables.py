"""Data sets as tables of labels: images are rendered [2402.03305 section 2; 2408.13256 section 2].

A table holds centers, the kind of each row's image, and a count; the train step draws rows by a keyed permutation and
renders them on device (`diffgeo.data.batches`). Tables of different lengths are padded to a common length; rows at or
beyond the count are never drawn. Host code: needs no JAX.

Every data set is the label lattice of a frame, less what masks remove. Its name is the sum of the parts of the frame
that it keeps (`PARTS`), "2d+1d" for instance; `diffgeo.data.regions` defines the holes, `keep_mask` subsamples.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool

from diffgeo.data import regions
from diffgeo.errors import UserError, suggestion
from diffgeo.settings import Data
from diffgeo.settings.allowed import EDGE, kind_index

MAX_ROWS = 2**31  # positions are uint32 and the permutation's domain is up to twice the count
ROWS_MULTIPLE = 1_024  # a table's length is part of the compiled step: rounded up, many data sets share a program


class LabelTable(NamedTuple):
    """Labels of one member; stacked over M members, every array gains a leading M.

    Attributes:
      centers: float32[L, K], the factors, the network's conditioning; of the papers (x, y) in pixels of the frame.
      kinds: int8[L], index into `allowed.KINDS`.
      count: int32, rows below it are data, the others padding.
      sigma: float32[2], (s_x, s_y) in pixels.
      origin: float32[K], where the image's pixel (0, 0) lies in the frame; 0 unless the frame is extended.
      parameters: float32 scalars by name, of a user's data set.
      image_rows: int32[L], which of the data set's images each label shows; None if images are rendered.
    """

    centers: np.ndarray
    kinds: np.ndarray
    count: np.ndarray | np.int32  # pyright: ignore[reportIncompatibleMethodOverride] (of tuple)
    sigma: np.ndarray
    origin: np.ndarray
    parameters: Mapping[str, Any] = {}
    image_rows: np.ndarray | None = None


def lattice(stop: float, dx: float, dy: float) -> np.ndarray:
    """Return float32[n, 2], all (x, y) of arange(0, stop, dx) x arange(0, stop, dy), end point excluded, x slowest.

    [2408.13256, section 2]: stop = 32 and d = 0.1 give 320^2 = 102,400 centers.

    Raises:
      UserError: for more than `MAX_ROWS` centers.
    """
    across, down = (max(0, int(np.ceil(stop / spacing - 1e-6))) for spacing in (dx, dy))
    if across * down > MAX_ROWS:
        raise UserError(f"increments {dx} and {dy} give {across} x {down} labels: take larger ones")
    x, y = dx * np.arange(across), dy * np.arange(down)
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)


def make_table(centers: np.ndarray, kinds: np.ndarray | str, sigma: float, origin: float = 0.0) -> LabelTable:
    """Return the table of these rows.

    Args:
      centers: float[L, 2], (x, y) in pixels of the frame.
      kinds: the name of a kind that all rows share, or int[L].
      sigma: spread in pixels, on both axes.
      origin: position of the image's pixel (0, 0) in the frame, on both axes.

    Raises:
      UserError: if there are no rows, or for an unknown kind.
    """
    if len(centers) == 0:
        raise UserError("the data set is empty: nothing is left of its labels, hold out or drop less")
    if isinstance(kinds, str):
        kinds = np.full(len(centers), kind_index(kinds))
    return LabelTable(
        centers=np.asarray(centers, np.float32),
        kinds=np.asarray(kinds, np.int8),
        count=np.int32(len(centers)),
        sigma=np.full(2, sigma, np.float32),
        origin=np.full(2, origin, np.float32),
    )


RIM_LEVEL = 0.04
"""A stripe is visible in an image if its profile g (`images.render`), 1 on its middle line, exceeds this at any pixel,
that is, if it darkens the image by more than 5 of 255 gray levels."""


def rim_reach(sigma: float) -> float:
    r"""Return the distance in pixels from the nearest pixel within which a stripe outside the image is still visible.

    .. math:: \exp(-\delta^2 / 4 s^2) > L \iff \delta < 2 s \sqrt{\ln (1 / L)} = 3.59\, s

    with L = `RIM_LEVEL`. The papers remove the labels "where any overlap between the horizontal and vertical stripes is
    partially visible" [2408.13256, C.1] without giving a threshold of darkness.
    """
    return 2.0 * sigma * float(np.sqrt(np.log(1.0 / RIM_LEVEL)))


def inside(data: Data, labels: np.ndarray) -> Bool[np.ndarray, "n 2"]:
    """Return whether each coordinate of float[n, 2] labels is in the image: margin to margin + N, end excluded."""
    position = labels - data.margin
    return (position >= -EDGE) & (position < data.size - EDGE)


def visible(data: Data, labels: np.ndarray) -> Bool[np.ndarray, "n 2"]:
    """Return whether the stripe at x, and that at y, is visible in the image (see `RIM_LEVEL`)."""
    position = labels - data.margin
    outside = np.maximum(np.maximum(-position, position - (data.size - 1)), 0.0)
    return inside(data, labels) | (outside < rim_reach(data.sigma))


def two_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Select centers in the image: two stripes, or a bump [2408.13256, Fig. 9c, d]."""
    return np.all(inside(data, labels), axis=1)


def rim(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Select centers outside the image whose crossing is partly visible: both stripes are [2408.13256, C.1, C.2]."""
    return np.all(visible(data, labels), axis=1) & ~two_d(data, labels)


def one_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Select centers in the image on one axis only, less the rim: one stripe [2408.13256, Fig. 9b]."""
    return np.any(inside(data, labels), axis=1) & ~np.all(visible(data, labels), axis=1)


def zero_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Select centers outside the image on both axes, less the rim: at most a stripe's flank [2408.13256, Fig. 9a]."""
    return ~np.any(inside(data, labels), axis=1) & ~np.all(visible(data, labels), axis=1)


PARTS: dict[str, Callable[[Data, np.ndarray], np.ndarray]] = {"2d": two_d, "rim": rim, "1d": one_d, "0d": zero_d}
"""Masks of the frame's parts by name; every label of the frame lies in exactly one."""


def role_of(dataset: str) -> str:
    """Return the name of a data set without its 0D part, by which comparisons select it: "2d+1d+0d" is a "2d+1d".

    The paper's names, "1D" and "2D + 1D" models, do not tell of the 0D labels that their data hold [2408.13256, C.1].
    """
    return "+".join(part for part in dataset.split("+") if part != "0d") or dataset


def with_role(datasets: Sequence[str], role: str) -> str:
    """Return the data set among these that has a role, with or without 0D labels.

    Raises:
      UserError: if none or several have it.
    """
    found = [dataset for dataset in datasets if role_of(dataset) == role]
    if len(found) != 1:
        raise UserError(f"{len(found)} of the data sets {', '.join(datasets)} are a {role!r}: one is needed")
    return found[0]


def keep_mask(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Return which labels remain after the hole and the subsampling, both of which affect the 2D part alone.

    The 2D part's lattice has one random order, set by (`subset_seed`, number of its points): the hole is removed from
    it, then the first `kept_fraction` of the rest is kept. Kept sets are therefore nested in the fraction, and the same
    for every sigma and for every data set that has a 2D part on this lattice [2408.13256, sections 3.3, D.2]; without a
    hole they are the points of `percolation.simulate(..., seed=subset_seed, nested=True)`.
    """
    rows = np.flatnonzero(two_d(data, labels))
    order = np.random.default_rng([data.subset_seed, 0]).permutation(len(rows))
    hole = regions.held_out(data)
    if hole is not None:
        order = order[~hole.contains(labels[rows[order]])]
    kept_rows = rows[order[: int(np.rint(data.kept_fraction * len(order)))]]
    mask = np.ones(len(labels), bool)
    mask[rows] = False
    mask[kept_rows] = True
    return mask


def frame_lattice(data: Data) -> np.ndarray:
    """Return float32[n, 2], the lattice of all labels of the frame, image and margins [2408.13256, C.1]."""
    return lattice(data.size + 2 * data.margin, *data.spacing)


def parts_of(data: Data, labels: np.ndarray) -> np.ndarray:
    """Return the name of the part that each of float[n, 2] labels lies in."""
    return np.select([mask(data, labels) for mask in PARTS.values()], list(PARTS), "")


def build_label_table(data: Data) -> LabelTable:
    """Return the table that the settings describe, a function of nothing else.

    `data.dataset` is "grid", all centers on arange(0, N, dx) x arange(0, N, dy) [2402.03305, sections 2, 3], or a sum
    of `PARTS` of the frame: "2d", "1d", "2d+1d", "1d+rim+0d" [2408.13256, Fig. 9, 10]. Images of the 2D part are of
    `data.kind`, those of the other parts sums of stripes: "2d+1d" of kind "bump" is the papers' 2D bump + 1D stripes.
    The hole and the subsampling affect the 2D part only.

    Raises:
      UserError: for an unknown data set, a part without a label in this frame, an empty table, or "grid" with a margin.
    """
    wanted = ["2d"] if data.dataset == "grid" else data.dataset.split("+")
    for name in wanted:
        if name not in PARTS:
            known = ["grid", *PARTS]
            raise UserError(f"unknown data set {data.dataset!r}{suggestion(name, known)} (parts are joined by '+')")
    if data.dataset == "grid" and data.margin:
        raise UserError(f"the data set 'grid' has no margin, got margin={data.margin}: take '2d', its part in a frame")
    labels = frame_lattice(data)
    parts = parts_of(data, labels)
    if empty := set(wanted) - set(parts):
        raise UserError(
            f"the data set {data.dataset!r} has no label in its part {min(empty)!r}: widen the frame "
            f"(margin={data.margin}, over {rim_reach(data.sigma):.3g} for stripes)"
        )
    mask = np.isin(parts, wanted) & keep_mask(data, labels)
    if not mask.any():
        raise UserError(
            f"the data set {data.dataset!r} is empty: hold out less (hole={data.hole}) or keep more "
            f"(kept_fraction={data.kept_fraction})"
        )
    kinds = np.where(parts == "2d", kind_index(data.kind), kind_index("sos"))
    return make_table(labels[mask], kinds[mask], data.sigma, data.margin)


def padded(rows: int) -> int:
    """Return a number of rows rounded up to a multiple of `ROWS_MULTIPLE`."""
    return -(-rows // ROWS_MULTIPLE) * ROWS_MULTIPLE


def stack(tables: Sequence[LabelTable], rows: int | None = None) -> LabelTable:
    """Return M tables as one with a leading M, each padded by zeros to `rows` (default: the longest)."""
    length = max(len(table.centers) for table in tables) if rows is None else rows

    def pad(x: np.ndarray) -> np.ndarray:
        return np.concatenate([x, np.zeros((length - len(x), *x.shape[1:]), x.dtype)])

    def together(name: str, padding: bool = False) -> np.ndarray:
        arrays = [np.asarray(getattr(table, name)) for table in tables]
        return np.stack([pad(array) for array in arrays] if padding else arrays)

    first = tables[0]
    return LabelTable(
        centers=together("centers", padding=True),
        kinds=together("kinds", padding=True),
        count=together("count"),
        sigma=together("sigma"),
        origin=together("origin"),
        parameters={name: np.stack([table.parameters[name] for table in tables]) for name in first.parameters},
        image_rows=None if first.image_rows is None else together("image_rows", padding=True),
    )
