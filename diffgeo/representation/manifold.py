r"""How well factors can be read from a representation: UMAP and the papers' R^2, a linear probe, neighbors.

Every R^2 is 1 less a share of unexplained variance, per factor u of the label. A plain factor's
target is z = u. **With a period P, labels are circular and the target is the pair
z = (cos 2 pi u / P, sin 2 pi u / P)**, errors and variances summed over the pair:

.. math:: R^2 = 1 - \sum_i |z_i - \hat z_i|^2 / \sum_i |z_i - \bar z|^2.

UMAP's coordinates differ between machines and versions, and change with the seed; compare R^2, never coordinates.
"""

import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Real

from diffgeo.errors import UserError, one_line, require
from diffgeo.host.caches import let_numba_cache
from diffgeo.representation.points import check_labels, check_points, distances

FOLDS = 5
PENALTIES = np.logspace(-7, 3, 11)
"""Ridge penalties tried, in units of the mean squared norm of a centered point."""
NEIGHBORS = 5
UMAP_NEIGHBORS = 15
UMAP_LARGEST = 1e18
"""Largest coordinate from the mean whose squares UMAP can sum, in single precision."""
UMAP_LEAST = 10
"""Points under which UMAP's spectral start does not exist."""


Period = float | Sequence[float | None] | None
"""Circumference of all factors, or of each, in the labels' units; None for a plain one."""


class R2(NamedTuple):
    """R^2 of each factor, and their mean: 1 is perfect, 0 is no better than the mean label."""

    each: tuple[float, ...]
    mean: float

    @property
    def x(self) -> float:
        """R^2 of the first factor, of the papers x."""
        return self.each[0]

    @property
    def y(self) -> float:
        """R^2 of the second factor, of the papers y."""
        return self.each[1]


def umap_embedding(
    points: Real[np.ndarray, "n k"], seed: int = 0, components: int = 3
) -> Float32[np.ndarray, "n components"]:
    """Embed the points by UMAP [2402.03305, B.2]: 15 neighbors, minimal distance 0.1, the package's defaults.

    Args:
      points: [n, k]; `gram_scores` of the activations will do, since only distances matter.
      seed: of UMAP's randomness; on the same machine a seed always gives the same embedding.
      components: dimensions of the embedding.

    Raises:
      UserError: see `check_points`; at least 10 points are needed, none too far from the others, and such as UMAP can
        embed.
    """
    points = check_points(points, least=UMAP_LEAST)
    farthest = float(np.abs(points - points.mean(axis=0)).max())
    require(
        farthest <= UMAP_LARGEST,
        f"points lie {farthest:.2g} from their mean, and UMAP embeds up to {UMAP_LARGEST:g}: analyze a checkpoint of "
        "smaller activations",
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Tensorflow not installed", category=ImportWarning)
        let_numba_cache()
        import umap

        # a disconnected cloud is a finding, seen in the embedding; UMAP initializes such clouds by itself
        warnings.filterwarnings("ignore", message="Graph is not fully connected")
        warnings.filterwarnings("ignore", message="Spectral initiali[sz]ation failed")
        reducer = umap.UMAP(
            n_components=components,
            n_neighbors=min(UMAP_NEIGHBORS, len(points) - 1),
            random_state=seed,
            n_jobs=1,
        )
        try:
            return np.asarray(reducer.fit_transform(points.astype(np.float32)), np.float32)
        except ValueError as error:
            raise UserError(f"UMAP cannot embed these {len(points)} points: {one_line(error)}") from error


def regression_r2(features: Real[np.ndarray, "n k"], labels: Real[np.ndarray, "m K"], period: Period = None) -> R2:
    """Return the papers' R^2: linear regressions of each factor, scored on the points that they were fitted to.

    [2402.03305, B.3]: on the 3-D UMAP embedding; its mean is the "averaged R-squared". Being in-sample, it is about
    k / n for labels that have nothing to do with the features, so k must be small.

    Args:
      features: [n, k], an embedding.
      labels: [n, K], of the papers (x, y) in pixels.
      period: circumference of all factors, or of each; None for plain labels.

    Raises:
      UserError: see `check_points` and `check_labels`; more than k + 1 points are needed.
    """
    from sklearn.linear_model import LinearRegression

    features = check_points(features, least=max(3, features.shape[1] + 2))
    labels = check_labels(labels, len(features))
    fitted = [(z, LinearRegression().fit(features, z).predict(features)) for z in targets(labels, period)]
    return _averaged([_r2(z, predicted) for z, predicted in fitted])


def probe_r2(
    points: Real[np.ndarray, "n k"], labels: Real[np.ndarray, "m K"], period: Period = None, seed: int = 0
) -> R2:
    """Return a linear probe's R^2 on held-out points: ridge regression, 5 shuffled folds.

    In each fold the penalty is that of `PENALTIES` with the least leave-one-out error on the training points,
    chosen for each factor separately. All out-of-fold errors are summed before dividing by the variance of all labels,
    so labels that have nothing to do with the points score about 0 or just under.

    Args:
      points: [n, k]; `gram_scores` of the activations give the same as the activations, faster.
      labels: [n, K], of the papers (x, y) in pixels.
      period: circumference of all factors, or of each; None for plain labels.
      seed: of the folds.

    Raises:
      UserError: see `check_points` and `check_labels`; at least 10 points are needed.
    """
    points = check_points(points, least=2 * FOLDS)
    labels = check_labels(labels, len(points))
    centered = points - points.mean(axis=0)
    gram = centered @ centered.T
    folds = np.array_split(np.random.default_rng(seed).permutation(len(points)), FOLDS)
    true = targets(labels, period)
    predicted = [np.empty_like(z) for z in true]
    for fold in folds:
        train = np.setdiff1d(np.arange(len(points)), fold)
        for z, out in zip(_ridge(gram, true, train, fold), predicted, strict=True):
            out[fold] = z
    return _averaged([_r2(z, out) for z, out in zip(true, predicted, strict=True)])


def neighbor_r2(points: Real[np.ndarray, "n k"], labels: Real[np.ndarray, "m K"], period: Period = None) -> R2:
    r"""Return how near the labels of neighbors are: R^2 of leave-one-out nearest-neighbor regression, k = 5.

    The target of a point is predicted by the mean :math:`\bar z_i` of those of its k nearest other points. A mean
    of k targets drawn at random is off by (1 + 1/k) variances, so the score is

    .. math:: 1 - \frac{1}{1 + 1/k} \sum_i |z_i - \bar z_i|^2 / \sum_i |z_i - \bar z|^2:

    1 for a perfect, however curved, manifold and 0 on average for labels that have nothing to do with the points.

    Args:
      points: [n, k].
      labels: [n, K], of the papers (x, y) in pixels.
      period: circumference of all factors, or of each; None for plain labels.

    Raises:
      UserError: see `check_points` and `check_labels`; at least 7 points are needed.
    """
    points = check_points(points, least=NEIGHBORS + 2)
    labels = check_labels(labels, len(points))
    to_others = distances(points)
    np.fill_diagonal(to_others, np.inf)
    nearest = np.argpartition(to_others, NEIGHBORS, axis=1)[:, :NEIGHBORS]
    scores = []
    for z in targets(labels, period):
        unexplained = 1.0 - _r2(z, z[nearest].mean(axis=1))
        scores.append(1.0 - unexplained / (1.0 + 1.0 / NEIGHBORS))
    return _averaged(scores)


def targets(labels: Float64[np.ndarray, "n K"], period: Period) -> list[Float64[np.ndarray, "n _"]]:
    """Return regression targets of the factors: the value (c = 1), or with a period its cosine and sine (c = 2)."""
    periods = period if isinstance(period, Sequence) else [period] * labels.shape[1]
    return [_target(values, around) for values, around in zip(labels.T, periods, strict=True)]


def _target(values: Float64[np.ndarray, " n"], period: float | None) -> Float64[np.ndarray, "n c"]:
    if period is None:
        return values[:, None]
    if period <= 0:
        raise UserError(f"a period of {period:g} pixels is no circumference: give the image's side, or None")
    angles = 2.0 * np.pi * values / period
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def _r2(truth: Float64[np.ndarray, "n c"], predicted: Float64[np.ndarray, "n c"]) -> float:
    return float(1.0 - np.sum((truth - predicted) ** 2) / np.sum((truth - truth.mean(axis=0)) ** 2))


def _averaged(each: list[float]) -> R2:
    return R2(tuple(each), sum(each) / len(each))


def _ridge(
    gram: Float64[np.ndarray, "n n"], true: list[Float64[np.ndarray, "n _"]], train: np.ndarray, test: np.ndarray
) -> list[Float64[np.ndarray, "m _"]]:
    """Return predictions at `test` of ridge regressions with intercept fitted at `train`, from inner products alone.

    With centered kernel K = U L U^T, the fitted values are H z with H = U L / (L + penalty) U^T + 1/n, and the
    leave-one-out error of point i is (z_i - (H z)_i) / (1 - H_ii).
    """
    inner = gram[np.ix_(train, train)]
    means = inner.mean(axis=0)
    kernel = inner - means - means[:, None] + inner.mean()
    # no centering along rows: the dual coefficients sum to 0
    across = gram[np.ix_(test, train)] - means
    eigenvalues, vectors = np.linalg.eigh(kernel)
    eigenvalues = np.maximum(eigenvalues, 0.0)
    penalties = PENALTIES * eigenvalues.sum() / len(train)
    leverages = [(vectors * vectors) @ (eigenvalues / (eigenvalues + p)) + 1.0 / len(train) for p in penalties]
    predictions = []
    for target in true:
        offset = target[train].mean(axis=0)
        z = target[train] - offset
        rotated = vectors.T @ z
        errors = []
        for penalty, leverage in zip(penalties, leverages, strict=True):
            fitted = vectors @ ((eigenvalues / (eigenvalues + penalty))[:, None] * rotated)
            errors.append(np.sum(((z - fitted) / (1.0 - leverage)[:, None]) ** 2))
        best = penalties[np.argmin(errors)]
        predictions.append(offset + across @ (vectors @ (rotated / (eigenvalues + best)[:, None])))
    return predictions
