"""Claims of the papers as tests on results, and their verdicts. Host code: needs no JAX and no checkpoint.

A claim's test returns comparisons: numbers with intervals, each of which must lie in a range stated by the claim. The
seed is the unit: intervals are 95 % intervals of Student's t over seeds, exact ones for shares of seeds
(`diffgeo.claims.intervals`). Verdicts use all seeds, never the best. "No effect" is an interval that lies within a
stated margin, never one that merely holds zero. p-values are doubled one-sided ones, so that p <= 0.05 exactly where
the 95 % interval lies in the range.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr

from diffgeo.claims import rules
from diffgeo.claims.intervals import LEVEL, interval, logits, share_interval, share_resolution, share_tail, tail
from diffgeo.errors import UserError, require
from diffgeo.host.files import write_json
from diffgeo.settings.allowed import NEVER

HOLDS, FAILS, UNDECIDED = "holds", "fails", "not decided at this scale"
PRIMARY, PRECONDITION, BASELINE, CONTROL = "primary", "precondition", "baseline", "control"
"""Roles of a comparison: the claim depends on it; it must hold before the claim can be tested (the model has learned,
say); it must hold for the claim to be told from something that learns nothing; it is only reported."""


YOUNGER = "judged by rules that are younger than the run"


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
    p: float = 1.0
    """Doubled p-value of the value lying in the range."""
    p_against: float = 1.0
    """Doubled p-value of the value lying outside the range."""
    note: str = ""
    """For a baseline, what the claim is not told from where it does not hold; else why there is no value."""

    @property
    def verdict(self) -> str:
        """`HOLDS` if the interval lies within the range, `FAILS` if it lies outside, else `UNDECIDED`."""
        above = self.lower == -math.inf or self.lower < self.low
        if above and (self.upper == math.inf or self.high < self.upper):
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

    The docstring of `test` quotes the sentence that it tests, and names the statistic, the baseline and what would
    refute it: docs/claims.md is made of it.

    Attributes:
      name: letter in the list of claims (experiments/CHOICES.md); a variant has words after the letter.
      statement: what "holds" says: the paper's statement as far as the test goes, and no further.
      source: paper, section, figure.
      test: function from results to comparisons; raises `UserError` if the results lack the data it reads.
      would_decide: what it would take to decide an undecided claim.
      qualified: the verdict's words where the claim holds but a baseline does; without them such a claim is undecided.

    >>> def learned(results):
    ...     return [compare("last accuracy", results.accuracy.isel(step=-1), lower=0.5)]
    >>> Claim("z", "models learn", "our own", learned, would_decide="more seeds").statement
    'models learn'
    """

    name: str
    statement: str
    source: str
    test: Callable[[xr.Dataset], Sequence[Comparison]]
    would_decide: str
    qualified: str = ""

    @property
    def rule(self) -> str:
        """Digest of all that makes its verdict from results, see `rules.digest`."""
        return rules.digest(self.statement + self.qualified, self.test, _decide)


class Verdict(NamedTuple):
    """Outcome of a claim (`HOLDS`, `FAILS` or `UNDECIDED`), its comparisons, and the reason or qualification."""

    claim: Claim
    verdict: str
    comparisons: tuple[Comparison, ...]
    reason: str
    younger: bool = False
    """Whether the rule is another than that of the version that started the run, or the run stored none."""

    @property
    def p(self) -> float:
        """Doubled p-value of the claim: the largest of its primary comparisons; 1 without any."""
        return max((each.p for each in self.comparisons if each.role == PRIMARY), default=1.0)

    def to_json(self) -> dict[str, Any]:
        """Return plain dicts, lists, numbers and strings; None for non-finite numbers."""
        return {
            "name": self.claim.name,
            "statement": self.claim.statement,
            "source": self.claim.source,
            "verdict": self.verdict,
            "p": self.p,
            "reason": self.reason,
            "rule_is_younger_than_run": self.younger,
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

    It is undecided if a precondition does not hold. It fails if a primary comparison does at a level of 5 % shared
    among all of them, and holds if all of them hold and every baseline does. Otherwise, and if the results lack the
    data that the test reads, it is undecided; the reason says why.

    A seed of which a model stopped because its loss was no longer finite is left out, with its other models, so that
    cells stay balanced; the reason names it.

    Args:
      claim: of a paper, or one's own.
      results: of one run, as `load(DIR).results`.

    >>> import xarray as xr
    >>> def learned(results):
    ...     return [compare("last accuracy", results.accuracy.isel(step=-1), lower=0.5)]
    >>> accuracy = xr.DataArray([[0.1, 0.90], [0.0, 0.94], [0.1, 0.92]], dims=("seed", "step"))
    >>> judge(Claim("z", "models learn", "our own", learned, "more seeds"), xr.Dataset({"accuracy": accuracy})).verdict
    'holds'
    """
    kept, left_out = _without_stopped(results)
    try:
        require(kept.sizes.get("seed", 1) > 0, "no seed is left")
        verdict = _decide(claim, tuple(claim.test(kept)))
    except UserError as error:
        verdict = Verdict(claim, UNDECIDED, (), str(error))
    reason = "; ".join(filter(None, (left_out, verdict.reason)))
    return verdict._replace(reason=reason, younger=rules.is_younger(claim, results.attrs))


def _without_stopped(results: xr.Dataset) -> tuple[xr.Dataset, str]:
    """Return results without the seeds of which a model stopped, and words that name them, or ""."""
    if "seed" not in results.dims or "nonfinite_step" not in results:
        return results, ""
    steps = results["nonfinite_step"]
    stopped = (steps != NEVER).any([dim for dim in steps.dims if dim != "seed"]).values
    seeds = ", ".join(map(str, results["seed"].values[stopped]))
    if not stopped.any():
        return results, ""
    return results.isel(seed=~stopped), f"without seed {seeds}: a model's loss was no longer finite"


def _decide(claim: Claim, comparisons: tuple[Comparison, ...]) -> Verdict:
    unmet = [each for each in comparisons if each.role == PRECONDITION and each.verdict != HOLDS]
    if unmet:
        return Verdict(claim, UNDECIDED, comparisons, f"needed first: {unmet[0].description} {unmet[0].wanted}")
    primary = [each for each in comparisons if each.role == PRIMARY]
    # with k parts, each of which may wrongly fail in 2.5 %, a true conjunction would fail k times as often
    if min((each.p_against for each in primary), default=1.0) * len(primary) <= 1 - LEVEL:
        return Verdict(claim, FAILS, comparisons, "")
    lacking = [each for each in primary if math.isnan(each.value)]
    if lacking:
        return Verdict(claim, UNDECIDED, comparisons, lacking[0].note)
    if all(each.seeds < 2 for each in primary):
        return Verdict(claim, UNDECIDED, comparisons, "one seed has no interval")
    if any(each.verdict != HOLDS for each in primary):
        return Verdict(claim, UNDECIDED, comparisons, "an interval reaches over its limit")
    baselines = [each for each in comparisons if each.role == BASELINE]
    untold = [each for each in baselines if each.verdict != HOLDS and not math.isnan(each.value)]
    if untold and claim.qualified:
        return Verdict(claim, HOLDS, comparisons, claim.qualified)
    if untold:
        return Verdict(claim, UNDECIDED, comparisons, f"not told from {untold[0].note}")
    lacking = [each for each in baselines if math.isnan(each.value)]
    if lacking:
        return Verdict(claim, UNDECIDED, comparisons, lacking[0].note)
    return Verdict(claim, HOLDS, comparisons, "")


def compare(
    description: str,
    statistic: xr.DataArray,
    lower: float = -math.inf,
    upper: float = math.inf,
    role: str = PRIMARY,
    resolution: float = 0.0,
    bounds: tuple[bool, bool] = (False, False),
) -> Comparison:
    """Compare the mean over seeds of a statistic, with Student's interval, to a range.

    Args:
      description: of the statistic.
      statistic: a value per seed; dim "seed", or a single value.
      lower, upper: ends of the range, exclusive.
      role: `PRIMARY`, `PRECONDITION`, `BASELINE` or `CONTROL`.
      resolution: as for `interval`.
      bounds: whether some of the values are upper bounds, and whether some are lower bounds, of what was to be
        measured (a model that did not learn before training ended): the interval is open on that side.

    Raises:
      UserError: if a value is missing, or the statistic has other dims.

    >>> import xarray as xr
    >>> found = compare("accuracy", xr.DataArray([0.90, 0.94, 0.92], dims="seed"), lower=0.5)
    >>> f"{found.value:.2f} ({found.low:.2f} to {found.high:.2f})", found.verdict
    ('0.92 (0.87 to 0.97)', 'holds')
    """
    values = _per_seed(description, statistic)
    low, high = interval(values, resolution=resolution)
    above, below = (tail(values, limit, resolution) for limit in (lower, upper))
    comparison = Comparison(description, float(values.mean()), low, high, len(values), lower, upper, role)
    return _bounded(_with_p(comparison, max(above, 1 - below), min(1 - above, below)), *bounds)


def compare_accuracy(
    description: str,
    shares: xr.DataArray,
    labels: int,
    lower: float = -math.inf,
    upper: float = math.inf,
    role: str = PRIMARY,
) -> Comparison:
    """Compare an accuracy to a range: logits of each seed's hits over common labels, with Student's interval.

    The value is the share at the mean logit, half a hit and half a miss added to each seed's.

    Args:
      description, role: as for `compare`.
      shares: a share of right samples per seed; dim "seed", or a single value.
      labels: n, the number of samples that each share is of.
      lower, upper: ends of the range, exclusive; shares.

    Raises:
      UserError: as `compare`.
    """
    values = logits(_per_seed(description, shares), labels)
    middle = 1 / (1 + math.exp(-float(values.mean())))
    resolution = share_resolution(labels + 1) / (middle * (1 - middle))  # on logits, at this share

    def on_logits(limit: float) -> float:
        if limit <= 0:
            return -math.inf
        return math.inf if limit >= 1 else math.log(limit / (1 - limit))

    low, high = (1 / (1 + math.exp(-end)) for end in np.clip(interval(values, resolution=resolution), -700, 700))
    above, below = (tail(values, on_logits(limit), resolution) for limit in (lower, upper))
    if len(values) < 2:
        low, high = -math.inf, math.inf
    comparison = Comparison(description, middle, low, high, len(values), lower, upper, role)
    return _with_p(comparison, max(above, 1 - below), min(1 - above, below))


def compare_seeds(
    description: str,
    agree: xr.DataArray,
    lower: float = -math.inf,
    upper: float = math.inf,
    role: str = PRIMARY,
) -> Comparison:
    """Compare the share of seeds of which something is true to a range, with its exact interval.

    Args:
      description, lower, upper, role: as for `compare_accuracy`.
      agree: 1 where it is true of a seed, else 0; dim "seed", or a single value.

    Raises:
      UserError: as `compare`.
    """
    values = _per_seed(description, agree)
    hits, count = round(float(values.sum())), len(values)
    low, high = share_interval(hits, count)
    comparison = Comparison(description, hits / count, low, high, count, lower, upper, role)
    misses = count - hits
    inside = max(share_tail(hits, count, lower), share_tail(misses, count, 1 - upper))
    return _with_p(comparison, inside, min(share_tail(misses, count, 1 - lower), share_tail(hits, count, upper)))


def unmeasured(description: str, name: str, role: str = PRIMARY) -> Comparison:
    """Return a comparison without a value: what it reads was not measured in this run."""
    return Comparison(
        description, math.nan, -math.inf, math.inf, 0, role=role, note=f"not measured in this run: {name}"
    )


def _per_seed(description: str, statistic: xr.DataArray) -> np.ndarray:
    left = set(statistic.dims) - {"seed"}
    if left:
        raise UserError(f"one value of {' and of '.join(sorted(map(str, left)))} must be selected first")
    values = np.atleast_1d(statistic.values.astype(float))
    if not np.isfinite(values).all():
        raise UserError(f"no value of {description!r} for {np.count_nonzero(~np.isfinite(values))} of the seeds")
    return values


def _with_p(comparison: Comparison, inside: float, outside: float) -> Comparison:
    """Return a comparison with p-values from the one-sided ones of lying in the range and of lying outside."""
    if comparison.seeds < 2:
        return comparison
    return comparison._replace(p=min(1.0, 2 * inside), p_against=min(1.0, 2 * outside))


def _bounded(comparison: Comparison, at_most: bool, at_least: bool) -> Comparison:
    """Return a comparison whose interval is open where values are bounds."""
    low, high = (-math.inf if at_most else comparison.low), (math.inf if at_least else comparison.high)
    open_ = comparison._replace(low=low, high=high)
    return open_._replace(
        p=comparison.p if open_.verdict == comparison.verdict else 1.0,
        p_against=comparison.p_against if open_.verdict == comparison.verdict else 1.0,
    )


def table(verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts as text: a line for each claim, followed by a line for each of its comparisons."""
    lines = []
    for verdict in verdicts:
        claim = verdict.claim
        p = f" (p = {verdict.p:.2g})" if verdict.verdict == HOLDS else ""
        lines.append(f"({claim.name}) {verdict.verdict.upper()}{p}: {claim.statement} [{claim.source}]")
        for each in verdict.comparisons:
            role = "" if each.role == PRIMARY else f" ({each.role})"
            lines.append(f"    {numbers(each):<34} wanted {each.wanted:<18} {each.description}{role}")
        if verdict.verdict == HOLDS and verdict.reason:
            lines.append(f"    {verdict.reason}")
        if verdict.verdict != HOLDS:
            reason = f"{verdict.reason}; " if verdict.reason else ""
            lines.append(f"    {reason}would decide it: {claim.would_decide}")
    if younger := [f"({verdict.claim.name})" for verdict in verdicts if verdict.younger]:
        lines.append(f"{YOUNGER}: {', '.join(younger)}")
    return "\n".join(lines)


def numbers(comparison: Comparison) -> str:
    """Return value, interval and number of seeds as text, such as "0.31 [0.12, 0.40], 3 seeds"."""
    value, low, high, seeds = comparison.value, comparison.low, comparison.high, comparison.seeds
    if math.isnan(value):
        return "not measured"
    ends = f"[{low:.3g}, {high:.3g}]" if math.isfinite(low) or math.isfinite(high) else "[no interval]"
    return f"{value:.3g} {ends}, {seeds} seed{'s' if seeds > 1 else ''}"


def write(verdicts: Sequence[Verdict], path: str | Path) -> None:
    """Write verdicts as JSON, atomically."""
    write_json(path, [verdict.to_json() for verdict in verdicts])
