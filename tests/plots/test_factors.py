"""Pictures of data sets of K other than two factors: their names are shown, and what needs x and y is refused."""

import json

import numpy as np
import pytest

import experiments
from diffgeo import plots, results
from diffgeo.plots import members
from diffgeo.plots.curves import modes_of
from diffgeo.run import measure
from diffgeo.settings import Grid
from tests.support.plots import draw
from tests.support.programs import REPOSITORY
from tests.support.settings import refused

EXAMPLES = {"two_bumps": "rows", "colored_ring": "radius"}
FACTORS = {"two_bumps": ["x1", "y1", "x2", "y2"], "colored_ring": ["x", "y", "color"]}


@pytest.fixture(scope="module", params=EXAMPLES)
def run(request):
    """Results of a worked example's schema, as if its models had learned; their axis and their factors."""
    declared = experiments.resolve(str(REPOSITORY / f"docs/examples/{request.param}.py"))
    settings = declared.settings("tiny")
    about = {"settings": json.dumps(settings.to_json()), "experiment": declared.name, "preset": "tiny"}
    names = [factor.name for factor in settings.factors]
    analyses = measure.schema(("spectrum", "manifold"), 12, judged=False, factors=names)
    found = results.template(Grid(settings), 12, about, analyses).copy(deep=True)
    rng = np.random.default_rng(0)
    for name in found.data_vars:
        if "accuracy" in str(name) or "r2" in str(name) or name in ("loss", "umap", "pca"):
            found[name].values[:] = rng.uniform(0.1, 0.9, found[name].shape)
    found["label"].values[:] = rng.uniform(2, 5, found["label"].shape)
    found["origin"].values[:] = 0
    found["samples"].values[:] = rng.integers(0, 256, found["samples"].shape)
    return found, EXAMPLES[request.param], FACTORS[request.param]


def words(figure):
    """Return every text of a figure, legends' among it."""
    return [text.get_text() for text in figure.findobj(lambda part: hasattr(part, "get_text"))]


def test_the_overview_has_a_line_for_each_factor(run):
    found, axis, factors = run
    shown = words(draw(plots.overview(found, axis)))
    assert {"all factors right", *(f"{name} right" for name in factors)} <= {*shown}
    looks = {(color, str(line)) for _, color, line in modes_of(found).values()}
    assert len(looks) == len(factors) + 1
    assert not {"no bump", "several bumps"} & {*shown}
    assert any("center asked for" in text for text in shown) == (factors[:2] == ["x", "y"])


def test_failure_modes_are_the_shares_right_in_each_factor(run):
    found, axis, factors = run
    figure = draw(plots.failure_modes(found, axis))
    means = [line.get_ydata() for line in figure.axes[0].lines if line.get_linewidth() > 1.5]
    scores = results.select_scores(found).sel(region="all").isel({axis: 0})
    for mean, name in zip(means, ["accuracy", *(f"accuracy_{factor}" for factor in factors)], strict=True):
        np.testing.assert_allclose(mean, scores[name].mean("seed"), rtol=1e-6)


def test_dots_are_at_the_factors_named_x_and_y_and_color_is_shown(run):
    found, axis, factors = run
    selection = {axis: found[axis].values[0], "seed": 0}
    ax = draw(plots.sample_grid(found, 6, **selection)).axes[0]
    at = found.sel(selection)
    if factors[0] == "x":
        picture = np.asarray(ax.images[0].get_array())
        np.testing.assert_array_equal(picture, at["samples"].sel(step=6).isel(kept=0).values)
        assert picture.shape[-1] == 3
        np.testing.assert_allclose(ax.collections[0].get_offsets()[0], at["label"][0, :2], rtol=1e-6)
    else:
        assert len(ax.collections[0].get_offsets()) == 0, "x1, y1 and x2, y2 are no single center"


def test_part_scores_have_every_factor(run):
    found, axis, factors = run
    shown = words(draw(plots.part_scores(found, axis, [str(found["region"].values[1])])))
    assert {f"{name}, each seed (bar: mean)" for name in factors} <= {*shown}


def test_axes_carry_the_factors_names(run):
    found, axis, factors = run
    figure = draw(plots.learning_curves(found, [f"accuracy_{name}" for name in factors], axis))
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert labels == [f"accuracy of {name}" for name in factors]


def test_what_is_of_x_and_y_alone_is_refused(run):
    found, axis, factors = run
    for draw_papers in (plots.error_map, plots.region_samples, plots.truth_and_sample):
        with refused("shows the papers' bumps or stripes", found.attrs["experiment"]):
            draw_papers(found, axis=axis) if draw_papers is not plots.truth_and_sample else draw_papers(found)
    with refused("labeled_sample shows the papers'"):
        plots.labeled_sample(found, "ood")
    selection = {axis: found[axis].values[0], "seed": 0}
    with refused("the web joins neighbors in the plane of two factors", f"have {len(factors)}", ", ".join(factors)):
        members.web(found, **selection)
    with refused("phases A, B and C are told apart by images without a bump", "plots.failure_modes"):
        members.phases(found, **selection)
    rings = found.assign(ring_angles=found["loss"])
    with refused("drawn over the factors x and y", ", ".join(factors)):
        members.rings(rings, **selection)


def test_color_bars_carry_each_factor_and_its_unit(run):
    found, axis, factors = run
    bars = [f"true {name}" if name == "color" else f"true {name} (pixels)" for name in factors]
    selection = {axis: found[axis].values[0], "seed": 0}
    labels = found.sel(selection)["label"].values
    for draw_cloud in (members.umaps, members.components, members.components_in_training):
        figure = draw(draw_cloud(found, **selection))
        shown = [ax for ax in figure.axes if ax.get_label() == "<colorbar>"]
        assert [ax.get_xlabel() or ax.get_ylabel() for ax in shown] == bars
        for ax in (ax for ax in figure.axes if ax not in shown):
            factor = factors.index(ax.get_title().split("by ")[1])
            np.testing.assert_allclose(ax.collections[0].get_array(), labels[:, factor], rtol=1e-6)


def test_curves_of_a_manifold_name_the_factor(run):
    found, axis, factors = run
    named = [f"{score}_{factors[-1]}" for score in ("r2", "probe_r2", "neighbor_r2")]
    figure = draw(plots.learning_curves(found, named, axis))
    words = ["R² of {} on the 3-D UMAP", "cross-validated R² of a linear probe of {}", "R² of {} by nearest neighbors"]
    assert [ax.get_ylabel() for ax in figure.axes] == [text.format(factors[-1]) for text in words]


def test_two_channels_are_no_picture(run):
    found, axis, _ = run
    if "channel" in found.dims:
        with refused("the samples have 2 channels"):
            plots.sample_grid(found.isel(channel=slice(2)), 6, **{axis: found[axis].values[0], "seed": 0})
