"""Snapshots in a run's results and their measures, on made-up clouds whose measures are known."""

import dataclasses

import numpy as np
import pytest
import xarray as xr

from diffgeo import representation
from diffgeo.errors import UserError
from diffgeo.host import pool
from diffgeo.results import Results, open_results, open_workdir
from diffgeo.results.schema import COMPLETE, EVALUATION, IMPOSSIBLE, MISSING, SNAPSHOT, cloud_group
from diffgeo.run import Run, Session, measure
from diffgeo.run.evaluation import empty_results
from diffgeo.run.measure import TENSORS
from diffgeo.run.progress import Progress
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.settings import Data, Evaluation
from tests.support.settings import tiny

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


class Watched(Progress):
    """Progress that keeps the tasks that are done."""

    def __init__(self):
        super().__init__()
        self.done = []

    def track(self, tasks, unit, description=None):
        for task in tasks:
            yield task
            self.done.append(task)


def opened(run: Run, folder) -> Session:
    """Return a session of a run on a new store in a folder; nothing is evaluated yet."""
    workdir = open_workdir(folder)
    waves = plan_waves(run.grid, build_tables(run.grid), {})
    Results.create(workdir.results, empty_results(run, waves, {}))
    store = Results(workdir.results, run.grid)
    return Session(run, workdir, tuple(waves), store, progress=Watched())


@pytest.fixture
def session(tmp_path):
    """A session of a grid of four whose spectrum and rings are measured."""
    return opened(Run("made-up", "none", settings(), analyses=GROUPS), tmp_path)


def stored(session) -> xr.Dataset:
    """Return the session's results as they are on disk."""
    return open_results(session.workdir.path).load()


def evaluated(session, step=0, scores=None):
    """Write an evaluation of all members at a step: every second sample is right in x alone."""
    members = session.run.grid.members
    labels = stored(session)["label"].values.reshape(len(members), -1, 2)
    prediction = labels + np.where(np.arange(SIDE**2) % 2 == 0, 0.0, 3.0)[:, None] * np.array([0.0, 1.0])
    own = [measure.snapshot(clouds(member.index)) if scores is None else scores for member in members]
    session.store.write(members, {"pca_scores": own}, step, SNAPSHOT)
    session.store.write(
        members, {"prediction": np.stack([prediction] * 2, axis=1), "accuracy": np.full(4, 0.5)}, step, EVALUATION
    )


def measured(session) -> tuple[list, list[str]]:
    """Measure what is missing; return the tasks that were done and the messages."""
    session.progress.done.clear()
    said: list[str] = []
    any_missing = measure.measure(dataclasses.replace(session, say=said.append))
    assert any_missing == bool(session.progress.done)
    return list(session.progress.done), said


def test_a_snapshot_holds_every_distance():
    cloud = clouds(0)["layer4_attention"].reshape(SIDE**2, -1)
    scores = measure.snapshot(clouds(0))[TENSORS.index("layer4_attention")]
    assert scores.shape == (SIDE**2, SIDE**2)

    def distances(points):
        return np.linalg.norm(points[:, None].astype(float) - points[None].astype(float), axis=-1)

    np.testing.assert_allclose(distances(scores), distances(cloud), rtol=1e-5, atol=1e-6)


def test_nothing_is_analyzed_before_it_is_evaluated(session):
    assert measured(session) == ([], [])
    assert np.isnan(stored(session)["participation_ratio"].values).all()


def test_every_cloud_is_measured_as_by_itself_and_once(session):
    evaluated(session)
    done, said = measured(session)
    assert said == []
    assert len(done) == 4 * (len(TENSORS) + 4)  # rings of layer4, before the embedding, and both pixels
    found = stored(session)
    assert found["ring_mean"].dims == ("increment", "seed", "step", "tensor", "ring_pair", "ring_statistic")
    at = found.sel(increment=1.0, seed=3, step=0)
    expected = representation.analyze(clouds(3)["layer4"].reshape(64, -1), at["label"].values, SIDE, GROUPS, 3)
    for name in ("pca", "ring_angles_literal", "ring_mean_literal"):  # of equal variances the components may be any
        del expected[name]
    for name, value in expected.items():
        np.testing.assert_allclose(at[name].sel(tensor="layer4"), value, atol=1e-4, err_msg=name)
    assert float(at["participation_ratio"].sel(tensor="layer4")) == pytest.approx(4.0, abs=1e-3)
    assert np.isnan(found["ring_mean"].sel(tensor="layer4_proxy").values).all(), "too expensive for a proxy"
    assert np.isnan(found["participation_ratio"].sel(step=20).values).all()
    assert measured(session) == ([], [])


def test_processes_measure_the_same(session, monkeypatch):
    evaluated(session)
    evaluated(session, 20)
    measured(session)
    alone = stored(session)
    members = session.run.grid.members
    for variable in representation.FIELDS:
        blank = np.full((len(TENSORS), *representation.field_shape(variable, SIDE**2)), np.nan)
        if variable in alone:
            for step in (0, 20):
                session.store.write(members, {variable: [blank] * 4}, step)
    for group in set(measure.groups_of(GROUPS)) - {SNAPSHOT}:
        for step in (0, 20):
            session.store.record(members, step, group, MISSING)
    assert not stored(session).identical(alone)
    started = []
    map_ordered = pool.map_ordered
    monkeypatch.setattr(pool, "map_ordered", lambda *given: started.append(given[-1]) or map_ordered(*given))
    monkeypatch.setattr(pool, "default_processes", lambda: 2)
    monkeypatch.setattr(measure, "WORTH_PROCESSES", 1)
    done, said = measured(session)
    assert (started, said, len(done)) == ([2], [], 8 * (len(TENSORS) + 4))
    xr.testing.assert_equal(stored(session), alone)


def test_what_was_lost_is_measured_again(session):
    evaluated(session)
    measured(session)
    before = stored(session)
    member, group = session.run.grid.members[2], cloud_group("layer4", "rings")
    session.store.write_cloud(member, 0, 0, {"ring_components_90": np.array(np.nan)}, group)
    assert measured(session)[0] == [], "the group is recorded as complete"
    empty = {name: np.full(representation.field_shape(name, 64), np.nan) for name in representation.FIELDS}
    lost = {name: empty[name] for name, field in representation.FIELDS.items() if field.group == "rings"}
    session.store.write_cloud(member, 0, 0, lost, group)
    session.store.record([member], 0, group, MISSING)
    (task,), _ = measured(session)
    assert tuple(task)[1:] == (0, "layer4", "rings")
    assert task.member.index == 2
    xr.testing.assert_equal(stored(session), before)


def test_accuracies_are_factorized(session):
    evaluated(session)
    measured(session)
    at = stored(session).sel(step=0)
    np.testing.assert_allclose(at["joint_accuracy"], 0.5, atol=1e-6)
    np.testing.assert_allclose(at["product_accuracy"], 0.5, atol=1e-6)  # x always right, y every second time
    assert (at["joint_minus_product_low"] <= at["joint_minus_product"]).all()


def test_a_cloud_that_cannot_be_analyzed_is_named_once_and_the_others_go_on(session):
    broken = clouds(0)
    broken["layer4"][5, 0, 0, 0] = np.nan
    evaluated(session, 20, measure.snapshot(broken))  # all four members alike
    done, said = measured(session)
    assert len(done) == 4 * (len(TENSORS) + 4)
    assert len(said) == 8
    assert "spectrum of member increment=0.5, seed=0, step 20, layer4: " in said[0]
    assert "not finite" in said[0]
    found = stored(session).sel(step=20)
    assert np.isnan(found["participation_ratio"].sel(tensor="layer4")).all()
    assert np.isfinite(found["participation_ratio"].sel(tensor="layer4_pre_embedding")).all()
    assert (found["group_complete"].sel(group="layer4/spectrum") == IMPOSSIBLE).all()
    assert measured(session) == ([], []), "it is not tried again"


def test_phases_follow_from_samples_and_manifold(tmp_path):
    session = opened(Run("made-up", "none", settings(seed=(0, 1, 2, 3)), analyses=("manifold",)), tmp_path)
    members, store = session.run.grid.members, session.store
    correct, wrong = np.array([0, 0.2, 0.9, 0.9]), np.array([0.1, 0.7, 0.1, 0.1])
    rest = {"no_bump": np.array([0.9, 0.1, 0, 0]), "several_bumps": np.zeros(4)}
    store.write(
        members,
        {
            "prediction": np.stack([stored(session)["label"].values] * 2, axis=1),
            "correct": correct,
            "wrong_place": wrong,
            **rest,
        },
        0,
        EVALUATION,
    )
    for member, r2 in zip(members, (0.1, 0.3, 0.95), strict=False):
        store.write_cloud(member, 0, 0, {"r2": np.array(r2)}, cloud_group("layer4", "manifold"))
    assert [measure.phase(member, 0, stored(session)) for member in members] == [0, 1, 2, None]
    assert measured(session) == ([], [])
    found = stored(session)
    assert found["phase"].sel(step=0).values.tolist() == [0, 1, 2, measure.UNKNOWN]
    assert (found["phase"].isel(step=slice(1, None)) == measure.UNKNOWN).all(), "not evaluated"
    recorded = found["group_complete"].sel(step=0)
    assert recorded.sel(group=measure.PHASE).values.tolist() == [COMPLETE] * 3 + [MISSING], "its manifold is missing"
    assert (recorded.sel(group=measure.FACTORIZATION) == COMPLETE).all()
    np.testing.assert_allclose(found["joint_accuracy"].sel(step=0), 1.0)


def test_an_unknown_analysis_is_refused():
    with pytest.raises(UserError, match=r"unknown analysis 'topolgy'.*topology"):
        measure.schema(("topolgy",), 4)
