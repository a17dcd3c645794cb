"""Data sets as tables of labels: no image is ever stored [2402.03305 section 2; 2408.13256 section 2].

A table holds centers, the kind of each row's image, and a count; the train step draws rows by a keyed permutation
and renders them on device (`diffgeo.batches`). Tables of different length are padded to one length, rows from the
count on are never drawn. Host code: needs no JAX.

Every data set is the lattice of labels of a frame, less what masks leave out: a data set's name is the sum of the
parts of the frame that it keeps (`PARTS`), "2d+1d" for instance; `diffgeo.regions` holds out, `kept` subsamples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from diffgeo.data import regions
from diffgeo.errors import UserError, suggestion
from diffgeo.settings import Data
from diffgeo.settings.allowed import EDGE, kind_index

MAX_ROWS = 2**31  # positions are uint32 and the permutation's domain is up to twice the count
ROWS_MULTIPLE = 1_024  # a table's length is part of the compiled step, which runs of many data sets can so share


class LabelTable(NamedTuple):
    """Labels of one member (or, stacked, of M: every array gains a leading M).

    Attributes:
      centers: float32[L, 2], (x, y) in pixels of the frame: what the network is told.
      kinds: int8[L], index into `limits.KINDS`.
      count: int32, rows below it are data, the others padding.
      sigma: float32[2], (s_x, s_y) in pixels.
      origin: float32[2], where the image's pixel (0, 0) lies in the frame; (0, 0) unless the frame is extended.
    """

    centers: np.ndarray
    kinds: np.ndarray
    count: np.ndarray
    sigma: np.ndarray
    origin: np.ndarray


def lattice(stop: float, dx: float, dy: float) -> np.ndarray:
    """float32[n, 2]: all (x, y) of arange(0, stop, dx) x arange(0, stop, dy), end point excluded, x slowest.

    [2408.13256, section 2]: stop = 32 and d = 0.1 give 320^2 = 102,400 centers. Raises `UserError` for more than
    `MAX_ROWS` of them.
    """
    across, down = (max(0, int(np.ceil(stop / spacing - 1e-6))) for spacing in (dx, dy))
    if across * down > MAX_ROWS:
        raise UserError(f"increments {dx} and {dy} give {across} x {down} labels: take larger ones")
    x, y = dx * np.arange(across), dy * np.arange(down)
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)


def make_table(centers: np.ndarray, kinds: np.ndarray | str, sigma: float, origin: float = 0.0) -> LabelTable:
    """A table of all given rows; `kinds` is one kind's name or int[L]."""
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
"""A stripe is seen in an image if its profile g (`images.render`), 1 on its middle line, is over this at some pixel: if
it darkens the image by over 5 gray levels of 255."""


def rim_reach(sigma: float) -> float:
    r"""Pixels from the nearest pixel up to which a stripe outside the image is still seen in it.

    .. math:: \exp(-\delta^2 / 4 s^2) > L \iff \delta < 2 s \sqrt{\ln (1 / L)} = 3.59\, s

    with L = `RIM_LEVEL`. The papers remove the labels "where any overlap between the horizontal and vertical stripes is
    partially visible" [2408.13256, C.1] without saying from which darkness on.
    """
    return 2.0 * sigma * float(np.sqrt(np.log(1.0 / RIM_LEVEL)))


def inside(data: Data, labels: np.ndarray) -> Bool[np.ndarray, "n 2"]:
    """Whether x, and y, of float[n, 2] labels lies in the image: from margin up to margin + N, end point excluded."""
    at = labels - data.margin
    return (at >= -EDGE) & (at < data.size - EDGE)


def seen(data: Data, labels: np.ndarray) -> Bool[np.ndarray, "n 2"]:
    """Whether the stripe at x, and at y, is seen in the image (see `RIM_LEVEL`)."""
    at = labels - data.margin
    outside = np.maximum(np.maximum(-at, at - (data.size - 1)), 0.0)
    return inside(data, labels) | (outside < rim_reach(data.sigma))


def two_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centers in the image: two stripes, or a bump [2408.13256, Fig. 9c, d]."""
    return inside(data, labels).all(axis=1)


def rim(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centers outside the image whose crossing is partly visible: both stripes are seen [2408.13256, C.1, C.2]."""
    return seen(data, labels).all(axis=1) & ~two_d(data, labels)


def one_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centers in the image in one axis only, less the rim: one stripe [2408.13256, Fig. 9b]."""
    return inside(data, labels).any(axis=1) & ~seen(data, labels).all(axis=1)


def zero_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centers outside the image in both axes, less the rim: at most the flank of one stripe [2408.13256, Fig. 9a]."""
    return ~inside(data, labels).any(axis=1) & ~seen(data, labels).all(axis=1)


PARTS = {"2d": two_d, "rim": rim, "1d": one_d, "0d": zero_d}
"""Masks of the frame's parts by name; every label of the frame lies in exactly one."""


def kept(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Which labels of the 2D part are left after the hole and subsampling; those of other parts all are.

    One random order of the 2D part's lattice, drawn by (`draw`, number of its points) alone: the hole leaves out, then
    the first `fraction` of what is left is kept. So kept sets are nested in the fraction, and the same for every sigma
    and for every data set that has a 2D part on this lattice [2408.13256, sections 3.3, D.2]; without a hole they are
    the points of `percolation.simulate(..., seed=draw, nested=True)`.
    """
    rows = np.flatnonzero(two_d(data, labels))
    order = np.random.default_rng([data.subset_seed, 0]).permutation(len(rows))
    region = regions.held_out(data)
    if region is not None:
        order = order[~region.contains(labels[rows[order]])]
    left_out = np.ones(len(rows), bool)
    left_out[order[: int(np.rint(data.kept_fraction * len(order)))]] = False
    mask = np.ones(len(labels), bool)
    mask[rows[left_out]] = False
    return mask


def frame(data: Data) -> np.ndarray:
    """float32[n, 2]: the lattice of all labels of the frame, image and margins [2408.13256, C.1]."""
    return lattice(data.size + 2 * data.margin, *data.spacing)


def parts_of(data: Data, labels: np.ndarray) -> np.ndarray:
    """Name of the part that each of float[n, 2] labels lies in."""
    return np.select([mask(data, labels) for mask in PARTS.values()], list(PARTS), "")


def build_label_table(data: Data) -> LabelTable:
    """The table that the settings describe, a function of nothing else.

    `data.dataset` is "grid", all centers on arange(0, N, dx) x arange(0, N, dy) [2402.03305, sections 2, 3], or a sum
    of `PARTS` of the frame: "2d", "1d", "2d+1d", "1d+rim+0d" [2408.13256, Fig. 9, 10]. Images of the 2D part are of
    `data.kind`, those of the other parts sums of stripes: "2d+1d" of kind "bump" is the papers' 2D bump + 1D stripes.
    The hole and the subsampling touch the 2D part only.

    Raises:
      UserError: for an unknown data set, one of which a part has no label in this frame, an empty table, or "grid"
        with a margin.
    """
    wanted = ["2d"] if data.dataset == "grid" else data.dataset.split("+")
    for name in wanted:
        if name not in PARTS:
            known = ["grid", *PARTS]
            raise UserError(f"unknown data set {data.dataset!r}{suggestion(name, known)} (parts are joined by '+')")
    if data.dataset == "grid" and data.margin:
        raise UserError(f"the data set 'grid' has no margin, got margin={data.margin}: take '2d', its part in a frame")
    labels = frame(data)
    parts = parts_of(data, labels)
    if lacking := set(wanted) - set(parts):
        raise UserError(
            f"the data set {data.dataset!r} has no label in its part {min(lacking)!r}: widen the frame "
            f"(margin={data.margin}, over {rim_reach(data.sigma):.3g} for stripes)"
        )
    mask = np.isin(parts, wanted) & kept(data, labels)
    if not mask.any():
        raise UserError(
            f"the data set {data.dataset!r} is empty: hold out less (hole={data.hole}) or keep more "
            f"(fraction={data.kept_fraction})"
        )
    kinds = np.where(parts == "2d", kind_index(data.kind), kind_index("sos"))
    return make_table(labels[mask], kinds[mask], data.sigma, data.margin)


def padded(rows: int) -> int:
    """Rows up to the next multiple of `ROWS_MULTIPLE`."""
    return -(-rows // ROWS_MULTIPLE) * ROWS_MULTIPLE


def stack(tables: Sequence[LabelTable], rows: int | None = None) -> LabelTable:
    """One table with a leading M, each padded by zeros to `rows` (default: the longest)."""
    rows = max(len(table.centers) for table in tables) if rows is None else rows

    def padded(x):
        return np.concatenate([x, np.zeros((rows - len(x), *x.shape[1:]), x.dtype)])

    grown = [t._replace(centers=padded(t.centers), kinds=padded(t.kinds)) for t in tables]
    return LabelTable(*(np.stack(leaves) for leaves in zip(*grown, strict=True)))
