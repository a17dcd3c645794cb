"""Evaluations read out behind training, on made-up members: nothing is compiled."""

import dataclasses
import threading

import numpy as np
import pytest

from diffgeo import images
from diffgeo.results import Results, open_results, open_workdir, schema
from diffgeo.run import Run, Session, evaluation, measure, waves
from diffgeo.run.progress import Progress
from diffgeo.settings import Grid
from diffgeo.settings.allowed import LAYER, RECORDED
from diffgeo.training import Ensemble, Placement, Sampled, loop
from tests.support.settings import tiny

SEEDS = (0, 1, 2, 3)


class MadeUp(Ensemble):
    """Members that draw the true images at their labels, and record noise."""

    members = ()
    abstract_state = None  # asked for by the check of annotations
    max_pending = 1

    def __init__(self, wave):
        self.wave, self.drawn = wave, []

    def sample(self, params, step, labels, record=False, images=None, indices=None):
        for index in range(len(self.wave.members)):
            self.drawn.append(index)
            noise = np.random.default_rng(index).normal(size=(len(labels[index]), 2, 2, 3)).astype(np.float32)
            recorded = dict.fromkeys(RECORDED, noise) if record else {}
            yield Sampled(self.wave.true_images(index), recorded, {LAYER: noise} if images else {})


class Noted(Results):
    """A store that notes what is written and recorded, once `go` is set."""

    def due(self, members, step):
        return list(range(len(members)))

    def __init__(self):
        self.written, self.go = [], threading.Event()

    def label_sets(self):
        return ["own"]

    def write(self, members, values, step=None, group=None):
        self.go.wait()
        names = [*values] if group is None else [*values, f"{group} complete"]
        self.written += [(name, [m.index for m in members], step) for name in names]


class Shown(Progress):
    """Progress that keeps what is shown."""

    def __init__(self):
        super().__init__()
        self.values = {}

    def note_evaluation(self, step, **by_member):
        self.values |= {"step": step} | by_member


@pytest.fixture
def wave():
    grid = Grid(tiny(seed=SEEDS))
    (only,) = waves.plan_waves(grid, waves.build_tables(grid), {})
    return only


@pytest.fixture
def session(wave, tmp_path):
    """A session of `tiny` whose store notes what is written."""
    run = Run("made-up", "none", tiny(seed=SEEDS))
    return Session(run, open_workdir(tmp_path), (wave,), Noted(), progress=Shown())


def with_snapshots(session):
    """Return a session of a run whose representations are measured."""
    return dataclasses.replace(session, run=dataclasses.replace(session.run, analyses=("spectrum",)))


def test_training_may_go_on_before_anything_is_written(session, wave):
    store = session.store
    with session:
        evaluation.evaluate(session, wave, MadeUp(wave), None, 10, loss=np.ones(4, np.float32))
        assert store.written == []
        store.go.set()
    assert {name for name, _, _ in store.written} >= {"loss", "prediction", "samples", "correct", "accuracy"}
    assert ("loss complete", [0, 1, 2, 3], 10) in store.written
    assert store.written[-1] == ("evaluation complete", [0, 1, 2, 3], 10), "what marks an evaluation comes last"
    true = [evaluation.readout_ceiling(wave.members[i], wave.labels[i], wave.origin(i))[0] for i in range(4)]
    assert session.progress.values["step"] == 10
    assert session.progress.values["accuracy"] == {str(wave.members[i]): true[i] for i in range(4)}
    assert session.progress.values["loss"] == {str(member): 1.0 for member in wave.members}


def test_both_true_and_generated_pixels_are_clouds(wave):
    count = len(wave.labels[1])
    drawn = np.random.default_rng(0).normal(size=(count + 2, *wave.true_images(1).shape[1:])).astype(np.float32)
    noise = np.zeros((count + 2, 2, 2, 3), np.float32)
    clouds = evaluation._clouds(wave, 1, Sampled(drawn, dict.fromkeys(RECORDED, noise), {LAYER: noise}))
    assert set(clouds) == set(measure.TENSORS)
    np.testing.assert_array_equal(clouds[measure.GENERATED], drawn[:count])
    np.testing.assert_array_equal(clouds[measure.PIXELS], wave.true_images(1)[:count])


def test_a_snapshot_is_written_when_it_is_made(session, wave):
    session = with_snapshots(session)
    with session:
        threading.Timer(0.5, session.store.go.set).start()
        evaluation.evaluate(session, wave, MadeUp(wave), None, 10)
    for name in ("pca_scores", "snapshot complete"):
        assert [members for written, members, _ in session.store.written if written == name] == [[0], [1], [2], [3]]


def test_members_are_not_drawn_long_before_they_are_read_out(session, wave):
    session, made_up = with_snapshots(session), MadeUp(wave)  # stuck in writing the first member's snapshot
    with session:
        caller = threading.Thread(target=lambda: evaluation.evaluate(session, wave, made_up, None, 10))
        caller.start()
        caller.join(0.5)
        assert caller.is_alive()
        assert len(made_up.drawn) < len(SEEDS)
        session.store.go.set()
        caller.join(20)
    assert made_up.drawn == list(range(4))


def test_an_error_of_the_read_out_is_raised_and_marks_nothing_as_complete(session, wave, monkeypatch):
    def fail(_):
        raise OSError("disk full")

    session.store.go.set()
    monkeypatch.setattr(images, "to_uint8", fail)
    with pytest.raises(OSError, match="disk full"), session:
        evaluation.evaluate(session, wave, MadeUp(wave), None, 10)
    assert session.store.written == []


def test_a_loop_draws_ahead_by_no_more_members_than_threads(wave, monkeypatch):
    drawn = []

    def sampler(params, seed, step, labels):
        drawn.append(int(seed))
        return np.zeros((len(labels), 8, 8, 1), np.float32) + params["w"], {}

    monkeypatch.setattr(loop, "_sampler", lambda program, record: sampler)
    monkeypatch.setattr(loop, "usable_cores", lambda: 2)
    own = Placement(mapping="loop").place(wave.members, wave.tables)
    taken = []
    for sampled in own.sample({"w": np.arange(4.0)}, 0, wave.stacked_labels):
        taken.append(sampled.images[0, 0, 0, 0])
        assert len(drawn) <= len(taken) + 2
    assert taken == [0, 1, 2, 3], "in the members' order"
    assert sorted(drawn) == list(SEEDS)


def test_one_members_largest_results_lie_alone(wave, tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "LARGE", 4 * 6 * 6 * 4)
    run = Run("made-up", "none", tiny(seed=SEEDS), analyses=("spectrum",))
    grid = run.grid
    path = open_workdir(tmp_path).results
    Results.create(path, evaluation.empty_results(run, [wave], {}))
    store = Results(path, grid)
    scores = np.random.default_rng(0).normal(size=(2, len(measure.TENSORS), 6, 6)).astype(np.float32)
    store.write([grid.members[2], grid.members[0]], {"pca_scores": scores}, 20)
    found = open_results(tmp_path)
    assert found["pca_scores"].encoding["chunks"] == (1, 1, len(measure.TENSORS), 6, 6)
    assert found["accuracy"].encoding["chunks"] == (4, 1, 1, 2)
    np.testing.assert_array_equal(found["pca_scores"].sel(seed=2, step=20), scores[0])
    np.testing.assert_array_equal(found["pca_scores"].sel(seed=0, step=20), scores[1])
    assert np.isnan(found["pca_scores"].sel(seed=[1, 3])).all()
    assert np.isnan(found["pca_scores"].sel(seed=2, step=[0, 10, 30, 40])).all()
