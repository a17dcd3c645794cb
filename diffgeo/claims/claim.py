"""Claims of the papers as tests on results, and their verdicts. Host code: needs no JAX and no checkpoint.

A claim's test makes comparisons: numbers with an interval, each to lie in a range that the claim names. The interval
is a percentile bootstrap of 95 % over seeds and samples together: seeds are drawn with replacement, and the outcomes
of each seed's samples at each evaluation anew. A bootstrap over S seeds is too narrow by sqrt((S - 1) / S), so
deviations from the measured value are widened by the inverse. With 2 or 3 seeds it is still narrower than Student's
interval, which at 2 seeds would be 13 standard errors; a single seed decides nothing. Verdicts use all seeds, never
the best.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import xarray as xr

from diffgeo.claims.intervals import RESAMPLE, interval
from diffgeo.errors import UserError
from diffgeo.host.files import write_json

HOLDS, FAILS, UNDECIDED = "holds", "fails", "not decided at this scale"
PRIMARY, PRECONDITION, CONTROL = "primary", "precondition", "control"
"""Roles of a comparison: the claim depends on it; without it the claim is empty (nothing has been learned, say); it is
printed beside the others, for the reader."""


class Comparison(NamedTuple):
    """A number, its interval, and the open range (lower, upper) that it should lie in."""

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
        """The range as text."""
        limits = [(">", self.lower), ("<", self.upper)]
        return " and ".join(f"{sign} {limit:g}" for sign, limit in limits if math.isfinite(limit)) or "any"


@dataclass(frozen=True)
class Claim:
    """A statement of a paper that results can confirm or refute.

    Attributes:
      name: its letter in the list of claims (experiments/CHOICES.md), with words behind it for a variant.
      statement: the paper's statement, in our words.
      source: paper, section, figure.
      test: from the results to comparisons; raises `UserError` if the results lack what it needs.
      would_decide: what it would take to decide an undecided claim.
    """

    name: str
    statement: str
    source: str
    test: Callable[[xr.Dataset], Sequence[Comparison]]
    would_decide: str


class Verdict(NamedTuple):
    """A claim's outcome: one of `HOLDS`, `FAILS`, `UNDECIDED`, on what, and why if it is not decided."""

    claim: Claim
    verdict: str
    comparisons: tuple[Comparison, ...]
    reason: str

    def to_json(self) -> dict:
        """Return plain dicts, lists, numbers and strings; None for what is not finite."""
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
                    for name, value in (one._asdict() | {"verdict": one.verdict}).items()
                }
                for one in self.comparisons
            ],
        }


def judge(claim: Claim, results: xr.Dataset) -> Verdict:
    """Test a claim on results.

    It fails if any deciding comparison does, and holds if all do. It is undecided between the two, without what it
    needs, or if the results do not hold what the test reads: the reason says which.
    """
    try:
        comparisons = tuple(claim.test(results))
    except UserError as error:
        return Verdict(claim, UNDECIDED, (), str(error))
    missing = [one for one in comparisons if one.role == PRECONDITION and one.verdict != HOLDS]
    if missing:
        return Verdict(claim, UNDECIDED, comparisons, f"needed first: {missing[0].description} {missing[0].wanted}")
    deciding = [one for one in comparisons if one.role == PRIMARY]
    verdicts = [one.verdict for one in deciding]
    if FAILS in verdicts:
        return Verdict(claim, FAILS, comparisons, "")
    if set(verdicts) == {HOLDS}:
        return Verdict(claim, HOLDS, comparisons, "")
    if all(one.seeds < 2 for one in deciding):
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
    """Compare the mean over seeds of a statistic with a range, with its bootstrap interval.

    Args:
      description: of the number.
      statistic: one value per seed; dims "seed", `RESAMPLE` or both. Without `RESAMPLE`, samples are not resampled.
      lower, upper: the range wanted, exclusive.
      role: `PRIMARY`, `PRECONDITION` or `CONTROL`.
      within: what the statistic can be, as 0 to 1 for a share; the widened interval ends there.

    Raises:
      UserError: if a measured value is missing, or other dims are left.
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
    """Return the verdicts as lines of text: a claim, its verdict, and its comparisons below."""
    lines = []
    for one in verdicts:
        lines.append(f"({one.claim.name}) {one.verdict.upper()}: {one.claim.statement} [{one.claim.source}]")
        for part in one.comparisons:
            role = "" if part.role == PRIMARY else f" ({part.role})"
            lines.append(f"    {numbers(part):<34} wanted {part.wanted:<18} {part.description}{role}")
        if one.verdict != HOLDS:
            reason = f"{one.reason}; " if one.reason else ""
            lines.append(f"    {reason}would decide it: {one.claim.would_decide}")
    return "\n".join(lines)


def numbers(part: Comparison) -> str:
    """Return a comparison's value, interval and seeds, as "0.31 [0.12, 0.40], 3 seeds"."""
    ends = f"[{part.low:.3g}, {part.high:.3g}]" if math.isfinite(part.low) else "[no interval]"
    return f"{part.value:.3g} {ends}, {part.seeds} seed{'s' if part.seeds > 1 else ''}"


def write(verdicts: Sequence[Verdict], path: str | Path) -> None:
    """Store verdicts as JSON, by one rename."""
    write_json(path, [one.to_json() for one in verdicts])
