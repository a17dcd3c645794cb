"""Reports and summaries from results alone: without JAX, without other files, and the same again from a summary."""

import json
import os
import re
import subprocess
import sys

import numpy as np
import pytest
import xarray as xr

import experiments
from diffgeo import claims, report, results
from diffgeo.errors import UserError
from diffgeo.report import summary
from tests.support.claims import CASES
from tests.support.programs import REPOSITORY, assert_refused
from tests.support.results import made_up

NAME = "p2_fig4"
DRAWN = {plot.name for plot in experiments.find(NAME).plots}
WITHOUT_JAX = """
import runpy, sys
sys.argv = ["report", *sys.argv[1:]]
try:
    runpy.run_module("launch.report", run_name="__main__")
except SystemExit as stop:
    assert not stop.code, stop.code
assert not {"jax", "jaxlib", "flax", "orbax"} & set(sys.modules), "JAX is imported"
"""


@pytest.fixture(scope="module")
def found():
    """Made-up results that bear on every claim of an experiment."""
    return made_up(NAME, seeds=(0, 1, 2, 3), draw=CASES[NAME, "j"][0].draw).assign_attrs(commit="<b>1&2</b>")


@pytest.fixture(scope="module")
def folder(found, tmp_path_factory):
    folder = tmp_path_factory.mktemp("report") / "run"
    results.Results.create(results.open_workdir(folder).results, found)
    return folder


def launch_report(*flags: str, **variables: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", WITHOUT_JAX, *flags],
        cwd=REPOSITORY,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
    )


def test_the_real_program_needs_no_jax_and_its_summary_gives_the_same(folder, found, tmp_path):
    short = tmp_path / "short.zip"
    first_ever = {"MPLCONFIGDIR": str(tmp_path / "fonts")}  # where matplotlib has not listed the fonts yet
    done = launch_report(f"--workdir={folder}", f"--summary={short}", "--pdf", **first_ever)
    assert (done.returncode, done.stderr) == (0, "")
    assert re.search(r"\(j\) HOLDS \(p = [\d.]+\): the 2D model is mostly right", done.stdout)
    assert {path.stem for path in (folder / "figures").glob("*.png")} == DRAWN
    assert {path.stem for path in (folder / "figures").glob("*.pdf")} == DRAWN
    assert short.stat().st_size < summary.LIMIT
    again = launch_report(f"--workdir={short}")
    assert again.returncode == 0, again.stderr
    other = tmp_path / "short"
    assert json.loads((other / "claims.json").read_text()) == json.loads((folder / "claims.json").read_text())
    for path in (folder / "figures").glob("*.png"):
        assert (other / "figures" / path.name).read_bytes() == path.read_bytes(), path.name
    refused = launch_report(f"--workdir={folder},{short}", f"--summary={tmp_path / 'x.zip'}")
    assert "AssertionError: 2" in refused.stderr
    assert "give one --workdir, not 2" in refused.stderr


def test_page_is_whole_and_escaped(found, tmp_path):
    said = []
    made = report.report(experiments.find(NAME), found, tmp_path / "run", say=said.append)
    page = (tmp_path / "run/report.html").read_text()
    stills = page.partition('class="stills"')[2].partition("<h2>Figures")[0]
    assert stills.count("<img") == 2
    assert page.count("<img") - 2 == len(made.pictures) == len(DRAWN)
    assert not re.search(r"(src|href)=\"(?!data:)", page.partition("</main>")[0])
    assert "&lt;b&gt;1&amp;2&lt;/b&gt;" in page
    assert "<b>1&" not in page
    assert page.count('class="verdict holds"') == sum(one.verdict == claims.HOLDS for one in made.verdicts) > 0
    assert page.count('class="verdict fails"') == sum(one.verdict == claims.FAILS for one in made.verdicts) > 0
    assert "Would decide it: more seeds, longer training of the 1D models" in page
    assert "&quot;hole&quot;: &quot;cross&quot;" in page
    assert any(line.startswith(f"{NAME}, preset laptop: ") for line in said)


def test_a_picture_that_cannot_be_drawn_is_named_and_the_others_are_there(found, tmp_path):
    lacking = found.isel(kept=slice(0, 2))
    made = report.report(experiments.find(NAME), lacking, tmp_path, say=lambda line: None)
    assert DRAWN - set(made.pictures) == {"fig4f", "held_out_samples"}
    assert "held_out_samples is not drawn: no stored sample" in (tmp_path / "report.html").read_text()


def test_summary_keeps_scores_and_what_is_shown(tmp_path):
    analyzed = {name: lambda at, t, tensor: 0.5 + 0.3 * t for name in ("r2", "r2_x", "r2_y")}
    whole = made_up("p1_fig9", lambda at, t, region: 0.9 * t, analyzed, seeds=(0, 1))
    rng = np.random.default_rng(0)
    for name in ("umap", "pca"):
        whole[name].values[:] = rng.normal(size=whole[name].shape)
    whole["samples"].values[:] = rng.integers(0, 4, whole["samples"].shape)
    short = summary.read(summary.write(whole, tmp_path / "s.zip"))
    assert "pca_scores" not in short
    assert short.attrs == whole.attrs
    for name in ("accuracy", "loss", "label", "r2", "wrong_place", "readout_ceiling", "origin"):
        xr.testing.assert_identical(short[name], whole[name])
    layer = {"tensor": "layer4"}
    np.testing.assert_allclose(short["umap"].sel(layer), whole["umap"].sel(layer), rtol=1e-3, atol=1e-3)
    middle = {"step": short["step"].values[4], "tensor": "pixels"}
    assert short["umap"].sel(middle).isnull().all()
    kept, drawn = (each["samples"].isel(hole_area_fraction=0, seed=0) for each in (short, whole))
    xr.testing.assert_equal(kept.isel(step=-1), drawn.isel(step=-1))
    drawable = {"kept": slice(0, 25)}  # of an early step, as many as a picture shows
    shown = np.flatnonzero((kept == drawn).isel(drawable).all(["kept", "row", "column"]))
    assert (kept.isel(step=slice(0, -1), kept=slice(25, None)) == 255).all()
    assert shown[0] == 0
    assert shown[-1] == whole.sizes["step"] - 1
    assert 3 <= len(shown) < whole.sizes["step"]
    np.testing.assert_array_equal(short["prediction"].isel(step=-1), whole["prediction"].isel(step=-1))
    first, last = (short["pca"].isel(step=step) for step in (0, -1))
    assert np.isfinite(first.sel(layer)).all()
    assert first.sel(tensor="pixels").isnull().all()
    assert np.isfinite(last).all()


def test_mistakes_are_answered(tmp_path, launch):
    with pytest.raises(UserError, match=r"'x.nc' must end in \.zip"):
        summary.write(xr.Dataset(), "x.nc")
    (tmp_path / "bad.zip").write_bytes(b"no")
    with pytest.raises(UserError, match=r"bad.zip' is not a summary"):
        summary.read(tmp_path / "bad.zip")
    assert_refused(launch("report", f"--workdir={tmp_path / 'none'}"), "no results in", "launch.train")
    assert_refused(launch("report", f"--workdir={tmp_path / 'none.zip'}"), "no summary", "--summary")
