"""Summaries of results that an earlier version wrote."""

import xarray as xr

from diffgeo import report
from diffgeo.report import summary
from diffgeo.results import settings_of
from diffgeo.settings.migration import STORE_FORMAT
from tests.support.results import made_up


def test_a_summary_of_renamed_results_is_of_the_format_of_its_names(tmp_path):
    renamed = made_up("p2_fig4", lambda at, t, region: 0.9 * t, seeds=(0, 1))
    del renamed.attrs["store_format"]  # as `open_results` gives the results of an older store, with today's names
    read = summary.read(summary.write(renamed, tmp_path / "s.zip"))
    assert read.attrs["store_format"] == STORE_FORMAT
    assert settings_of(read) == settings_of(renamed)
    assert set(read.dims) <= set(renamed.dims)
    assert "store_format" not in renamed.attrs


def test_a_large_summary_keeps_what_figures_show_of_the_first_seed(tmp_path, monkeypatch):
    results, _ = report.load("experiments/gallery/p1_fig4_earlier.zip")
    whole = summary.write(results, tmp_path / "whole.zip")
    monkeypatch.setattr(summary, "LIMIT", whole.stat().st_size - 1)
    small = summary.write(results, tmp_path / "small.zip")
    assert small.stat().st_size < whole.stat().st_size
    kept, all_of_it = summary.read(small), summary.read(whole)
    for name in ("accuracy", "loss", "prediction", "label"):
        xr.testing.assert_identical(kept[name], all_of_it[name])
    xr.testing.assert_identical(kept["samples"].isel(seed=0), all_of_it["samples"].isel(seed=0))
    xr.testing.assert_identical(kept["samples"].isel(step=-1), all_of_it["samples"].isel(step=-1))
    later = kept["samples"].isel(seed=slice(1, None), step=slice(0, -1))
    assert (later == 255).all()
    assert not (all_of_it["samples"].isel(seed=slice(1, None), step=slice(0, -1)) == 255).all()


def test_a_summary_that_is_still_too_large_keeps_clouds_of_the_first_seed(tmp_path, monkeypatch):
    results, _ = report.load("experiments/gallery/p1_fig4.zip")
    monkeypatch.setattr(summary, "LIMIT", 1)
    kept = summary.read(summary.write(results, tmp_path / "small.zip"))["umap"].sel(tensor="layer4")
    before = results["umap"].sel(tensor="layer4")
    xr.testing.assert_identical(kept.isel(seed=0), before.isel(seed=0))
    xr.testing.assert_identical(kept.isel(step=-1), before.isel(step=-1))
    assert before.isel(seed=1, step=slice(0, -1)).notnull().any()
    assert kept.isel(seed=slice(1, None), step=slice(0, -1)).isnull().all()
