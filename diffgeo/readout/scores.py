"""Accuracy of read-out centers, and the failure modes of generation."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int, Int8

from diffgeo.readout.centers import predict_centers
from diffgeo.readout.counts import count_bumps
from diffgeo.settings import Factor
from diffgeo.settings.allowed import OUTCOMES

Each = float | int | None | Sequence[float | None]
"""A number of all factors, or one of each."""


class Readout(NamedTuple):
    """Read-outs of n images, from `score`."""

    predicted: Float[np.ndarray, "n K"]
    """Read-out factors; of the papers centers (x, y), pixels."""
    bumps: Int[np.ndarray, " n"] | None
    """Number of bumps (crossings of stripes, for SOS) in each image; None for a user's images."""
    hits: Bool[np.ndarray, "n K"]
    """Whether each factor's read-out is within tolerance."""
    outcomes: Int8[np.ndarray, " n"] | None
    """Indices into `OUTCOMES`; None for a user's images."""
    factors: tuple[str, ...] = ("x", "y")
    """Names of the factors."""


def hits(
    predicted: np.ndarray, true: np.ndarray, tolerance: Each = 1.0, period: Each = None
) -> Bool[np.ndarray, "n K"]:
    """Return which factors are read within tolerance: the indicators of eq. (1) of both papers.

    Args:
      predicted, true: float[n, K]; of the papers (x, y) in pixels.
      tolerance: of all factors, or of each; the distance must be strictly less.
      period: circumference of all factors, or of each (N for the papers' periodic images); None for a plain distance.

    Returns:
      bool[n, K]; False where a read-out is NaN.

    Raises:
      ValueError: for read-outs that are not two equal [n, K].
    """
    return distances(predicted, true, period) < np.asarray(tolerance, np.float64)


def distances(predicted: np.ndarray, true: np.ndarray, period: Each = None) -> Float[np.ndarray, "n K"]:
    """Return |predicted - true| per factor in its unit, NaN where a read-out is.

    Args:
      predicted, true, period: as for `hits`.

    Raises:
      ValueError: for read-outs that are not two equal [n, K].
    """
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.ndim != 2 or predicted.shape != true.shape:
        raise ValueError(f"predicted and true factors must both be [n, K], got {predicted.shape} and {true.shape}")
    distance = np.abs(predicted - true)
    for index in range(distance.shape[1]):
        of_factor = period[index] if isinstance(period, Sequence) else period
        if of_factor is not None:
            column = np.mod(distance[:, index], of_factor)
            distance[:, index] = np.minimum(column, of_factor - column)
    return distance


def outcomes(
    predicted: np.ndarray,
    true: np.ndarray,
    bumps: np.ndarray,
    tolerance: Each = 1.0,
    period: Each = None,
) -> Int8[np.ndarray, " n"]:
    """Return the outcome of each generated image, as an index into `OUTCOMES` [2402.03305, section 3].

    "no_bump" and "several_bumps" by the count alone, wherever the read-out lies; with exactly one bump,
    "correct" if both coordinates are `hits`, else "wrong_place".

    Args:
      predicted, true, tolerance, period: as for `hits`.
      bumps: int[n], from `count_bumps`.

    Returns:
      int8[n].

    Raises:
      ValueError: for arrays of other shapes.
    """
    hit = hits(predicted, true, tolerance, period).all(axis=1)
    bumps = np.asarray(bumps)
    if bumps.shape != hit.shape:
        raise ValueError(f"bumps must be [n] = {hit.shape}, one per center, got {bumps.shape}")
    code = OUTCOMES.index
    choices = [code("no_bump"), code("several_bumps"), code("correct")]
    return np.select([bumps == 0, bumps > 1, hit], choices, code("wrong_place")).astype(np.int8)


def accuracy(
    predicted: np.ndarray,
    true: np.ndarray,
    tolerance: Each = 1.0,
    period: Each = None,
    mask: np.ndarray | None = None,
) -> dict[str, float]:
    """Return fractions of images read within tolerance [2402.03305, eq. (1); 2408.13256, eq. (1)].

    Args:
      predicted, true, tolerance, period: as for `hits`. A read-out that fell back to the centroid counts like
        any other, as in the papers.
      mask: bool[n], the images to take the means over (a region of labels); None for all.

    Returns:
      "accuracy" (x and y), "accuracy_x", "accuracy_y", each in [0, 1]; NaN if there is no image.

    Raises:
      ValueError: for arrays of other shapes, or a mask that is not boolean.
    """
    return _accuracy(hits(predicted, true, tolerance, period), mask)


def score(
    images: np.ndarray,
    true: np.ndarray,
    method: str = "contour",
    kind: str = "bump",
    sigma: float | None = None,
    periodic: bool = False,
    tolerance: float | int = 1.0,
) -> Readout:
    """Read n generated images and compare them with the centers that they are conditioned on.

    Args:
      images: uint8[n, N, N], 0 dark to 255 white.
      true: float[n, 2], (x, y) in pixels.
      method, kind, sigma, periodic: as for `predict_centers`; distances of periodic images are on the circle of
        circumference N.
      tolerance: pixels.

    Returns:
      A `Readout`; `summarize` turns it into means.

    Raises:
      UserError, ValueError: as `predict_centers` and `hits`.
    """
    predicted = predict_centers(images, method, kind, sigma, periodic)
    bumps = count_bumps(images, kind, periodic)
    period = float(images.shape[1]) if periodic else None
    hit = hits(predicted, true, tolerance, period)
    return Readout(predicted, bumps, hit, outcomes(predicted, true, bumps, tolerance, period))


def compare(predicted: Float[np.ndarray, "n K"], true: Float[np.ndarray, "n K"], factors: Sequence[Factor]) -> Readout:
    """Compare factors read out of a user's images with those that they are conditioned on.

    Args:
      predicted: NaN where a factor could not be read.
      true: asked for.
      factors: K of them, with tolerances and periods.
    """
    tolerances, periods = [factor.tolerance for factor in factors], [factor.period for factor in factors]
    hit = hits(predicted, true, tolerances, periods)
    return Readout(predicted, None, hit, None, tuple(factor.name for factor in factors))


def summarize(readout: Readout, mask: np.ndarray | None = None) -> dict[str, float]:
    """Return means over images of a `Readout`: accuracies, and the fraction of each outcome where it has any.

    Args:
      readout: from `score`.
      mask: bool[n], the images to take the means over (a region of labels); None for all.

    Returns:
      The keys of `accuracy`, then `OUTCOMES`, whose fractions sum to 1; all NaN if there is no image.

    Raises:
      ValueError: for a mask that is not bool[n].
    """
    means = _accuracy(readout.hits, mask, readout.factors)
    if readout.outcomes is None:
        return means
    chosen = readout.outcomes[_mask(mask, len(readout.outcomes))]
    return means | {name: _mean(np.equal(chosen, index)) for index, name in enumerate(OUTCOMES)}


def _accuracy(
    hit: Bool[np.ndarray, "n K"], mask: np.ndarray | None, factors: Sequence[str] = ("x", "y")
) -> dict[str, float]:
    hit = hit[_mask(mask, len(hit))]
    each = {f"accuracy_{name}": _mean(hit[:, index]) for index, name in enumerate(factors)}
    return {"accuracy": _mean(np.all(hit, axis=1))} | each


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _mask(mask: np.ndarray | None, count: int) -> Bool[np.ndarray, " n"]:
    if mask is None:
        return np.ones(count, bool)
    if mask.dtype != bool or mask.shape != (count,):
        raise ValueError(f"mask must be bool[{count}], one per image, got {mask.dtype}{list(mask.shape)}")
    return mask
