"""Presets: what is replaced and what is not."""

import dataclasses

import pytest

import experiments
from diffgeo.costs import by_hand
from diffgeo.errors import UserError
from diffgeo.settings import LAPTOP, PAPER, TINY, Settings, adapt


def test_only_what_is_named_changes():
    found = adapt(LAPTOP, {"sigma": (0.5, 1.0)}, data={"increment": 0.5}, train={"steps": 10})
    assert dict(found.axes) == {"sigma": (0.5, 1.0), "seed": (0, 1)}
    assert list(found.axes) == ["sigma", "seed"]
    assert found.data == dataclasses.replace(LAPTOP.data, increment=0.5)
    assert found.train == dataclasses.replace(LAPTOP.train, steps=10)
    assert (found.model, found.evaluation, found.diffusion) == (LAPTOP.model, LAPTOP.evaluation, LAPTOP.diffusion)
    assert dict(adapt(LAPTOP, {"seed": (7,)}).axes) == {"seed": (7,)}
    assert adapt(TINY) == TINY
    assert dataclasses.replace(PAPER, axes=Settings().axes) == Settings()
    with pytest.raises(TypeError, match="sigmas"):
        adapt(LAPTOP, sigmas={"a": 1})
    with pytest.raises(UserError, match="sigma=-1"):
        adapt(LAPTOP, data={"sigma": -1.0})


def test_predicted_minutes_are_the_stated_rates():
    one = by_hand.describe(adapt(LAPTOP, train={"steps": 1_000}, evaluation={"every_steps": 1_000}))
    # two models: 40 ms a step, two evaluations of 3 s
    assert one["two_core_minutes"] == pytest.approx(2 * (1_000 * 0.040 + 2 * 3.0) / 60, rel=0.03)
    analyzed = by_hand.describe(
        adapt(LAPTOP, train={"steps": 1_000}, evaluation={"every_steps": 1_000}), analyses=("manifold",)
    )
    assert analyzed["two_core_minutes"] - one["two_core_minutes"] == pytest.approx(2 * 2 * 4 * 0.3 / 2 / 60)
    assert by_hand.describe(LAPTOP, trained=False)["two_core_minutes"] == 0


def test_predicted_chip_hours_are_those_of_the_plan():
    # 30 models: 320,000 steps of 10.95 ms and 51 evaluations of 4.43 s, but for the few that have under 500 labels
    told = by_hand.describe(experiments.find("p1_fig4").settings("paper"))
    assert told["v5e_chip_hours"] == pytest.approx(30 * (320_000 * 0.01095 + 51 * 4.43) / 3600, rel=0.03)
