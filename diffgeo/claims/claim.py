"""Claims of the papers as tests on results, and their verdicts. Host code: needs no JAX and no checkpoint.

A claim's test returns comparisons: numbers with intervals, each of which must lie in a range stated by the claim. The
interval is a 95 % percentile bootstrap over seeds and samples jointly: seeds are drawn with replacement, and for each
of them the outcomes of its samples are redrawn at every evaluation. A bootstrap over S seeds is too narrow by
sqrt((S - 1) / S), so deviations from the measured value are widened by the inverse. With 2 or 3 seeds it is still
narrower than Student's interval, which at 2 seeds would be 13 standard errors; a single seed decides nothing. Verdicts
use all seeds, never the best.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from diffgeo.claims.intervals import RESAMPLE, interval
from diffgeo.errors import UserError
from diffgeo.host.files import write_json

HOLDS, FAILS, UNDECIDED = "holds", "fails", "not decided at this scale"
PRIMARY, PRECONDITION, CONTROL = "primary", "precondition", "control"
"""Roles of a comparison: the claim depends on it; it must hold before the claim can be tested (the model has learned,
say); it is only reported."""


class Comparison(NamedTuple):
    """Value, its interval (low, high), and the open range (lower, upper) in which the claim wants it."""

    description: str
    value: float
    low: float
    high: float
    seeds: int
    lower: float = -math.inf
    upper: float = math.inf
    role: str = PRIMARY

    @property
    def verdict(self) -> str:
        """`HOLDS` if the interval lies within the range, `FAILS` if it lies outside, else `UNDECIDED`."""
        if self.lower < self.low and self.high < self.upper:
            return HOLDS
        return FAILS if self.high <= self.lower or self.low >= self.upper else UNDECIDED

    @property
    def wanted(self) -> str:
        """Range of a comparison as text, such as "> 0.5"."""
        limits = [(">", self.lower), ("<", self.upper)]
        return " and ".join(f"{sign} {limit:g}" for sign, limit in limits if math.isfinite(limit)) or "any"


@dataclass(frozen=True)
class Claim:
    """A statement of a paper that results can confirm or refute.

    Attributes:
      name: letter in the list of claims (experiments/CHOICES.md); a variant has words after the letter.
      statement: the paper's statement, in our words.
      source: paper, section, figure.
      test: function from results to comparisons; raises `UserError` if the results lack the data it reads.
      would_decide: what it would take to decide an undecided claim.
    """

    name: str
    statement: str
    source: str
    test: Callable[[xr.Dataset], Sequence[Comparison]]
    would_decide: str


class Verdict(NamedTuple):
    """Outcome of a claim (`HOLDS`, `FAILS` or `UNDECIDED`), its comparisons, and the reason if it is undecided."""

    claim: Claim
    verdict: str
    comparisons: tuple[Comparison, ...]
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings; None for non-finite numbers."""
        return {
            "name": self.claim.name,
            "statement": self.claim.statement,
            "source": self.claim.source,
            "verdict": self.verdict,
            "reason": self.reason,
            "would_decide": self.claim.would_decide,
            "comparisons": [
                {
                    name: None if isinstance(value, float) and not math.isfinite(value) else value
                    for name, value in (comparison._asdict() | {"verdict": comparison.verdict}).items()
                }
                for comparison in self.comparisons
            ],
        }


def judge(claim: Claim, results: xr.Dataset) -> Verdict:
    """Test a claim on results.

    It fails if any primary comparison fails and holds if all of them hold. Otherwise, and if a precondition does not
    hold or the results lack the data that the test reads, it is undecided; the reason says why.
    """
    try:
        comparisons = tuple(claim.test(results))
    except UserError as error:
        return Verdict(claim, UNDECIDED, (), str(error))
    unmet = [each for each in comparisons if each.role == PRECONDITION and each.verdict != HOLDS]
    if unmet:
        return Verdict(claim, UNDECIDED, comparisons, f"needed first: {unmet[0].description} {unmet[0].wanted}")
    primary = [each for each in comparisons if each.role == PRIMARY]
    verdicts = [each.verdict for each in primary]
    if FAILS in verdicts:
        return Verdict(claim, FAILS, comparisons, "")
    if set(verdicts) == {HOLDS}:
        return Verdict(claim, HOLDS, comparisons, "")
    if all(each.seeds < 2 for each in primary):
        return Verdict(claim, UNDECIDED, comparisons, "one seed has no interval")
    return Verdict(claim, UNDECIDED, comparisons, "an interval reaches over its limit")


def compare(
    description: str,
    statistic: xr.DataArray,
    lower: float = -math.inf,
    upper: float = math.inf,
    role: str = PRIMARY,
    within: tuple[float, float] = (-math.inf, math.inf),
) -> Comparison:
    """Compare the mean over seeds of a statistic, with its bootstrap interval, to a range.

    Args:
      description: of the statistic.
      statistic: a value per seed; dims "seed", `RESAMPLE` or both. Without `RESAMPLE`, samples are not resampled.
      lower, upper: ends of the range, exclusive.
      role: `PRIMARY`, `PRECONDITION` or `CONTROL`.
      within: range of possible values, such as 0 to 1 for a fraction; the widened interval is clipped to it.

    Raises:
      UserError: if a measured value is missing, or the statistic has other dims.
    """
    if "seed" not in statistic.dims:
        statistic = statistic.expand_dims("seed")
    if RESAMPLE not in statistic.dims:
        statistic = statistic.expand_dims(RESAMPLE)
    left = set(statistic.dims) - {"seed", RESAMPLE}
    if left:
        raise UserError(f"one value of {' and of '.join(sorted(map(str, left)))} must be selected first")
    values = statistic.transpose(RESAMPLE, "seed").values.astype(float)
    if not np.isfinite(values[0]).all():
        raise UserError(f"no value of {description!r} for {np.count_nonzero(~np.isfinite(values[0]))} of the seeds")
    value, seeds = float(values[0].mean()), values.shape[1]
    if seeds < 2:
        return Comparison(description, value, -math.inf, math.inf, seeds, lower, upper, role)
    low, high = (float(end) for end in np.clip(interval(values), *within))
    return Comparison(description, value, low, high, seeds, lower, upper, role)


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as text: a line for each claim, followed by a line for each of its comparisons."""
    lines = []
    for verdict in verdicts:
        claim = verdict.claim
        lines.append(f"({claim.name}) {verdict.verdict.upper()}: {claim.statement} [{claim.source}]")
        for each in verdict.comparisons:
            role = "" if each.role == PRIMARY else f" ({each.role})"
            lines.append(f"    {numbers(each):<34} wanted {each.wanted:<18} {each.description}{role}")
        if verdict.verdict != HOLDS:
            reason = f"{verdict.reason}; " if verdict.reason else ""
            lines.append(f"    {reason}would decide it: {claim.would_decide}")
    return "\n".join(lines)


def numbers(comparison: Comparison) -> str:
    """Return value, interval and number of seeds as text, such as "0.31 [0.12, 0.40], 3 seeds"."""
    value, low, high, seeds = comparison.value, comparison.low, comparison.high, comparison.seeds
    ends = f"[{low:.3g}, {high:.3g}]" if math.isfinite(low) else "[no interval]"
    return f"{value:.3g} {ends}, {seeds} seed{'s' if seeds > 1 else ''}"


def write(verdicts: Sequence[Verdict], path: str | Path) -> None:
    """Write verdicts as JSON, atomically."""
    write_json(path, [verdict.to_json() for verdict in verdicts])
