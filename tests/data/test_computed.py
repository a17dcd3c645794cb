"""Runs that train nothing: what is computed against its parts, and the folder they leave."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr
from diffgeo.run.workdir import Workdir

import experiments
from diffgeo import images, percolation, results
from diffgeo.costs import by_hand
from diffgeo.data import computed, label_tables
from diffgeo.errors import UserError
from diffgeo.experiment import Plot
from diffgeo.run import Run, untrained
from diffgeo.settings import Data, Settings, Train

UNTRAINED = ("examples", "latents", "p1_fig7", "percolation")
PLAIN = Settings(data=Data(size=8, margin=4.0, sigma=0.5, hole_width=2.0), train=Train(steps=0))


def with_axes(**axes):
    return dataclasses.replace(PLAIN, axes=axes)


def test_the_image_is_the_middle_of_the_frame():
    found = computed.example_images(
        PLAIN, {"a": ("sos", 0.25, 0.5), "b": ("bump", 0.5, 0.75), "c": ("sos", -0.75, 0.5)}
    )
    np.testing.assert_array_equal(found["whole"][:, 4:12, 4:12], found["image"].values)
    assert found["label"].values.tolist() == [[6, 8], [8, 10], [1, 8]]
    assert found["part"].values.tolist() == ["2d", "2d", "1d"]
    bump = found["image"].sel(example="b").values
    assert np.argwhere(bump == bump.min()).tolist() == [[6, 4]]  # row y, column x
    with pytest.raises(UserError, match=r"margin=2.5"):
        computed.example_images(dataclasses.replace(PLAIN, data=Data(size=8, margin=2.5)), {"a": ("sos", 0.5, 0.5)})


def test_tables_are_those_that_members_are_trained_on():
    changes = {
        "cross": {"dataset": "2d+1d", "hole": "cross", "kind": "sos"},
        "all": {"dataset": "2d+rim+1d+0d"},
        "few": {"dataset": "grid", "margin": 0.0, "kept_fraction": 0.25},
    }
    found = computed.label_tables(PLAIN, changes)
    for name, fields in changes.items():
        data = dataclasses.replace(PLAIN.data, **fields)
        assert computed.data_of(found, name) == data
        table, one = label_tables.build_label_table(data), found.sel(table=name)
        length = int(table.count)
        np.testing.assert_array_equal(one["label"].values[:length], table.centers)
        np.testing.assert_array_equal(one["kind"].values[:length], table.kinds)
        assert np.isnan(one["label"].values[length:]).all()
        assert set(one["part"].values[length:].tolist()) <= {-1}
        parts = np.array(list(label_tables.PARTS))[one["part"].values[:length]]
        assert set(parts.tolist()) == {"grid": {"2d"}, "2d+1d": {"2d", "1d"}}.get(data.dataset, set(label_tables.PARTS))
    with pytest.raises(UserError, match=r"'none'.*cross, all, few"):
        computed.data_of(found, "none")


def test_neighbors_of_small_bumps_have_a_cusp_at_half_a_pixel():
    increments = tuple(i / 50 for i in range(1, 76))
    found = computed.neighbor_overlap(with_axes(sigma=(0.1, 1.0), increment=increments))["overlap"]
    small, wide = (found.sel(divisor="off_pixel", sigma=sigma) for sigma in (0.1, 1.0))
    assert increments[int(np.argmax(small.values))] == pytest.approx(0.5, abs=0.03)
    assert float(small.max()) > 1
    bend = np.abs(np.diff(np.log(small.values), 2))
    assert increments[1 + int(np.argmax(bend))] == pytest.approx(0.5, abs=0.03)
    assert np.all(np.diff(wide.values) < 0)
    assert np.all(np.diff(found.sel(divisor="on_pixel").values, axis=1) < 0)
    continuum = np.exp(-(np.array(increments) ** 2) / 16)
    np.testing.assert_allclose(wide, continuum, rtol=0.02)
    for divisor, pair in (("on_pixel", ((4, 4), (4.5, 4))), ("off_pixel", ((4.5, 4), (4, 4)))):
        value = float(found.sel(divisor=divisor, sigma=0.1, increment=0.5))
        assert value == images.overlap(*pair, 0.1, 8)
    with pytest.raises(UserError, match=r"axis 'increment'.*--set=axes.increment"):
        computed.neighbor_overlap(with_axes(sigma=(0.1,)))


def test_nested_masses_are_of_the_points_that_members_are_trained_on():
    axes = {"sigma": (0.2, 0.5), "kept_fraction": (0.3, 0.7), "subset_seed": (0, 4)}
    found = computed.cluster_masses(with_axes(**axes), (0.05, 0.5))
    assert (
        found["largest_fraction"].dims
        == found["largest_fraction_nested"].dims
        == ("threshold", "sigma", "kept_fraction", "subset_seed")
    )
    assert found["kept"].values.tolist() == [19, 45]
    for draw in axes["subset_seed"]:
        for fraction in axes["kept_fraction"]:
            points = label_tables.build_label_table(Data(size=8, kept_fraction=fraction, subset_seed=draw)).centers
            for sigma in axes["sigma"]:
                for threshold in (0.05, 0.5):
                    value = float(
                        found["largest_fraction_nested"].sel(
                            subset_seed=draw, kept_fraction=fraction, sigma=sigma, threshold=threshold
                        )
                    )
                    assert value == percolation.largest_cluster(points, sigma, 8, threshold)
    assert not np.array_equal(
        found["largest_fraction"].sel(subset_seed=0), found["largest_fraction"].sel(subset_seed=4)
    )
    assert not np.array_equal(found["largest_fraction"], found["largest_fraction_nested"])


@pytest.mark.parametrize("name", UNTRAINED)
def test_every_figure_without_training_is_drawn(name, tmp_path, monkeypatch):
    monkeypatch.setattr("diffgeo.mapping.Placement.over", None)  # no network is made
    declared = experiments.find(name)
    planned = Run(name, "tiny", declared.settings("tiny"))
    said = []
    found = untrained.compute(
        planned, tmp_path / "run", declared.compute, declared.plots, {"commit": "abc"}, said.append
    )
    assert found.attrs["experiment"] == name
    assert found.attrs["commit"] == "abc"
    assert Settings.from_json(json.loads(found.attrs["settings"])) == declared.settings("tiny")
    drawn = {path.stem for path in (tmp_path / "run/figures").iterdir()}
    assert drawn == {plot.name for plot in declared.plots}
    assert all(line.startswith("wrote ") for line in said)
    assert set(declared.presets) == {"tiny", "laptop", "paper"}
    assert all(settings.train.steps == 0 for settings in declared.presets.values())


def test_started_again_it_is_complete_and_draws_anew(tmp_path):
    calls, said = [], []

    def function(settings):
        calls.append(settings)
        return xr.Dataset({"a": ("x", np.arange(3.0))})

    def figure(found):
        from diffgeo.plots import style

        return style.new_figure(2, 2)

    planned, folder = Run("examples", "tiny", PLAIN), tmp_path / "run"
    for _ in range(2):
        found = untrained.compute(planned, folder, function, [Plot("p", figure)], say=said.append)
        assert found["a"].values.tolist() == [0, 1, 2]
        assert (folder / "figures/p.png").exists()
        (folder / "figures/p.png").unlink()
    assert calls == [PLAIN]
    assert said[1] == f"the run in {folder} is complete: nothing left to compute"
    config = Workdir(folder).read_config()
    del config["settings"]["data"]["hole"]  # as a version wrote it that had no holes
    Workdir(folder).write_config(config)
    untrained.compute(planned, folder, function, say=said.append)
    assert calls == [PLAIN]
    other = dataclasses.replace(PLAIN, data=Data(size=16))
    with pytest.raises(UserError, match="belongs to another configuration"):
        untrained.compute(Run("examples", "tiny", other), folder, function, say=said.append)
    results.open_results(folder)


def test_what_is_refused_leaves_no_run(tmp_path):
    def function(settings):
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        untrained.compute(Run("examples", "tiny", PLAIN), tmp_path / "run", function)
    assert Workdir(tmp_path / "run").read_config() is None


def test_the_real_programs_compute_list_and_draw_again(launch, tmp_path):
    flags = ["--experiment=p1_fig7", "--preset=tiny", f"--workdir={tmp_path / 'run'}"]
    done = launch("train", *flags)
    assert done.returncode == 0, done.stderr
    assert "computed without training" in done.stdout
    picture = tmp_path / "run/figures/overlap.png"
    picture.unlink()
    again = launch("analyze", f"--workdir={tmp_path / 'run'}")
    assert again.returncode == 0, again.stderr
    assert "is complete: nothing left to compute" in again.stdout
    assert picture.exists()


def test_what_is_not_trained_costs_nothing():
    settings = experiments.find("percolation").settings("paper")
    free = by_hand.describe(settings, trained=False)
    assert set(free) == set(by_hand.describe(Settings(data=Data(size=8))))
    assert (free["members"], free["checkpoints_bytes"], free["training_pflop"], free["sampling_pflop"]) == (0, 0, 0, 0)
    assert free["axes"] == {"sigma": 10, "kept_fraction": 10, "subset_seed": 5}
