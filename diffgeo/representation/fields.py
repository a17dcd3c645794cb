"""All measures of a cloud in a flat dict of fixed shapes, so that labeled arrays can hold them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Int, Real

from diffgeo.errors import UserError
from diffgeo.representation import contrast, rings
from diffgeo.representation.additive import additive_share
from diffgeo.representation.barcodes import longest_bars
from diffgeo.representation.dimension import intrinsic_dimension
from diffgeo.representation.manifold import Period, neighbor_r2, probe_r2, regression_r2, umap_embedding
from diffgeo.representation.points import check_labels
from diffgeo.representation.spectrum import PCA, participation_ratio, pca
from diffgeo.representation.topology import persistence

VARIANCE = 0.9
"""Share of a ring's variance for the residuals that do not depend on a number of components."""

LENGTHS = {
    "mode": 64,
    "view": 6,
    "umap_axis": 3,
    "homology": 3,
    "bar": 64,
    "end": 2,
    "ring_pair": 3,
    "ring_statistic": 2,
    "null_statistic": len(contrast.STATISTICS),
    "angle_bin": len(rings.ANGLE_EDGES) - 1,
    "residual_bin": len(rings.RESIDUAL_EDGES) - 1,
}
"""Lengths of the dims of `FIELDS`; "sample" is the number of points."""


class Field(NamedTuple):
    """An entry of `analyze`'s dict."""

    group: str
    dims: tuple[str, ...]
    description: str


XY = ("x", "y")
"""Factors of the papers' labels."""


def _r2_fields(factors: Sequence[str]) -> dict[str, Field]:
    """Return the scores of a manifold: of all factors, and of each."""
    about = {
        "r2": "R^2 of a linear regression of {} on the 3-D UMAP embedding",
        "probe_r2": "cross-validated R^2 of a linear probe of {} on the representation",
        "neighbor_r2": "R^2 of {} predicted by its nearest neighbors, chance taken off",
    }
    fields: dict[str, Field] = {}
    for name, text in about.items():
        each = {f"{name}_{factor}": Field("manifold", (), text.format(factor)) for factor in factors}
        of_papers = ": the papers' averaged R-squared" if name == "r2" else ""
        fields |= {name: Field("manifold", (), f"mean of {' and '.join(each)}{of_papers}"), **each}
    return fields


FIELDS = {
    "participation_ratio": Field("spectrum", (), "effective dimension of the representation"),
    "total_variance": Field("spectrum", (), "variance of the representation, summed over features"),
    "spectrum": Field("spectrum", ("mode",), "variances of the first principal components, 0 beyond the rank"),
    "explained_variance": Field("spectrum", ("mode",), "share of the variance in the components up to this one"),
    "pca": Field("spectrum", ("sample", "view"), "projections on the first principal components, 0 beyond the rank"),
    "umap": Field("manifold", ("sample", "umap_axis"), "3-D UMAP embedding; not comparable between machines"),
    **_r2_fields(XY),
    "intrinsic_dimension": Field("manifold", (), "dimension of the manifold at the scale of neighbors"),
    "betti": Field("topology", ("homology",), "Betti numbers by `barcodes.read_bars`"),
    "bars": Field("topology", ("homology", "bar", "end"), "longest (birth, death), inf where alive, NaN where none"),
    "bar_threshold": Field("topology", (), "distance up to which bars were followed"),
    "covering_radius": Field("topology", (), "largest distance from a point to the cloud's landmarks"),
    "ring_angles": Field("rings", ("ring_pair", "angle_bin"), "share of principal angles of rings, per 2.5 degrees"),
    "ring_residual": Field("rings", ("ring_pair", "residual_bin"), "share of residuals of rings, per 0.025"),
    "ring_mean": Field("rings", ("ring_pair", "ring_statistic"), "mean angle (degrees) and mean residual"),
    "ring_components_90": Field("rings", (), "components with which every ring keeps 90 % of its variance"),
    "ring_residual_90": Field("rings", ("ring_pair",), "mean residual on that many components"),
    "ring_angles_literal": Field("rings", ("ring_pair", "angle_bin"), "share of angles between single components"),
    "ring_mean_literal": Field("rings", ("ring_pair",), "mean angle between single components (degrees)"),
    "ring_contrast_null": Field(
        "rings", ("null_statistic",), "mean and sd of the angle of x-on-y less x-on-x pairs, labels shuffled (degrees)"
    ),
    "ring_contrast_gaussian": Field(
        "rings", ("null_statistic",), "the same of Gaussian points with the spectrum of the cloud (degrees)"
    ),
    "additive_share": Field("rings", (), "share of variance in a function of x plus a function of y"),
    "wasserstein_clifford": Field("rings", ("ring_pair", "ring_statistic"), "distance to an ideal Clifford torus"),
    "wasserstein_torus3d": Field("rings", ("ring_pair", "ring_statistic"), "distance to an ideal 3-D torus"),
}
"""Results of `analyze`, all float32 (Betti numbers included, so that NaN can stand for "not evaluated")."""


def fields_of(factors: Sequence[str] = XY) -> dict[str, Field]:
    """Return `FIELDS` with scores of these factors in the place of those of x and y."""
    others = {name: field for name, field in FIELDS.items() if name not in _r2_fields(XY)}
    return FIELDS if tuple(factors) == XY else others | _r2_fields(factors)


GROUPS = ("spectrum", "manifold", "topology", "rings")


def coordinates() -> dict[str, np.ndarray]:
    """Return the coordinate values of the dims of `FIELDS` that have any."""
    angle, residual = rings.ANGLE_EDGES, rings.RESIDUAL_EDGES
    return {
        "mode": np.arange(1, LENGTHS["mode"] + 1),
        "homology": np.arange(LENGTHS["homology"]),
        "end": np.array(["birth", "death"]),
        "ring_pair": np.array(rings.PAIRS),
        "ring_statistic": np.array(rings.STATISTICS),
        "null_statistic": np.array(contrast.STATISTICS),
        "angle_bin": 0.5 * (angle[:-1] + angle[1:]),
        "residual_bin": 0.5 * (residual[:-1] + residual[1:]),
    }


def field_shape(name: str, samples: int) -> tuple[int, ...]:
    """Return the shape of a field for clouds of `samples` points."""
    return tuple(samples if dim == "sample" else LENGTHS[dim] for dim in FIELDS[name].dims)


def analyze(
    points: Real[np.ndarray, "n k"],
    labels: Real[np.ndarray, "m K"],
    period: Period = None,
    which: Sequence[str] = GROUPS,
    seed: int = 0,
    factors: Sequence[str] = XY,
) -> dict[str, np.ndarray]:
    """Measure a cloud: return the fields of `FIELDS` of the chosen groups, all of them small to store.

    Args:
      points: [n, k], activations (one row a sample) or their `gram_scores`.
      labels: [n, K], of the papers (x, y) in pixels. "rings" needs two factors, each x with each y once; the order does
        not matter.
      period: circumference of all factors, or of each; None for plain labels.
      which: a selection of `GROUPS`.
      seed: of UMAP, of the probe's folds and of the nulls of rings.
      factors: K names.

    Returns:
      Name -> float32 of shape `field_shape(name, n)`; of other factors than x and y, names are those of `fields_of`.

    Raises:
      UserError: for an unknown group, points or labels that cannot be analyzed, or "rings" without a full grid.
    """
    unknown = [group for group in which if group not in GROUPS]
    if unknown:
        raise UserError(f"unknown analysis {unknown[0]!r}: choose from {', '.join(GROUPS)}")
    components = pca(points)
    if {"manifold", "rings"} & {*which}:
        labels = check_labels(labels, len(points), factors)
    cloud = components.projections
    fields = {}
    if "spectrum" in which:
        fields |= _spectrum(components)
    if "manifold" in which:
        fields |= _manifold(cloud, labels, period, seed, factors)
    if "topology" in which:
        fields |= _topology(cloud)
    if "rings" in which:
        order, shape = grid_order(labels)
        fields |= _rings(cloud[order], shape, seed)
    return {name: np.asarray(value, np.float32) for name, value in fields.items()}


def grid_order(labels: Real[np.ndarray, "m 2"]) -> tuple[Int[np.ndarray, " m"], tuple[int, int]]:
    """Return the order in which labels run over a full grid with y fastest, and the grid's shape (nx, ny).

    Raises:
      UserError: unless each x occurs exactly once with each y.
    """
    columns = [np.unique(np.round(values, 4), return_inverse=True) for values in np.asarray(labels, np.float64).T]
    (xs, x), (ys, y) = columns
    index = x * len(ys) + y
    if len(labels) != len(xs) * len(ys) or len(np.unique(index)) != len(labels):
        raise UserError(
            f"{len(labels)} labels with {len(xs)} values of x and {len(ys)} of y are no full grid, which rings need: "
            "sample each x with each y once"
        )
    return np.argsort(index), (len(xs), len(ys))


def _spectrum(components: PCA) -> dict[str, Any]:
    return {
        "participation_ratio": participation_ratio(components.projections),
        "total_variance": components.variances.sum(),
        "spectrum": _padded(components.variances, LENGTHS["mode"], 0.0),
        "explained_variance": _padded(np.cumsum(components.explained), LENGTHS["mode"], 1.0),
        "pca": _padded(components.projections.T, LENGTHS["view"], 0.0).T,
    }


def _manifold(
    cloud: np.ndarray, labels: np.ndarray, period: Period, seed: int, factors: Sequence[str]
) -> dict[str, Any]:
    embedding = umap_embedding(cloud, seed)
    scores = {
        "r2": regression_r2(embedding, labels, period),
        "probe_r2": probe_r2(cloud, labels, period, seed),
        "neighbor_r2": neighbor_r2(cloud, labels, period),
    }
    fields: dict[str, Any] = {"umap": embedding, "intrinsic_dimension": intrinsic_dimension(cloud)}
    for name, r2 in scores.items():
        fields |= {name: r2.mean, **{f"{name}_{factor}": one for factor, one in zip(factors, r2.each, strict=True)}}
    return fields


def _topology(cloud: np.ndarray) -> dict[str, Any]:
    result = persistence(cloud)
    return {
        "betti": result.betti,
        "bars": np.stack([longest_bars(bars, LENGTHS["bar"]) for bars in result.diagrams]),
        "bar_threshold": result.threshold,
        "covering_radius": result.covering_radius,
    }


def _rings(cloud: np.ndarray, shape: tuple[int, int], seed: int) -> dict[str, Any]:
    statistics = rings.ring_statistics(cloud, shape)
    angles, residual = rings.ring_histograms(statistics)
    literal = rings.ring_statistics(cloud, shape, literal=True)
    shuffled = contrast.shuffled_contrasts(cloud, shape, seed=seed)
    gaussian = contrast.gaussian_contrasts(cloud, shape, seed=seed)
    components = rings.ring_components(cloud, shape, VARIANCE)
    wider = rings.ring_statistics(cloud, shape, components)
    fields: dict[str, Any] = {
        "ring_angles": angles,
        "ring_residual": residual,
        "ring_mean": [[statistics[pair][name].mean() for name in rings.STATISTICS] for pair in rings.PAIRS],
        "ring_components_90": components,
        "ring_angles_literal": rings.ring_histograms(literal)[0],
        "ring_mean_literal": [literal[pair]["angles"].mean() for pair in rings.PAIRS],
        "ring_contrast_null": [shuffled.mean(), shuffled.std(ddof=1)],
        "ring_contrast_gaussian": [gaussian.mean(), gaussian.std(ddof=1)],
        "additive_share": additive_share(cloud, shape),
        "ring_residual_90": [wider[pair]["residual"].mean() for pair in rings.PAIRS],
    }
    for ideal in rings.IDEALS:
        reference = rings.ideal_statistics(ideal, shape)
        fields[f"wasserstein_{ideal}"] = rings.ring_distances(statistics, reference)
    return fields


def _padded(values: np.ndarray, length: int, fill: float) -> np.ndarray:
    """Return the first `length` rows, padded with a constant."""
    values = values[:length]
    return np.concatenate([values, np.full((length - len(values), *values.shape[1:]), fill)])
