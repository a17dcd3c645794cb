r"""Percolation of a set of bumps: their overlaps, and the size of the largest connected cluster.

[2408.13256 (P2), sections 3.3 and A.5, D.1]. Two bumps are connected where their overlap is above a
threshold. Host code: numpy and scipy only.

The overlap needs no images. With spread s and :math:`T(m) = \sum_k \exp(-(k - m)^2 / 2 s^2)` over the N
pixels k of an axis, completing the square in the products of two stripe profiles g gives, for the inverted
images a, b with midpoint m,

.. math:: \sum_p a_p b_p = e^{-|\mu_a - \mu_b|^2 / 8 s^2}\, T(m_x)\, T(m_y), \qquad
          \|a\|^2 = T(\mu_{a,x})\, T(\mu_{a,y}),

exactly, for pixelated and cropped bumps alike. The papers' overlap
:math:`\|\sqrt{a b}\|_2 / \|a\|_2 = (\sum a b / \|a\|^2)^{1/2}` is divided by the norm of either. The rule
of this module: **connected if either direction is above the threshold**, that is, divide by the smaller
norm. The papers' neighbor search does the same when it may start at any bump.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.ndimage import maximum_filter, minimum_filter
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree  # pyright: ignore[reportAttributeAccessIssue] not in the stubs
from scipy.special import stdtrit

from diffgeo.errors import UserError
from diffgeo.settings.allowed import MIN_SIGMA

if TYPE_CHECKING:
    import xarray as xr

Rows = Sequence[Any] | np.ndarray
"""[n, 2], a row per bump."""
PerAxis = float | int | np.number | Sequence[Any] | np.ndarray
"""A scalar, or (x, y)."""
Values = float | int | np.number | Sequence[Any] | np.ndarray
"""A number or a list of them."""
Connected = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(indices, indices) of pairs of points -> bool[pairs], which of them are connected."""

BLANK = float(np.log(np.finfo(np.float64).tiny))  # log of the squared norm under which a bump counts as blank
NEIGHBORS = 8  # nearest neighbors tried first; enough to join nearly all of a dense set
GROWTH = 1.5  # ratio of successive search radii
CHUNK = 1 << 20  # pairs held at a time: bounds the memory at about 0.2 GB


def largest_cluster(centers: Rows, sigma: PerAxis, size: int, threshold: float) -> float:
    """Return the mass of the largest connected cluster over the number of bumps [P2, section 3.3, Fig. 6c].

    Args:
      centers: float[n, 2], (x, y) in pixels; anywhere, on a lattice or not, inside the image or not.
      sigma: spread in pixels, at least 0.001: a scalar, or (s_x, s_y).
      size: N, the image's side in pixels.
      threshold: overlap > 0 above which two bumps are connected; the papers use 0.005 and more.

    Returns:
      A float in [1/n, 1]. Blank bumps count in n (see `clusters`).

    Raises:
      UserError: for an argument out of its range.
    """
    labels = clusters(centers, sigma, size, threshold)
    return float(np.bincount(labels).max() / len(labels))


def clusters(centers: Rows, sigma: PerAxis, size: int, threshold: float) -> Int[np.ndarray, " n"]:
    """Return the cluster number of every bump, 0 to clusters - 1; arguments and errors as of `largest_cluster`.

    Exact, without a list of all pairs. A bump that is blank in float64 (squared norm of its inverted image
    under 2.2e-308: tiny and far from every pixel; `images.overlap` is NaN there) is connected to nothing.
    """
    centers, spread = _check(centers, sigma, size, threshold)
    # Copies of a center overlap by exactly 1: they are one node, and split again only for thresholds >= 1.
    points, node, copies = np.unique(centers + 0.0, axis=0, return_inverse=True, return_counts=True)
    node = node.reshape(-1)  # its shape differs between versions of numpy
    norms = _log_mass(points[:, 0], spread[0], size) + _log_mass(points[:, 1], spread[1], size)
    visible = norms >= BLANK
    labels = np.arange(len(points))
    if visible.any():
        labels[visible] = np.flatnonzero(visible)[_components(points[visible], norms[visible], spread, size, threshold)]
    lone = np.bincount(labels, minlength=len(points))[labels] == 1
    apart = (lone & (copies > 1) & ((threshold >= 1) | ~visible))[node]
    named = labels[node]
    named[apart] = len(points) + np.arange(np.count_nonzero(apart))
    return np.unique(named, return_inverse=True)[1].reshape(-1)


def connection_radius(sigma: PerAxis, threshold: float, log_norm: float | None = None) -> float:
    r"""Return an upper bound, in pixels, of the distance at which two bumps can be connected.

    By the formulas above a connected pair has
    :math:`d^2 / 8 s^2 < -2 \ln t + \ln T(m_x) T(m_y) - \ln \|a\|^2`. Over all m, and with no border, T is
    largest at a pixel (by Poisson summation), where it is at most :math:`1 + 2 p / (1 - p)`,
    :math:`p = e^{-1 / 2 s^2}` (sum over pixels), and at most :math:`s \sqrt{2 \pi} (1 + 2 q / (1 - q))`,
    :math:`q = e^{-2 \pi^2 s^2}` (sum over frequencies); borders only decrease it. A center is at most 1/2 pixel
    from a pixel in each axis, so :math:`\ln \|a\|^2 \ge -1/8 s_x^2 - 1/8 s_y^2`.
    In the continuum the radius is :math:`4 s \sqrt{-\ln t}`.

    Args:
      sigma: spread in pixels, a scalar or (s_x, s_y).
      threshold: overlap > 0.
      log_norm: log of the least squared norm among the bumps; None stands for the bound of any center
        inside the image's outline, [-1/2, N - 1/2] in both axes. Centers outside it can be dimmer, and as the
        overlap is relative to the dimmer bump, their radius is larger.

    Returns:
      Pixels, >= 0 (0: nothing is connected).
    """
    _, spread = _check(np.zeros((1, 2)), sigma, 1, threshold)
    if log_norm is None:
        log_norm = -np.sum(1.0 / (8.0 * spread**2))
    return float(_scaled_radius(spread, threshold, log_norm) * spread.max())


def lattice(size: int, increment: PerAxis) -> Float[np.ndarray, "n 2"]:
    """Return centers arange(0, N, d_x) x arange(0, N, d_y), end point excluded, x slowest.

    In float64, the precision of the overlaps. `diffgeo.data.label_tables.lattice`, which is above this module in the
    order of imports, gives the same centers in float32, the precision of the network's conditioning.

    Args:
      size: N in pixels.
      increment: spacing in pixels, d or (d_x, d_y).

    Raises:
      UserError: for a spacing that is not positive.
    """
    step = np.broadcast_to(np.asarray(increment, np.float64), (2,))
    if not (np.all(np.isfinite(step)) and np.all(step > 0)):
        raise UserError(f"increment {increment} must be positive: give the lattice spacing in pixels")
    # The slack keeps 32 / 0.1 at 320 where the division rounds upward.
    along = [d * np.arange(np.ceil(size / d - 1e-6)) for d in step]
    return np.stack(np.meshgrid(*along, indexing="ij"), axis=-1).reshape(-1, 2)


class Draws(NamedTuple):
    """Random subsets of a simulation.

    Attributes:
      repeats: draws per value; the papers take 5.
      seed: integer >= 0.
      nested: each larger fraction contains the smaller ones [P2, section D.2]; otherwise every fraction is an
        independent draw [P2, section D.1].
    """

    repeats: int = 5
    seed: int = 0
    nested: bool = False


def simulate(
    size: int,
    increment: PerAxis,
    sigmas: Values,
    thresholds: Values,
    fractions: Values,
    draws: Draws = Draws(),
) -> "xr.Dataset":
    """Simulate the largest cluster of random subsets of the lattice [P2, Fig. 6c, 13; section D.2].

    Within a repeat all sigmas and thresholds see the same points. A subset depends only on (seed, repeat)
    and its number of points (and lattice), so further values on any axis change no other value.

    Args:
      size: N, the image's side in pixels.
      increment: lattice spacing in pixels, d or (d_x, d_y); see `lattice`.
      sigmas: spreads in pixels.
      thresholds: overlaps > 0.
      fractions: kept fractions lambda in (0, 1]; round(lambda n) points are kept, at least one.
      draws: number, seed and kind of the random subsets.

    Returns:
      xr.Dataset: `largest_fraction`[threshold, sigma, kept_fraction, repeat], cluster mass over the points kept,
      in (0, 1], and `kept`[kept_fraction], the number of points.

    Raises:
      UserError: for an argument out of its range.
    """
    import xarray as xr

    repeats, seed, nested = draws
    points = lattice(size, increment)
    sigmas, thresholds, fractions = (np.atleast_1d(np.asarray(v, np.float64)) for v in (sigmas, thresholds, fractions))
    for fraction in fractions:
        if not 0 < fraction <= 1:
            raise UserError(f"fraction {fraction} is not in (0, 1]: give the kept part of the lattice")
    if repeats < 1:
        raise UserError(f"repeats {repeats} must be at least 1")
    if seed < 0:
        raise UserError(f"seed {seed} must be 0 or more")
    kept = np.maximum(1, np.rint(fractions * len(points)).astype(np.int64))
    mass = np.empty((len(thresholds), len(sigmas), len(fractions), repeats))
    for repeat in range(repeats):
        for f, count in enumerate(kept):
            stream = [seed, repeat] if nested else [seed, repeat, int(count)]
            subset = points[np.random.default_rng(stream).permutation(len(points))[:count]]
            for t, threshold in enumerate(thresholds):
                for s, sigma in enumerate(sigmas):
                    mass[t, s, f, repeat] = largest_cluster(subset, sigma, size, threshold)
    return xr.Dataset(
        {
            "largest_fraction": (("threshold", "sigma", "kept_fraction", "repeat"), mass),
            "kept": ("kept_fraction", kept),
        },
        coords={
            "threshold": thresholds,
            "sigma": sigmas,
            "kept_fraction": fractions,
            "repeat": np.arange(repeats),
        },
        attrs={
            "size": int(size),
            "increment": np.broadcast_to(np.asarray(increment, np.float64), (2,)).tolist(),
            "seed": int(seed),
            "nested": int(nested),
            "points": len(points),
        },
    )


def mean_interval(dataset: "xr.Dataset", level: float = 0.95) -> "xr.Dataset":
    """Return the mean over the repeats of `simulate` and its Student-t interval, cut to [0, 1] where masses lie.

    Student's t, not a bootstrap, whose interval is too narrow for as few draws as five.

    Args:
      dataset: from `simulate`.
      level: coverage in (0, 1).

    Returns:
      xr.Dataset with `mean`, `low`, `high`[threshold, sigma, kept_fraction]; low and high are
      NaN for a single repeat.
    """
    import xarray as xr

    mass = dataset["largest_fraction"]
    repeats, mean = mass.sizes["repeat"], mass.mean("repeat")
    if repeats > 1:
        half = float(stdtrit(repeats - 1, 0.5 + 0.5 * level)) * mass.std("repeat", ddof=1) / np.sqrt(repeats)
    else:
        half = xr.full_like(mean, np.nan)
    return xr.Dataset(
        {"mean": mean, "low": (mean - half).clip(min=0.0), "high": (mean + half).clip(max=1.0)},
        attrs={**dataset.attrs, "level": level, "repeats": repeats},
    )


def _check(
    centers: Rows, sigma: PerAxis, size: int, threshold: float
) -> tuple[Float[np.ndarray, "n 2"], Float[np.ndarray, " 2"]]:
    """Return centers and (s_x, s_y) in float64; raise `UserError` for anything out of range."""
    centers = np.asarray(centers, np.float64)
    if centers.ndim != 2 or centers.shape[1] != 2 or len(centers) == 0:
        raise UserError(f"centers of shape {centers.shape} must be [n, 2] as (x, y), with n >= 1")
    if not np.all(np.isfinite(centers)):
        raise UserError(f"{np.sum(~np.isfinite(centers))} coordinates of centers are not finite: leave them out")
    spread = np.asarray(sigma, np.float64)
    if spread.shape not in ((), (2,)) or not np.all((spread >= MIN_SIGMA) & np.isfinite(spread)):
        raise UserError(f"sigma {sigma} must be one number or (s_x, s_y), at least {MIN_SIGMA} pixels")
    if size < 1:
        raise UserError(f"size {size} must be at least 1 pixel")
    if not (np.isfinite(threshold) and threshold > 0):
        raise UserError(f"threshold {threshold} must be a positive overlap, such as 0.005")
    return centers, np.broadcast_to(spread, (2,))


def _log_mass(middles: Float[np.ndarray, " n"], spread: float, size: int) -> Float[np.ndarray, " n"]:
    """Return ln T(m) of the module's head, finite however far m is from the pixels."""
    # On lattices the values repeat many times over.
    values, back = np.unique(middles, return_inverse=True)
    nearest = values - np.clip(np.rint(values), 0, size - 1)
    total = np.zeros_like(values)
    for pixel in range(size):  # not a [n, N] array: memory
        total += np.exp((np.square(nearest) - np.square(pixel - values)) / (2.0 * spread**2))
    return (np.log(total) - np.square(nearest) / (2.0 * spread**2))[back.reshape(-1)]


def _scaled_radius(spread: np.ndarray, threshold: float, log_norm: float | np.ndarray) -> Float[np.ndarray, " *n"]:
    """Return `connection_radius` in units of sigma per axis, for given squared norms of the dimmer bump."""
    sharp, wide = 0.5 / spread**2, 2.0 * (np.pi * spread) ** 2
    most = np.minimum(
        1.0 + 2.0 * np.exp(-sharp) / -np.expm1(-sharp),
        spread * np.sqrt(2.0 * np.pi) * (1.0 + 2.0 * np.exp(-wide) / -np.expm1(-wide)),
    )
    squared = 8.0 * (np.sum(np.log(most)) - np.asarray(log_norm) - 2.0 * np.log(threshold))
    return np.asarray(np.sqrt(np.maximum(squared, 0.0)) * (1.0 + 1e-9))  # the last factor covers rounding


def _components(
    points: np.ndarray, norms: np.ndarray, spread: np.ndarray, size: int, threshold: float
) -> Int[np.ndarray, " n"]:
    """Return component numbers, 0 to components - 1, of distinct, visible points.

    Within their radii of each other there can be thousands of times more pairs than points. Nearly all join points that
    nearer pairs have joined already, so pairs are tried at growing distance, and only those between
    different components: after the nearest neighbors come all pairs within a radius, which grows up to the
    largest `connection_radius`. Each step is exact for the pairs within its radius; the last makes the whole exact.
    """
    scaled = points / spread
    radii = _scaled_radius(spread, threshold, norms)
    limit = float(radii.max())

    def connected(first: np.ndarray, second: np.ndarray) -> Bool[np.ndarray, " pairs"]:
        squared = np.sum(np.square(scaled[first] - scaled[second]), axis=1)
        # A few dim bumps may set the limit: most pairs are beyond their radii, which is cheaper to test.
        result = squared <= np.square(np.maximum(radii[first], radii[second]))
        first, second = first[result], second[result]
        shared = -squared[result] / 8.0
        for axis in range(2):
            shared += _log_mass(0.5 * (points[first, axis] + points[second, axis]), spread[axis], size)
        result[result] = shared - np.minimum(norms[first], norms[second]) > 2.0 * np.log(threshold)
        return result

    count = min(NEIGHBORS + 1, len(points))
    distance, neighbor = cKDTree(scaled).query(scaled, k=np.arange(1, count + 1), distance_upper_bound=limit)
    first, second = np.repeat(np.arange(len(points)), count), neighbor.reshape(-1)
    labels = _join(np.arange(len(points)), first[second < len(points)], second[second < len(points)], connected)
    # A point with fewer neighbors than queried has been tried with all within the limit.
    unfinished = np.flatnonzero(np.isfinite(distance[:, -1])) if count < len(points) else np.arange(0)
    if len(unfinished) == 0:
        return labels

    radius = float(np.median(distance[unfinished, -1]))
    while radius < limit and labels.max() > 0:
        radius = min(GROWTH * radius, limit)
        labels = _join_within(radius, scaled, labels, unfinished, connected)
    return labels


def _join(labels: np.ndarray, first: np.ndarray, second: np.ndarray, connected: Connected) -> Int[np.ndarray, " n"]:
    """Return labels after the given pairs of points have been tried."""
    new = labels[first] != labels[second]
    first, second = first[new], second[new]
    if len(first) == 0:
        return labels
    new = connected(first, second)
    nodes = labels.max() + 1
    ends = labels[first[new]], labels[second[new]]
    graph = coo_matrix((np.ones(len(ends[0]), np.int32), ends), shape=(nodes, nodes))
    return connected_components(graph, directed=False)[1].astype(np.int64)[labels]


def _join_within(
    radius: float, scaled: np.ndarray, labels: np.ndarray, unfinished: np.ndarray, connected: Connected
) -> Int[np.ndarray, " n"]:
    """Return labels after all pairs of unfinished points within a radius have been tried, or are joined already."""
    near = unfinished[_near_others(radius, scaled[unfinished], labels[unfinished])]
    if len(near) == 0:
        return labels
    # Of two components at least one is not the root's, so pairs are searched from the points outside it only. The
    # root must remain the same component while labels change, hence it is a point and not a label.
    root = near[np.argmax(np.bincount(labels[near])[labels[near]])]
    sources, tree = near[labels[near] != labels[root]], cKDTree(scaled[near])
    pairs = np.cumsum(tree.query_ball_point(scaled[sources], radius, return_length=True))
    for part in np.split(sources, np.searchsorted(pairs, np.arange(CHUNK, pairs[-1], CHUNK))):
        part = part[labels[part] != labels[root]]
        if len(part):
            close = cKDTree(scaled[part]).sparse_distance_matrix(tree, radius, output_type="ndarray")
            labels = _join(labels, part[close["i"]], near[close["j"]], connected)
    return labels


def _near_others(radius: float, scaled: np.ndarray, labels: np.ndarray) -> Bool[np.ndarray, " n"]:
    """Return False only for points that certainly have no point of another component within a radius.

    A coarse test, by the least and the greatest label in the square of cells around each point, which excludes the
    inside of a large component at no cost, however many pairs it holds.
    """
    origin, extent = scaled.min(axis=0), np.ptp(scaled, axis=0).max()
    side = max(0.5 * radius, extent / (4.0 * np.sqrt(len(scaled))))
    cell = tuple(np.floor((scaled - origin) / side).astype(np.int64).T)
    least = np.full([c.max() + 1 for c in cell], labels.max() + 1)
    most = np.full_like(least, -1)
    np.minimum.at(least, cell, labels)
    np.maximum.at(most, cell, labels)
    width = 2 * int(np.ceil(radius / side)) + 1
    return (minimum_filter(least, width, mode="nearest") != maximum_filter(most, width, mode="nearest"))[cell]
