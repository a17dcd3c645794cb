"""What a verdict is made of: a comparison with its interval and range, and the roles of a claim's comparisons."""

import math

import numpy as np
import pytest
import xarray as xr

from diffgeo.claims import (
    BASELINE,
    CONTROL,
    FAILS,
    HOLDS,
    PRECONDITION,
    UNDECIDED,
    Claim,
    Comparison,
    compare,
    compare_accuracy,
    compare_seeds,
    judge,
    unmeasured,
)
from diffgeo.errors import UserError
from diffgeo.settings.allowed import NEVER
from tests.support.simulation import over_seeds


def verdict(*comparisons, qualified=""):
    claim = Claim("z", "s", "p", lambda results: comparisons, "d", qualified)
    return judge(claim, xr.Dataset())


@pytest.mark.parametrize(
    ("ends", "limits", "expected"),
    [
        ((0.1, 0.3), (0.0, math.inf), HOLDS),
        ((-0.3, -0.1), (0.0, math.inf), FAILS),
        ((-0.1, 0.1), (0.0, math.inf), UNDECIDED),
        ((-0.1, 0.1), (-0.2, 0.2), HOLDS),
        ((0.2, 0.4), (-0.2, 0.2), FAILS),
        ((-0.3, 0.1), (-0.2, 0.2), UNDECIDED),
        ((-math.inf, math.inf), (0.0, math.inf), UNDECIDED),
        ((0.1, math.inf), (0.0, math.inf), HOLDS),
        ((0.1, math.inf), (0.0, 0.2), UNDECIDED),
    ],
)
def test_verdict_of_a_comparison(ends, limits, expected):
    assert Comparison("w", sum(ends) / 2, *ends, 3, *limits).verdict == expected


def test_p_values_agree_with_verdicts():
    generator = np.random.default_rng(0)
    for _ in range(300):
        center, seeds = generator.normal(), int(generator.integers(2, 6))
        values = over_seeds(center + generator.normal(size=seeds))
        for limits in ((0.0, math.inf), (-math.inf, 0.5), (-0.8, 0.8)):
            found = compare("w", values, *limits)
            assert (found.verdict == HOLDS) == (found.p <= 0.05)
            assert (found.verdict == FAILS) == (found.p_against <= 0.05)
        hits = over_seeds((center + generator.normal(size=seeds) > 0).astype(float))
        share = compare_seeds("w", hits, lower=0.2)
        assert (share.verdict == HOLDS) == (share.p <= 0.05)
        assert (share.verdict == FAILS) == (share.p_against <= 0.05)


def test_verdict_of_a_claim():
    good, bad, split = (over_seeds(values) for values in ([1.0, 1.0, 1.1], [-1.0, -1.0, -1.1], [1.0, -1.0, 0.0]))
    holds, fails, open_ = (compare("w", values, lower=0.0) for values in (good, bad, split))
    assert verdict(holds, holds).verdict == HOLDS
    assert verdict(holds, fails).verdict == FAILS
    assert verdict(open_, fails).verdict == FAILS
    assert verdict(holds, open_).verdict == UNDECIDED
    assert verdict(holds, fails._replace(role=CONTROL)).verdict == HOLDS
    assert verdict(fails, holds._replace(role=PRECONDITION)).verdict == FAILS
    for lacking in (fails, open_):
        assert verdict(fails, lacking._replace(role=PRECONDITION)).verdict == UNDECIDED
    assert verdict(holds, compare("w", good, lower=0.5)).p == pytest.approx(compare("w", good, lower=0.5).p)
    with pytest.raises(UserError, match="'w' for 1 of the seeds"):
        compare("w", over_seeds([1.0, np.nan]))
    with pytest.raises(UserError, match="one value of sigma"):
        compare("w", xr.DataArray(np.zeros((2, 3)), dims=["sigma", "seed"]))


def test_a_claim_must_be_told_from_its_baseline():
    good, split = over_seeds([1.0, 1.0, 1.1]), over_seeds([1.0, -1.0, 0.0])
    holds = compare("w", good, lower=0.0)
    told = compare("b", good, lower=0.0, role=BASELINE)._replace(note="copying")
    untold = compare("b", split, lower=0.0, role=BASELINE)._replace(note="copying")
    assert verdict(holds, told).verdict == HOLDS
    assert verdict(holds, untold)[1:4:2] == (UNDECIDED, "not told from copying")
    assert verdict(holds, untold, qualified="may be copying")[1:4:2] == (HOLDS, "may be copying")


def test_what_was_not_measured_is_named_unless_another_part_fails():
    good, bad = over_seeds([1.0, 1.0, 1.1]), over_seeds([-1.0, -1.0, -1.1])
    lacking = unmeasured("w", "validation loss")
    found = verdict(compare("w", good, lower=0.0), lacking)
    assert (found.verdict, found.reason) == (UNDECIDED, "not measured in this run: validation loss")
    assert verdict(compare("w", bad, lower=0.0), lacking).verdict == FAILS


def test_bounds_open_the_interval():
    values = over_seeds([1.0, 1.0, 1.1])
    at_least = compare("w", values, lower=0.0, upper=2.0, bounds=(False, True))
    assert (at_least.high, at_least.verdict, at_least.p) == (math.inf, UNDECIDED, 1.0)
    assert compare("w", values, lower=0.0, bounds=(False, True)).verdict == HOLDS
    assert compare("w", values, upper=0.5, bounds=(False, True)).verdict == FAILS
    assert compare("w", values, upper=0.5, bounds=(True, False)).verdict == UNDECIDED


def test_accuracies_are_compared_on_logits():
    found = compare_accuracy("w", over_seeds([0.99, 0.9, 0.98]), 100, lower=0.5)
    assert 0.5 < found.low < found.value < found.high < 1
    logits = np.log((np.array([99, 90, 98]) + 0.5) / (np.array([1, 10, 2]) + 0.5))
    assert found.value == pytest.approx(1 / (1 + np.exp(-logits.mean())))
    assert compare_accuracy("w", over_seeds([1.0, 1.0, 1.0]), 100, lower=0.5).high < 1


def test_a_seed_of_a_model_that_stopped_is_left_out_and_named():
    accuracy = xr.DataArray([[0.9, 0.9], [0.1, 0.9], [0.92, 0.91], [0.91, 0.93]], dims=("seed", "increment"))
    steps = xr.DataArray(np.full((4, 2), NEVER), dims=("seed", "increment"))
    results = xr.Dataset({"accuracy": accuracy, "nonfinite_step": steps}, {"seed": [3, 5, 7, 8]})
    claim = Claim(
        "z", "s", "o", lambda found: [compare("accuracy", found.accuracy.mean("increment"), lower=0.7)], "more seeds"
    )
    assert judge(claim, results).verdict == UNDECIDED
    steps.values[1, 0] = 20
    verdict = judge(claim, results)
    assert verdict.verdict == HOLDS
    assert verdict.comparisons[0].seeds == 3
    assert verdict.reason == "without seed 5: a model's loss was no longer finite"
    assert judge(claim, results.drop_vars("nonfinite_step")).verdict == UNDECIDED
    steps.values[:] = 20
    assert judge(claim, results).reason.endswith("; no seed is left")
