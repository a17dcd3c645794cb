"""Runs of data sets and metrics that a user declares, with a small network: trained, stored, analyzed again."""

import dataclasses
import importlib.util
from pathlib import Path

import jax
import numpy as np
import pytest

from diffgeo import claims, images, readout, representation, run
from diffgeo.data import label_tables
from diffgeo.errors import UserError
from diffgeo.experiment import Metric
from diffgeo.results import open_results
from diffgeo.run import Run
from diffgeo.settings import TINY, Dataset, Factor, adapt, override
from tests.support.trained import OneDevice

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"

pytestmark = pytest.mark.usefixtures("small_network")


def executed(settings, folder, **parts):
    said = []
    found = run.execute(Run("made_up", "tiny", settings, OneDevice("loop"), **parts), folder, say=said.append)
    return found, said


def test_the_papers_bumps_declared_by_a_user_train_to_the_same_numbers(tmp_path):
    dataset = Dataset(
        "bumps",
        [Factor("x", 0.0, 8.0), Factor("y", 0.0, 8.0)],
        lambda size, sigma: label_tables.lattice(size, 0.5, 0.5),
        lambda labels, size, sigma: images.render(labels, sigma, size=size),
        lambda gray, sigma: readout.predict_centers(gray, "darkest"),
        parameters={"sigma": 1.0},
    )
    common = {"num_common": 0}
    axes = {"sigma": (0.8, 1.2), "seed": (0,)}
    own, _ = executed(adapt(TINY, axes, dataset, evaluation=common), tmp_path / "own")
    papers, _ = executed(adapt(TINY, axes, evaluation=common), tmp_path / "papers")
    assert own["loss"].dims == papers["loss"].dims
    np.testing.assert_allclose(own["loss"], papers["loss"], rtol=1e-5)
    np.testing.assert_array_equal(own["label"], papers["label"])
    assert np.abs(own["samples"].astype(int) - papers["samples"].astype(int)).max() <= 1  # a rounding of gray values
    for name in ("accuracy", "accuracy_x", "accuracy_y"):
        np.testing.assert_allclose(own[name].isel(readout=0), papers[name].isel(readout=0), atol=1 / 24)
    np.testing.assert_array_equal(own["copied_accuracy"], papers["copied_accuracy"])


def example(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.EXPERIMENT


@pytest.mark.parametrize(
    ("name", "factors", "image"),
    [
        ("two_bumps", ["x1", "y1", "x2", "y2"], ("row", "column")),
        ("colored_ring", ["x", "y", "color"], ("row", "column", "channel")),
        ("digits", ["digit"], ("row", "column")),
    ],
)
def test_worked_examples_run(tmp_path, name, factors, image):
    declared = example(name)
    settings = override(declared.settings("tiny"), "axes.seed=0")
    found = run.execute(Run.of(declared, "tiny", settings, OneDevice("loop")), tmp_path, say=lambda text: None)
    assert found["factor"].values.tolist() == factors
    assert found["samples"].dims[-1 - len(image) :] == ("kept", *image)
    assert {f"accuracy_{factor}" for factor in factors} <= {*found.data_vars}
    assert "no_bump" not in found
    assert np.isfinite(found["accuracy"].isel(region=0) if "region" in found.dims else found["accuracy"]).all()
    assert float(found["readout_ceiling"].min()) > 0.85, "true images are read as what they are"
    assert (tmp_path / "figures" / "learning_curves.png").exists()


def test_the_worked_metric_claim_and_figure(tmp_path):
    declared = example("ink")
    settings = override(declared.settings("tiny"), "axes.sigma=0.5")
    planned = Run.of(declared, "tiny", settings, OneDevice("loop"))
    found = run.execute(planned, tmp_path, say=lambda text: None)
    last = found.isel(sigma=0, seed=2, step=-1)
    true = (images.render(last["label"].values, 0.5, size=8)[..., 0] + 1) / 2
    drawn = 1 - last["samples"].values / 255.0
    np.testing.assert_allclose(last["metric_ink"], drawn.sum() / (1 - true).sum(), rtol=1e-4)
    assert (tmp_path / "figures" / "ink.png").exists()
    (claim,) = declared.claims
    assert claims.judge(claim, found).reason == "needed first: last accuracy > 0.5"
    by_seed = np.array([0.96, 1.0, 1.04])
    for share, verdict in ((1.0, claims.HOLDS), (1.3, claims.FAILS), (1.1, claims.UNDECIDED)):
        found["accuracy"][:] = 0.9
        found["metric_ink"][:] = share * by_seed[:, None]
        assert claims.judge(claim, found).verdict == verdict


def test_the_worked_conditioning_gates_what_the_label_says():
    (module,) = example("gated").conditionings.values()
    codes = [np.full((2, 4), value, np.float32) for value in (1.0, 2.0, 3.0)]
    out, variables = module().init_with_output(jax.random.key(0), codes)
    dense = jax.tree.map(np.asarray, variables["params"]["Dense_0"])
    gate = 1 / (1 + np.exp(-(codes[0] @ dense["kernel"] + dense["bias"])))
    np.testing.assert_allclose(out[:, :4], codes[0])
    np.testing.assert_allclose(out[:, 4:], gate * np.concatenate(codes[1:], axis=1), rtol=1e-5)


def brightness(shown, labels, settings):
    return [shown.mean(), len(labels) + settings.data.parameters["shift"]]


def test_metrics_are_stored_also_later_from_checkpoints(tmp_path):
    dataset = Dataset(
        "dots",
        [Factor("u", 0.0, 1.0)],
        lambda size, shift: np.linspace(0, 1, 30)[:, None],
        lambda labels, size, shift: labels[:, :, None, None] * jax.numpy.ones((1, size, size, 1)),
        lambda gray, shift: gray.mean(axis=(1, 2))[:, None] / 255,
        parameters={"shift": 0.5},
    )
    settings = adapt(TINY, {"shift": (0.0, 0.5)}, dataset)
    metric = Metric("brightness", brightness, (2,), "mean gray value, and a number")
    executed(settings, tmp_path / "later")
    later = run.analyze(
        Run("made_up", "tiny", settings, OneDevice("loop"), metrics=(metric,)), tmp_path / "later", lambda text: None
    )
    at_once, _ = executed(settings, tmp_path / "at_once", metrics=(metric,))
    np.testing.assert_array_equal(later["metric_brightness"], at_once["metric_brightness"])
    assert later["metric_brightness"].dims == ("shift", "seed", "step", "metric_brightness_0")
    expected = at_once["samples"].isel(shift=1, seed=0, step=2).values.mean()
    np.testing.assert_allclose(at_once["metric_brightness"][1, 0, 2], [expected, 24.5], rtol=1e-6)
    np.testing.assert_array_equal(later["accuracy"], at_once["accuracy"])
    said = []
    run.analyze(Run("made_up", "tiny", settings, OneDevice("loop"), metrics=(metric,)), tmp_path / "later", said.append)
    assert any("analyzed already" in text for text in said)


def test_metrics_and_analyses_that_cannot_be_are_refused(tmp_path):
    wrong = Metric("wrong", lambda shown, labels, settings: [1.0, 2.0])
    with pytest.raises(UserError, match=r"metric 'wrong' returns \[2\] and is declared as \[\]"):
        executed(adapt(TINY), tmp_path / "shape", metrics=(wrong,))
    with pytest.raises(UserError, match="two metrics are named 'wrong'"):
        executed(adapt(TINY), tmp_path / "twice", metrics=(wrong, wrong))
    assert not (tmp_path / "twice" / "config.json").exists()
    digits = example("digits").settings("tiny")
    with pytest.raises(UserError, match=r"'rings' compares rings along one factor .* of 'digits' are digit: leave it"):
        executed(digits, tmp_path / "rings", analyses=("rings",))
    assert not (tmp_path / "rings" / "config.json").exists()


@pytest.mark.parametrize(
    ("name", "factors"),
    [pytest.param("two_bumps", ("x1", "y1", "x2", "y2"), marks=pytest.mark.slow), ("digits", ("digit",))],
)
def test_any_number_of_factors_has_a_manifold(tmp_path, name, factors):
    """Measured from the stored snapshots: the scores of the activations at the labels that were asked for."""
    settings = override(example(name).settings("tiny"), "axes.seed=0")
    found, said = executed(settings, tmp_path, analyses=("spectrum", "manifold"))
    at = found.isel({axis: 0 for axis in found["loss"].dims if axis != "step"}).isel(step=-1).sel(tensor="layer4")
    points, labels = at["pca_scores"].values, at["label"].values
    assert {f"{score}_{factor}" for score in ("r2", "probe_r2", "neighbor_r2") for factor in factors} <= {*found}
    for score in ("probe_r2", "neighbor_r2"):
        expected = getattr(representation, score)(points, labels)
        np.testing.assert_allclose([at[f"{score}_{factor}"] for factor in factors], expected.each, atol=1e-4)
        assert at[score] == pytest.approx(expected.mean, abs=1e-4)
    assert not {"phase", "joint_accuracy"} & {*found}, "they are of the papers' bumps"
    assert not any("member" in text for text in said), said


def test_a_changed_data_set_is_another_configuration(tmp_path):
    first = example("digits").settings("tiny")
    executed(first, tmp_path)
    dataset = first.dataset
    other = Dataset.from_arrays(255 - dataset.images, dataset.build(8, {}), dataset.read, dataset.factors, "digits")
    with pytest.raises(UserError, match=r"belongs to another configuration .*dataset\.digest"):
        executed(dataclasses.replace(first, dataset=other), tmp_path)
    assert open_results(tmp_path)["accuracy"].notnull().all()
