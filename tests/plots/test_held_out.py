"""Pictures of held-out labels, and the true image beside a sample."""

import json

import numpy as np
import pytest
import xarray as xr

from diffgeo import images, plots
from diffgeo.data import regions
from diffgeo.plots.samples import true_image
from diffgeo.results import settings_of_member
from diffgeo.settings import Data, Evaluation, Settings, Train
from diffgeo.settings.migration import STORE_FORMAT
from tests.support.plots import draw
from tests.support.settings import refused

SIZE, MARGIN = 8, 4.0
CROSS = {"hole": "cross", "hole_width": 2.0, "kind": "sos", "margin": MARGIN}


def run_of(axis, values, **data) -> xr.Dataset:
    """Return results at steps 0 and 10 whose samples hold the index of their label, written in gray."""
    settings = Settings(
        data=Data(**{"size": SIZE, **data}),
        train=Train(steps=10),
        evaluation=Evaluation(every_steps=10),
        axes={axis: values, "seed": (0,)},
    )
    x, y = np.meshgrid(np.arange(SIZE), np.arange(SIZE), indexing="ij")
    label = np.stack([x, y], axis=-1).reshape(-1, 2) + settings.data.margin
    shape = (len(values), 1, 2)
    gray = np.arange(SIZE**2, dtype=np.uint8)[:, None, None] * np.ones((SIZE, SIZE), np.uint8)
    axes = (axis, "seed")
    return xr.Dataset(
        {
            "accuracy": ((*axes, "step"), np.zeros(shape)),
            "label": ((*axes, "sample", "factor"), np.broadcast_to(label, (*shape[:2], *label.shape))),
            "samples": ((*axes, "step", "kept", "row", "column"), np.broadcast_to(gray, (*shape, *gray.shape))),
            "origin": ((*axes, "factor"), np.full((*shape[:2], 2), settings.data.margin)),
        },
        {axis: list(values), "seed": [0], "step": [0, 10], "factor": ["x", "y"]},
        {"settings": json.dumps(settings.to_json()), "store_format": STORE_FORMAT},
    )


def rectangles(ax):
    """Return (left, right, top, bottom) of the filled rectangles of an axes."""
    boxes = [patch.get_bbox() for patch in ax.patches if patch.get_fill()]
    return [(box.x0, box.x1, box.y0, box.y1) for box in boxes]


@pytest.mark.parametrize("kind", ["bump", "sos"])
@pytest.mark.parametrize("periodic", [False, True])
def test_true_image_is_that_of_the_renderer(kind, periodic):
    data = Data(size=SIZE, kind=kind, periodic=periodic, sigma=0.8)
    center = np.array([6.7, 2.3])
    rendered = images.to_uint8(images.render(center[None], data.sigma, kind, SIZE, periodic))[0]
    np.testing.assert_allclose(true_image(data, center), rendered, atol=0.51)


def test_truth_and_sample_of_the_narrowest_bump_nearest_to_a_label():
    found = run_of("sigma", (0.5, 0.3))
    left, right = draw(plots.truth_and_sample(found, label=(2.2, 4.9))).axes
    np.testing.assert_allclose(left.images[0].get_array(), true_image(Data(size=SIZE, sigma=0.3), np.array([2.0, 5.0])))
    np.testing.assert_array_equal(right.images[0].get_array(), 2 * SIZE + 5)
    np.testing.assert_array_equal(right.collections[0].get_offsets(), [[2, 5]])


@pytest.mark.parametrize(
    ("axis", "values"), [("dataset", ("2d", "1d+0d")), ("increment_y", (None, 0.5)), ("size", (8, 16))]
)
def test_settings_of_a_member_are_those_of_its_coordinates(axis, values):
    found = run_of(axis, values, margin=MARGIN).assign_coords({axis: np.array(values, object)})
    for index, value in enumerate(values):
        data = settings_of_member(found.isel({axis: index})).data
        assert getattr(data, axis) == value
        assert type(getattr(data, axis)) is type(value)


def test_labeled_sample_names_the_parts_of_the_cross():
    found = run_of("dataset", ("2d", "2d+1d+0d"), **CROSS)
    figure = draw(plots.labeled_sample(found, dataset="2d+1d"))
    words = [text.get_text() for text in figure.legends[0].texts]
    assert words == ["vertical part", "horizontal part", "intersection", "label"]
    ax = figure.axes[0]
    assert (3, 5, 3, 5) in rectangles(ax)  # the intersection, in pixels of the image
    [[x]], [[y]] = (line.T for line in np.split(ax.lines[0].get_xydata().T, 2))
    assert 3 <= x <= 5
    assert 3 <= y <= 5
    assert ax.images[0].get_array()[0, 0] == x * SIZE + y
    with refused("'2d+1d+rim'", "one is needed"):
        plots.labeled_sample(found, dataset="2d+1d+rim")
    with refused("'intersection'", "stored_images"):
        plots.labeled_sample(found.isel(kept=slice(0, 3)), dataset="2d")


def test_the_hole_is_shaded_in_every_held_out_sample():
    found = run_of("hole_width", (2.0,), hole="square", margin=MARGIN, dataset="2d")
    ax = draw(plots.region_samples(found, "hole_width", "ood")).axes[0]
    shaded = np.array(rectangles(ax))
    corners = np.array([image.get_extent() for image in ax.images])[:, [0, 3]] + 0.5
    assert len(shaded) == len(ax.images) == 9  # labels 3, 4, 5 on both axes: the hole is closed
    np.testing.assert_allclose(shaded[:, 0::2] - corners, 3)
    np.testing.assert_allclose(shaded[:, 1::2] - corners, 5)
    assert not rectangles(draw(plots.region_samples(found, "hole_width", regions.ALL)).axes[0])
