"""Every claim on made-up results where it must hold, must fail, and must be undecided."""

import json
import math

import numpy as np
import pytest

import experiments
from diffgeo import claims
from diffgeo.claims import CONTROL, FAILS, HOLDS, UNDECIDED, judge, p2
from tests.support.claims import CASES, TRUE, TWO_D, by_part, flat, rising
from tests.support.results import made_up


def claim_of(name, letter):
    return next(one for one in experiments.find(name).claims if one.name == letter)


def mixed(one, other):
    """The first in seed 0, the other in seed 1."""

    def pick(first, second):
        return lambda at, *more: (first, second)[at["seed"]](at, *more)

    (score_a, measures_a), (score_b, measures_b) = one, other
    measures = {name: pick(function, measures_b[name]) for name, function in dict(measures_a).items()}
    return pick(score_a, score_b), measures


def test_every_claim_of_every_experiment_is_tested_here():
    declared = {(name, claim.name) for name in experiments.names() for claim in experiments.find(name).claims}
    assert declared == set(CASES)
    letters = {name.split(",")[0] for _, name in declared}
    assert letters == set("abcdefghijklmnop")


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(case).replace(" ", "_"))
def test_each_claim_holds_fails_and_is_undecided(case):
    claim = claim_of(*case)
    holds, fails = CASES[case]
    held, failed = (judge(claim, made_up(case[0], *one)) for one in (holds, fails))
    assert held.verdict == HOLDS, claims.table([held])
    assert failed.verdict == FAILS, claims.table([failed])
    open_ = judge(claim, made_up(case[0], *mixed(holds, fails), seeds=(0, 1)))
    assert (open_.verdict, open_.reason) == (UNDECIDED, "an interval reaches over its limit"), claims.table([open_])
    single = judge(claim, made_up(case[0], *holds, seeds=(0,)))
    assert single.verdict == UNDECIDED
    assert single.comparisons == () or any(math.isinf(one.low) for one in single.comparisons)


@pytest.mark.parametrize(
    ("case", "low"),
    [
        (("p1_fig4", "c"), lambda at, t, region: 0.1 * t ** at["increment"]),
        (("p1_fig9", "f"), flat(0.01)),
        (("p2_fig4", "j"), by_part(TWO_D | {("2d", "id"): 0.1})),
        (("p2_fig11", "m"), flat(0.02)),
        (("p2_fig12", "o"), flat(0.02)),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, tuple) else "",
)
def test_without_learning_nothing_is_decided(case, low):
    verdict = judge(claim_of(*case), made_up(case[0], low))
    assert verdict.verdict == UNDECIDED
    assert verdict.reason.startswith("needed first: ")


def test_unfinished_or_unanalysed_runs_decide_nothing():
    unfinished = made_up("p1_fig4", rising)
    unfinished["accuracy"][{"step": -1, "seed": 0, "increment": 1}] = np.nan
    verdict = judge(claim_of("p1_fig4", "c"), unfinished)
    assert verdict.verdict == UNDECIDED
    assert "1 of 117 evaluations are missing" in verdict.reason
    verdict = judge(claim_of("p2_fig2", "g"), made_up("p2_fig2", rising))
    assert verdict.verdict == UNDECIDED
    assert "'betti' are missing" in verdict.reason
    verdict = judge(claim_of("p2_fig2", "g"), made_up("p1_fig4", rising))
    assert "'betti' was not measured" in verdict.reason


def test_controls_are_told_and_do_not_decide():
    only_model = {"betti": lambda at, t, tensor: TRUE if tensor == "layer4" and t == 1 else (1, 0, 0)}
    verdict = judge(claim_of("p2_fig2", "g"), made_up("p2_fig2", rising, only_model))
    assert verdict.verdict == HOLDS
    assert [one.value for one in verdict.comparisons if one.role == CONTROL] == [0, 0]


def test_one_seed_that_disagrees_is_not_outvoted_by_the_best():
    bad = made_up("p1_fig9", lambda at, t, region: 0.95 if region != "ood" or at["seed"] else 0.2)
    assert judge(claim_of("p1_fig9", "f"), bad).verdict == UNDECIDED


def test_verdicts_are_told_and_stored(tmp_path):
    found = made_up("p2_fig4", by_part(TWO_D))
    verdicts = [judge(claim, found) for claim in experiments.find("p2_fig4").claims]
    text = claims.table(verdicts)
    assert "(j) HOLDS: the 2D model is right in the coordinate" in text
    assert "(l) FAILS" in text
    assert "would decide it: more seeds, longer training of the 1D models" in text
    claims.write(verdicts, tmp_path / "claims.json")
    stored = json.loads((tmp_path / "claims.json").read_text())
    assert [one["verdict"] for one in stored] == [one.verdict for one in verdicts]
    first = stored[0]["comparisons"][1]
    assert first["description"] == "2D model, horizontal part: accuracy of x less y"
    assert first["value"] == pytest.approx(0.75, abs=1e-6)
    assert first["upper"] is None
    assert first["low"] < 0.75 < first["high"]


def test_names_of_data_sets_are_those_of_the_experiments():
    assert set(experiments.find("p2_fig4").settings("laptop").axes["dataset"]) == {
        p2.ONE_D,
        p2.TWO_D,
        p2.BOTH,
        p2.RIM,
    }
