"""Finished runs joined: the results of the whole grid, checkpoints where they lie, and what cannot be joined."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import zarr

from diffgeo import results
from diffgeo.growth import extend, merge
from diffgeo.results import open_workdir
from diffgeo.results.checkpoint_files import read_member
from diffgeo.run import analyze
from diffgeo.settings import Settings
from tests.support.settings import refused
from tests.support.trained import assert_same_members, digests, small, train

pytestmark = pytest.mark.usefixtures("small_network")

AXES = {"increment": (0.5, 1.0), "seed": (0, 1)}


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Two runs, a seed each; the second has fewer labels a member than its store."""
    folder = tmp_path_factory.mktemp("parts")
    return [train(small("spectrum", **{**AXES, "seed": (seed,)}), folder / f"seed{seed}") for seed in (0, 1)]


@pytest.fixture(scope="module")
def joined(parts, tmp_path_factory):
    """Both joined, and the digests of their files before that."""
    before = [digests(part) for part in parts]
    out = tmp_path_factory.mktemp("joined") / "both"
    merge(parts, out, provenance={"command": "merged"})
    return out, before


def test_results_are_those_of_the_whole_grid(joined, tmp_path):
    whole = train(small("spectrum", **AXES), tmp_path / "whole")
    assert_same_members(whole, joined[0])
    found, expected = results.open_results(joined[0]), results.open_results(whole)
    assert results.settings_of(found) == results.settings_of(expected)
    assert {name: found[name].encoding["chunks"] for name in found.data_vars} == {
        name: expected[name].encoding["chunks"] for name in expected.data_vars
    }


def test_each_source_is_recorded(joined, parts):
    found = results.open_results(joined[0])
    sources = json.loads(found.attrs["sources"])
    assert [source["workdir"] for source in sources] == [str(part) for part in parts]
    assert [source["axes"]["seed"] for source in sources] == [[0], [1]]
    assert [source["command"] for source in sources] == ["made seed0", "made seed1"]
    assert found.attrs["command"] == "merged"
    assert open_workdir(joined[0]).read_config()["sources"] == sources


def stored(path):
    """Return the run that a folder holds."""
    return small("spectrum", **Settings.from_json(open_workdir(path).read_config()["settings"]).axes)


def test_nothing_is_left_to_train_and_checkpoints_lie_where_they_lay(joined, parts):
    out, before = joined
    said = []
    train(stored(out), out, said)
    train(dataclasses.replace(stored(out), keep="last"), out, said)  # deletes nothing that is another run's
    analyze(stored(out), out, said.append)
    assert sum("nothing left to train" in line for line in said) == 2
    assert sum("analyzed already" in line for line in said) == 1
    for number, part in enumerate(parts):
        assert (out / f"checkpoints/wave_00{number}").resolve() == part / "checkpoints/wave_000"
        assert digests(part) == before[number]


def test_missing_evaluations_are_made_from_linked_checkpoints(joined, parts, tmp_path):
    out = tmp_path / "again"
    merge(parts, out)
    array = zarr.open_group(str(out / "results.zarr"), mode="r+")["group_complete"]
    array.with_config({"write_empty_chunks": True})[:] = 0
    before = digests(parts[0])
    analyze(stored(out), out, [].append)
    assert (results.open_results(out)["group_complete"].sel(group="evaluation") == 1).all()
    np.testing.assert_array_equal(results.open_results(out)["accuracy"], results.open_results(joined[0])["accuracy"])
    assert digests(parts[0]) == before


def test_copies_need_no_source(parts, tmp_path):
    sources = [shutil.copytree(part, tmp_path / part.name) for part in parts]
    linked, copied = tmp_path / "linked", tmp_path / "copied"
    merge(sources, linked)
    merge(sources, copied, copy=True)
    for source in sources:
        shutil.rmtree(source)
    assert read_member(open_workdir(copied).checkpoints(1), 0, 40)
    said = []
    train(stored(linked), linked, said)
    assert any("nothing left to train" in line for line in said), "its results are whole"
    with refused("no checkpoint", "none is stored"):
        read_member(open_workdir(linked).checkpoints(1), 0, 40)


def test_a_joined_run_is_extended_and_joined_again(joined, parts, tmp_path):
    out = tmp_path / "out"
    merge(parts, out)
    extend(stored(out), out, {"seed": (5,)}, say=[].append)
    assert_same_members(joined[0], out)
    assert np.isfinite(results.open_results(out)["accuracy"]).all()
    twice = tmp_path / "twice"
    merge([parts[1], out], twice)  # the second seed is in both, and equal
    assert results.open_results(twice)["seed"].values.tolist() == [1, 0, 5]
    assert_same_members(out, twice)
    assert {path.resolve().parent.parent for path in (twice / "checkpoints").iterdir()} == {*parts, out}


def test_runs_of_other_numbers_of_labels_are_padded(tmp_path):
    dense, sparse = (train(small(increment=(d,), seed=(0,)), tmp_path / f"d{d}") for d in (1.0, 4.0))
    merge([sparse, dense], tmp_path / "both")
    found = results.open_results(tmp_path / "both")
    assert found["increment"].values.tolist() == [4.0, 1.0]
    assert (found.sizes["sample"], np.isfinite(found["label"].sel(increment=4.0)).sum()) == (6, 8)
    assert_same_members(dense, tmp_path / "both")
    narrow = results.open_results(sparse)["prediction"]
    shown = found["prediction"].sel(increment=[4.0]).isel(sample=slice(0, narrow.sizes["sample"]))
    np.testing.assert_array_equal(shown, narrow)


def test_what_cannot_be_joined_is_said_and_nothing_is_written(parts, tmp_path):
    one, other = parts
    changed = shutil.copytree(one, tmp_path / "changed")
    store = zarr.open_group(str(changed / "results.zarr"), mode="r+")
    store["accuracy_x"][1, 0, 2] += 0.25
    with refused("member increment=1.0, seed=0 has another 'accuracy_x' in", str(one), str(changed)):
        merge([one, changed], tmp_path / "out")
    half = train(small("spectrum", increment=(1.0,), seed=(9,)), tmp_path / "half")
    with refused("no run has increment=0.5, seed=9: joined runs are a full grid"):
        merge([*parts, half], tmp_path / "out")
    unfinished = shutil.copytree(other, tmp_path / "unfinished")
    zarr.open_group(str(unfinished / "results.zarr"), mode="r+")["group_complete"][0, 0, 3, 0] = 0
    with refused(f"the run in {str(unfinished)!r} is unfinished"):
        merge([one, unfinished], tmp_path / "out")
    with refused("1 folder is nothing to join"):
        merge([one], tmp_path / "out")
    with refused(f"{str(half)!r} exists: choose a new folder by --out"):
        merge(parts, half)
    with refused("no run in", "none"):
        merge([one, tmp_path / "none"], tmp_path / "out")
    sound = open_workdir(one).read_config()
    open_workdir(changed).write_config(sound | {"experiment_sha256": "f" * 64})
    with refused("differ in experiment_sha256"):
        merge([one, changed], tmp_path / "out")
    open_workdir(changed).write_config(sound | {"preset": "other"})
    with refused("is not of the results there (preset is"):
        merge([one, changed], tmp_path / "out")
    settings = open_workdir(one).read_config()
    settings["settings"]["train"]["batch_size"] = 8
    open_workdir(changed).write_config(settings)
    with refused("is not of the results there (settings.train.batch_size is 8, and 4 in the results)"):
        merge([one, changed], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))
