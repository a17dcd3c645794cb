"""Grids over the optimizer's numbers, of members that end at different steps or stop by themselves."""

import dataclasses
import shutil

import numpy as np
import pytest

from diffgeo import results
from diffgeo.results.schema import COMPLETE, EVALUATION, IMPOSSIBLE
from diffgeo.run import Run
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.settings import Grid, Settings
from tests.support.runs import WAVE
from tests.support.settings import refused, tiny
from tests.support.trained import OneDevice, small, train

pytestmark = pytest.mark.usefixtures("small_network")

REACHED = 0.5


def stopping(stop_when: float | None, **axes) -> Run:
    """Return a run under a constant rate whose members stop by themselves."""
    settings = tiny(**(axes or {"seed": (0, 1, 2)}))
    constant = dataclasses.replace(settings.train, schedule="constant", stop_when=stop_when)
    return dataclasses.replace(small(), settings=dataclasses.replace(settings, train=constant))


@pytest.fixture(scope="module")
def swept(tmp_path_factory):
    """A run of members with 10 and 40 steps, at two learning rates."""
    return train(small(learning_rate=(1e-3, 2e-3), steps=(10, 40)), tmp_path_factory.mktemp("swept") / "run")


def test_a_sweep_is_one_wave_and_each_member_ends_at_its_own_step(swept, tmp_path):
    (wave,) = (swept / "checkpoints").iterdir()
    assert wave.name == "wave_000"
    found = results.open_results(swept).load()
    assert found["step"].values.tolist() == [0, 10, 20, 30, 40]
    complete = found["group_complete"].sel(group=EVALUATION)
    assert (complete.sel(steps=40) == COMPLETE).all()
    assert complete.sel(steps=10, learning_rate=1e-3).values.tolist() == [COMPLETE] * 2 + [IMPOSSIBLE] * 3
    assert np.isfinite(found["loss"].sel(steps=10)).sum() == 2
    alone = results.open_results(train(small(steps=(10,), learning_rate=(2e-3,)), tmp_path / "alone")).load()
    for name in ("loss", "samples", "prediction", "accuracy"):
        of_grid = found[name].sel(steps=[10], learning_rate=[2e-3], step=[0, 10]).transpose(*alone[name].dims)
        np.testing.assert_array_equal(of_grid, alone[name], err_msg=name)


def test_a_swept_run_has_nothing_left_to_do(swept, tmp_path):
    said, path = [], shutil.copytree(swept, tmp_path / "run")
    train(small(learning_rate=(1e-3, 2e-3), steps=(10, 40)), path, said)
    assert any("nothing left to train" in line for line in said)


def test_waves_of_a_sweep_are_recorded_and_those_of_earlier_versions_found():
    """Before, each value of a setting of `Train` had a program, and a wave, of its own."""
    grid = Grid(Settings(axes={"learning_rate": (1e-3, 2e-3), "seed": (0, 1)}))
    new = grid.described(4)
    assert [[m.index for m in wave] for wave in grid.waves_of(new)] == [[0, 1, 2, 3]]
    assert [[m.index for m in wave] for wave in grid.waves_of({"members_at_once": 2})] == [[0, 1], [2, 3]]
    of_data = Grid(Settings(axes={"increment": (0.5, 1.0), "seed": (0, 1)}))
    assert of_data.described(4) == {"members_at_once": 4}


def by_hand(monkeypatch, curves):
    """Let members' accuracies be those of `curves`: seed -> accuracy at each evaluation."""
    from diffgeo.run import evaluation

    scores, steps = evaluation._scores, [0, 10, 20, 30, 40]

    def scored(read, masks):
        values = scores(read, masks)
        values["accuracy"].values[:] = curves[reading["seed"]][steps.index(reading["step"])]
        return values

    reading = {}
    read = evaluation._Readings.read

    def noted(self, index, drawn, clouds):
        reading.update(seed=self.wave.members[index].seed, step=self.step)
        return read(self, index, drawn, clouds)

    monkeypatch.setattr(evaluation, "_scores", scored)
    monkeypatch.setattr(evaluation._Readings, "read", noted)


CURVES = {0: [0, 0.2, 0.6, 0.1, 0.1], 1: [0, 0.1, 0.2, 0.3, 0.4], 2: [0, 0.5, 0, 0, 0]}


def test_a_member_stops_by_its_own_accuracy_and_disturbs_no_other(tmp_path, monkeypatch):
    by_hand(monkeypatch, CURVES)
    run, said = stopping(REACHED), []
    path = train(run, tmp_path / "run", said)
    found = results.open_results(path).load()
    assert found["stopped_step"].values.tolist() == [20, -1, 10]
    assert sum("as train.stop_when says" in line for line in said) == 2
    whole = results.open_results(train(stopping(None), tmp_path / "whole")).load()
    for seed, last in ((0, 20), (1, 40), (2, 10)):
        for name in ("loss", "samples", "accuracy"):
            ours, theirs = (one[name].sel(seed=seed, step=slice(0, last)) for one in (found, whole))
            np.testing.assert_array_equal(ours, theirs)
        assert np.isnan(found["loss"].sel(seed=seed, step=slice(last + 1, None))).all()
    with Checkpoints(path / WAVE) as checkpoints:
        assert checkpoints.state_step == 40
    train(run, path, said)
    assert any("nothing left to train" in line for line in said)


def test_a_run_of_stopped_members_ends_without_training_them(tmp_path, monkeypatch):
    by_hand(monkeypatch, {seed: [0, 1, 1, 1, 1] for seed in range(3)})
    calls = []
    placed = OneDevice.place

    def counted(self, *given):
        ensemble = placed(self, *given)
        steps = ensemble.train_steps
        monkeypatch.setattr(ensemble, "train_steps", lambda n: calls.append(n) or steps(n), raising=False)
        return ensemble

    monkeypatch.setattr(OneDevice, "place", counted)
    path = train(stopping(REACHED), tmp_path / "run")
    assert sum(calls) == 10
    assert results.open_results(path)["stopped_step"].values.tolist() == [10, 10, 10]
    assert sorted(int(step.name) for step in (path / WAVE / "params").iterdir()) == [0, 10, 40]


@pytest.mark.parametrize("keep_record", [False, True])
def test_a_run_killed_around_a_stop_ends_as_the_whole(tmp_path, monkeypatch, keep_record):
    by_hand(monkeypatch, CURVES)
    whole = train(stopping(REACHED), tmp_path / "whole")
    from diffgeo.run.wave_loop import _Loop

    stop, at = _Loop.stop_members, []

    def killed(self):
        if self.step == 20 and not at:
            at.append(self.step)
            if keep_record:
                stop(self)
            raise KeyboardInterrupt
        stop(self)

    monkeypatch.setattr(_Loop, "stop_members", killed)
    with pytest.raises(KeyboardInterrupt):
        train(stopping(REACHED), tmp_path / "run")
    one, other = (results.open_results(path).load() for path in (train(stopping(REACHED), tmp_path / "run"), whole))
    for name in other.data_vars:
        np.testing.assert_array_equal(one[name], other[name], err_msg=str(name))


def test_stopping_is_refused_where_it_would_change_the_meaning():
    with refused("stop_when=0.9", "train.schedule=constant"):
        dataclasses.replace(Settings().train, stop_when=0.9)
    with refused("stop_when=1.5"):
        dataclasses.replace(Settings().train, stop_when=1.5, schedule="constant")
