"""Summaries of results that an earlier version wrote."""

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
