"""Pages of runs: a stranger's text stays text, the page says how to get what turns, nothing is lost in codes."""

import base64
import html
import json
import re

import numpy as np
import pytest
import xarray as xr

import experiments
from diffgeo import report
from diffgeo.report import document, explorer, pages, sections
from diffgeo.report.sample_errors import sample_errors
from tests.support.programs import REPOSITORY
from tests.support.results import made_up

EVIL = "</script><img src=x onerror=alert(1)>"


@pytest.fixture(scope="module")
def found():
    made = made_up("p1_fig9", lambda at, t, region: 0.9 * t, seeds=(0, 1))
    rng = np.random.default_rng(0)
    for name in ("umap", "pca"):
        made[name].values[:] = rng.normal(size=made[name].shape)
    return made


def unpacked(packed) -> np.ndarray:
    codes = np.frombuffer(base64.b64decode(packed["data"]), "<u2").reshape(-1, *packed["shape"]).astype(float)
    low, span = (np.array(packed[name])[:, None, None] for name in ("low", "span"))
    return np.where(codes == 65_535, np.nan, low + span * codes / 65_534)


def test_codes_give_the_coordinates_and_errors_of_each_member_and_step(found):
    tree = explorer.explore(found)
    shown = {view["name"]: view for view in tree["views"]}
    assert "labels drawn" in shown
    packed = shown["3-D UMAP of the representation (layer4)"]["points"]
    stored = found["umap"].sel(tensor="layer4").transpose("hole_area_fraction", "seed", "step", "sample", "umap_axis")
    values = stored.values.reshape(-1, *stored.shape[2:])
    for (member, step), block in zip(packed["at"], unpacked(packed), strict=True):
        np.testing.assert_allclose(block, values[member, step], atol=1e-4 * np.ptp(values[member, step]))
    assert len(packed["at"]) >= 6 * len(values)
    moved = found.assign(prediction=found["prediction"] + xr.DataArray([3.0, 4.0], dims="factor"))
    np.testing.assert_allclose(np.nanmax(np.abs(sample_errors(moved).values - 5.0)), 0.0, atol=1e-5)


def test_a_small_budget_keeps_the_ends_and_says_what_is_left_out(found):
    tree = explorer.explore(found, explorer.Budget(points=40_000, images=40_000))
    steps = sorted({step for _, step in tree["views"][0]["points"]["at"]})
    assert (steps[0], steps[-1]) == (0, found.sizes["step"] - 1)
    assert sum(len(view["points"]["data"]) for view in tree["views"]) < 40_000 * 4 / 3 + 100
    assert re.search(r"it holds \d+ of \d+ steps, \d+ of 256 samples", tree["notes"][0])


def test_what_a_stranger_wrote_is_text(found, tmp_path):
    evil = found.assign_attrs(commit=EVIL, hardware=EVIL, preset=EVIL)
    tree = explorer.explore(evil)
    tree["axes"][0]["values"][0] = EVIL
    block = document.data_block(tree)
    assert block.count("<") == 2
    assert json.loads(html.unescape(block.partition(">")[2].rpartition("<")[0])) == tree
    report.report(experiments.find("p1_fig9"), evil, tmp_path, say=lambda line: None)
    page = (tmp_path / "report.html").read_text().partition("</main>")[0]
    assert "<img src=x" not in page
    assert html.escape(EVIL) in page
    assert "onerror=alert" not in re.sub(r"&lt;.*?&gt;", "", page)


def test_without_plotly_the_page_stands_still_and_says_how_to_turn_it(found, tmp_path, monkeypatch):
    monkeypatch.setattr(document, "can_turn", lambda: False)
    report.report(experiments.find("p1_fig9"), found, tmp_path, say=lambda line: None)
    page = (tmp_path / "report.html").read_text()
    assert "diffgeo[report]" in page
    assert "<script" not in page
    assert "script-src 'none'" in page
    alts = re.findall(r'<img loading="lazy" alt="([^"]*)"', page)
    assert len(alts) == 2 + len(experiments.find("p1_fig9").plots)
    assert all(len(alt.split()) > 5 for alt in alts), alts


def test_two_runs_of_an_experiment_are_told_apart_by_their_folders(tmp_path):
    computed, _ = report.load(REPOSITORY / "experiments/gallery/percolation.zip")
    declared = experiments.find("percolation")
    written = [report.report(declared, computed, tmp_path / name, say=str) for name in ("percolation", "earlier")]
    page = pages.write_gallery(tmp_path / "gallery.html", written).read_text()
    assert re.findall(r"<summary><b>(.*?), preset", page) == ["percolation</b>", "percolation</b> (earlier)"]


def test_results_that_train_nothing_have_nothing_to_explore():
    computed, _ = report.load(REPOSITORY / "experiments/gallery/percolation.zip")
    assert explorer.explore(computed) is None


def test_the_digest_is_of_the_values(found):
    changed = found.copy(deep=True)
    assert sections.digest(changed) == sections.digest(found[sorted(map(str, found.data_vars))])
    changed["loss"].values.reshape(-1)[-1] += 1e-3
    assert sections.digest(changed) != sections.digest(found)


def test_claims_quote_the_papers(found, tmp_path):
    report.report(experiments.find("p1_fig9"), found, tmp_path, say=lambda line: None)
    page = (tmp_path / "report.html").read_text()
    assert page.count("<blockquote>") == len(experiments.find("p1_fig9").claims) > 0
    assert page.count("<b>Baseline</b>") == len(experiments.find("p1_fig9").claims)
