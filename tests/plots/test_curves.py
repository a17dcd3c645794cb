"""Curves over training: every seed and the mean, failure modes."""

import numpy as np
from matplotlib.colors import to_rgb

from diffgeo import plots
from diffgeo.plots import style
from diffgeo.plots.curves import MODES
from tests.support.plots import INCREMENTS, STEPS, draw, lines, make_results, without_tail


def test_learning_curves_draw_every_seed_and_the_mean():
    results = make_results()
    figure = draw(plots.learning_curves(results, ("accuracy", "loss")))
    assert [ax.get_ylabel() for ax in figure.axes] == ["accuracy", "training loss (mean squared error)"]
    for ax, metric in zip(figure.axes, ("accuracy", "loss"), strict=True):
        expected = results[metric].values.astype(np.float64)
        np.testing.assert_array_equal(lines(ax, thick=False), expected.reshape(-1, len(STEPS)))
        np.testing.assert_allclose(lines(ax, thick=True), np.mean(expected, axis=1), rtol=1e-12)
    legend = [text.get_text() for text in figure.legends[0].texts]
    assert legend == ["0.1", "0.2", "1", "mean of 3 seeds", "each seed"]
    assert figure.legends[0].get_title().get_text() == "increment d (pixels)"
    colors = [line.get_color() for line in figure.axes[0].lines if line.get_linewidth() > 1.5]
    assert [handle.get_color() for handle in figure.legends[0].legend_handles[:3]] == colors
    assert len(set(colors)) == 3


def test_mean_ends_where_a_seed_is_missing():
    results = make_results()
    results["accuracy"][0, 1, 5:] = np.nan  # begun, but behind
    results["accuracy"][1, 2] = np.nan  # not begun
    means = lines(draw(plots.learning_curves(results)).axes[0], thick=True)
    accuracy = results["accuracy"].values.astype(np.float64)
    np.testing.assert_allclose(means[0][:5], accuracy[0, :, :5].mean(axis=0))
    assert np.isnan(means[0][5:]).all()
    np.testing.assert_allclose(means[1], accuracy[1, :2].mean(axis=0))


def test_learning_curves_of_one_setting_and_seed():
    results = make_results().sel(increment=INCREMENTS[1], seed=2)
    figure = draw(plots.learning_curves(results, "accuracy", axis=None))
    np.testing.assert_array_equal(figure.axes[0].lines[0].get_ydata(), results["accuracy"])
    assert [text.get_text() for text in figure.legends[0].texts] == ["one seed"]
    assert "0.2 pixels" in figure.get_suptitle()


def test_a_single_evaluation_is_visible():
    figure = draw(plots.learning_curves(without_tail(make_results(), 1)))
    assert {line.get_marker() for line in figure.axes[0].lines} == {"o"}


def test_failure_modes_differ_by_color_and_by_line():
    results = make_results()
    figure = draw(plots.failure_modes(results, "increment"))
    assert [ax.get_title() for ax in figure.axes] == [f"increment d = {d} pixels" for d in ("0.1", "0.2", "1")]
    for place, ax in enumerate(figure.axes):
        values = np.stack([results[name].values[place] for name in MODES]).astype(np.float64)  # [4, S, T]
        np.testing.assert_array_equal(lines(ax, thick=False), values.reshape(-1, len(STEPS)))
        np.testing.assert_allclose(lines(ax, thick=True), values.mean(axis=1), rtol=1e-12)
    handles = figure.legends[0].legend_handles[:4]
    assert len({to_rgb(handle.get_color()) for handle in handles}) == 4
    assert {to_rgb(handle.get_color()) for handle in handles} <= {to_rgb(c) for c in style.OKABE_ITO.values()}
    assert len({str(line) for _, _, line in MODES.values()}) == 4


def test_failure_modes_of_one_setting():
    figure = draw(plots.failure_modes(make_results().isel(increment=0)))
    assert len(figure.axes) == 1
    assert figure.get_suptitle() == "increment d = 0.1 pixels"
