"""Members added to a finished run: earlier ones untouched, new ones as in a run of their own."""

import shutil

import numpy as np
import pytest

from diffgeo import results
from diffgeo.growth import added_values, extend
from diffgeo.results import open_workdir
from diffgeo.run import analyze
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.settings import Settings
from tests.support.runs import WAVE, newest_arrays
from tests.support.settings import refused
from tests.support.trained import assert_same_members, digests, small, train

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of two increments and two seeds."""
    return train(small("spectrum"), tmp_path_factory.mktemp("finished") / "run")


@pytest.fixture(scope="module")
def grown(finished, tmp_path_factory):
    """The same with two seeds more, in a wave for each increment's."""
    path = shutil.copytree(finished, tmp_path_factory.mktemp("grown") / "run")
    extend(small("spectrum"), path, {"seed": (7, 3)}, waves=2, say=[].append)
    return path


def stored(path):
    """Return the run that a folder holds."""
    return small("spectrum", **Settings.from_json(open_workdir(path).read_config()["settings"]).axes)


def test_earlier_members_are_untouched(finished, grown):
    assert_same_members(finished, grown)
    assert digests(grown / WAVE) == digests(finished / WAVE)


def test_new_members_are_those_of_a_run_of_their_own(grown, tmp_path):
    alone = train(small("spectrum", increment=(0.5, 1.0), seed=(7, 3)), tmp_path / "alone")
    assert_same_members(alone, grown)
    first, second = (newest_arrays(grown, "params", f"checkpoints/wave_00{wave}") for wave in (1, 2))
    for name, leaf in newest_arrays(alone, "params").items():
        np.testing.assert_array_equal(np.concatenate([first[name], second[name]]), leaf, err_msg=name)


def test_readers_see_one_grid(grown):
    found = results.open_results(grown)
    assert found["seed"].values.tolist() == [0, 1, 7, 3]
    assert results.settings_of(found).axes["seed"] == (0, 1, 7, 3)
    assert np.isfinite(found["accuracy"]).all()
    assert (found["samples"].isel(step=-1) < 255).any(["kept", "row", "column"]).all(), "no image is empty"
    assert (found["nonfinite_step"] == -1).all()


def test_given_again_it_is_complete_and_so_is_the_whole_grid(grown):
    before = digests(grown / "checkpoints")
    said = []
    extend(stored(grown), grown, {"seed": (7, 3)}, say=said.append)
    train(stored(grown), grown, said)
    analyze(stored(grown), grown, said.append)
    assert sum("nothing left to train" in line for line in said) == 2
    assert sum("analyzed already" in line for line in said) == 1
    assert digests(grown / "checkpoints") == before


def test_another_axis_grows_too_and_then_the_first_again(grown, tmp_path):
    path = shutil.copytree(grown, tmp_path / "run")
    extend(stored(path), path, {"increment": (2.0,)}, say=[].append)
    extend(stored(path), path, {"seed": (9,)}, say=[].append)
    found = results.open_results(path)
    assert found["accuracy"].isel(step=-1).shape[:2] == (3, 5)
    assert np.isfinite(found["accuracy"]).all()
    assert_same_members(grown, path)
    with Checkpoints(open_workdir(path).checkpoints(4)) as checkpoints:
        assert checkpoints.params_steps == [0, 10, 20, 30, 40]
    assert len(open_workdir(path).read_config()["waves"]) == 5


@pytest.mark.parametrize(
    ("added", "parts"),
    [
        ({"seed": (2, 1)}, ["seed=1 is in the run already: leave it out"]),
        ({"increment": (0.1,)}, ["the new members' 'sample' differs", "launch.merge"]),
    ],
)
def test_what_cannot_be_added(finished, tmp_path, added, parts):
    path = shutil.copytree(finished, tmp_path / "run")
    run = small("spectrum")
    if "increment" in added:  # more labels than the store has room for
        run = small("spectrum", increment=(4.0,), seed=(0,))
        path = train(run, tmp_path / "sparse")
    before = digests(path)
    with refused(*parts):
        extend(run, path, added)
    assert digests(path) == before


def test_an_unfinished_run_is_finished_first(finished, tmp_path):
    path = shutil.copytree(finished, tmp_path / "run")
    run = small("spectrum")
    results.Results(open_workdir(path).results, run.grid).record(run.grid.members[:1], 20, "evaluation", 0)
    before = digests(path)
    with refused("is unfinished (step 20 is not evaluated): finish it by its own command first"):
        extend(run, path, {"seed": (2,)})
    assert digests(path) == before


def test_values_are_of_one_axis_that_the_run_has():
    settings = small().settings
    assert added_values(settings, ["axes.seed=4,5"]) == {"seed": (4, 5)}
    assert added_values(settings, ["axes.increment=2"]) == {"increment": (2.0,)}
    with refused("'train.steps' is a setting of the finished run"):
        added_values(settings, ["axes.seed=4", "train.steps=9"])
    with refused("adds values of one axis, not of 2"):
        added_values(settings, ["axes.seed=4", "axes.increment=2"])
    with refused("adds values of one axis, not of 0"):
        added_values(settings, [])
    with refused("'sigma' is no axis of the run (increment, seed)"):
        added_values(settings, ["axes.sigma=2"])


def test_a_configuration_that_lists_other_waves_is_refused(grown, tmp_path):
    path = shutil.copytree(grown, tmp_path / "run")
    config = open_workdir(path).read_config()
    for waves, part in (
        (config["waves"][:-1], "leave out members"),
        ([*config["waves"], [[0.5, 99]]], "a member that it has not"),
        ([[7]], "a member that it has not"),
        ([None], "a member that it has not"),
    ):
        open_workdir(path).write_config(config | {"waves": waves})
        with refused("the run's configuration lists", part):
            analyze(stored(path), path)
