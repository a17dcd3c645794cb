"""Every experiment's tiny preset from training to verdicts and report, and what their declarations promise."""

import base64
import contextlib
import dataclasses
import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import experiments
from diffgeo import report, run
from diffgeo.claims import HOLDS, PRECONDITION, UNDECIDED
from diffgeo.representation import fields
from diffgeo.settings import Settings
from diffgeo.training import Placement
from tests.support import networks

TRAINED = [name for name in experiments.names() if experiments.find(name).trained]
SMALL = set(TRAINED) - {"p2_fig2", "codes", "interventions", "trajectories", "kernels"}
"""Experiments tried with a network that is fast to compile; the others read the UNet's blocks."""
OFTEN = {*experiments.names()} - {*TRAINED} | {"p1_fig4", "p1_fig9", "p2_fig4", "p2_fig6"}
"""Experiments tried at every change: each that trains nothing, and one for each kind of axis; the others nightly."""


@pytest.fixture(autouse=True)
def one_device(monkeypatch):
    """Put the members of all runs on one device: each of a test's eight would compile the same step anew."""
    place = Placement.place
    first = jax.devices()[:1]
    monkeypatch.setattr(Placement, "place", lambda own, members, tables: place(own, members, tables, first))


def step_program(settings: Settings) -> tuple:
    """Return what a preset's train step is compiled from; `ceil_mode` changes nothing at the tiny size."""
    program = settings.program
    of_step = program.diffusion, program.batch_size, program.log_every, program.schedule, program.ema, program.size
    return dataclasses.replace(program.model, ceil_mode=False), *of_step


def test_tiny_presets_share_one_train_step():
    programs = {name: step_program(experiments.find(name).settings("tiny")) for name in TRAINED}
    assert len(set(programs.values())) == 1, programs


@pytest.mark.parametrize("name", experiments.names())
def test_declarations_are_complete(name):
    declared = experiments.find(name)
    module = __import__(f"diffgeo.experiments.{name}", fromlist=["__doc__"])
    assert {"tiny", "laptop"} <= set(declared.presets)
    assert name == "quickstart" or "paper" in declared.presets
    for word in ("Cost:", "python -m launch.", "two CPU cores"):
        assert word in module.__doc__, word
    assert len({plot.name for plot in declared.plots}) == len(declared.plots) > 0
    assert len({claim.name for claim in declared.claims}) == len(declared.claims)
    for claim in declared.claims:
        assert claim.statement
        assert claim.would_decide
        assert re.match(r"2402\.03305|2408\.13256|a (control|question) of this project", claim.source), claim.source
    if declared.trained and name != "quickstart":
        assert "predicted" in module.__doc__ or "minutes" in module.__doc__
        assert declared.claims
        assert len(declared.settings("laptop").axes["seed"]) >= 2
        assert len(declared.settings("paper").axes["seed"]) == 3


def test_every_figure_of_the_papers_is_owed_by_some_experiment():
    figures = {name: experiments.find(name).figure for name in experiments.names()}
    owed = "p1_fig3 p1_fig4 p1_fig5 p1_fig7 p1_fig8 p1_fig9 p2_fig2 p2_fig4 p2_fig5 p2_fig6 p2_fig11 p2_fig12"
    assert set(owed.split()) <= set(figures)
    for name, figure in figures.items():
        paper = {"p1": "2402.03305", "p2": "2408.13256"}.get(name[:2])
        assert paper is None or paper in figure


def run_tiny(name: str, folder: Path) -> None:
    """Train, judge and report one experiment's tiny preset in this process."""
    declared = experiments.find(name)
    said: list[str] = []
    run.execute(run.Run.of(declared, "tiny").without_plots(), folder, say=said.append)  # the report draws
    assert not (folder / "figures").exists()
    results, beside = report.load(folder)
    made = report.report(declared, results, beside, say=said.append)
    assert beside == folder
    stored = json.loads((folder / "claims.json").read_text())
    assert [entry["name"] for entry in stored] == [claim.name for claim in declared.claims]
    for verdict in made.verdicts:
        assert verdict.comparisons or verdict.reason
        lacking = [part for part in verdict.comparisons if part.role == PRECONDITION and part.verdict != HOLDS]
        assert not lacking or verdict.verdict == UNDECIDED  # a few steps of training decide nothing
    undrawn = [line for line in said if "is not drawn" in line]
    assert set(made.pictures) | {line.split(" is not drawn")[0] for line in undrawn} == {p.name for p in declared.plots}
    # nothing may lack but what a model that has learned nothing cannot show
    assert all("crossed at no size" in line for line in undrawn), undrawn
    page = (folder / "report.html").read_text()
    for picture in made.pictures.values():
        assert base64.b64encode(picture.read_bytes()).decode() in page
    shown = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)  # plotly's has such text, if it is installed
    assert not re.search(r"(src|href)=\"(?!data:)", shown)
    for claim in declared.claims:
        assert claim.name in page


@pytest.fixture
def quick_embedding(monkeypatch):
    """Put principal components in place of UMAP, which has its own tests: a thousand fits would take minutes."""
    monkeypatch.setattr(fields, "umap_embedding", lambda cloud, seed: cloud[:, :3].astype(np.float32))


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in OFTEN else pytest.mark.slow) for name in experiments.names()],
)
def test_tiny_run_from_training_to_verdicts(name, tmp_path, quick_embedding):
    with networks.replaced() if name in SMALL else contextlib.nullcontext():
        run_tiny(name, tmp_path / "run")


def test_settings_survive_their_json():
    for name in experiments.names():
        for settings in experiments.find(name).presets.values():
            assert Settings.from_json(json.loads(json.dumps(settings.to_json()))) == settings
            assert dataclasses.replace(settings) == settings
