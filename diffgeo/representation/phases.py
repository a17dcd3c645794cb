"""Measures of generated samples that tell of the representation: factorized accuracy, and the phase of learning."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from diffgeo.errors import UserError
from diffgeo.settings.allowed import PHASES

HALF = 0.5


class Factorization(NamedTuple):
    """Dependence of a correct y on a correct x; shares of samples, in [0, 1] where no other range is given."""

    joint: float
    """Accuracy of x and y together."""
    product: float
    """Accuracy of x times accuracy of y: the joint accuracy of independent coordinates."""
    difference: float
    """joint - product, in [-1/4, 1/4]: 0 if independent, over 0 if samples are right or wrong as a whole."""
    low: float
    """Lower end of the bootstrap interval of `difference`."""
    high: float
    """Upper end."""


def factorization(
    hits: Bool[np.ndarray, "n 2"], seed: int = 0, draws: int = 2_000, level: float = 0.95
) -> Factorization:
    """Compare joint accuracy with the product of the accuracies of x and y; percentile bootstrap over samples.

    Args:
      hits: bool[n, 2], whether x, and y, of each sample is right: `diffgeo.readout.hits`.
      seed: of the bootstrap.
      draws: resamplings of the n samples.
      level: of the interval, in (0, 1).

    Raises:
      UserError: for no samples, or a level outside (0, 1).
    """
    if len(hits) == 0:
        raise UserError("0 samples have no accuracy: give at least 1")
    if not 0 < level < 1:
        raise UserError(f"an interval of level {level:g} does not exist: give a level between 0 and 1")
    counts = np.bincount(2 * hits[:, 0] + hits[:, 1], minlength=4)  # neither, y, x, both
    # drawing n samples with replacement = drawing how many fall into each of the four cases
    drawn = np.random.default_rng(seed).multinomial(len(hits), counts / len(hits), size=draws)
    joint, product = _accuracies(counts / len(hits))
    resampled = np.subtract(*_accuracies(drawn / len(hits)))
    low, high = np.quantile(resampled, [0.5 - 0.5 * level, 0.5 + 0.5 * level])
    return Factorization(float(joint), float(product), float(joint - product), float(low), float(high))


def phase(correct: float, no_bump: float, wrong_place: float, several_bumps: float, order: float) -> str:
    """Return the phase of learning, "A", "B" or "C" of `PHASES` [2402.03305, section 3 and Fig. 3].

    The paper describes them in words: A, no structure, all failure modes; B, a quasi-2D unordered manifold, mostly a
    single bump at a wrong place; C, an ordered 2D manifold and the desired images. The rule chosen here:

    * C if correct > 1/2 and order > 1/2;
    * else B if correct + wrong_place > 1/2, that is, if most samples show exactly one bump;
    * else A.

    The order of the manifold separates B from C only. It cannot separate A from B, since the label's embedding is added
    inside the recorded tensor and may order it before anything is learned.

    Args:
      correct, no_bump, wrong_place, several_bumps: shares of the samples, which sum to 1 (`diffgeo.readout`).
      order: R^2 of the manifold, 1 if ordered: the papers' averaged R^2 or another of `manifold`.

    Raises:
      UserError: for values that are not finite, or shares that do not sum to 1.
    """
    phase_a, phase_b, phase_c = PHASES
    shares = (correct, no_bump, wrong_place, several_bumps)
    if not np.isfinite([*shares, order]).all():
        raise UserError(f"no phase follows from shares {shares} and order {order}: evaluate the checkpoint first")
    if min(shares) < 0 or abs(sum(shares) - 1.0) > 1e-3:
        raise UserError(f"shares of outcomes {shares} do not sum to 1: give correct, no bump, wrong place, several")
    if correct > HALF and order > HALF:
        return phase_c
    return phase_b if correct + wrong_place > HALF else phase_a


def _accuracies(shares: np.ndarray) -> tuple[np.ndarray | float, np.ndarray | float]:
    """Return (joint, product) from shares [..., (neither, y, x, both)]."""
    _, only_y, only_x, both = np.moveaxis(shares, -1, 0)
    return both, (only_x + both) * (only_y + both)
