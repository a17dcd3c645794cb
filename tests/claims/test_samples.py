"""Samples label by label: hits, copying, the slope of drawn on asked places."""

import numpy as np
import pytest

from diffgeo.claims import samples
from diffgeo.errors import UserError
from tests.support.claims import copying, in_hole, perfect
from tests.support.results import made_up


@pytest.fixture(scope="module")
def lesion():
    """Widths 0.5, 1.5, 3.5, 5.5 about x = 7.75; the nearest seen x are 0.5 px outside of the last one held out."""
    return made_up("p2_fig11", draw=in_hole(copying), seeds=(0,))


def test_copies_are_right_only_near_the_edges(lesion):
    found, inside = samples.last_samples(lesion), samples.in_region(lesion, "ood")
    assert inside.sum("sample").sel(seed=0).values.tolist() == [16, 32, 64, 96]
    whole, far = samples.held_out(found, inside, samples.X), samples.held_out(found, inside, samples.X, far=samples.X)
    # of 1, 2, 4 and 6 columns, those within a pixel (and the reading error) of a seen x
    np.testing.assert_allclose(whole.copied.sel(seed=0), [1, 1, 0.5, 1 / 3])
    assert far.labels.sel(seed=0).values.tolist() == [0, 0, 32, 64]
    wide = far.sel(hole_width=5.5)
    np.testing.assert_array_equal([wide.share, wide.copied, wide.excess], 0)
    assert far.resolution == pytest.approx(0.6 / 32)
    seen = samples.held_out(found, samples.in_region(lesion, "id"))
    np.testing.assert_array_equal([seen.share, seen.copied], 1)


def test_slope_tells_interpolation_from_copying(lesion):
    inside = samples.in_region(lesion, "ood")
    slope = samples.drawn_slope(samples.last_samples(lesion), inside, "x").sel(seed=0)
    np.testing.assert_allclose(slope.sel(hole_width=[3.5, 5.5]), 0, atol=0.01)
    assert np.isnan(slope.sel(hole_width=[0.5, 1.5])).all()  # a single column in each half
    right = made_up("p2_fig11", draw=perfect, seeds=(0,))
    slope = samples.drawn_slope(samples.last_samples(right), inside, "x").sel(seed=0)
    np.testing.assert_allclose(slope.sel(hole_width=[3.5, 5.5]), 1, atol=0.01)


def test_images_are_read_again_where_all_are_stored(lesion):
    moved = lesion.copy(deep=True)
    moved["prediction"].values[:] = 0.0
    np.testing.assert_array_equal(samples.last_samples(moved)["drawn"], samples.last_samples(lesion)["drawn"])
    few = moved.isel(kept=slice(0, 25))
    np.testing.assert_array_equal(samples.last_samples(few)["drawn"], 0)


def test_an_unfinished_run_has_no_last_samples(lesion):
    unfinished = lesion.copy(deep=True)
    unfinished["accuracy"][{"step": -1, "hole_width": 0}] = np.nan
    with pytest.raises(UserError, match="finish the run first"):
        samples.last_samples(unfinished)
