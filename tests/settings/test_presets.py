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
    recorded = dataclasses.replace(Settings().evaluation, layer_fields=True)
    assert Settings(axes={"seed": (0, 1, 2)}, evaluation=recorded) == PAPER
    with pytest.raises(TypeError, match="sigmas"):
        adapt(LAPTOP, sigmas={"a": 1})
    with pytest.raises(UserError, match="sigma=-1"):
        adapt(LAPTOP, data={"sigma": -1.0})


def test_predicted_minutes_are_the_stated_rates():
    plain = {"every_steps": 1_000, "num_common": 0}
    one = by_hand.describe(adapt(LAPTOP, train={"steps": 1_000}, evaluation=plain))
    # two models: 40 ms a step, two evaluations of 3 s
    assert one["two_core_minutes"] == pytest.approx(2 * (1_000 * 0.040 + 2 * 3.0) / 60, rel=0.03)
    analyzed = by_hand.describe(adapt(LAPTOP, train={"steps": 1_000}, evaluation=plain), analyses=("manifold",))
    assert analyzed["two_core_minutes"] - one["two_core_minutes"] == pytest.approx(2 * 2 * 4 * 0.3 / 2 / 60)
    assert by_hand.describe(LAPTOP, trained=False)["two_core_minutes"] == 0


def test_predicted_chip_hours_are_those_of_the_plan():
    settings = experiments.find("p1_fig4").settings("paper")
    # 30 models: 320,000 steps of 10.95 ms and 51 evaluations of 4.43 s, but for the few that have under 500 labels
    told = by_hand.describe(adapt(settings, dict(settings.axes), evaluation={"num_common": 0, "layer_fields": False}))
    assert told["v5e_chip_hours"] == pytest.approx(30 * (320_000 * 0.01095 + 51 * 4.43) / 3600, rel=0.03)


@pytest.mark.parametrize("name", [name for name in experiments.names() if name.startswith("p2_")])
def test_epoch_150_of_2408_13256_is_an_evaluation(name):
    """At d = 0.1, whose 102,400 images are 1,600 batches; the run ends at epoch 200 [section 3.1, Fig. 2]."""
    paper = experiments.find(name).settings("paper")
    images = 320**2
    assert paper.train.batch_size * 150 * 1_600 == 150 * images
    assert {0, 150 * 1_600, 200 * 1_600} <= set(paper.evaluation_steps)
    assert paper.train.steps == 200 * 1_600
    assert paper.train.log_every == paper.evaluation.every_steps
    assert paper.evaluation.label_source == "grid"


@pytest.mark.parametrize("name", [name for name in experiments.names() if experiments.find(name).trained])
def test_rates_are_constant_where_speeds_are_compared_at_the_papers_size(name):
    presets = experiments.find(name).presets
    schedules = {preset: settings.train.schedule for preset, settings in presets.items()}
    of_fig3 = ("p1_fig3", "codes", "interventions")  # the same models
    about_speed = name in (*of_fig3, "p1_fig4", "p1_fig5", "p1_fig8")
    assert schedules.pop("paper", "one_cycle") == ("constant" if about_speed else "one_cycle")
    trained_again = name in (*of_fig3, "p1_fig4")
    assert schedules.pop("laptop") == ("constant" if trained_again else "one_cycle")  # that of the run in the gallery
    assert set(schedules.values()) <= {"one_cycle"}
    if about_speed:
        assert presets["paper"].train.warmup_fraction == 0.05


def test_the_balanced_control_is_beside_the_imbalanced_data():
    paper = experiments.find("p1_fig5").settings("paper")
    assert [paper.at(increment_y=dy).data.spacing for dy in paper.axes["increment_y"]] == [
        (0.1, 0.1),
        (0.1, 0.5),
        (0.1, 1.0),
    ]
