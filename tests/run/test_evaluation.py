"""Evaluations read out behind training, on made-up members: nothing is compiled."""

import threading

import numpy as np
import pytest
from tests.helpers import tiny

from diffgeo import images, results
from diffgeo.host.background import Background
from diffgeo.run import evaluation, measure, waves
from diffgeo.settings import Grid
from diffgeo.training import Placement, Sampled, loop

SEEDS = (0, 1, 2, 3)


class MadeUp:
    """Members that draw the true images at their labels, and record noise."""

    max_pending = 1

    def __init__(self, wave):
        self.wave, self.asked = wave, []

    def sample(self, params, step, labels, record=False, images=None):
        for place in range(len(self.wave.members)):
            self.asked.append(place)
            noise = np.random.default_rng(place).normal(size=(len(labels[place]), 2, 2, 3)).astype(np.float32)
            recorded = dict.fromkeys(analysis.RECORDED, noise) if record else {}
            yield Sampled(self.wave.perfect_images(place), recorded, {"layer4": noise} if images else {})


class Noted:
    """A store that notes what is written, after it is let."""

    def __init__(self):
        self.written, self.go = [], threading.Event()

    def write(self, members, values, step=None):
        self.go.wait()
        self.written += [(name, [m.index for m in members], step) for name in values]


@pytest.fixture
def wave():
    (only,) = waves.waves(Grid(tiny(seed=SEEDS)), None)
    return only


def test_training_may_go_on_before_anything_is_written(wave):
    store, heard = Noted(), []
    with Background() as reader:
        evaluation.evaluate(wave, MadeUp(wave), None, 10, store, reader, loss=np.ones(4, np.float32), told=heard.append)
        assert store.written == []
        store.go.set()
    assert {name for name, _, _ in store.written} >= {"loss", "prediction", "samples", "correct"}
    assert store.written[-1] == ("accuracy", [0, 1, 2, 3], 10), "what marks an evaluation as complete comes last"
    perfect = [evaluation.readout_ceiling(*one) for one in zip(wave.members, wave.labels, wave.origins, strict=True)]
    assert heard == [pytest.approx(np.mean(perfect))]


def test_a_snapshot_is_written_when_it_is_made(wave):
    store, made_up = Noted(), MadeUp(wave)
    with Background() as reader:
        threading.Timer(0.5, store.go.set).start()
        evaluation.evaluate(wave, made_up, None, 10, store, reader, snapshots=True)
    assert [members for name, members, _ in store.written if name == "pca_scores"] == [[0], [1], [2], [3]]


def test_members_are_not_drawn_long_before_they_are_read_out(wave):
    store, made_up = Noted(), MadeUp(wave)  # stuck in writing the first member's snapshot
    with Background() as reader:
        caller = threading.Thread(
            target=lambda: evaluation.evaluate(wave, made_up, None, 10, store, reader, snapshots=True)
        )
        caller.start()
        caller.join(0.5)
        assert caller.is_alive()
        assert len(made_up.asked) < len(SEEDS)
        store.go.set()
        caller.join(20)
    assert made_up.asked == list(range(4))


def test_an_error_of_the_read_out_is_raised_and_marks_nothing_as_complete(wave, monkeypatch):
    def fail(_):
        raise OSError("disk full")

    store = Noted()
    store.go.set()
    monkeypatch.setattr(images, "to_uint8", fail)
    with pytest.raises(OSError, match="disk full"), Background() as reader:
        evaluation.evaluate(wave, MadeUp(wave), None, 10, store, reader)
    assert store.written == []


def test_a_loop_draws_ahead_by_no_more_members_than_threads(wave, monkeypatch):
    drawn = []

    def sampler(params, seed, step, labels):
        drawn.append(int(seed))
        return np.zeros((len(labels), 8, 8, 1), np.float32) + params["w"], {}

    monkeypatch.setattr(loop, "_sampler", lambda program, record: sampler)
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    own = Placement(mapping="loop").over(wave.members, wave.rows)
    found = []
    for one in own.sample({"w": np.arange(4.0)}, 0, wave.stacked_labels):
        found.append(one.images[0, 0, 0, 0])
        assert len(drawn) <= len(found) + 2
    assert found == [0, 1, 2, 3], "in the members' order"
    assert sorted(drawn) == list(SEEDS)


def test_one_members_largest_results_lie_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "LARGE", 4 * 6 * 6 * 4)
    grid = Grid(tiny(seed=SEEDS))
    (wave,) = waves.waves(grid, None)
    path = tmp_path / "results.zarr"
    results.Results.create(path, evaluation.empty_results(grid, [wave], ("spectrum",), {}))
    store = results.Results(path, grid)
    scores = np.random.default_rng(0).normal(size=(2, len(measure.TENSORS), 6, 6)).astype(np.float32)
    store.write([grid.members[2], grid.members[0]], {"pca_scores": scores}, 20)
    found = results.open_results(tmp_path)
    assert found["pca_scores"].encoding["chunks"] == (1, 1, len(measure.TENSORS), 6, 6)
    assert found["accuracy"].encoding["chunks"] == (4, 1)
    np.testing.assert_array_equal(found["pca_scores"].sel(seed=2, step=20), scores[0])
    np.testing.assert_array_equal(found["pca_scores"].sel(seed=0, step=20), scores[1])
    assert np.isnan(found["pca_scores"].sel(seed=[1, 3])).all()
    assert np.isnan(found["pca_scores"].sel(seed=2, step=[0, 10, 30, 40])).all()
