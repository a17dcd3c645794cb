"""Pictures of last values, of regions and of phase diagrams: what is drawn, against the Dataset that went in."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.figure import Figure

from diffgeo import plots
from diffgeo.claims import scaling
from diffgeo.errors import UserError
from diffgeo.plots import percolation
from tests.support.results import made_up

# Also while drawing: layout that collapses, empty legends and means of nothing are warnings.
pytestmark = pytest.mark.filterwarnings("error")


def number(*values) -> float:
    """A number in (0, 1) that tells coordinates apart."""
    return 0.05 + 0.9 * (hash(values) % 9_973) / 9_973


def score(at, time, region):
    own = number(*[value for value in at.values() if not isinstance(value, str)], region, round(time, 6))
    return own * 0.5, own, 0.5 + own * 0.5


def draw(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


def dots(ax) -> list:
    """(x, y) of what is drawn as dots alone, one array a line."""
    return [line.get_xydata() for line in ax.lines if line.get_linestyle() == "None"]


def curves(ax) -> list:
    return [line.get_xydata() for line in ax.lines if line.get_linestyle() != "None"]


def test_last_values_by_region():
    found = made_up("p2_fig11", score, seeds=(4, 7))
    figure = draw(plots.final_values(found, "hole_width", by="region", values=("all", "ood")))
    (ax,) = figure.axes
    last = found["accuracy"].isel(step=-1)
    expected = [last.sel(region=region, seed=seed) for region in ("all", "ood") for seed in (4, 7)]
    for drawn, values in zip(dots(ax), expected, strict=True):
        np.testing.assert_allclose(drawn, np.column_stack([found["hole_width"], values]))
    for drawn, region in zip(curves(ax), ("all", "ood"), strict=True):
        np.testing.assert_allclose(drawn[:, 1], last.sel(region=region).mean("seed"), rtol=1e-6)
    assert [text.get_text() for text in figure.legends[0].get_texts()][:2] == ["all labels", "held out (OOD)"]
    with pytest.raises(UserError, match="no region 'vertical'"):
        plots.final_values(found, "hole_width", by="region", values=("vertical",))


def test_last_values_in_panels_of_one_region():
    found = made_up("p2_fig12", score, seeds=(0, 1))
    figure = draw(plots.final_values(found, "hole_width", by="kind", panels="hole", region="ood"))
    assert [ax.get_title() for ax in figure.axes] == ["interior square", "exterior square"]
    last = found["accuracy"].isel(step=-1).sel(region="ood", hole="corner", kind="sos")
    np.testing.assert_allclose(curves(figure.axes[1])[1][:, 1], last.mean("seed"), rtol=1e-6)
    figure = draw(plots.final_values(found, "hole_width", by="region", panels="kind", hole="square"))
    assert "interior square" in figure.get_suptitle()
    with pytest.raises(UserError, match="one value of hole"):
        plots.final_values(found, "hole_width", by="kind")


def test_losses_have_a_log_axis():
    found = made_up("p2_fig6", score, seeds=(0, 1))
    figure = draw(plots.final_values(found, "kept_fraction", by="sigma", metrics=("loss",)))
    assert figure.axes[0].get_yscale() == "log"


def test_parts_have_a_bar_for_each_mean_and_a_dot_for_each_seed():
    found = made_up("p2_fig4", score, seeds=(0, 1))
    figure = draw(plots.part_scores(found, "dataset", ("vertical", "intersection")))
    for ax, region in zip(figure.axes, ("vertical", "intersection"), strict=True):
        for coordinate, bars in zip("xy", ax.containers, strict=True):
            last = found[f"accuracy_{coordinate}"].isel(step=-1).sel(region=region)
            np.testing.assert_allclose([bar.get_height() for bar in bars], last.mean("seed"), rtol=1e-6)
        assert len(dots(ax)) == 2 * 2
        assert [tick.get_text() for tick in ax.get_xticklabels()] == ["1D", "2D", "2D + 1D", "1D with rim"]


def test_data_needed_has_guides_and_exponents():
    from tests.support.claims import flat, scaled

    found = made_up("p2_fig5", scaled({"2d": (0.4, 2), "2d+1d": (2.5, 1)}), seeds=(0, 1))
    figure = draw(plots.data_needed(found, 0.6))
    (ax,) = figure.axes
    assert (ax.get_xscale(), ax.get_yscale()) == ("log", "log")
    needed = scaling.labels_needed(found, "2d", 0.6).sel(seed=1)
    np.testing.assert_allclose(dots(ax)[1][:, 1], needed)
    linear, quadratic = curves(ax)[-2:]
    for guide, power in ((linear, 1), (quadratic, 2)):
        assert np.log(guide[-1, 1] / guide[0, 1]) / np.log(guide[-1, 0] / guide[0, 0]) == pytest.approx(power)
    assert figure.legends[0].get_texts()[0].get_text().startswith("2D: N^")
    (ax,) = draw(plots.data_needed(made_up("p2_fig5", flat(0.9), seeds=(0, 1)), 0.6)).axes
    hollow = [line for line in ax.lines if line.get_markerfacecolor() == "none"]
    assert [np.isfinite(line.get_ydata()).all() for line in hollow] == [True, True]  # the stripes' data sets, per seed
    with pytest.raises(UserError, match=r"0\.6 is crossed at no size"):
        plots.data_needed(made_up("p2_fig5", flat(0.1), seeds=(0, 1)), 0.6)
    swept = xr.concat([found, found], "learning_rate").assign_coords(learning_rate=[0.001, 0.002])
    with pytest.raises(UserError, match=r"one value of learning_rate must be selected first"):
        plots.data_needed(swept, 0.6)
    with pytest.raises(UserError, match=r"one value of learning_rate must be selected first"):
        scaling.scaling_exponent(scaling.labels_needed(swept, "2d", 0.6))


def test_curves_of_regions():
    found = made_up("p1_fig9", score)
    figure = draw(plots.region_curves(found, "hole_area_fraction", ("id", "ood")))
    for ax, share in zip(figure.axes, found["hole_area_fraction"].values, strict=True):
        drawn = curves(ax)
        assert len(drawn) == 2 * (3 + 1)
        np.testing.assert_array_equal(
            drawn[1][:, 1], found["accuracy"].sel(region="id", hole_area_fraction=share, seed=1)
        )
        mean = found["accuracy"].sel(region="ood", hole_area_fraction=share).mean("seed")
        np.testing.assert_allclose(drawn[-1][:, 1], mean, rtol=1e-6)
    with pytest.raises(UserError, match="no region 'rim'"):
        plots.region_curves(found, "hole_area_fraction", ("rim",))
    with pytest.raises(UserError, match="no value of 'r2' has been evaluated"):
        plots.region_r2(found, "hole_area_fraction")


def test_joint_against_product():
    found = made_up("p1_fig5", score)
    figure = draw(plots.joint_against_product(found, "increment_y"))
    own = found.isel(step=slice(1, None), increment_y=1)
    offsets = np.asarray(figure.axes[1].collections[0].get_offsets())
    np.testing.assert_allclose(offsets[:, 1], own["accuracy"].values.ravel(), rtol=1e-6)
    np.testing.assert_allclose(offsets[:, 0], (own["accuracy_x"] * own["accuracy_y"]).values.ravel(), rtol=1e-6)


def test_samples_of_a_region_are_of_its_labels():
    found = made_up("p1_fig9", score)
    figure = draw(plots.region_samples(found, "hole_area_fraction", "ood", seed=2))
    for ax, count in zip(figure.axes, (9, 25), strict=True):
        assert len(ax.images) == count
    none = found.isel(kept=slice(0, 25))  # the first labels of the grid, at its edge
    with pytest.raises(UserError, match=r"no stored sample lies in the region 'ood'.*evaluation\.stored_images"):
        plots.region_samples(none, "hole_area_fraction", "ood")


def test_phase_diagrams_have_a_row_for_each_value():
    found = made_up("p1_fig8", score, seeds=(3, 5))
    figure = draw(plots.phase_diagrams(found, "accuracy", "sigma", "increment"))
    panels = [np.ma.filled(ax.images[0].get_array(), np.nan) for ax in figure.axes if ax.images]
    assert len(panels) == 3 * (2 + 1)
    np.testing.assert_array_equal(panels[4], found["accuracy"].isel(increment=1).sel(seed=5))
    best = found["accuracy"].isel(increment=2).isel(step=-1, drop=True).argmax("seed")
    np.testing.assert_array_equal(panels[8], found["accuracy"].isel(increment=2).isel(seed=best))
    assert figure.axes[6].get_xlabel() == "training step"


def test_simulated_beside_trained():
    found = made_up("p2_fig6", score, seeds=(0, 1))
    figure = draw(percolation.simulated_and_trained(found, 0.005))
    left, right = figure.axes
    masses = [line[:, 1] for line in curves(left)]
    assert np.all(masses[2] >= masses[0])
    assert [mass[-1] for mass in masses] == [1, 1, 1]
    last = found["accuracy"].isel(step=-1, sigma=1).mean("seed")
    np.testing.assert_allclose(curves(right)[1][:, 1], last, rtol=1e-6)
