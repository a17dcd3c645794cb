"""Heat maps of a metric over an axis and training."""

import numpy as np
import pytest

from diffgeo import plots
from tests.support.plots import draw, heat_maps, make_results, without_tail


def test_phase_diagram_has_a_panel_per_seed_and_the_best():
    results = make_results(seeds=(3, 5, 8))
    figure = draw(plots.phase_diagram(results))
    panels = heat_maps(figure)
    assert len(panels) == 3 + 1
    for panel, seed in zip(panels, (3, 5, 8), strict=False):
        np.testing.assert_array_equal(panel, results["accuracy"].sel(seed=seed))
    titles = [ax.get_title() for ax in figure.axes[:4]]
    assert titles[:3] == ["seed 3", "seed 5", "seed 8"]
    assert "best seed at the last step" in titles[3]
    assert "selection" in titles[3]


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_best_panel_shows_the_right_seed_of_each_row(metric):
    results = make_results(seeds=(3, 5, 8))
    last = results[metric].isel(step=-1, drop=True)
    best = last.argmin("seed") if metric == "loss" else last.argmax("seed")
    assert len(set(best.values)) > 1  # else a panel of one seed would pass
    figure = draw(plots.phase_diagram(results, metric))
    np.testing.assert_array_equal(heat_maps(figure)[-1], results[metric].isel(seed=best))
    names = [tick.get_text() for tick in figure.axes[3].child_axes[0].get_yticklabels()]
    assert names == [str(seed) for seed in results["seed"].values[best]]


def test_best_is_chosen_at_the_last_evaluated_step():
    results = without_tail(make_results(), 6)
    results["accuracy"][1, :, 5] = [0.1, 0.3, 0.2]  # the last evaluated step of the second row
    results["accuracy"][1, :, 4] = [0.9, 0.1, 0.1]
    best = heat_maps(draw(plots.phase_diagram(results)))[-1]
    np.testing.assert_array_equal(best[1], results["accuracy"][1, 1])


def test_phase_diagram_shares_one_scale_and_labels_cells():
    results = make_results()
    figure = draw(plots.phase_diagram(results))
    assert {ax.images[0].get_clim() for ax in figure.axes if ax.images} == {(0.0, 1.0)}
    first = figure.axes[0]
    assert [tick.get_text() for tick in first.get_yticklabels()] == ["0.1", "0.2", "1"]
    assert list(first.get_yticks()) == [0, 1, 2]  # cells of equal height though 1.0 is far from 0.2
    assert [tick.get_text() for tick in first.get_xticklabels()] == ["0", "4,000", "8,000"]
    assert first.get_ylim() == (-0.5, 2.5)  # upward
    assert first.get_ylabel() == "increment d (pixels)"
    assert figure.axes[-1].get_ylabel() == "accuracy"


def test_phase_diagram_leaves_the_unevaluated_hatched():
    whole, part = make_results(), without_tail(make_results(), 6)
    part["accuracy"][2] = np.nan  # this increment has not begun
    figure = draw(plots.phase_diagram(part))
    for panel in heat_maps(figure):
        assert np.isnan(panel[:, 6:]).all()
        assert np.isnan(panel[2]).all()
        assert np.isfinite(panel[:2, :6]).all()
    assert figure.axes[0].patch.get_hatch()
    assert figure.axes[0].images[0].cmap(np.ma.masked)[3] == 0.0  # transparent: the hatching shows
    assert [text.get_text() for text in figure.legends[0].texts] == ["not evaluated"]
    assert not draw(plots.phase_diagram(whole)).legends


def test_many_seeds_wrap_to_rows():
    figure = draw(plots.phase_diagram(make_results(seeds=tuple(range(6)))))
    assert len(heat_maps(figure)) == 7


def test_loss_is_not_forced_to_the_scale_of_fractions():
    results = make_results()
    figure = draw(plots.phase_diagram(results * 0.1, "loss"))
    expected = (float(0.1 * results["loss"].min()), float(0.1 * results["loss"].max()))
    assert figure.axes[0].images[0].get_clim() == pytest.approx(expected)


def test_one_seed_still_has_its_best_panel():
    panels = heat_maps(draw(plots.phase_diagram(make_results(seeds=(4,)))))
    assert len(panels) == 2
    np.testing.assert_array_equal(panels[0], panels[1])
