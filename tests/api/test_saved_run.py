"""Runs opened for reading: what they hold, which model is meant, what is refused; summaries and foreign folders."""

import base64
import json
import shutil

import matplotlib.pyplot as plt
import numpy as np
import pytest
import xarray as xr

import diffgeo as dg
from diffgeo import results
from diffgeo.experiment import Experiment
from diffgeo.results import metadata
from diffgeo.results.checkpoint_files import stored_steps
from diffgeo.run.checkpoints import Checkpoints
from tests.support.programs import REPOSITORY
from tests.support.settings import refused

SUMMARIES = sorted((REPOSITORY / "experiments/gallery").glob("*.zip"))


@pytest.fixture(scope="module")
def folder(trained):
    return trained / "runs/quickstart"


def test_results_are_lazy_and_at_the_papers_own_labels(folder):
    run = dg.load(folder)
    assert not any(array.variable._in_memory for array in run.stored.data_vars.values())
    own = results.select_scores(results.open_results(folder))
    assert run.results.identical(own)
    assert set(run.stored.accuracy.dims) - set(run.results.accuracy.dims) == {"label_set", "readout"}
    assert (run.name, run.preset, run.experiment.name) == ("quickstart", "tiny", "quickstart")


def test_the_line_of_the_readme_plots_a_curve(folder):
    (curve,) = dg.load(folder).results.accuracy.sel(increment=0.5).mean("seed").plot()
    assert list(curve.get_xdata()) == [0, 2, 4, 6]
    plt.close("all")


@pytest.mark.parametrize("step", [0, 2, 6])
def test_a_member_is_its_row_of_the_checkpoint(folder, step):
    run = dg.load(folder)
    with Checkpoints(folder / "checkpoints/wave_000") as checkpoints:
        target = checkpoints._params.item_metadata(step).tree["params"]
        rows = checkpoints.restore_params(_zeros(target), step)
    for index, (increment, seed) in enumerate([(0.5, 0), (0.5, 1), (1.0, 0), (1.0, 1)]):
        model = run.member(increment=increment, seed=seed, step=step)
        assert (model.step, model.coordinates) == (step, {"increment": increment, "seed": seed})
        assert model.settings.data.increment == increment
        np.testing.assert_array_equal(model.params["inc"]["conv1"]["kernel"], rows["inc"]["conv1"]["kernel"][index])


def _zeros(tree):
    return {k: _zeros(v) if isinstance(v, dict) else np.zeros(v.shape, v.dtype) for k, v in tree.items()}


def test_a_coordinate_is_known_up_to_rounding_and_may_be_of_an_array(folder):
    run = dg.load(folder)
    assert run.member(increment=np.float32(0.5) * (1 + 1e-7), seed=run.stored.seed[1]).coordinates["seed"] == 1


@pytest.mark.parametrize(
    ("given", "quoted"),
    [
        ({"increments": 0.5}, ("unknown axis 'increments'", "did you mean 'increment'?")),
        ({"increment": 0.6, "seed": 0}, ("no member at increment=0.6: the nearest is at 0.5",)),
        ({"increment": "half", "seed": 0}, ("no member at increment='half'",)),
        ({}, ("several members fit: give increment (0.5, 1.0) and seed (0, 1)",)),
        ({"increment": [0.5, 1.0], "seed": 0}, ("[0.5, 1.0] is not one value",)),
        ({"increment": 0.5, "seed": 0, "step": 3}, ("no checkpoint of increment=0.5, seed=0 at step 3", "0, 2, 4, 6")),
        ({"increment": 0.5, "seed": 0, "params": "emu"}, ("unknown params 'emu'", "'ema'")),
        ({"increment": 0.5, "seed": 0, "params": "ema"}, ("holds no 'ema'",)),
    ],
)
def test_what_no_member_has_is_refused(folder, given, quoted):
    with refused(*quoted):
        dg.load(folder).member(**given)


def test_reading_writes_nothing_and_leaves_a_save_in_progress_alone(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    stored = tmp_path / "run/checkpoints/wave_000"
    (stored / "params/8.orbax-checkpoint-tmp-0").mkdir()
    before = sorted(tmp_path.rglob("*"))
    assert dg.load(tmp_path / "run").member(increment=0.5, seed=0).step == 6
    assert sorted(tmp_path.rglob("*")) == before
    assert stored_steps(stored) == [0, 2, 4, 6]


def test_what_is_not_a_run_is_refused(folder, tmp_path):
    with refused("no run in", "nowhere"):
        dg.load(tmp_path / "nowhere")
    with refused("no summary", "nowhere.zip"):
        dg.load(tmp_path / "nowhere.zip")
    (tmp_path / "notes.txt").write_text("mine")
    with refused("no run in", str(tmp_path)):
        dg.load(tmp_path)
    with refused("unknown experiment 'p1_fig44'", "did you mean 'p1_fig4'?"):
        dg.load(folder, "p1_fig44")


def test_a_run_without_results_or_checkpoints_says_so(folder, tmp_path):
    shutil.copy(folder / "config.json", tmp_path)
    run = dg.load(tmp_path)
    assert run.settings == dg.load(folder).settings
    with refused("no results in"):
        _ = run.results
    with refused("no checkpoint of increment=0.5, seed=1"):
        run.member(increment=0.5, seed=1)


def test_results_alone_are_opened_and_have_no_models(folder, tmp_path):
    shutil.copytree(folder / "results.zarr", tmp_path / "results.zarr")
    run = dg.load(tmp_path)
    assert run.settings == dg.load(folder).settings
    with refused("holds results and no models"):
        run.member(increment=0.5, seed=1)


def test_a_folders_experiment_is_not_executed_and_must_be_known_or_given(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "run")
    config = json.loads((folder / "config.json").read_text())
    (tmp_path / "run/config.json").write_text(json.dumps(config | {"experiment": "os"}))
    with refused("config.json", "is not of the results there", "experiment is"):
        _ = dg.load(tmp_path / "run").settings
    attributes = tmp_path / "run/results.zarr/.zattrs"
    attributes.write_text(json.dumps(json.loads(attributes.read_text()) | {"experiment": "os"}))
    metadata.consolidate(tmp_path / "run/results.zarr")
    run = dg.load(tmp_path / "run")
    with refused("'os', which is none of diffgeo's experiments"):
        _ = run.experiment
    assert "4 models" in run._repr_html_()
    declared = Experiment("os", "none", "mine", {}, ())
    assert dg.load(tmp_path / "run", declared).experiment is declared


def test_a_damaged_configuration_is_named(folder, tmp_path):
    config = json.loads((folder / "config.json").read_text())
    del config["settings"]["model"]["heads"]
    config["settings"]["model"]["hands"] = 4
    (tmp_path / "config.json").write_text(json.dumps(config))
    with refused("config.json' is not a run's configuration"):
        _ = dg.load(tmp_path).settings


@pytest.mark.parametrize("path", SUMMARIES, ids=lambda path: path.stem)
def test_every_committed_summary_opens(path):
    run = dg.load(path)
    text = repr(run)
    assert text.startswith(f"{run.experiment.name}, preset {run.preset}: ")
    if run.experiment.trained:
        first = {name: values[0] for name, values in run.settings.axes.items()}
        last = run.results.accuracy.sel(first).isel(step=-1).values.flat[0]
        assert f"accuracy {last:.2f} at step {run.settings.train.steps}" in text
        for given in ({}, first):
            with refused("holds results and no models"):
                run.member(**given)
    else:
        assert "nothing trained" in text


def test_a_notebook_shows_the_table_and_the_runs_own_picture(folder):
    shown = dg.load(folder)._repr_html_()
    assert shown.count("<li>") == 4
    own = base64.b64encode((folder / "figures/overview.png").read_bytes()).decode()
    assert f'src="data:image/png;base64,{own}"' in shown
    assert 'alt="Samples of the best of 4 models' in shown


def test_long_tables_are_cut():
    text = repr(dg.load(REPOSITORY / "experiments/gallery/p1_fig8.zip"))
    assert text.splitlines()[-1].strip().startswith("and ")
    assert len(text.splitlines()) == 14


def test_verdicts_are_those_of_the_report(tmp_path):
    shutil.copy(REPOSITORY / "experiments/gallery/p1_fig5.zip", tmp_path)
    run = dg.load(tmp_path / "p1_fig5.zip")
    verdicts = run.claims()
    assert [verdict.claim for verdict in verdicts] == list(run.experiment.claims)
    assert all(verdict.comparisons for verdict in verdicts)
    assert repr(verdicts).count("wanted") == sum(len(verdict.comparisons) for verdict in verdicts)
    page = run.report()
    assert page == tmp_path / "p1_fig5/report.html"
    written = json.loads((tmp_path / "p1_fig5/claims.json").read_text())
    assert [each["verdict"] for each in written] == [verdict.verdict for verdict in verdicts]


def test_a_page_elsewhere_holds_the_figures_and_leaves_the_run_alone(folder, tmp_path):
    before = sorted(folder.rglob("*"))
    page = dg.load(folder).report(tmp_path / "deep/out.html")
    figures = page.read_text().partition("<h2>Figures</h2>")[2].partition("<h2>")[0]
    assert figures.count("data:image/png;base64,") == len(dg.load(folder).experiment.plots)
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "deep", page]
    assert sorted(folder.rglob("*")) == before


def test_a_joined_run_gives_the_members_of_its_parts(trained, tmp_path):
    joined = dg.merge([trained / "runs/quickstart", trained / "runs/seed2"], tmp_path / "both")
    assert joined.settings.axes["seed"] == (0, 1, 2)
    for folder, seed in (("quickstart", 1), ("seed2", 2)):
        own = dg.load(trained / "runs" / folder).member(increment=1.0, seed=seed)
        found = joined.member(increment=1.0, seed=seed)
        np.testing.assert_array_equal(found.params["outc"]["dense"]["kernel"], own.params["outc"]["dense"]["kernel"])
    assert not joined.experiment.claims


def test_an_extended_run_has_the_members_that_it_had_and_new_ones(trained, tmp_path, one_device):
    joined = dg.merge([trained / "runs/quickstart", trained / "runs/seed2"], tmp_path / "both")
    before = joined.results.accuracy.load()
    grown = dg.extend(tmp_path / "both", {"seed": [7]})
    assert grown.settings.axes["seed"] == (0, 1, 2, 7)
    xr.testing.assert_equal(grown.results.accuracy.sel(seed=[0, 1, 2]), before)
    assert grown.results.accuracy.notnull().all()
    assert grown.member(increment=1.0, seed=7).step == 6
    with refused("seed=1 is in the run already"):
        dg.extend(tmp_path / "both", {"seed": [1]})
    with refused("values of one axis, not of 2"):
        dg.extend(tmp_path / "both", {"seed": [8], "increment": [2.0]})
    assert dg.load(tmp_path / "both").settings.axes["seed"] == (0, 1, 2, 7)
