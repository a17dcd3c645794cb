"""Blocks of samples with their true centers."""

import numpy as np
import pytest
from matplotlib.colors import to_rgb

from diffgeo import plots
from diffgeo.plots.samples import phase_steps
from tests.support.plots import SIDE, dots_in_images, draw, lines, make_results, without_tail


def test_sample_grid_draws_the_images_and_their_true_centers():
    results = make_results(kept=25)
    member = results.isel(increment=1, seed=2)
    figure = draw(plots.sample_grid(results, 3_000, increment=0.2, seed=2))
    ax = figure.axes[0]
    images = member["samples"].sel(step=3_000).values
    np.testing.assert_array_equal([image.get_array() for image in ax.images], images)
    corners = np.array([[image.get_extent()[3], image.get_extent()[0]] for image in ax.images])
    assert (np.lexsort((corners[:, 1], corners[:, 0])) == np.arange(25)).all()  # reading order
    assert all(image.get_clim() == (0, 255) for image in ax.images)
    assert ax.yaxis_inverted()  # row 0 on top
    dots = dots_in_images(ax)
    assert list(dots) == list(range(25))
    np.testing.assert_allclose(list(dots.values()), member["label"][:25], atol=1e-5)
    red, green, blue = to_rgb(ax.collections[0].get_facecolor()[0])
    assert red > 0.8 > 0.3 > max(green, blue)
    accuracy = float(member["accuracy"].sel(step=3_000))
    assert ax.get_title() == f"step 3,000, accuracy {accuracy:.2f}"
    assert "increment d = 0.2 pixels, seed 2" in figure.get_suptitle()


@pytest.mark.parametrize("value", [0.2, np.float32(0.2), np.float64(0.2)])
def test_selection_bridges_precisions(value):
    figure = plots.sample_grid(make_results(), 0, increment=value, seed=0)
    assert "increment d = 0.2 pixels" in figure.get_suptitle()


def test_centers_outside_the_image_have_no_dot():
    results = make_results(kept=25)
    results["label"][0, 0, :3] = [[-2.0, 4.0], [3.0, SIDE + 1.0], [0.0, SIDE - 1.0]]
    ax = draw(plots.sample_grid(results, 1_000, increment=0.1, seed=0)).axes[0]
    dots = dots_in_images(ax)
    assert len(ax.collections[0].get_offsets()) == 23  # nor one between the images
    assert list(dots) == list(range(2, 25))
    np.testing.assert_allclose(dots[2], [0.0, SIDE - 1.0], atol=1e-5)


def test_fewer_samples_than_a_block():
    assert len(draw(plots.sample_grid(make_results(kept=7), 0, increment=0.1, seed=0)).axes[0].images) == 7


def test_sample_phases_takes_early_middle_and_late():
    results = make_results()
    results["accuracy"][0, 0] = [0, 0.02, 0.1, 0.47, 0.6, 0.7, 0.8, 0.9, 0.8]  # half of the last: 0.4
    figure = draw(plots.sample_phases(results, increment=0.1, seed=0))
    titles = [ax.get_title() for ax in figure.axes]
    expected = ["step 1,000, accuracy 0.02", "step 3,000, accuracy 0.47", "step 8,000, accuracy 0.80"]
    assert titles == expected
    for ax, step in zip(figure.axes, (1_000, 3_000, 8_000), strict=True):
        images = results["samples"][0, 0].sel(step=step)
        np.testing.assert_array_equal([image.get_array() for image in ax.images], images)
    given = draw(plots.sample_phases(results, steps=(0, 2_000), increment=0.1, seed=0))
    assert [ax.get_title()[:10] for ax in given.axes] == ["step 0, ac", "step 2,000"]


@pytest.mark.parametrize(("evaluated", "steps"), [(1, [0]), (2, [1_000]), (3, [1_000, 2_000])])
def test_sample_phases_of_a_run_that_has_just_begun(evaluated, steps):
    member = without_tail(make_results(), evaluated).isel(increment=0, seed=0)
    assert phase_steps(member) == steps
    assert len(draw(plots.sample_phases(member)).axes) == len(steps)


def test_overview_shows_the_best_member():
    results = make_results()
    results["accuracy"][1, 2, -1] = 1.0
    figure = draw(plots.overview(results))
    top, bottom = figure.subfigs
    assert "best of 9 models" in top.get_suptitle()
    assert "increment d = 0.2 pixels, seed 2" in top.get_suptitle()
    late = top.axes[-1]
    np.testing.assert_array_equal([im.get_array() for im in late.images], results["samples"][1, 2, -1])
    curves, modes = bottom.axes
    assert len(lines(curves, thick=False)) == 9
    assert len(lines(curves, thick=True)) == 3
    expected = results["no_bump"][1].values
    np.testing.assert_array_equal(lines(modes, thick=False)[3:6], expected)
    assert "0.2" in modes.get_title()
