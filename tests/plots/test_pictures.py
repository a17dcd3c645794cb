"""Pictures are tested by what they draw: the artists' data, against the Dataset that went in."""

import numpy as np
import pytest
import xarray as xr

from diffgeo import plots
from diffgeo.errors import UserError
from diffgeo.plots.curves import MODES
from diffgeo.plots.tables import OTHER_DIMS
from tests.support.plots import INCREMENTS, draw, heat_maps, make_results, without_tail

# Also while drawing: layout that collapses, empty legends and means of nothing are warnings.
pytestmark = pytest.mark.filterwarnings("error")


def test_fixture_follows_the_schema():
    results = make_results()
    assert {"increment", "seed", "step"} < set(results.dims) <= {"increment", "seed", *OTHER_DIMS}
    np.testing.assert_allclose(sum(results[name] for name in MODES), 1.0, atol=1e-6)


# Heat maps


# Curves


# Samples


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
