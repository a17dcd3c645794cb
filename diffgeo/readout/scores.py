"""Accuracy of read-out centers, and the failure modes of generation."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int8

from diffgeo.readout.centers import predict_centers
from diffgeo.readout.counts import count_bumps
from diffgeo.settings.allowed import OUTCOMES


class Readout(NamedTuple):
    """Read-outs of n images, from `score`."""

    predicted: Float32[np.ndarray, "n 2"]
    """Read-out centers (x, y), pixels."""
    bumps: Int[np.ndarray, " n"]
    """Number of bumps (crossings of stripes, for SOS) in each image."""
    hits: Bool[np.ndarray, "n 2"]
    """Whether the read-out's x, and its y, is within tolerance."""
    outcomes: Int8[np.ndarray, " n"]
    """Indices into `OUTCOMES`."""


def hits(
    predicted: np.ndarray, true: np.ndarray, tolerance: float | int = 1.0, period: float | int | None = None
) -> Bool[np.ndarray, "n 2"]:
    """Return which coordinates are read within tolerance: the indicators of eq. (1) of both papers.

    Args:
      predicted, true: float[n, 2], (x, y) in pixels.
      tolerance: pixels; the distance must be strictly less.
      period: circumference of both axes in pixels (N for periodic images), None for a plain distance.

    Returns:
      bool[n, 2], for (x, y); False where a center is NaN.

    Raises:
      ValueError: for centers that are not two equal [n, 2].
    """
    return distances(predicted, true, period) < tolerance


def distances(predicted: np.ndarray, true: np.ndarray, period: float | int | None = None) -> Float[np.ndarray, "n 2"]:
    """Return |predicted - true| per coordinate in pixels, NaN where a center is.

    Args:
      predicted, true, period: as for `hits`.

    Raises:
      ValueError: for centers that are not two equal [n, 2].
    """
    predicted, true = np.asarray(predicted, np.float64), np.asarray(true, np.float64)
    if predicted.ndim != 2 or predicted.shape[1] != 2 or predicted.shape != true.shape:
        raise ValueError(f"predicted and true centers must both be [n, 2], got {predicted.shape} and {true.shape}")
    distance = np.abs(predicted - true)
    if period is not None:
        distance = np.mod(distance, period)
        distance = np.minimum(distance, period - distance)
    return distance


def outcomes(
    predicted: np.ndarray,
    true: np.ndarray,
    bumps: np.ndarray,
    tolerance: float | int = 1.0,
    period: float | int | None = None,
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
    tolerance: float | int = 1.0,
    period: float | int | None = None,
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


def summarize(readout: Readout, mask: np.ndarray | None = None) -> dict[str, float]:
    """Return means over images of a `Readout`: the three accuracies, and the fraction of each outcome.

    Args:
      readout: from `score`.
      mask: bool[n], the images to take the means over (a region of labels); None for all.

    Returns:
      The keys of `accuracy`, then `OUTCOMES`, whose fractions sum to 1; all NaN if there is no image.

    Raises:
      ValueError: for a mask that is not bool[n].
    """
    chosen = readout.outcomes[_mask(mask, len(readout.outcomes))]
    fractions = {name: _mean(np.equal(chosen, index)) for index, name in enumerate(OUTCOMES)}
    return _accuracy(readout.hits, mask) | fractions


def _accuracy(hit: Bool[np.ndarray, "n 2"], mask: np.ndarray | None) -> dict[str, float]:
    hit = hit[_mask(mask, len(hit))]
    return {
        "accuracy": _mean(np.all(hit, axis=1)),
        "accuracy_x": _mean(hit[:, 0]),
        "accuracy_y": _mean(hit[:, 1]),
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values)) if len(values) else float("nan")


def _mask(mask: np.ndarray | None, count: int) -> Bool[np.ndarray, " n"]:
    if mask is None:
        return np.ones(count, bool)
    if mask.dtype != bool or mask.shape != (count,):
        raise ValueError(f"mask must be bool[{count}], one per image, got {mask.dtype}{list(mask.shape)}")
    return mask
