"""Data sets as tables of labels: no image is ever stored [2402.03305 section 2; 2408.13256 section 2].

A table holds centres, the kind of each row's image, and a count; the train step draws rows by a keyed permutation
and renders them on device. Tables of different length are padded to one length, rows from the count on are never
drawn.

Every data set is the lattice of labels of a frame, less what masks leave out: a data set's name is the sum of the
parts of the frame that it keeps (`PARTS`), "2d+1d" for instance; `diffgeo.regions` holds out, `kept` subsamples.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, UInt32

from diffgeo import images, regions
from diffgeo.errors import UserError
from diffgeo.settings import Data, suggestion

MAX_ROWS = 2**31  # positions are uint32 and the permutation's domain is up to twice the count
ROUNDING = 1e-4  # pixels; labels are float32, the limits of the image are not
ROUNDS = 8  # of the Feistel network behind the permutation


class Table(NamedTuple):
    """Labels of one member (or, stacked, of M: every array gains a leading M).

    Attributes:
      centers: float32[L, 2], (x, y) in pixels of the frame: what the network is told.
      kinds: int8[L], index into `images.KINDS`.
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

    [2408.13256, section 2]: stop = 32 and d = 0.1 give 320^2 = 102,400 centres. Raises `UserError` for more than
    `MAX_ROWS` of them.
    """
    across, down = (max(0, int(np.ceil(stop / spacing - 1e-6))) for spacing in (dx, dy))
    if across * down > MAX_ROWS:
        raise UserError(f"increments {dx} and {dy} give {across} x {down} labels: take larger ones")
    x, y = dx * np.arange(across), dy * np.arange(down)
    return np.stack(np.meshgrid(x, y, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float32)


def make_table(centers: np.ndarray, kinds: np.ndarray | str, sigma: float, origin: float = 0.0) -> Table:
    """A table of all given rows; `kinds` is one kind's name or int[L]."""
    if len(centers) == 0:
        raise UserError("the data set is empty: nothing is left of its labels, hold out or drop less")
    if isinstance(kinds, str):
        kinds = np.full(len(centers), images.kind_index(kinds))
    return Table(
        centers=np.asarray(centers, np.float32),
        kinds=np.asarray(kinds, np.int8),
        count=np.int32(len(centers)),
        sigma=np.full(2, sigma, np.float32),
        origin=np.full(2, origin, np.float32),
    )


RIM_LEVEL = 0.04
"""A stripe is seen in an image if its profile g (`images.render`), 1 on its middle line, is over this at some pixel: if
it darkens the image by over 5 grey levels of 255."""


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
    return (at >= -ROUNDING) & (at < data.size - ROUNDING)


def seen(data: Data, labels: np.ndarray) -> Bool[np.ndarray, "n 2"]:
    """Whether the stripe at x, and at y, is seen in the image (see `RIM_LEVEL`)."""
    at = labels - data.margin
    outside = np.maximum(np.maximum(-at, at - (data.size - 1)), 0.0)
    return inside(data, labels) | (outside < rim_reach(data.sigma))


def two_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centres in the image: two stripes, or a bump [2408.13256, Fig. 9c, d]."""
    return inside(data, labels).all(axis=1)


def rim(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centres outside the image whose crossing is partly visible: both stripes are seen [2408.13256, C.1, C.2]."""
    return seen(data, labels).all(axis=1) & ~two_d(data, labels)


def one_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centres in the image in one axis only, less the rim: one stripe [2408.13256, Fig. 9b]."""
    return inside(data, labels).any(axis=1) & ~seen(data, labels).all(axis=1)


def zero_d(data: Data, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Centres outside the image in both axes, less the rim: at most the flank of one stripe [2408.13256, Fig. 9a]."""
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
    order = np.random.default_rng([data.draw, 0]).permutation(len(rows))
    region = regions.held_out(data)
    if region is not None:
        order = order[~region.contains(labels[rows[order]])]
    left_out = np.ones(len(rows), bool)
    left_out[order[: int(np.rint(data.fraction * len(order)))]] = False
    mask = np.ones(len(labels), bool)
    mask[rows[left_out]] = False
    return mask


def frame(data: Data) -> np.ndarray:
    """float32[n, 2]: the lattice of all labels of the frame, image and margins [2408.13256, C.1]."""
    return lattice(data.size + 2 * data.margin, *data.spacing)


def parts_of(data: Data, labels: np.ndarray) -> np.ndarray:
    """Name of the part that each of float[n, 2] labels lies in."""
    return np.select([mask(data, labels) for mask in PARTS.values()], list(PARTS), "")


def build(data: Data) -> Table:
    """The table that the settings describe, a function of nothing else.

    `data.dataset` is "grid", all centres on arange(0, N, dx) x arange(0, N, dy) [2402.03305, sections 2, 3], or a sum
    of `PARTS` of the frame: "2d", "1d", "2d+1d", "1d+rim+0d" [2408.13256, Fig. 9, 10]. Images of the 2D part are of
    `data.kind`, those of the other parts sums of stripes: "2d+1d" of kind "bump" is the papers' 2D bump + 1D stripes.
    The hole and the subsampling touch the 2D part only.

    Raises:
      UserError: for an unknown data set, an empty table, or "grid" with a margin.
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
    mask = np.isin(parts, wanted) & kept(data, labels)
    if not mask.any():
        raise UserError(
            f"the data set {data.dataset!r} is empty: hold out less (hole={data.hole}), keep more (fraction="
            f"{data.fraction}), or widen the frame (margin={data.margin}, over {rim_reach(data.sigma):.3g} for stripes)"
        )
    kinds = np.where(parts == "2d", images.kind_index(data.kind), images.kind_index("sos"))
    return make_table(labels[mask], kinds[mask], data.sigma, data.margin)


def stack(tables: Sequence[Table], rows: int | None = None) -> Table:
    """One table with a leading M, each padded by zeros to `rows` (default: the longest)."""
    rows = max(len(table.centers) for table in tables) if rows is None else rows

    def padded(x):
        return np.concatenate([x, np.zeros((rows - len(x), *x.shape[1:]), x.dtype)])

    grown = [t._replace(centers=padded(t.centers), kinds=padded(t.kinds)) for t in tables]
    return Table(*(np.stack(leaves) for leaves in zip(*grown, strict=True)))


def render_rows(table: Table, rows: Int[Array, " n"], size: int, periodic: bool):
    """Images float32[n, N, N, 1] and labels float32[n, 2] of these rows of a table. Pure; runs on device."""
    centers = jnp.asarray(table.centers)[rows]
    kinds = jnp.asarray(table.kinds)[rows].astype(jnp.int32)
    return images.render(centers - table.origin[None, :], table.sigma, kinds, size, periodic), centers


def permutation(
    key, epoch: UInt32[Array, " n"], position: UInt32[Array, " n"], count: UInt32[Array, ""]
) -> Int[Array, " n"]:
    """Row visited at each position of an epoch: a keyed bijection of 0 .. count - 1, computed, never stored.

    A Feistel network on the smallest power of two >= count, walked along its cycle until it lands below the count
    (at most two steps on average), so any position of any epoch costs the same and needs no other.

    Args:
      key: a typed key; another key gives another order.
      epoch: uint32[n], each epoch has its own order.
      position: uint32[n], below `count`.
      count: number of rows, 1 .. 2^31; may be traced.

    Returns:
      int32[n], distinct for distinct positions of the same epoch.
    """
    epoch_keys = jax.vmap(lambda e: jax.random.fold_in(key, e))(epoch)
    round_keys = jax.vmap(lambda k: jax.random.bits(k, (ROUNDS,), jnp.uint32))(epoch_keys)
    count = jnp.asarray(count, jnp.uint32)
    bits = jnp.maximum(jnp.uint32(32) - jax.lax.clz(count - jnp.uint32(1)), jnp.uint32(2))
    low_bits = bits // jnp.uint32(2)
    one = jnp.uint32(1)
    low_mask = jnp.left_shift(one, low_bits) - one
    high_mask = jnp.left_shift(one, bits - low_bits) - one

    def shuffle(value, keys):
        low, high = value & low_mask, jnp.right_shift(value, low_bits)
        for i in range(0, ROUNDS, 2):
            high = high ^ (_mix(low ^ keys[i]) & high_mask)
            low = low ^ (_mix(high ^ keys[i + 1]) & low_mask)
        return jnp.left_shift(high, low_bits) | low

    def walk(start, keys):
        return jax.lax.while_loop(lambda v: v >= count, lambda v: shuffle(v, keys), shuffle(start, keys))

    return jax.vmap(walk)(position, round_keys).astype(jnp.int32)


def _mix(x):
    """A bijective 32-bit hash with good avalanche (the finaliser of MurmurHash3)."""
    x = (x ^ (x >> 16)) * jnp.uint32(0x85EBCA6B)
    x = (x ^ (x >> 13)) * jnp.uint32(0xC2B2AE35)
    return x ^ (x >> 16)


def batch_rows(key, step: Int[Array, ""], batch: int, count) -> Int[Array, " B"]:
    """Rows of the batch drawn at a step: positions step * B ... of an endless sequence of epochs.

    Every row is drawn once per epoch; a batch may straddle epochs. Needs only (key, step), so any step can be
    resumed. `step` * `batch` must stay under 2^32.
    """
    drawn = step.astype(jnp.uint32) * jnp.uint32(batch) + jnp.arange(batch, dtype=jnp.uint32)
    count = jnp.asarray(count).astype(jnp.uint32)
    return permutation(key, drawn // count, drawn % count, count)


def evaluation_labels(table: Table, key, source: str, count: int, size: int) -> Float[np.ndarray, "S 2"]:
    """Labels that a member is sampled at, in frame coordinates, on host.

    Args:
      table: the member's own, unstacked.
      key: the member's key for labels.
      source: "train": `count` of the table's rows without replacement (all of them, in random order, when it has
        fewer) [2402.03305, B.3]; "grid": the N x N unit grid of the window, x slowest [2408.13256, A.3].
      count: S for "train".
      size: N.
    """
    if source == "grid":
        return lattice(size, 1.0, 1.0) + table.origin[None, :]
    drawn = jnp.arange(min(count, int(table.count)), dtype=jnp.uint32)
    rows = jax.jit(permutation)(key, jnp.zeros_like(drawn), drawn, jnp.uint32(table.count))
    return table.centers[np.asarray(rows)]
