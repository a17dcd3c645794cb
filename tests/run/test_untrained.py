"""Runs that train nothing: their Dataset computed once, stored, drawn."""

import dataclasses
import json

import numpy as np
import pytest
import xarray as xr

import experiments
from diffgeo import results
from diffgeo.costs import by_hand
from diffgeo.errors import UserError
from diffgeo.experiment import Plot
from diffgeo.run import Run, untrained
from diffgeo.settings import Data, Settings, Train

UNTRAINED = ("examples", "latents", "p1_fig7", "percolation")
PLAIN = Settings(data=Data(size=8, margin=4.0, sigma=0.5, hole_width=2.0), train=Train(steps=0))


@pytest.mark.parametrize("name", UNTRAINED)
def test_every_figure_without_training_is_drawn(name, tmp_path, monkeypatch):
    monkeypatch.setattr("diffgeo.training.Placement.place", None)  # no network is made
    declared = experiments.find(name)
    said = []
    found = untrained.compute(Run.of(declared, "tiny"), tmp_path / "run", {"commit": "abc"}, said.append)
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

    run = Run("examples", "tiny", PLAIN, compute=function, plots=(Plot("p", figure),))
    folder = tmp_path / "run"
    for _ in range(2):
        found = untrained.compute(run, folder, say=said.append)
        assert found["a"].values.tolist() == [0, 1, 2]
        assert (folder / "figures/p.png").exists()
        (folder / "figures/p.png").unlink()
    assert calls == [PLAIN]
    assert said[1] == f"the run in {folder} is complete: nothing left to compute"
    config = json.loads((folder / "config.json").read_text())
    del config["store_format"], config["settings"]["data"]["hole"]  # as a version wrote it that had no holes
    (folder / "config.json").write_text(json.dumps(config))
    untrained.compute(run, folder, say=said.append)
    assert calls == [PLAIN]
    other = dataclasses.replace(run, settings=dataclasses.replace(PLAIN, data=Data(size=16)))
    with pytest.raises(UserError, match="belongs to another configuration"):
        untrained.compute(other, folder, say=said.append)
    results.open_results(folder)


def test_what_is_refused_leaves_no_run(tmp_path):
    def function(settings):
        raise UserError("no")

    with pytest.raises(UserError, match="no"):
        untrained.compute(Run("examples", "tiny", PLAIN, compute=function), tmp_path / "run")
    assert results.open_workdir(tmp_path / "run").read_config() is None


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
