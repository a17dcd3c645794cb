"""Snapshots in a run's results and their measures, on made-up clouds whose measures are known."""

import dataclasses

import numpy as np
import pytest
import xarray as xr
from tests.helpers import tiny

from diffgeo import representation, results
from diffgeo.errors import UserError
from diffgeo.host import pool
from diffgeo.run import measure
from diffgeo.run.evaluation import empty_results
from diffgeo.run.measure import TENSORS
from diffgeo.run.waves import waves
from diffgeo.settings import Data, Evaluation, Grid

GROUPS = ("spectrum", "rings")
SIDE = 8


def settings(**axes):
    plain = tiny(**(axes or {"increment": (0.5, 1.0), "seed": (0, 3)}))
    evaluation = Evaluation(every_steps=20, label_source="grid", sampler_steps=3, stored_images=4, readout="darkest")
    return dataclasses.replace(plain, data=Data(size=SIDE, periodic=True), evaluation=evaluation)


def clouds(seed: int) -> dict[str, np.ndarray]:
    """A Clifford torus rotated into many features, the same with noise, and pixels."""
    draw = np.random.default_rng(seed)
    torus = representation.clifford_torus(SIDE, SIDE)
    inside = torus @ np.linalg.qr(draw.normal(size=(100, 4)))[0].T
    noisy = inside + draw.normal(size=inside.shape)
    shapes = {name: (inside if name == "layer4" else noisy).reshape(-1, 5, 5, 4) for name in TENSORS}
    return {name: cloud.astype(np.float32) for name, cloud in shapes.items()}


@pytest.fixture
def run(tmp_path):
    """A grid, its store and a reader; nothing is evaluated yet."""
    grid = Grid(settings())
    path = tmp_path / "results.zarr"
    results.Results.create(path, empty_results(grid, waves(grid, None), GROUPS, {}))
    return grid, results.Results(path, grid), lambda: results.open_results(tmp_path)


def evaluated(run, step=0, scores=None):
    """Writes an evaluation of all members at a step: every second sample is right in x alone."""
    grid, store, read = run
    labels = read()["label"].values.reshape(len(grid.members), -1, 2)
    prediction = labels + np.where(np.arange(SIDE**2) % 2 == 0, 0.0, 3.0)[:, None] * np.array([0.0, 1.0])
    own = [measure.snapshot(clouds(member.index)) if scores is None else scores for member in grid.members]
    store.write(grid.members, {"prediction": prediction, "pca_scores": own, "accuracy": np.full(4, 0.5)}, step)


def complete(run, groups=GROUPS):
    """Analyses what is missing; the tasks that were done and the messages."""
    grid, store, read = run
    done, said = [], []

    def watched(tasks):
        for task in tasks:
            yield task
            done.append(task)

    measure.complete(store, read, grid.members, groups, watched, said.append)
    return done, said


def test_a_snapshot_holds_every_distance():
    cloud = clouds(0)["layer4_attention"].reshape(SIDE**2, -1)
    scores = measure.snapshot(clouds(0))[TENSORS.index("layer4_attention")]
    assert scores.shape == (SIDE**2, SIDE**2)

    def distances(points):
        return np.linalg.norm(points[:, None].astype(float) - points[None].astype(float), axis=-1)

    np.testing.assert_allclose(distances(scores), distances(cloud), rtol=1e-5, atol=1e-6)


def test_nothing_is_analysed_before_it_is_evaluated(run):
    assert complete(run) == ([], [])
    assert np.isnan(run[2]()["participation_ratio"].values).all()


def test_every_cloud_is_measured_as_by_itself_and_once(run):
    evaluated(run)
    done, said = complete(run)
    assert said == []
    assert len(done) == 4 * (len(TENSORS) + 3)  # rings of layer4, before the embedding, and pixels
    found = run[2]().load()
    assert found["ring_mean"].dims == ("increment", "seed", "step", "tensor", "ring_pair", "ring_statistic")
    at = found.sel(increment=1.0, seed=3, step=0)
    expected = representation.analyze(clouds(3)["layer4"].reshape(64, -1), at["label"].values, SIDE, GROUPS, 3)
    del expected["pca"]  # of four equal variances the components may be any
    for name, value in expected.items():
        np.testing.assert_allclose(at[name].sel(tensor="layer4"), value, atol=1e-4, err_msg=name)
    assert float(at["participation_ratio"].sel(tensor="layer4")) == pytest.approx(4.0, abs=1e-3)
    assert np.isnan(found["ring_mean"].sel(tensor="layer4_proxy").values).all(), "too dear for a proxy"
    assert np.isnan(found["participation_ratio"].sel(step=20).values).all()
    assert complete(run) == ([], [])


def test_processes_measure_the_same(run, monkeypatch):
    evaluated(run)
    evaluated(run, 20)
    complete(run)
    alone = run[2]().load()
    grid, store, _ = run
    for variable in representation.FIELDS:
        blank = np.full((len(TENSORS), *representation.field_shape(variable, SIDE**2)), np.nan)
        if variable in alone:
            for step in (0, 20):
                store.write(grid.members, {variable: [blank] * 4}, step)
    started = []
    in_order = pool.in_order
    monkeypatch.setattr(workers, "in_order", lambda *given: started.append(given[-1]) or in_order(*given))
    monkeypatch.setattr(workers, "most_processes", lambda: 2)
    monkeypatch.setattr(analysis, "WORTH_PROCESSES", 1)
    done, said = complete(run)
    assert (started, said, len(done)) == ([2], [], 8 * (len(TENSORS) + 3))
    xr.testing.assert_equal(run[2]().load(), alone)


def test_what_was_lost_is_measured_again(run):
    evaluated(run)
    complete(run)
    grid, store, _ = run
    store.write_cloud(grid.members[2], 0, 0, {"ring_components_90": np.array(np.nan)})
    assert complete(run)[0] == [], "one field of a group is left"
    empty = {name: np.full(representation.field_shape(name, 64), np.nan) for name in representation.FIELDS}
    lost = {name: empty[name] for name, field in representation.FIELDS.items() if field.group == "rings"}
    store.write_cloud(grid.members[2], 0, 0, lost)
    (task,), _ = complete(run)
    assert tuple(task)[1:] == (0, "layer4", "rings")
    assert task.member.index == 2


def test_accuracies_are_factorized(run):
    evaluated(run)
    complete(run)
    at = run[2]().sel(step=0)
    np.testing.assert_allclose(at["joint_accuracy"], 0.5, atol=1e-6)
    np.testing.assert_allclose(at["product_accuracy"], 0.5, atol=1e-6)  # x always right, y every second time
    assert (at["joint_minus_product_low"] <= at["joint_minus_product"]).all()


def test_a_cloud_that_cannot_be_analysed_is_named_and_the_others_go_on(run):
    broken = clouds(0)
    broken["layer4"][5, 0, 0, 0] = np.nan
    evaluated(run, 20, measure.snapshot(broken))  # all four members alike
    done, said = complete(run)
    assert len(done) == 4 * (len(TENSORS) + 3)
    assert len(said) == 8
    assert "spectrum of member increment=0.5, seed=0, step 20, layer4: " in said[0]
    assert "not finite" in said[0]
    found = run[2]().sel(step=20)
    assert np.isnan(found["participation_ratio"].sel(tensor="layer4")).all()
    assert np.isfinite(found["participation_ratio"].sel(tensor="layer4_pre_embedding")).all()


def test_phases_follow_from_samples_and_manifold():
    grid = Grid(settings(seed=(0, 1, 2, 3)))
    found = empty_results(grid, waves(grid, None), ("manifold",), {})
    for name in ("r2", "phase"):
        found[name] = found[name].copy(data=np.array(found[name].values))
    found["prediction"].values[:, 0] = found["label"].values
    for name, values in {"correct": (0, 0.2, 0.9, 0.9), "wrong_place": (0.1, 0.7, 0.1, 0.1)}.items():
        found[name].values[:, 0] = values
    found["no_bump"].values[:, 0] = 1 - found["correct"][:, 0] - found["wrong_place"][:, 0]
    found["several_bumps"].values[:, 0] = 0
    found["r2"].values[:3, 0, 0] = (0.1, 0.3, 0.95)
    assert len(measure.unjudged(found, grid.members)) == 4
    phases = [measure.behavior(member, 0, found).get("phase") for member in grid.members]
    assert ["ABC"[int(p)] for p in phases[:3]] == ["A", "B", "C"]
    assert phases[3] is None, "its manifold is not measured"


def test_results_of_before_gain_what_they_lack(tmp_path):
    grid = Grid(settings())
    planned = waves(grid, None)
    path = tmp_path / "results.zarr"
    results.Results.create(path, empty_results(grid, planned, (), {"commit": "old"}))
    results.Results(path, grid).write(grid.members, {"accuracy": np.full(4, 0.25)}, 0)
    results.Results.extend(path, empty_results(grid, planned, GROUPS, {"commit": "new"}))
    found = results.open_results(tmp_path).load()
    assert np.isnan(found["pca_scores"].values).all()
    assert (found["accuracy"].sel(step=0) == 0.25).all()
    assert found.attrs["commit"] == "old"
    results.Results.extend(path, empty_results(grid, planned, GROUPS, {}))


def test_an_unknown_analysis_is_refused():
    with pytest.raises(UserError, match=r"unknown analysis 'topolgy'.*topology"):
        measure.variables(("topolgy",), 4)
