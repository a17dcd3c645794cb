"""Simulated experiments: how often intervals cover the truth, and how often a true null is called an effect.

    python -m tests.support.simulation

prints the table of docs/claims.md: 4,000 experiments a cell; a quarter of an hour.
"""

from collections.abc import Callable, Iterator

import numpy as np
import xarray as xr

from diffgeo.claims import FAILS, HOLDS, Claim, compare, compare_accuracy, compare_seeds, judge, speed
from diffgeo.claims.claim import Comparison
from diffgeo.claims.intervals import share_resolution

SEEDS = (2, 3, 5, 8)
STEPS = np.arange(100, 2_001, 100)
LABELS = 128
Experiment = Callable[[np.random.Generator, int], Comparison]
"""(generator, seeds) -> a comparison of one simulated experiment."""


def over_seeds(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values, float), dims="seed")


def accuracy_curve(generator: np.random.Generator, half: float) -> np.ndarray:
    """Shares of right samples of 128 labels at each of `STEPS`, whose truth passes one half at step `half`."""
    truth = 1 / (1 + (STEPS / half) ** -4.0)
    return generator.binomial(LABELS, truth) / LABELS


def speed_contrast(generator: np.random.Generator, seeds: int, ratio: float) -> speed.Contrast:
    """log T50 of a slow model less that of a fast one, paired by the seed; T50 varies by 15 % over seeds."""
    halves = 400 * np.exp(0.15 * generator.normal(size=seeds))
    own = np.exp(0.1 * generator.normal(size=(2, seeds)))
    shares = [
        [accuracy_curve(generator, half * r * e) for r, e in zip((1, ratio), pair, strict=True)]
        for half, pair in zip(halves, own.T, strict=True)
    ]
    curves = xr.DataArray(shares, {"step": STEPS, "which": [0, 1]}, ["seed", "which", "step"])
    weights = xr.DataArray([-1.0, 1.0], {"which": [0, 1]}, ["which"])
    return speed.contrast(speed.half_times(curves), weights)


def normal(generator, seeds):
    return compare("mean", over_seeds(generator.normal(0.0, 1.0, seeds)), lower=0.0)


def skewed(generator, seeds):
    return compare("mean", over_seeds(generator.exponential(1.0, seeds) - 1.0), lower=0.0)


def at_the_margin(generator, seeds):
    return compare("mean", over_seeds(generator.normal(0.1, 0.05, seeds)), lower=-0.1, upper=0.1)


def accuracy(generator, seeds):
    shares = 1 / (1 + np.exp(-0.5 * generator.normal(size=seeds)))
    hits = generator.binomial(LABELS, shares) / LABELS
    return compare_accuracy("accuracy", over_seeds(hits), LABELS, lower=0.5)


def difference(generator, seeds):
    shares = 1 / (1 + np.exp(-0.5 * generator.normal(size=(2, seeds)) - 2.0))
    first, second = generator.binomial(LABELS, shares) / LABELS
    resolution = share_resolution(LABELS)
    return compare("difference", over_seeds(first - second), lower=0.0, resolution=resolution)


def near_all(generator, seeds):
    """Accuracy of 0.98 on 16 labels: often all are right in every seed."""
    hits = generator.binomial(16, 0.98, seeds) / 16
    return compare("accuracy", over_seeds(hits), lower=0.98, resolution=share_resolution(16))


def share(generator, seeds):
    return compare_seeds("seeds", over_seeds(generator.random(seeds) < 0.5), lower=0.5)


def speeds(generator, seeds):
    found = speed_contrast(generator, seeds, 1.0)
    return compare("log T50", found.values, lower=0.0, bounds=found.bounds)


TRUTH = {  # name -> (experiment, true value)
    "normal outcome, Student's t": (normal, 0.0),
    "skewed outcome (exponential), Student's t": (skewed, 0.0),
    "at the margin of equivalence, Student's t": (at_the_margin, 0.1),
    "accuracy 0.5, logits of 128 labels": (accuracy, 0.5),
    "difference of accuracies near 0.88": (difference, 0.0),
    "accuracy 0.98 on 16 labels": (near_all, 0.98),
    "share of seeds 0.5, Clopper-Pearson": (share, 0.5),
    "log T50 of two equal speeds": (speeds, 0.0),
}


def rates(experiment: Experiment, truth: float, seeds: int, count: int) -> tuple[float, float, float]:
    """Return the shares of experiments whose interval covers the truth, that hold, and that fail."""
    generator = np.random.default_rng([0, seeds])
    found = [experiment(generator, seeds) for _ in range(count)]
    covered = np.mean([one.low <= truth + 1e-12 and one.high >= truth - 1e-12 for one in found])
    return float(covered), *(float(np.mean([one.verdict == name for one in found])) for name in (HOLDS, FAILS))


def conjunction_fails(parts: int, seeds: int, count: int) -> float:
    """Return how often a claim of several parts, each true at its limit, is said to fail."""
    generator = np.random.default_rng([parts, seeds])
    failed = 0
    for _ in range(count):
        comparisons = [compare("part", over_seeds(generator.normal(0, 1, seeds)), lower=0.0) for _ in range(parts)]
        claim = Claim("z", "s", "p", lambda results, comparisons=comparisons: comparisons, "d")
        failed += judge(claim, xr.Dataset()).verdict == FAILS
    return failed / count


def table(count: int = 4_000) -> Iterator[str]:
    """Yield the rates of every rule as lines of Markdown."""
    yield "| rule, null that is true | " + " | ".join(f"S = {seeds}" for seeds in SEEDS) + " |"
    yield "|---|" + "---|" * len(SEEDS)
    for name, (experiment, truth) in TRUTH.items():
        cells = []
        for seeds in SEEDS:
            covered, holds, fails = rates(experiment, truth, seeds, count)
            warning = " (!)" if covered < 0.9 else ""
            cells.append(f"{100 * covered:.1f}{warning}, {100 * holds:.1f}, {100 * fails:.1f}")
        yield f"| {name} | " + " | ".join(cells) + " |"
    cells = [f"-, -, {100 * conjunction_fails(6, seeds, count):.1f}" for seeds in SEEDS]
    yield "| six parts, each at its limit | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    for line in table():
        print(line, flush=True)
