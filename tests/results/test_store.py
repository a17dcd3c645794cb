"""The results store: a part of an evaluation is there as a whole or missing, older stores gain what they lack."""

import numpy as np
import pytest
import xarray as xr

from diffgeo.results import Results, data_at, open_results, open_workdir, settings_of_member
from diffgeo.results.read import unfinished_step
from diffgeo.results.schema import COMPLETE, EVALUATION, IMPOSSIBLE, LOSS, MISSING, SNAPSHOT, cloud_group
from diffgeo.run import Run, measure
from diffgeo.run.evaluation import empty_results
from diffgeo.run.waves import build_tables, plan_waves
from tests.support.settings import tiny

SPECTRUM = cloud_group("layer4", "spectrum")
STEPS = [0, 10, 20, 30, 40]


def run_of(*analyses: str) -> Run:
    """Return a run of four members."""
    return Run("made-up", "none", tiny(increment=(0.5, 1.0), seed=(0, 7)), analyses=analyses)


def empty(run: Run, **provenance: str) -> xr.Dataset:
    """Return the results that a run starts from."""
    return empty_results(run, plan_waves(run.grid, build_tables(run.grid), {}), provenance)


@pytest.fixture
def store(tmp_path):
    """An empty store of a run that measures spectra."""
    run = run_of("spectrum")
    Results.create(open_workdir(tmp_path).results, empty(run))
    return Results(open_workdir(tmp_path).results, run.grid)


def scores(count: int = 4) -> dict[str, np.ndarray]:
    """Return what an evaluation of so many members writes, as far as these tests need it."""
    return {"accuracy": np.full(count, 0.25), "prediction": np.ones((count, 2, 6, 2), np.float32)}


def test_a_new_store_lacks_every_group_at_every_step(store):
    members = run_of().grid.members
    for group in (EVALUATION, LOSS, SNAPSHOT, SPECTRUM):
        assert store.missing(members, group) == STEPS


def test_a_group_is_there_once_it_is_written_of_all_members(store):
    members = run_of().grid.members
    store.write(members[:3], scores(3), 20, EVALUATION)
    assert store.missing(members[:3]) == [0, 10, 30, 40]
    assert store.missing(members) == STEPS
    store.write(members[3:], scores(1), 20, EVALUATION)
    assert store.missing(members) == [0, 10, 30, 40]
    assert store.missing(members, LOSS) == STEPS, "a group of its own"


def test_values_without_a_group_leave_it_missing(store, tmp_path):
    members = run_of().grid.members
    store.write(members, scores(), 10)
    assert (open_results(tmp_path)["accuracy"].sel(step=10) == 0.25).all()
    assert store.missing(members) == STEPS
    store.record(members, 10, EVALUATION)
    assert store.missing(members) == [0, 20, 30, 40]
    store.record(members[1:2], 10, EVALUATION, MISSING)
    assert store.missing(members) == STEPS
    assert store.missing(members[:1]) == [0, 20, 30, 40]


class Killed(BaseException):
    """As a signal would end the process."""


@pytest.mark.parametrize("written", [0, 1, 2], ids=lambda count: f"{count} variables written")
def test_killed_between_values_and_record_the_group_is_missing_as_a_whole(store, tmp_path, monkeypatch, written):
    members = run_of().grid.members
    array, left = store._array, list(range(written))

    def failing(name):
        if not left:
            raise Killed
        left.pop()
        return array(name)

    monkeypatch.setattr(store, "_array", failing)
    with pytest.raises(Killed):
        store.write(members, scores(), 30, EVALUATION)
    again = Results(open_workdir(tmp_path).results, run_of().grid)
    assert 30 in again.missing(members)
    known = np.isfinite(open_results(tmp_path)["accuracy"].sel(step=30)).all()
    assert bool(known) == (written > 0), "values may be there: it is the record that counts"
    again.write(members, scores(), 30, EVALUATION)
    assert 30 not in again.missing(members)


def test_the_record_of_one_cloud_is_that_of_its_member_and_step(store, tmp_path):
    first, second = run_of().grid.members[:2]
    store.write_cloud(first, 40, measure.TENSORS.index("layer4"), {"participation_ratio": np.array(3.0)}, SPECTRUM)
    store.record([second], 40, SPECTRUM, IMPOSSIBLE)
    assert store.missing([first, second], SPECTRUM) == [0, 10, 20, 30], "what cannot be measured is not missing"
    found = open_results(tmp_path).sel(step=40)
    assert found["group_complete"].sel(group=SPECTRUM).values.tolist() == [[COMPLETE, IMPOSSIBLE], [MISSING] * 2]
    at = found["participation_ratio"].sel(tensor="layer4").values
    np.testing.assert_array_equal(at, [[3.0, np.nan], [np.nan, np.nan]])


def test_only_the_coordinator_writes(store, tmp_path, monkeypatch):
    monkeypatch.setattr("diffgeo.host.distributed.is_coordinator", lambda: False)
    other = Results(open_workdir(tmp_path).results, run_of().grid)
    other.write(run_of().grid.members, scores(), 20, EVALUATION)
    assert np.isnan(open_results(tmp_path)["accuracy"].values).all()
    assert store.missing(run_of().grid.members) == STEPS


def test_results_of_a_run_with_fewer_analyses_gain_what_they_lack(tmp_path):
    plain, more = run_of(), run_of("spectrum", "rings")
    members, path = plain.grid.members, open_workdir(tmp_path).results
    Results.create(path, empty(plain, commit="old"))
    Results(path, plain.grid).write(members, {"accuracy": np.full(4, 0.25)}, 0, EVALUATION)
    fields = measure.fields_of_groups(more.analyses)
    Results.extend(path, empty(more, commit="new"), fields)
    found = open_results(tmp_path).load()
    assert np.isnan(found["pca_scores"].values).all()
    assert (found["accuracy"].sel(step=0) == 0.25).all()
    assert found.attrs["commit"] == "old"
    store = Results(path, more.grid)
    assert store.missing(members) == [10, 20, 30, 40], "what was recorded stays"
    for group in measure.groups_of(more.analyses):
        assert store.missing(members, group) == STEPS
    store.write_cloud(members[0], 0, 0, {"participation_ratio": np.array(3.0)}, SPECTRUM)
    assert store.missing(members[:1], SPECTRUM) == [10, 20, 30, 40]
    before = open_results(tmp_path).load()
    Results.extend(path, empty(more, commit="new"), fields)
    xr.testing.assert_identical(open_results(tmp_path).load(), before)
    Results.extend(path, empty(plain), {})
    xr.testing.assert_identical(open_results(tmp_path).load(), before)


def test_results_of_before_groups_were_recorded_are_complete_where_values_are(tmp_path):
    run = run_of("spectrum")
    members, path = run.grid.members, open_workdir(tmp_path).results
    old = empty(run, commit="old").drop_vars(["group_complete", "group", "participation_ratio"])
    old["accuracy"] = old["accuracy"].copy(deep=True)
    old["accuracy"].loc[{"step": [0, 10]}] = 0.25
    old["accuracy"].loc[{"step": 20, "seed": 0}] = 0.25
    del old.attrs["store_format"]
    Results.create(
        path, old.rename({"readout_ceiling": "ceiling", "nonfinite_step": "frozen_step", "factor": "coordinate"})
    )
    Results.extend(path, empty(run), measure.fields_of_groups(run.analyses))
    store = Results(path, run.grid)
    assert store.missing(members) == [20, 30, 40]
    assert store.missing(members[:1]) == [30, 40]
    assert store.missing(members, SNAPSHOT) == STEPS
    store.write(members, {"nonfinite_step": np.arange(4)})
    found = open_results(tmp_path)
    assert found["nonfinite_step"].values.ravel().tolist() == [0, 1, 2, 3]
    assert "participation_ratio" in found
    assert "frozen_step" not in found
    assert found.attrs["commit"] == "old"


def test_killed_while_groups_are_added_the_store_is_as_before_and_can_gain_them_again(tmp_path, monkeypatch):
    plain, more = run_of(), run_of("spectrum")
    members, path = plain.grid.members, open_workdir(tmp_path).results
    Results.create(path, empty(plain))
    Results(path, plain.grid).write(members, scores(), 0, EVALUATION)
    before = open_results(tmp_path).load()

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr("diffgeo.results.metadata.consolidate", killed)
        with pytest.raises(Killed):
            Results.extend(path, empty(more), {})
    xr.testing.assert_identical(open_results(tmp_path).load(), before)
    assert Results(path, plain.grid).missing(members) == STEPS[1:]
    Results.extend(path, empty(more), {})
    assert open_results(tmp_path)["group"].values.tolist() == [EVALUATION, LOSS, *measure.groups_of(("spectrum",))]
    assert Results(path, more.grid).missing(members) == STEPS[1:]
    assert Results(path, more.grid).missing(members, SPECTRUM) == STEPS


def test_results_of_a_version_with_fewer_tensors_gain_the_others(tmp_path, monkeypatch):
    run, path, new = run_of("spectrum"), open_workdir(tmp_path).results, measure.TENSORS[-1]
    members, count = run.grid.members, len(measure.TENSORS)
    with monkeypatch.context() as earlier:
        earlier.setattr(measure, "TENSORS", measure.TENSORS[:-1])
        Results.create(path, empty(run))
        store = Results(path, run.grid)
        samples = store._array("pca_scores").shape[-1]
        store.write(members, {"pca_scores": np.full((4, count - 1, samples, samples), 2.0)}, 10, SNAPSHOT)
        store.write_cloud(members[1], 10, 0, {"participation_ratio": np.array(3.0)}, SPECTRUM)
    before = open_results(tmp_path).load()
    fields = measure.fields_of_groups(run.analyses)
    Results.extend(path, empty(run), fields)
    found = open_results(tmp_path).load()
    assert found["tensor"].values.tolist() == list(measure.TENSORS)
    xr.testing.assert_equal(found.drop_dims("group").isel(tensor=slice(-1)), before.drop_dims("group"))
    assert np.isnan(found["pca_scores"].sel(tensor=new)).all()
    recorded = found["group_complete"].sel(group=cloud_group(new, "spectrum"))
    assert (recorded.sel(step=10) == IMPOSSIBLE).all(), "its activations were not kept"
    assert (recorded.sel(step=20) == MISSING).all(), "and will be at the evaluations to come"
    assert not [task for task in measure.pending(found, members, run.analyses) if task.tensor == new]
    Results.extend(path, empty(run), fields)
    xr.testing.assert_identical(open_results(tmp_path).load(), found)
    store = Results(path, run.grid)
    store.write(members, {"pca_scores": np.full((4, count, samples, samples), 5.0)}, 20, SNAPSHOT)
    assert (open_results(tmp_path)["pca_scores"].sel(step=20) == 5.0).all()


def test_an_axis_of_steps_has_every_members_evaluations(tmp_path):
    run = Run("made-up", "none", tiny(steps=(10, 25), seed=(0,)))
    path = open_workdir(tmp_path).results
    Results.create(path, empty(run))
    store, (short, long) = Results(path, run.grid), run.grid.members
    assert open_results(tmp_path)["step"].values.tolist() == [0, 10, 20, 25]
    assert store.missing([short]) == [0, 10]
    assert store.missing([long]) == [0, 10, 20, 25]
    for step in (0, 10):
        store.write([short, long], scores(2), step, EVALUATION)
    assert unfinished_step(open_results(tmp_path)) == 20
    for step in (20, 25):
        store.write([long], scores(1), step, EVALUATION)
    assert unfinished_step(open_results(tmp_path)) is None


def test_none_on_an_axis_comes_back_from_results(tmp_path):
    run = Run("made-up", "none", tiny(increment_x=(None, 0.5), seed=(0,)))
    Results.create(open_workdir(tmp_path).results, empty(run))
    found = open_results(tmp_path)
    for member, wanted in zip(run.grid.members, (None, 0.5), strict=True):
        alone = found.sel(member.labels)
        assert settings_of_member(alone).data.increment_x == wanted
        assert data_at(found, **member.labels).spacing == member.settings.data.spacing
