"""Labels common to all members: sampled beside the papers' own, scored by both read-outs, left out of old stores."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

from diffgeo import readout
from diffgeo.costs import by_hand
from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import common_labels
from diffgeo.data.nearest_seen import copied_hits
from diffgeo.data.sources import source_of
from diffgeo.errors import UserError
from diffgeo.images import render, to_uint8
from diffgeo.results import Results, open_results, open_workdir, select_scores, template
from diffgeo.results.schema import EVALUATION
from diffgeo.run import Run, Session, measure
from diffgeo.run.evaluation import empty_results, evaluate
from diffgeo.run.waves import build_tables, plan_waves
from diffgeo.settings import Data, Evaluation, Grid, Settings, override
from diffgeo.training import Ensemble, Sampled
from tests.support.results import unchecked_encoding

COMMON = 12


class Shifted(Ensemble):
    """Members that draw every bump 0.7 pixels too far right."""

    max_pending, abstract_state = 1, None

    def __init__(self):
        self.asked = []

    def sample(self, params, step, labels, record=False, images=None, indices=None):
        self.asked.append(labels)
        for own in labels[indices]:
            yield Sampled(np.asarray(render(own + np.array([0.7, 0.0]), 1.0, size=16)), {}, {})


def settings_with(num_common=COMMON, **evaluation):
    return Settings(
        data=Data(size=16, hole_width=4.0, hole="square"),
        evaluation=Evaluation(
            label_source="grid", num_common=num_common, **{"readout": "darkest", "stored_images": 4} | evaluation
        ),
        axes={"increment": (0.5, 1.0), "seed": (0,)},
    )


def evaluated(folder, settings, store=None):
    """Return the results of one evaluation by `Shifted`, and the labels that it was asked for."""
    run, members = Run("test", "tiny", settings), Shifted()
    (wave,) = plan_waves(run.grid, build_tables(run.grid), {})
    path = open_workdir(folder).results
    if store is None:
        Results.create(path, empty_results(run, [wave], {}))
    else:
        store(path, empty_results(run, [wave], {}))
        Results.extend(path, empty_results(run, [wave], {}), measure.fields_of_groups(()))
    with Session(run, open_workdir(folder), (wave,), Results(path, run.grid)) as session:
        evaluate(session, wave, members, None, 0)
    assert 0 not in Results(path, run.grid).missing(wave.members)
    return open_results(folder).load(), members.asked[0]


def test_common_labels_are_uniform_the_same_for_every_member_and_nested():
    origin = np.zeros(2, np.float32)
    labels = common_labels(4000, 16, origin)
    assert labels.min() >= 1
    assert labels.max() <= 14
    np.testing.assert_allclose(np.histogram2d(*labels.T, bins=2)[0] / 4000, 0.25, atol=0.03)
    np.testing.assert_array_equal(common_labels(100, 16, origin), labels[:100])
    np.testing.assert_allclose(common_labels(100, 16, origin + 6), labels[:100] + 6, rtol=1e-6)
    table = label_tables.build_label_table(Data(size=16, dataset="2d", margin=6.0))
    settings = Settings(data=Data(size=16, dataset="2d", margin=6.0))
    np.testing.assert_allclose(source_of(settings).uniform_labels(100, table.origin), labels[:100] + 6, rtol=1e-6)


def test_both_sets_are_sampled_and_scored_by_both_read_outs(tmp_path):
    found, asked = evaluated(tmp_path, settings_with())
    assert asked.shape == (2, 256 + COMMON, 2)
    np.testing.assert_array_equal(asked[0, 256:], asked[1, 256:])
    np.testing.assert_array_equal(found["common_label"].values[1, 0], asked[1, 256:])
    assert found["accuracy"].dims == ("increment", "seed", "step", "label_set", "readout", "region")
    assert found["label_set"].values.tolist() == ["own", "common"]
    assert found["readout"].values.tolist() == ["darkest", "subpixel"]
    at = found.isel(increment=0, seed=0, step=0)
    shift = np.array([0.7, 0.0])
    for name, labels in (("own", asked[0, :256]), ("common", asked[0, 256:])):
        drawn = to_uint8(render(labels + shift, 1.0, size=16))
        for method in ("darkest", "subpixel"):
            read = readout.predict_centers(drawn, method, sigma=1.0)
            expected = readout.accuracy(read, labels)
            for score, value in expected.items():
                stored = at[score].sel(label_set=name, readout=method, region="all").item()
                assert stored == pytest.approx(value), (name, method, score)
    # integer labels: a whole pixel is read one off, and misses; the drawing itself is 0.7 off, and hits
    own = at["accuracy"].sel(label_set="own", region="all")
    assert own.sel(readout="darkest") < 0.1 < 0.9 < own.sel(readout="subpixel")
    np.testing.assert_allclose(at["error"].sel(region="all"), 0.7, atol=0.01)
    predicted = at["common_prediction"].sel(readout="subpixel").values
    np.testing.assert_allclose(predicted - asked[0, 256:], np.tile(shift, (COMMON, 1)), atol=0.02)


def test_ceilings_are_of_each_set_and_read_out(tmp_path):
    found, asked = evaluated(tmp_path, settings_with(readout="contour"))
    assert found["readout_ceiling"].dims == ("increment", "seed", "label_set", "readout")
    at = found["readout_ceiling"].isel(increment=1, seed=0)
    for name, labels in (("own", asked[1, :256]), ("common", asked[1, 256:])):
        true = to_uint8(render(labels, 1.0, size=16))
        for method in ("contour", "subpixel"):
            expected = readout.accuracy(readout.predict_centers(true, method, sigma=1.0), labels)["accuracy"]
            assert at.sel(label_set=name, readout=method).item() == pytest.approx(expected), (name, method)
    assert at.sel(label_set="own", readout="contour") < 0.95, "rectangles are cut at the border"
    assert (at.sel(readout="subpixel") == 1).all()


def test_regions_and_copying_are_those_of_each_set(tmp_path):
    found, asked = evaluated(tmp_path, settings_with(num_common=60))
    for index, labels in enumerate((asked[1, :256], asked[1, 256:])):
        inside = (np.abs(labels - 8) <= 2 + 1e-4).all(axis=1)
        grid = label_tables.lattice(16, 1.0, 1.0)
        seen = grid[~(np.abs(grid - 8) <= 2).all(axis=1)]
        expected = copied_hits(labels[inside], seen).mean(axis=0)
        at = found.isel(increment=1, seed=0, label_set=index).sel(region="ood")
        for name, value in zip(("copied_accuracy", "copied_accuracy_x", "copied_accuracy_y"), expected, strict=True):
            assert at[name].item() == pytest.approx(value, abs=1e-6)
        right = readout.predict_centers(to_uint8(render(labels + np.array([0.7, 0.0]), 1.0, size=16)), "subpixel")
        value = readout.accuracy(right, labels, mask=inside)["accuracy"]
        assert at["accuracy"].sel(readout="subpixel").isel(step=0).item() == pytest.approx(value)


def test_without_a_center_the_error_is_unknown(tmp_path):
    white = np.full((1, 16, 16), 255, np.uint8)
    result = readout.score(white, np.array([[7.5, 7.5]]), "subpixel")
    assert not result.hits.any()
    assert np.isnan(readout.distances(result.predicted, np.array([[7.5, 7.5]]))).all()


def test_scores_are_selected_by_one_accessor(tmp_path):
    found, asked = evaluated(tmp_path, settings_with())
    own, both = select_scores(found), found["accuracy"]
    assert own["accuracy"].dims == ("increment", "seed", "step", "region")
    assert not {"label_set", "readout", "common"} & {*own.dims, *own.coords}
    np.testing.assert_array_equal(own["accuracy"], both.sel(label_set="own", readout="darkest"))
    np.testing.assert_array_equal(own["prediction"], found["prediction"].sel(readout="darkest"))
    xr.testing.assert_identical(select_scores(own), own)
    common = select_scores(found, "common", "subpixel")
    np.testing.assert_array_equal(common["accuracy"], both.sel(label_set="common", readout="subpixel"))
    np.testing.assert_array_equal(common["label"].values[0, 0], asked[0, 256:])
    assert common["prediction"].dims == ("increment", "seed", "step", "sample", "factor")
    assert "samples" not in own.drop_dims("kept")
    for arguments in (("other",), ("own", "contour")):
        with pytest.raises(UserError, match="is stored in these results, only"):
            select_scores(found, *arguments)


def old_form(path, empty):
    """Create the store that format 2 made: scores without the dims of format 3, none of its other variables."""
    old = select_scores(empty)
    old = old.drop_vars([name for name in old.data_vars if str(name).startswith(("copied", "common", "error"))])
    old.attrs["store_format"] = 2
    tree = json.loads(old.attrs["settings"])
    del tree["evaluation"]["num_common"]
    old.attrs["settings"] = json.dumps(tree)
    old.to_zarr(str(path), mode="w", zarr_format=2, consolidated=True, encoding=unchecked_encoding(old))


def test_a_store_of_format_2_keeps_its_form_and_is_resumed(tmp_path):
    new, _ = evaluated(tmp_path / "new", settings_with())
    old, asked = evaluated(tmp_path / "old", settings_with(), old_form)
    assert asked.shape == (2, 256, 2), "what it cannot hold is not sampled"
    assert not {"label_set", "readout", "common"} & {*old.dims}
    assert not {"error", "copied_accuracy", "common_prediction"} & {*old.data_vars}
    for name in ("accuracy", "accuracy_x", "correct", "prediction", "samples", "group_complete"):
        np.testing.assert_array_equal(old[name], select_scores(new)[name])
    xr.testing.assert_identical(select_scores(old), old)
    xr.testing.assert_identical(select_scores(old, "own", "darkest"), old)
    with pytest.raises(UserError, match="no readout 'subpixel'"):
        select_scores(old, readout="subpixel")
    with pytest.raises(UserError, match="no label_set 'common'"):
        select_scores(old, "common")
    assert json.loads(old.attrs["settings"])["evaluation"]["num_common"] == Evaluation().num_common


def test_a_configuration_of_format_2_is_that_of_this_version(tmp_path):
    run = Run("test", "tiny", settings_with(num_common=Evaluation().num_common))
    workdir = open_workdir(tmp_path)
    tree = json.loads(json.dumps(run.identity))
    del tree["settings"]["evaluation"]["num_common"]
    (tmp_path / "config.json").write_text(json.dumps({"store_format": 2} | tree))
    assert {name: workdir.read_config()[name] for name in run.identity} == run.identity


def test_one_read_out_and_no_common_labels_have_one_entry_each():
    found = template(Grid(settings_with(num_common=0, readout="subpixel")), 256, {})
    assert found["accuracy"].sizes["label_set"] == found["accuracy"].sizes["readout"] == 1
    assert "common_label" not in found
    with pytest.raises(UserError, match="num_common=-1"):
        settings_with(num_common=-1)


def test_an_axis_named_like_a_dim_is_refused():
    settings = override(settings_with(), "axes.readout=darkest,subpixel")
    with pytest.raises(UserError, match="axis 'readout' is also a dim of results"):
        template(Grid(settings), 256, {})
    with pytest.raises(UserError, match="axis 'num_common'"):
        template(Grid(override(settings_with(), "axes.num_common=4,8")), 256, {})


def test_the_cost_of_common_labels_is_counted():
    # members draw 256 labels of the grid; 64 more are a quarter more
    plain, more = (by_hand.describe(settings_with(num_common=number)) for number in (0, 64))
    assert plain["common_pflop"] == 0
    assert more["samples"] == plain["samples"] + 64
    assert more["sampling_pflop"] == pytest.approx(1.25 * plain["sampling_pflop"])
    assert more["sampling_pflop"] - more["common_pflop"] == pytest.approx(plain["sampling_pflop"])
    assert more["two_core_minutes"] > plain["two_core_minutes"]


def test_snapshots_are_of_the_own_labels_alone(tmp_path):
    run = dataclasses.replace(Run("test", "tiny", settings_with()), analyses=("spectrum",))
    (wave,) = plan_waves(run.grid, build_tables(run.grid), {})
    empty = empty_results(run, [wave], {})
    assert empty["pca_scores"].sizes["sample"] == 256
    assert EVALUATION in empty["group"].values
    assert wave.sampled_true_images(0).shape == (256 + COMMON, 16, 16, 1)
