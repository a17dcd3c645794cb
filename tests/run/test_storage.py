"""Checkpoints that a run keeps: no more than asked for, no fewer than it needs to go on."""

import shutil
from collections import namedtuple

import numpy as np
import pytest

from diffgeo import results
from diffgeo.results import open_workdir
from diffgeo.run import Run, analyze, folder
from diffgeo.run.checkpoints import Checkpoints
from tests.support.runs import WAVE, newest_arrays
from tests.support.settings import refused, tiny
from tests.support.trained import assert_same_members, digests, small, train

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """A finished run that keeps all checkpoints."""
    return train(small("spectrum"), tmp_path_factory.mktemp("all") / "run")


@pytest.fixture(scope="module")
def last(tmp_path_factory):
    """The same run, of which the last parameters stay."""
    return train(small("spectrum", keep="last"), tmp_path_factory.mktemp("last") / "run")


def steps(path, kind):
    """Return the steps of the first wave's checkpoints of a kind."""
    return sorted(int(step.name) for step in (path / WAVE / kind).iterdir())


@pytest.mark.parametrize(("keep", "kept"), [("last", [40]), ("analysis", [0, 40]), ("every:3", [0, 30, 40])])
def test_what_is_not_kept_is_deleted_and_the_results_are_the_same(everything, last, tmp_path, keep, kept):
    path = last if keep == "last" else train(small("spectrum", keep=keep), tmp_path / "run")
    assert (steps(path, "params"), steps(path, "state")) == (kept, [])
    assert (steps(everything, "params"), steps(everything, "state")) == ([0, 10, 20, 30, 40], [30, 40])
    assert_same_members(everything, path)
    kept_arrays = newest_arrays(path, "params")
    for name, leaf in newest_arrays(everything, "params").items():
        np.testing.assert_array_equal(kept_arrays[name], leaf)


def test_a_finished_run_has_nothing_left_to_do(last, tmp_path):
    path = shutil.copytree(last, tmp_path / "run")
    said = []
    train(small("spectrum"), path, said)
    assert any("nothing left to train" in line for line in said)
    assert digests(path / WAVE) == digests(last / WAVE)


def test_a_run_keeps_what_it_was_started_with_until_asked_for_less(everything, tmp_path):
    path = shutil.copytree(everything, tmp_path / "run")
    train(small("spectrum"), path)
    assert steps(path, "params") == [0, 10, 20, 30, 40]
    train(small("spectrum", keep="every:2"), path)
    assert (steps(path, "params"), steps(path, "state")) == ([0, 20, 40], [])
    assert open_workdir(path).read_config()["keep"] == "every:2"
    train(small("spectrum"), path)
    assert steps(path, "params") == [0, 20, 40]


def test_parameters_whose_evaluation_is_missing_stay(everything, tmp_path):
    path = shutil.copytree(everything, tmp_path / "run")
    store = results.Results(open_workdir(path).results, small().grid)
    store.record(small().grid.members[:1], 20, "evaluation", 0)
    for step in (30, 40):
        shutil.rmtree(path / WAVE / "state" / str(step))
    shutil.copytree(path / WAVE / "params/40", path / WAVE / "params/50")  # as if it trained on
    deleted = []
    delete = Checkpoints._delete

    def watched(self, manager, unkept):
        deleted.extend(unkept)
        delete(self, manager, unkept)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Checkpoints, "_delete", watched)
        train(small("spectrum", keep="last"), path)  # from step 0, as there is no state
    first = deleted.index(20)
    assert set(deleted[:first]) == {0, 10, 30}, "before step 20 was evaluated again"
    assert_same_members(everything, path)


def test_analysis_says_what_it_can_no_longer_do(last, tmp_path):
    path = shutil.copytree(last, tmp_path / "run")
    shutil.rmtree(path / "results.zarr")
    said = []
    analyze(small("spectrum"), path, said.append)
    assert "no checkpoint of steps 0, 10, 20, 30 was kept (--keep): what their results lack stays missing" in said
    again, before = results.open_results(path), results.open_results(last)
    np.testing.assert_array_equal(again["accuracy"].sel(step=40), before["accuracy"].sel(step=40))
    assert np.isnan(again["accuracy"].sel(step=30)).all()


def test_what_does_not_fit_is_refused_before_anything_is_written(tmp_path, monkeypatch):
    said, free = [], namedtuple("usage", "free")
    needed = folder.storage_of(small(), 4)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: free(needed.training - 1))
    with refused(f"--keep=all, and the disk of {str(tmp_path / 'run')!r} has", "pass --keep=last"):
        train(small(), tmp_path / "run", said)
    assert len(said) == 1
    assert said[0] == f"{needed}; the disk has {folder.gigabytes(needed.training - 1)} free"
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_choice_is_refused_before_a_run_starts():
    with refused("unknown --keep=newest: choose one of all, last, every:K, analysis"):
        Run("made-up", "none", tiny(), keep="newest")
