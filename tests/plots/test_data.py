"""Pictures of data sets, overlaps, clusters and error maps, by what they draw."""

import json

import numpy as np
import pytest
import xarray as xr
from matplotlib.collections import PathCollection
from matplotlib.colors import to_rgb
from matplotlib.patches import Rectangle

from diffgeo import plots, results
from diffgeo.data import computed, label_tables
from diffgeo.errors import UserError
from diffgeo.plots import data as pictures
from diffgeo.plots import label_maps, style
from diffgeo.plots import percolation as cluster_pictures
from diffgeo.settings import Data, Evaluation, Grid, Settings, Train

pytestmark = pytest.mark.filterwarnings("error")

PLAIN = Settings(data=Data(size=8, margin=4.0, sigma=0.5, hole_width=2.0), train=Train(steps=0))
CROSS = {"hole": "cross", "kind": "sos"}


@pytest.fixture(scope="module")
def tables():
    small = [{"dataset": "grid", "margin": 0.0, "kept_fraction": f} for f in (0.25, 0.5)]
    changes = {
        "fine": CROSS | {"dataset": "2d+1d+0d", "increment": 0.5},
        "2D + 1D": CROSS | {"dataset": "2d+1d+0d"},
        "rim": {"dataset": "1d+rim"},
        "a": small[0],
        "b": small[1],
    }
    return computed.label_tables(PLAIN, changes)


def points(ax):
    """Every point drawn, with its color."""
    found = {}
    for artist in ax.collections:
        if isinstance(artist, PathCollection):
            for place in artist.get_offsets():
                found[tuple(np.asarray(place).tolist())] = tuple(artist.get_facecolor()[0][:3].tolist())
    return found


def test_latents_show_every_label_in_the_color_of_its_part_and_the_hole(tables):
    figure = pictures.latents(tables, ("2D + 1D", "rim"))
    for ax, name in zip(figure.axes, ("2D + 1D", "rim"), strict=True):
        data = computed.data_of(tables, name)
        table = label_tables.build_label_table(data)
        drawn = points(ax)
        assert sorted(drawn) == sorted(map(tuple, table.centers.tolist()))
        inside = {"2d": "green", "1d": "blue", "0d": "orange", "rim": "black"}
        parts = label_tables.parts_of(data, table.centers)
        for center, part in zip(table.centers.tolist(), parts, strict=True):
            assert drawn[tuple(center)] == to_rgb(style.OKABE_ITO[inside[part]])
        assert ax.get_ylim()[0] > ax.get_ylim()[1]  # y downward, as in images
        window, *_ = [patch for patch in ax.patches if not patch.get_fill()]
        assert window.get_bbox().extents.tolist() == [4, 4, 12, 12]
    held = [patch.get_bbox().extents.tolist() for patch in figure.axes[0].patches if patch.get_fill()]
    assert sorted(held) == [[4, 7, 7, 9], [7, 4, 9, 12], [9, 7, 12, 9]]


def test_nested_latents_tell_what_is_new(tables):
    first, second = pictures.nested_latents(tables, ("a", "b")).axes
    new = to_rgb(style.OKABE_ITO["orange"])
    assert set(points(first).values()) == {new}
    assert {place for place, color in points(second).items() if color != new} == set(points(first))
    assert len(points(second)) == 32


@pytest.mark.parametrize("name", ["2D + 1D", "fine"])
def test_histograms_count_labels_of_every_part(tables, name):
    figure = pictures.label_histograms(tables, (name,))
    data = computed.data_of(tables, name)
    labels = label_tables.build_label_table(data).centers - 4
    for axis, ax in enumerate(figure.axes):
        counts = {}
        for bar in ax.patches:
            if not bar.get_height() or bar.get_alpha():
                continue
            middle = round(bar.get_x() + bar.get_width() / 2, 3)
            counts[middle] = counts.get(middle, 0) + bar.get_height()
        values, times = np.unique(labels[:, axis], return_counts=True)
        assert counts == dict(zip(values.tolist(), times.tolist(), strict=True))


def test_examples_show_their_images():
    found = computed.example_images(PLAIN, {"a": ("sos", 0.25, 0.5), "b": ("bump", -0.75, 0.5)})
    figure = pictures.example_images(found, ("a",))
    np.testing.assert_array_equal(figure.axes[0].images[0].get_array(), found["image"].sel(example="a"))
    assert figure.axes[0].get_title() == "a, center (2, 4)"
    framed = pictures.frame_examples(found, ("a", "b"))
    shown = [ax.images[0].get_array().shape for ax in framed.axes]
    assert sorted(shown) == [(8, 8), (8, 8), (16, 16), (16, 16)]
    (dot,) = framed.axes[0].lines
    assert dot.get_xydata().tolist() == [[6, 8]]


def test_a_bump_is_the_product_of_its_stripes():
    found = computed.example_images(PLAIN, {"bump": ("bump", 0.25, 0.5)})
    figure = pictures.factorized_and_coupled(found, "bump", 5)
    by_title = {ax.get_title(): ax for ax in figure.axes}
    along_x, along_y, product, whole = (
        255 - np.asarray(by_title[title].images[0].get_array())
        for title in ("a stripe at x", "a stripe at y", "their product", "the bump as a whole")
    )
    assert np.ptp(along_x, axis=0).max() == np.ptp(along_y, axis=1).max() == 0
    np.testing.assert_allclose(product, whole, atol=1.5)  # gray values are rounded
    np.testing.assert_array_equal(whole, 255 - found["image"].values[0].astype(float))
    counts = {title: len(points(ax)) for title, ax in by_title.items() if title.startswith("to be learned")}
    assert counts == {"to be learned: 2 K = 10 stripes": 10, "to be learned: K\u00b2 = 25 bumps": 25}


def test_the_network_is_drawn_block_by_block():
    blocks = [
        {"layer": layer, "kind": kind, "side": side, "channels": 4, "parameters": 7, "conditioned": on, "skip": skip}
        for layer, kind, side, on, skip in (
            ("inc", "DoubleConv", 8, False, ""),
            ("layer0", "Down", 4, True, ""),
            ("layer5", "Up", 8, True, "inc"),
            ("layer5_attention", "SelfAttention", 8, False, ""),
        )
    ]
    figure = pictures.network(xr.Dataset(attrs={"network": json.dumps(blocks)}))
    (ax,) = figure.axes
    boxes = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
    assert len(boxes) == 4
    heights = [box.get_height() for box in boxes]
    assert heights[0] == heights[2] > heights[1]
    words = [text.get_text() for text in ax.texts]
    assert {"inc", "layer 0", "layer 5", "8\u00b2 \u00d7 4\n7"} <= set(words)
    dots = [line for line in ax.lines if line.get_marker() == "o"]
    np.testing.assert_allclose([dot.get_xdata()[0] for dot in dots], [box.get_center()[0] for box in boxes[1:3]])
    (skip,) = [line for line in ax.lines if line.get_marker() != "o"]
    np.testing.assert_allclose(np.asarray(skip.get_xdata())[[0, -1]], [boxes[i].get_center()[0] for i in (0, 2)])
    with pytest.raises(UserError, match=r"run launch\.train on this experiment"):
        pictures.network(xr.Dataset())


def test_overlap_curves_are_the_values():
    settings = Settings(data=Data(size=8), axes={"sigma": (0.1, 1.0), "increment": (0.25, 0.5, 1.0)})
    found = computed.neighbor_overlap(settings)
    figure = cluster_pictures.neighbor_overlap(found)
    for ax, divisor in zip(figure.axes, ("on_pixel", "off_pixel"), strict=True):
        curves = [line.get_ydata() for line in ax.lines if line.get_linestyle() == "-"]
        np.testing.assert_allclose(curves, found["overlap"].sel(divisor=divisor))


def test_cluster_curves_are_each_draw_and_their_mean():
    axes = {"sigma": (0.3, 0.5), "kept_fraction": (0.3, 0.6, 1.0), "subset_seed": (0, 1, 2)}
    found = computed.cluster_masses(Settings(data=Data(size=8), axes=axes), (0.05, 0.5))
    for variable in ("largest_fraction", "largest_fraction_nested"):
        (ax,) = cluster_pictures.cluster_masses(found, (0.5,), variable).axes
        masses = found[variable].sel(threshold=0.5).transpose("sigma", "subset_seed", "kept_fraction").values
        for sigma, lines in enumerate((ax.lines[:4], ax.lines[4:])):
            np.testing.assert_allclose([line.get_ydata() for line in lines[:3]], masses[sigma])
            np.testing.assert_allclose(lines[3].get_ydata(), masses[sigma].mean(axis=0))
    assert len(cluster_pictures.cluster_masses(found, (0.05, 0.5)).axes) == 2
    with pytest.raises(UserError, match=r"0.1 is not in the results.*0.05, 0.5"):
        cluster_pictures.cluster_masses(found, (0.1,))


@pytest.fixture(scope="module")
def evaluated():
    """Two seeds x two holes on an 8 x 8 grid in a frame; wrong at known labels."""
    settings = Settings(
        data=Data(size=8, margin=2.0, dataset="2d", hole_width=2.0),
        train=Train(steps=10),
        evaluation=Evaluation(every_steps=10, label_source="grid"),
        axes={"hole": ("none", "square"), "seed": (0, 1)},
    )
    found = results.select_scores(results.template(Grid(settings), 64, {"settings": json.dumps(settings.to_json())}))
    labels = label_tables.lattice(8, 1.0, 1.0) + 2
    found["label"].values[:] = labels
    found["prediction"].values[..., 1, :, :] = labels + 0.9
    found["prediction"].values[1, 1, 1, labels[:, 0] == 3] += 0.2  # seed 1 of the second hole: wrong in column x = 3
    found["accuracy"].values[..., 1, :] = 0.9
    found["origin"].values[:] = 2.0
    return found


def test_error_maps_show_where_samples_are_right(evaluated):
    figure = label_maps.error_map(evaluated, "hole")
    panels = [ax for ax in figure.axes if ax.images]
    assert [ax.get_title() for ax in panels] == [
        "hole = none\nseed 0",
        "interior square\nseed 0",
        "seed 1",
        "seed 1",
        "mean of 2 seeds",
        "mean of 2 seeds",
    ]
    expected = np.ones((8, 8))
    for place, lowest in enumerate((1, 1, 1, 0, 1, 0.5)):
        expected[:, 1] = lowest  # rows are y, columns x
        np.testing.assert_allclose(panels[place].images[0].get_array(), expected)
        assert panels[place].images[0].get_extent() == [1.5, 9.5, 9.5, 1.5]
    assert [len(ax.patches) for ax in panels] == [0, 1] * 3
    assert panels[1].patches[0].get_bbox().extents.tolist() == [5, 5, 7, 7]
    assert len(figure.legends[0].get_texts()) == 1
    single = label_maps.error_map(evaluated.sel(hole="square", seed=1), step=10)
    assert single.axes[0].images[0].get_array()[:, 1].max() == 0
    assert "interior square" in single.get_suptitle()


def test_samples_have_their_dots_where_the_image_shows_the_label(evaluated):
    (ax,) = plots.sample_grid(evaluated, 10, hole="square", seed=0).axes
    (dots,) = [one for one in ax.collections if isinstance(one, PathCollection)]
    first = dots.get_offsets()[:8]  # of labels (2, 2) ... (2, 9): pixels (0, 0) ... (0, 7) of images 5 in a row
    pitch = 8 * 1.08
    np.testing.assert_allclose(
        first, [(place % 5 * pitch, place // 5 * pitch + place) for place in range(8)], rtol=1e-6
    )


def test_error_maps_say_what_is_missing(evaluated):
    with pytest.raises(UserError, match="step 0 is not evaluated: choose one of 10"):
        label_maps.error_map(evaluated, "hole", step=0)
    with pytest.raises(UserError, match="hole"):
        label_maps.error_map(evaluated)
    assert plots.error_map is label_maps.error_map


def test_cells_without_a_label_have_no_share():
    label = np.array([[0.0, 0.0], [0.4, 0.0], [2.0, 1.0], [np.nan, np.nan]])
    predicted = np.array([[0.0, 0.9], [0.4, 1.0], [9.3, 1.0], [0.0, 0.0]])
    low, high = np.array([0, 0]), np.array([2, 1])
    for periodic in (False, True):  # 9.3 is 1.3 on the circle
        shares = label_maps.cell_shares(label, predicted, Data(size=8, periodic=periodic), low, high)
        np.testing.assert_equal(shares, [[0.5, np.nan, np.nan], [np.nan, np.nan, float(periodic)]])
