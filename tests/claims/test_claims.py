"""Every claim on made-up results where it must hold, must fail, and must be undecided."""

import json
import math

import numpy as np
import pytest
import xarray as xr

import experiments
from diffgeo import claims
from diffgeo.claims import CONTROL, FAILS, HOLDS, UNDECIDED, judge
from tests.support.claims import (
    CASES,
    CLEARER,
    LATER,
    SEEN_ONLY,
    TORUS,
    Made,
    ahead_of_pixels,
    by,
    copying,
    diagrams,
    flat,
    half_at,
    in_hole,
    literal,
    mixed,
    perfect,
    probes,
    right,
    rings,
    rising,
    sheets,
)
from tests.support.claims_beyond import BEYOND
from tests.support.results import made_up, with_common

ALL_CASES = CASES | BEYOND

LOSSES = ("p2_fig6", "p, losses")


def claim_of(name, letter):
    return next(one for one in experiments.find(name).claims if one.name == letter)


def verdict_of(case, made, seeds=(0, 1, 2, 3)):
    return judge(claim_of(*case), made_up(case[0], made.score, made.measures, seeds, draw=made.draw))


def name_of(case):
    return "-".join(case).replace(" ", "_")


def test_every_claim_of_every_experiment_is_tested_here():
    declared = {(name, claim.name) for name in experiments.names() for claim in experiments.find(name).claims}
    assert declared == {*ALL_CASES, *LATER, LOSSES}
    letters = {case[1].split(",")[0] for case in declared - set(BEYOND)}
    assert letters == set("abcdefghijklmnop")


@pytest.mark.parametrize("case", ALL_CASES, ids=name_of)
def test_each_claim_holds_fails_and_is_undecided(case):
    holds, fails = ALL_CASES[case]
    held = verdict_of(case, holds)
    assert held.verdict == HOLDS, claims.table([held])
    assert held.p <= 0.05
    single = verdict_of(case, holds, seeds=(0,))
    assert single.verdict == UNDECIDED
    if fails is None:
        return
    failed = verdict_of(case, fails)
    assert failed.verdict == FAILS, claims.table([failed])
    open_ = verdict_of(case, mixed(holds, fails), seeds=(0, 1))
    assert open_.verdict == UNDECIDED, claims.table([open_])


@pytest.mark.parametrize("case", LATER, ids=name_of)
def test_what_was_not_measured_is_named(case):
    verdict = verdict_of(case, LATER[case])
    assert verdict.verdict == UNDECIDED
    assert verdict.reason.startswith("not measured in this run: ")


def slow_where(axis):
    """Accuracy on common labels that passes one half later at larger values of an axis."""
    return lambda at, t: half_at(lambda at: 0.3 * at[axis] ** 0.5)(at, t, None)


def test_common_labels_decide_what_depends_on_speed():
    found = made_up("p1_fig4", half_at(lambda at: 0.3), seeds=(0, 1, 2, 3))
    for score, verdict in (
        (slow_where("increment"), HOLDS),
        (lambda at, t: slow_where("increment")({"increment": 1 / at["increment"]}, t), FAILS),
        (lambda at, t: slow_where("increment")({"increment": 0.7}, t), FAILS),  # no effect is none of interest
    ):
        judged = judge(claim_of("p1_fig4", "c"), with_common(found, score))
        assert judged.verdict == verdict, claims.table([judged])


def test_an_effect_of_the_read_out_alone_is_told_from_one_of_the_drawing():
    claim, slow = claim_of("p1_fig4", "c, as read"), half_at(lambda at: 0.3 * at["increment"] ** 0.5)
    same = half_at(lambda at: 0.3)
    for read, finer, verdict, reason in (
        (slow, slow, HOLDS, ""),
        (slow, same, UNDECIDED, "not told from a read-out that favors dense labels"),
        (same, same, FAILS, ""),
    ):
        found = with_common(made_up("p1_fig4", read, seeds=(0, 1, 2, 3)), lambda at, t: 0.5)
        scored = with_common(made_up("p1_fig4", finer, seeds=(0, 1, 2, 3)), lambda at, t: 0.5)
        for name in ("accuracy", "accuracy_x", "accuracy_y"):
            found[name] = xr.where(found["readout"] == "subpixel", scored[name], found[name])
        judged = judge(claim, found)
        assert (judged.verdict, judged.reason) == (verdict, reason), claims.table([judged])


def test_coordinates_are_compared_on_common_labels():
    found = made_up("p1_fig5", rising, probes(0.9, 0.9), seeds=(0, 1, 2, 3))
    equal = with_common(found, lambda at, t: 0.9 * t)
    assert judge(claim_of("p1_fig5", "d"), equal).verdict == HOLDS
    assert judge(claim_of("p1_fig5", "d, y ahead"), equal).verdict == FAILS  # by less than is of interest
    ahead = equal.assign(accuracy_x=equal["accuracy_x"] * 0.7)
    assert judge(claim_of("p1_fig5", "d"), ahead).verdict == HOLDS
    assert judge(claim_of("p1_fig5", "d, y ahead"), ahead).verdict == HOLDS
    behind = equal.assign(accuracy_y=equal["accuracy_y"] * 0.7)
    assert judge(claim_of("p1_fig5", "d"), behind).verdict == FAILS
    assert judge(claim_of("p1_fig5", "d, y ahead"), behind).verdict == FAILS
    apart = found.assign(probe_r2_x=found["probe_r2_x"] * 0.5)
    assert judge(claim_of("p1_fig5", "d"), apart).verdict == FAILS


COPIED = ("p1_fig9", "p2_fig4", "p2_fig4g", "p2_fig5", "p2_fig6", "p2_fig11", "p2_fig12")
HELD_OUT = [case for case in CASES if case[0] in COPIED]


@pytest.mark.parametrize("case", HELD_OUT, ids=name_of)
def test_copying_the_nearest_seen_label_is_not_taken_for_learning(case):
    """Holes, lesions, the cross, thinned-out data: only (j) holds for a copy, and says what it is not told from."""
    verdict = verdict_of(case, Made(draw=copying))
    if case[1] == "j":
        assert verdict.verdict == HOLDS
        assert verdict.reason == "does not interpolate; not told from copying the nearest seen label"
        slopes = [one for one in verdict.comparisons if "slope of drawn on asked" in one.description]
        assert len(slopes) == 2
        assert all(one.value == pytest.approx(0) and one.role == CONTROL for one in slopes)
        excess = next(one for one in verdict.comparisons if "less copying" in one.description)
        assert excess.value == 0
    else:
        assert verdict.verdict != HOLDS, claims.table([verdict])


@pytest.mark.parametrize("letter", ["g", "i"])
@pytest.mark.parametrize("what", ["pixels", "untrained", "noise"])
def test_what_learns_nothing_has_no_learned_geometry(letter, what):
    noise = {seed: np.random.default_rng(seed).uniform(70, 80, 2) for seed in range(4)}
    made = {
        "g": {
            "pixels": diagrams(CLEARER, images=CLEARER),
            "untrained": diagrams(TORUS, start=TORUS),
            "noise": diagrams(TORUS) | {"bars": lambda at, t, tensor: _noise_bars(at["seed"])},
        },
        "i": {
            "pixels": rings(88, 60, images=(88, 60)),
            "untrained": rings(88, 60, start=(88, 60)),
            "noise": {"ring_mean": lambda at, t, tensor: [[a, 0.5] for a in (*noise[at["seed"]], 75)]},
        },
    }
    verdict = verdict_of(("p2_fig2", letter), Made(rising, made[letter][what]))
    assert verdict.verdict != HOLDS, claims.table([verdict])
    words = {"pixels": "not told from the true images' pixels", "untrained": "not told from the untrained network"}
    if what in words:
        assert verdict.reason == words[what]


def wider(at):
    """Gap that grows with the lesion."""
    return 1.0 + at["hole_width"]


@pytest.mark.parametrize(
    ("case", "made", "words"),
    [
        (("p2_fig2", "i"), rings(88, 60, shuffled=28.0), "shuffled labels"),
        (("p2_fig2", "i"), rings(88, 60, gaussian=28.0), "Gaussian points of the same spectrum"),
        (("p2_fig2", "i, 3-D torus"), literal(67.0, start=67.0), "the untrained network"),
        (("p2_fig11", "m, disconnected"), sheets(wider, images=wider), "the generated images' pixels"),
        (("p1_fig4", "b"), ahead_of_pixels(0.5, 0.5), "the order of the generated images themselves"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_shuffled_labels_or_the_images_give_as_well_is_not_told_from_them(case, made, words):
    verdict = verdict_of(case, Made(rising, made))
    assert (verdict.verdict, verdict.reason) == (UNDECIDED, f"not told from {words}"), claims.table([verdict])


@pytest.mark.parametrize("name", ["ring_contrast_null", "ring_contrast_gaussian"])
def test_rings_without_a_null_are_not_measured(name):
    made = rings(88, 60)
    del made[name]
    verdict = verdict_of(("p2_fig2", "i"), Made(rising, made))
    assert verdict.verdict == UNDECIDED
    assert "not measured in this run: rings of" in verdict.reason


def _noise_bars(seed):
    generator = np.random.default_rng(seed)
    bars = np.full((3, 64, 2), np.nan)
    bars[0, :3] = (0, np.inf), (0, 1), (0, 0.95)
    bars[1:, :20] = np.stack([np.ones((2, 20)), generator.uniform(1, 1.2, (2, 20))], axis=-1)
    return bars


@pytest.mark.parametrize(
    ("case", "low"),
    [
        (("p1_fig9", "f"), Made(draw=right(lambda at: 0.0))),
        (("p2_fig4", "j"), Made(draw=right(lambda at: 0.1))),
        (("p2_fig11", "m"), Made(draw=right(lambda at: 0.0))),
        (("p2_fig12", "o"), Made(draw=right(lambda at: 0.0))),
        (("p2_fig2", "g"), Made(flat(0.02), diagrams(TORUS))),
    ],
    ids=lambda value: name_of(value) if isinstance(value, tuple) and isinstance(value[0], str) else "",
)
def test_without_learning_nothing_is_decided(case, low):
    verdict = verdict_of(case, low)
    assert verdict.verdict == UNDECIDED
    assert verdict.reason.startswith("needed first: ")


def test_a_dimension_that_may_still_fall_is_not_refuted():
    """Two thirds of a short run show a rise only: that it falls later is not decided."""
    made = Made(rising, {"participation_ratio": lambda at, t, tensor: 5 + 10 * t})
    verdict = verdict_of(("p2_fig2", "h"), made)
    assert verdict.verdict == UNDECIDED
    falls = next(one for one in verdict.comparisons if "over last" in one.description)
    assert (falls.value, falls.high) == (0, math.inf)


def test_noise_about_a_constant_dimension_neither_rises_nor_falls():
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(40):
        made = Made(rising, {"participation_ratio": lambda at, t, tensor: 10 * math.exp(0.2 * generator.normal())})
        held += verdict_of(("p2_fig2", "h"), made).verdict == HOLDS
    assert held <= 2


def test_speeds_that_were_not_reached_are_bounds():
    """Narrow bumps that are not learned in time: slower for sure, by how much is open."""
    made = Made(lambda at, t, region: 0.95 * t if at["sigma"] > 0.5 else 0.0)
    verdict = verdict_of(("p1_fig8", "e, in speed"), made)
    (slope,) = verdict.comparisons
    assert (slope.low, verdict.verdict) == (-math.inf, FAILS)
    assert slope.value < -0.5
    at_horizon = verdict_of(("p1_fig8", "e"), made)
    assert (at_horizon.comparisons[0].high, at_horizon.verdict) == (math.inf, UNDECIDED)


def test_losses_that_bend_or_fall_are_told_from_linear_ones():
    found = made_up(LOSSES[0], rising)
    for shape, verdict in (("line", UNDECIDED), ("bend", FAILS), ("fall", FAILS)):
        fraction = found["kept_fraction"]
        curve = {"line": fraction, "bend": (fraction - 0.45) ** 2, "fall": -fraction}[shape]
        loss = found["loss"] * 0 + 1 + curve
        judged = judge(claim_of(*LOSSES), found.assign(loss=loss))
        assert judged.verdict == verdict, claims.table([judged])
        both = judge(claim_of(*LOSSES), found.assign(loss=loss, val_loss=2 * loss))
        assert both.verdict == (HOLDS if shape == "line" else verdict), claims.table([both])
        one = judge(claim_of(*LOSSES), found.assign(loss=1 - loss, val_loss=loss))
        assert one.verdict == FAILS, "both are named"
    assert judge(claim_of(*LOSSES), found.assign(loss=found["loss"] * 0 + fraction)).reason == (
        "not measured in this run: validation loss"
    )


def test_unfinished_or_unanalysed_runs_decide_nothing():
    unfinished = made_up("p1_fig4", rising)
    unfinished["accuracy"][{"step": -1, "seed": 0, "increment": 1}] = np.nan
    verdict = judge(claim_of("p1_fig4", "c"), unfinished)
    assert verdict.verdict == UNDECIDED
    assert "evaluations are missing" in verdict.reason
    verdict = judge(claim_of("p2_fig2", "g"), made_up("p2_fig2", rising))
    assert verdict.verdict == UNDECIDED
    assert "'bar_threshold' are missing" in verdict.reason
    verdict = judge(claim_of("p2_fig2", "g"), made_up("p1_fig4", rising))
    assert "'bar_threshold' was not measured" in verdict.reason


def test_one_seed_that_disagrees_is_not_outvoted_by_the_best():
    bad = made_up(
        "p1_fig9",
        draw=lambda at, labels, data: (perfect if at["seed"] else in_hole(copying))(at, labels, data),
    )
    assert judge(claim_of("p1_fig9", "f"), bad).verdict == UNDECIDED


def test_verdicts_are_told_and_stored(tmp_path):
    found = made_up("p2_fig4", seeds=(0, 1, 2, 3), draw=by("dataset", SEEN_ONLY))
    verdicts = [judge(claim, found) for claim in experiments.find("p2_fig4").claims]
    text = claims.table(verdicts)
    assert "(j) HOLDS (p = " in text
    assert "    does not interpolate; not told from copying the nearest seen label" in text
    assert "(l) FAILS" in text
    assert "would decide it: more seeds, longer training of the 1D models" in text
    claims.write(verdicts, tmp_path / "claims.json")
    stored = json.loads((tmp_path / "claims.json").read_text())
    assert [one["verdict"] for one in stored] == [one.verdict for one in verdicts]
    first = stored[0]["comparisons"][1]
    assert first["description"] == "2D model, vertical part: accuracy of y, seen"
    assert first["low"] < first["value"] < first["high"]
    assert first["upper"] is None
