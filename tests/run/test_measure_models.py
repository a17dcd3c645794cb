"""Metrics of models: measured from checkpoints once all is trained, at which steps, and again later."""

import re

import jax
import numpy as np
import pytest

from diffgeo import run
from diffgeo.errors import UserError
from diffgeo.experiment import Metric
from diffgeo.results.checkpoint_files import read_member
from diffgeo.run import Run
from diffgeo.settings import TINY, adapt
from tests.support.trained import OneDevice


def executed(settings, folder, **parts):
    said = []
    return run.execute(Run("made_up", "tiny", settings, OneDevice("loop"), **parts), folder, say=said.append), said


HALVES = ("even", "odd")


def sizes(model):
    """Return the sums of a model's parameters in two halves, times its seed and one."""
    flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(model.params)])
    assert model.settings.axes["seed"] == (model.coordinates["seed"],)
    return [flat[half::2].sum() * (1 + model.coordinates["seed"]) for half in (0, 1)]


EVERY = Metric("sizes", sizes, of_model=True, coordinates={"half": HALVES}, description="sums of parameters")
LAST = Metric("step", lambda model: model.step, of_model=True, only_last=True)


def test_models_are_measured_at_every_evaluation_or_the_last(tmp_path):
    results, _ = executed(TINY, tmp_path / "run", metrics=(EVERY, LAST))
    assert results["metric_sizes"].dims == ("seed", "step", "sizes_half")
    assert results["sizes_half"].values.tolist() == list(HALVES)
    for row, seed in enumerate(TINY.axes["seed"]):
        for step in TINY.evaluation_steps:
            params = read_member(tmp_path / "run/checkpoints/wave_000", row, step)
            flat = np.concatenate([leaf.ravel() for leaf in jax.tree.leaves(params)])
            found = results["metric_sizes"].sel(seed=seed, step=step)
            np.testing.assert_allclose(found, [(1 + seed) * flat[half::2].sum() for half in (0, 1)], rtol=1e-6)
    np.testing.assert_array_equal(results["metric_step"].isel(step=-1), TINY.evaluation_steps[-1])
    assert results["metric_step"].isel(step=slice(-1)).isnull().all()
    group = results["group_complete"].sel(group="metric_step")
    assert group.isel(step=-1).values.tolist() == [1, 1]
    assert (group.isel(step=slice(-1)) == 2).all()


def test_a_trained_run_is_measured_later_and_once(tmp_path):
    executed(TINY, tmp_path / "run")
    said = []
    asked = Run("made_up", "tiny", TINY, OneDevice("loop"), metrics=(EVERY, LAST))
    later = run.analyze(asked, tmp_path / "run", said.append)
    at_once, _ = executed(TINY, tmp_path / "at_once", metrics=(EVERY, LAST))
    np.testing.assert_array_equal(later["metric_sizes"], at_once["metric_sizes"])
    np.testing.assert_array_equal(later["metric_step"], at_once["metric_step"])
    said.clear()
    run.analyze(asked, tmp_path / "run", said.append)
    assert any("analyzed already" in text for text in said)


def test_steps_whose_checkpoints_are_gone_are_named(tmp_path):
    executed(adapt(TINY), tmp_path / "run", keep="last")
    said = []
    asked = Run("made_up", "tiny", TINY, OneDevice("loop"), metrics=(EVERY, LAST))
    results = run.analyze(asked, tmp_path / "run", said.append)
    assert any(re.search(r"steps 0, 2, 4 was kept \(--keep\): metric 'sizes' stays missing there", one) for one in said)
    assert results["metric_sizes"].isel(step=slice(-1)).isnull().all()
    assert results["metric_sizes"].isel(step=-1).notnull().all()
    assert results["metric_step"].isel(step=-1).notnull().all()


def test_a_run_that_is_stopped_goes_on_with_the_models_that_are_left(tmp_path):
    """A metric that fails at the second model has the first one stored."""
    seen = []

    def measure(model):
        seen.append(model.coordinates["seed"])
        if len(seen) == 2:
            raise UserError("stopped here")
        return model.step

    failing = Metric("failing", measure, of_model=True, only_last=True)
    with pytest.raises(UserError, match="stopped here"):
        executed(TINY, tmp_path / "run", metrics=(failing,))
    results, _ = executed(TINY, tmp_path / "run", metrics=(failing,))
    assert seen == [0, 1, 1]
    assert results["metric_failing"].isel(step=-1).notnull().all()


@pytest.mark.parametrize(
    ("words", "fields"),
    [
        ("is not a Python identifier", {"name": "a b"}),
        ("only_last is for one of models", {"name": "a", "only_last": True}),
        ("a shape beside coordinates", {"name": "a", "shape": (2,), "coordinates": {"half": HALVES}}),
    ],
)
def test_declarations_that_cannot_be_are_refused(words, fields):
    with pytest.raises(UserError, match=words):
        Metric(measure=sizes, **fields)


def test_a_model_measured_in_another_shape_is_refused(tmp_path):
    wrong = Metric("wrong", lambda model: [1.0, 2.0], of_model=True)
    with pytest.raises(UserError, match=r"metric 'wrong' returns \[2\] and is declared as \[\]"):
        executed(TINY, tmp_path / "run", metrics=(wrong,))
