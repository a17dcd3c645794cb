"""Results of earlier versions: every committed summary is read, and a store of format 1 is read, extended, written."""

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import zarr

import experiments
from diffgeo import results
from diffgeo.data import computed
from diffgeo.report import summary
from diffgeo.results.schema import COMPLETE, EVALUATION, LOSS, MISSING, SNAPSHOT, cloud_group
from diffgeo.run import measure
from diffgeo.settings import SECTIONS, Data, Grid, Settings, adapt, migration
from tests.support.results import unchecked_encoding
from tests.support.settings import tiny

SUMMARIES = sorted((Path(experiments.__file__).parent / "gallery").glob("*.zip"))
OLD_SETTINGS = {old for names in migration.SETTINGS.values() for old in names}


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_every_committed_summary_is_read_under_names_of_this_version(path):
    with zarr.storage.ZipStore(path, mode="r") as store:
        raw = xr.open_zarr(store, chunks=None)
        raw_variables, raw_sizes = list(raw.variables), dict(raw.sizes)
    stored = summary.read(path)
    assert len(stored.variables) == len(raw_variables)
    assert sorted(stored.sizes.values()) == sorted(raw_sizes.values())
    assert not migration.VARIABLES.keys() & set(stored.variables)
    assert not migration.DIMS.keys() & {*stored.dims, *stored.variables}
    tree = results.settings_tree(stored)
    for section, kind in SECTIONS.items():
        # parameters are of a user's data set, which no summary here is of
        assert set(tree[section]) == set(kind.__dataclass_fields__) - {"parameters"}
        assert not OLD_SETTINGS & set(tree[section])
    assert not OLD_SETTINGS & set(tree["axes"])
    settings = Settings.from_json(tree)
    assert json.loads(json.dumps(settings.to_json())) == tree
    if settings.train.steps:
        assert set(settings.axes) <= set(stored.dims)
    if "table" in stored.dims:
        assert all(isinstance(computed.data_of(stored, name), Data) for name in stored["table"].values.tolist())
    members = Grid(settings).members
    for member in (members[0], members[-1]):
        assert results.data_at(stored, **member.coordinates) == member.settings.data


ANALYSES = ("spectrum", "manifold")
COUNT = 6
OLD_NAMES = {new: old for old, new in {**migration.DIMS, **migration.VARIABLES}.items()}


def holes() -> Settings:
    """Return settings whose axes and fields were renamed."""
    return adapt(tiny(), {"hole_width": (3.0, 5.0), "seed": (0, 1)}, data={"hole": "lesion"})


def empty(settings: Settings, analyses=ANALYSES) -> xr.Dataset:
    about = {"settings": json.dumps(settings.to_json()), "experiment": "test", "preset": "tiny"}
    return results.template(Grid(settings), COUNT, about, measure.schema(analyses, COUNT)).copy(deep=True)


def settings_of_format_1(settings: Settings) -> dict:
    """Return the settings' tree under the old names, without the field that is new."""
    tree = settings.to_json()
    del tree["train"]["log_every"]
    for section, names in migration.SETTINGS.items():
        tree[section] = migration.rename(tree[section], {new: old for old, new in names.items()})
    return tree | {"axes": migration.rename(tree["axes"], {new: old for old, new in migration.AXES.items()})}


def store_of_format_1(folder: Path, dataset: xr.Dataset, settings: Settings) -> Path:
    """Write a Dataset of this version as format 1 held it, and return the store's path."""
    old = dataset.drop_dims("group")
    old = old.rename({new: old_name for new, old_name in OLD_NAMES.items() if new in {*old.variables, *old.dims}})
    del old.attrs["store_format"]
    old.attrs["settings"] = json.dumps(settings_of_format_1(settings))
    path = folder / "results.zarr"
    old.to_zarr(str(path), mode="w", zarr_format=2, consolidated=True, encoding=unchecked_encoding(old))
    return path


def on_disk(path: Path) -> set[str]:
    return {entry.name for entry in path.iterdir() if entry.is_dir()}


@pytest.fixture
def half_done(tmp_path):
    """A store of format 1: all evaluated at step 0, members of the first width at step 10 too, spectra at step 0."""
    settings = holes()
    dataset = empty(settings)
    rng = np.random.default_rng(0)
    for name in ("accuracy", "correct", "pca_scores", "joint_minus_product", "neighbor_r2"):
        values = dataset[name].values
        values[:, :, 0] = rng.uniform(size=values[:, :, 0].shape)
    for name in ("accuracy", "loss"):
        values = dataset[name].values
        values[0, :, 1] = rng.uniform(size=values[0, :, 1].shape)
    for name in ("participation_ratio", "total_variance", "spectrum", "explained_variance", "pca"):
        values = dataset[name].values
        values[:, :, 0] = rng.uniform(size=values[:, :, 0].shape)
    dataset["nonfinite_step"].values[1, 1] = 7
    older = dataset["readout_ceiling"].isel(label_set=0, readout=0, drop=True)
    dataset["readout_ceiling"] = older.copy(data=rng.uniform(size=(2, 2)).astype(np.float32))
    return settings, dataset, store_of_format_1(tmp_path, dataset, settings)


def test_a_store_of_format_1_opens_under_names_of_this_version(half_done, tmp_path):
    settings, dataset, path = half_done
    assert {"scores", "ceiling", "excess", "frozen_step", "neighbour_r2", "width", "coordinate"} <= on_disk(path)
    opened = results.open_results(tmp_path).load()
    xr.testing.assert_equal(opened, dataset.drop_dims("group"))
    assert opened["readout_ceiling"].dims == ("hole_width", "seed")
    assert opened["prediction"].dims[-1] == "factor"
    assert results.settings_of(opened).evaluation == settings.evaluation
    assert results.settings_of(opened) == settings
    assert results.data_at(opened, hole_width=5.0).hole_width == 5.0


def test_a_store_of_format_1_is_extended_by_what_it_lacks(half_done, tmp_path):
    settings, dataset, path = half_done
    before = on_disk(path)
    more = empty(settings, (*ANALYSES, "topology"))
    results.Results.extend(path, more, measure.fields_of_groups((*ANALYSES, "topology")))
    extended = results.open_results(tmp_path).load()
    assert set(extended.variables) == set(more.variables)
    assert before <= on_disk(path)  # nothing was renamed on disk
    assert not OLD_NAMES.keys() & on_disk(path)
    xr.testing.assert_equal(extended[list(dataset.drop_dims("group"))], dataset.drop_dims("group"))
    complete = extended["group_complete"]
    assert set(np.unique(complete)) == {MISSING, COMPLETE}
    expected = np.zeros((2, 2, complete.sizes["step"]), int)
    expected[:, :, 0] = COMPLETE
    np.testing.assert_array_equal(complete.sel(group=SNAPSHOT), expected)
    np.testing.assert_array_equal(complete.sel(group=cloud_group("layer4", "spectrum")), expected)
    assert (complete.sel(group=cloud_group("layer4", "manifold")) == MISSING).all()
    assert (complete.sel(group=cloud_group("layer4", "topology")) == MISSING).all()
    expected[0, :, 1] = COMPLETE
    np.testing.assert_array_equal(complete.sel(group=EVALUATION), expected)
    expected[:, :, 0] = MISSING
    np.testing.assert_array_equal(complete.sel(group=LOSS), expected)
    again = results.open_results(tmp_path).load()
    results.Results.extend(path, more, measure.fields_of_groups((*ANALYSES, "topology")))
    xr.testing.assert_identical(results.open_results(tmp_path).load(), again)


def test_a_store_of_format_1_is_written_under_names_of_this_version(half_done, tmp_path):
    settings, dataset, path = half_done
    results.Results.extend(path, empty(settings), measure.fields_of_groups(ANALYSES))
    members = Grid(settings).members
    store = results.Results(path, Grid(settings))
    assert store.missing(members) == [10, 20, 30, 40]
    assert store.missing(members[:2]) == [20, 30, 40]
    store.write(members, {"nonfinite_step": [1, 2, 3, 4], "readout_ceiling": [0.1, 0.2, 0.3, 0.4]})
    excess = np.arange(4, dtype=np.float32)
    store.write(members, {"joint_minus_product": list(excess)}, 20, measure.FACTORIZATION)
    cloud = np.arange(COUNT**2, dtype=np.float32).reshape(COUNT, COUNT)
    store.write([members[3]], {"pca_scores": [np.stack([cloud] * len(measure.TENSORS))]}, 20, SNAPSHOT)
    tensor = measure.TENSORS.index("layer4")
    store.write_cloud(
        members[1], 20, tensor, {"neighbor_r2": np.asarray(0.5, np.float32)}, cloud_group("layer4", "manifold")
    )
    written = results.open_results(tmp_path).load()
    assert written["nonfinite_step"].values.tolist() == [[1, 2], [3, 4]]
    np.testing.assert_allclose(written["readout_ceiling"], [[0.1, 0.2], [0.3, 0.4]])
    np.testing.assert_array_equal(written["joint_minus_product"].sel(step=20), excess.reshape(2, 2))
    at = {"hole_width": 5.0, "seed": 1, "step": 20, "tensor": "layer4"}
    np.testing.assert_array_equal(written["pca_scores"].sel(at), cloud)
    assert written["neighbor_r2"].sel(at | {"hole_width": 3.0}).item() == 0.5
    complete = written["group_complete"].sel(step=20)
    assert (complete.sel(group=measure.FACTORIZATION) == COMPLETE).all()
    np.testing.assert_array_equal(complete.sel(group=SNAPSHOT), [[MISSING, MISSING], [MISSING, COMPLETE]])
    assert complete.sel(group=cloud_group("layer4", "manifold"), hole_width=3.0, seed=1) == COMPLETE
    xr.testing.assert_equal(written["accuracy"], dataset["accuracy"])
    assert not OLD_NAMES.keys() & on_disk(path)
