"""Pictures are tested by what they draw: the artists' data, against the Dataset that went in."""

import numpy as np
import pytest
import xarray as xr
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure

from diffgeo import plots
from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.plots.learning_curves import MODES
from diffgeo.plots.samples import phase_steps
from diffgeo.plots.tables import OTHER_DIMS

# Also while drawing: layout that collapses, empty legends and means of nothing are warnings.
pytestmark = pytest.mark.filterwarnings("error")

STEPS = np.arange(0, 9) * 1_000
SIDE = 8
INCREMENTS = np.array([0.1, 0.2, 1.0], np.float32)


def make_results(axis="increment", values=INCREMENTS, seeds=(0, 1, 2), kept=4, region=False) -> xr.Dataset:
    """A plausible run: every member learns along a sigmoid of its own."""
    rng = np.random.default_rng(7)
    shape = (len(values), len(seeds), len(STEPS))
    middle = rng.uniform(2_000, 5_000, shape[:2])[..., None]
    correct = rng.uniform(0.8, 1.0, shape[:2])[..., None] / (1 + np.exp((middle - STEPS) / 400))
    no_bump = (1 - correct) / (1 + np.exp((STEPS - 0.5 * middle) / 400))
    several = 0.25 * (1 - correct - no_bump)
    loss = 0.02 + np.exp(-STEPS / 2_000) + rng.uniform(0, 0.01, shape)
    loss[..., 0] = np.nan
    labels = rng.uniform(0, SIDE - 1, (*shape[:2], 30, 2))
    samples = rng.integers(0, 256, (*shape, kept, SIDE, SIDE), dtype=np.uint8)
    axes = (axis, "seed")
    curves = {
        "loss": loss,
        "accuracy": correct,
        "accuracy_x": correct**0.5,
        "correct": correct,
        "no_bump": no_bump,
        "wrong_place": 1 - correct - no_bump - several,
        "several_bumps": several,
    }
    variables = {name: ((*axes, "step"), curve.astype(np.float32)) for name, curve in curves.items()}
    coords = {axis: values, "seed": list(seeds), "step": STEPS, "factor": ["x", "y"]}
    if region:
        scores = np.stack([np.zeros_like(correct), correct], axis=-1).astype(np.float32)
        variables["accuracy"] = ((*axes, "step", "region"), scores)
        coords["region"] = ["held_out", "all"]  # "all" not first: it is found by name
    variables["label"] = ((*axes, "sample", "factor"), labels.astype(np.float32))
    variables["samples"] = ((*axes, "step", "kept", "row", "column"), samples)
    variables["nonfinite_step"] = (axes, np.full(shape[:2], -1))
    return xr.Dataset(variables, coords)


def without_tail(results: xr.Dataset, first: int) -> xr.Dataset:
    """The results as they are while the run goes on: nothing evaluated from the step at that index on."""
    results = results.copy(deep=True)
    for name in ("loss", "accuracy", "accuracy_x", *MODES):
        results[name][{"step": slice(first, None)}] = np.nan
    return results


def draw(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


def heat_maps(figure: Figure) -> list[np.ndarray]:
    """Data of the panels (the color bar holds no image), NaN where nothing is drawn."""
    return [np.ma.filled(ax.images[0].get_array(), np.nan) for ax in figure.axes if ax.images]


def lines(ax, thick: bool) -> list[np.ndarray]:
    """Curves of an axes: thick ones are means, thin ones members."""
    return [line.get_ydata() for line in ax.lines if (line.get_linewidth() > 1.5) == thick]


def dots_in_images(ax) -> dict[int, np.ndarray]:
    """Position of each red dot in pixels of the image it lies on, by the image's index in drawing order."""
    found = {}
    for dot in np.asarray(ax.collections[0].get_offsets()):
        for place, image in enumerate(ax.images):
            left, right, bottom, top = image.get_extent()
            if left <= dot[0] < right and top <= dot[1] < bottom:
                found[place] = dot - (left, top) - 0.5
    return found


def test_fixture_follows_the_schema():
    results = make_results()
    assert {"increment", "seed", "step"} < set(results.dims) <= {"increment", "seed", *OTHER_DIMS}
    np.testing.assert_allclose(sum(results[name] for name in MODES), 1.0, atol=1e-6)


# Heat maps


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


# Curves


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


# Samples


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


# What datasets may look like

CALLS = {
    "phase_diagram": lambda results, axis: plots.phase_diagram(results, axis=axis),
    "learning_curves": lambda results, axis: plots.learning_curves(results, axis=axis),
    "failure_modes": lambda results, axis: plots.failure_modes(results, axis=axis),
    "overview": lambda results, axis: plots.overview(results, axis=axis),
    "sample_phases": lambda results, axis: plots.sample_phases(
        results, **{axis: results[axis].values[0], "seed": results["seed"].values[0]}
    ),
}
DATASETS = {
    "one seed": lambda: make_results(seeds=(4,)),
    "one axis value": lambda: make_results(values=INCREMENTS[:1]),
    "one model": lambda: make_results(values=INCREMENTS[:1], seeds=(4,)),
    "running": lambda: without_tail(make_results(), 4),
    "region": lambda: make_results(region=True),
    "strings": lambda: make_results("data", np.array(["bumps", "stripes"])),
    "many values": lambda: make_results(values=np.linspace(0.1, 1.0, 6)),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("dataset", DATASETS)
def test_every_picture_of_every_dataset(call, dataset):
    results = DATASETS[dataset]()
    axis = str(next(iter(results["accuracy"].dims)))
    before = results.copy(deep=True)
    draw(CALLS[call](results, axis))
    xr.testing.assert_identical(results, before)


def test_one_seed_still_has_its_best_panel():
    panels = heat_maps(draw(plots.phase_diagram(make_results(seeds=(4,)))))
    assert len(panels) == 2
    np.testing.assert_array_equal(panels[0], panels[1])


def test_region_all_is_read():
    with_region, plain = make_results(region=True), make_results()
    for one, other in zip(
        heat_maps(plots.phase_diagram(with_region)), heat_maps(plots.phase_diagram(plain)), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_strings_are_ticks_and_legend():
    names = np.array(["bumps", "stripes"])
    results = make_results("data", names)
    figure = draw(plots.phase_diagram(results, axis="data"))
    assert [tick.get_text() for tick in figure.axes[0].get_yticklabels()] == list(names)
    assert figure.axes[0].get_ylabel() == "data"  # no wording known: the name
    figure = draw(plots.learning_curves(results, axis="data"))
    assert [text.get_text() for text in figure.legends[0].texts[:2]] == list(names)
    figure = draw(plots.sample_grid(results, 0, data="stripes", seed=1))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), results["samples"][1, 1, 0, 0])


def test_dims_in_another_order():
    results = make_results()
    turned = results.transpose("step", "seed", ...)
    np.testing.assert_array_equal(heat_maps(plots.phase_diagram(turned)), heat_maps(plots.phase_diagram(results)))


# Mistakes


def two_axes() -> xr.Dataset:
    return xr.concat([make_results(), make_results()], xr.IndexVariable("sigma", [0.5, 1.0]))


def nothing_yet() -> xr.Dataset:
    return without_tail(make_results(), 0)


@pytest.mark.parametrize(
    ("picture", "message"),
    [
        (lambda: plots.phase_diagram(two_axes()), r"results\.sel\(sigma=0\.5\)"),
        (lambda: plots.learning_curves(make_results(), axis=None), r"results\.sel\(increment=0\.1\)"),
        (lambda: plots.failure_modes(make_results()), r"results\.sel\(increment=0\.1\)"),
        (lambda: plots.sample_grid(make_results(), 0, increment=0.1), r"results\.sel\(seed=0\)"),
        (lambda: plots.phase_diagram(make_results(), axis="sigma"), "no axis 'sigma': give axis='increment'"),
        (lambda: plots.phase_diagram(make_results(), axis="seed"), "seed"),
        (lambda: plots.phase_diagram(make_results(), "acuracy"), "'acuracy'.*choose one of loss, accuracy,"),
        (lambda: plots.learning_curves(make_results(), ("samples",)), "'samples'.*choose one of"),
        (lambda: plots.failure_modes(make_results().drop_vars("no_bump"), "increment"), "'no_bump'"),
        (lambda: plots.phase_diagram(nothing_yet()), "evaluated yet"),
        (lambda: plots.learning_curves(nothing_yet()), "evaluated yet"),
        (lambda: plots.failure_modes(nothing_yet(), "increment"), "evaluated yet"),
        (lambda: plots.overview(nothing_yet()), "evaluated yet"),
        (lambda: plots.sample_phases(nothing_yet(), increment=0.1, seed=0), "evaluated yet"),
        (
            lambda: plots.sample_grid(without_tail(make_results(), 2), 3_000, increment=0.1, seed=0),
            "step 3000 has not been evaluated yet: choose one of 0 1,000",
        ),
        (lambda: plots.sample_grid(make_results(), 3_001, increment=0.1, seed=0), "3001 is not a step"),
        (lambda: plots.sample_grid(make_results(), 0, increment=0.3, seed=0), "increment = 0.3.*0.1, 0.2, 1"),
        (lambda: plots.sample_grid(make_results(), 0, sigma=1.0, seed=0), "no axis 'sigma'.*increment, seed"),
        (lambda: plots.sample_phases(make_results().drop_vars("samples")), "no 'samples'"),
        (
            lambda: plots.phase_diagram(make_results(region=True).isel(region=[0, 0])),
            r'no region "all", only held_out',
        ),
    ],
)
def test_mistakes_are_answered(picture, message):
    with pytest.raises(UserError, match=message):
        picture()
