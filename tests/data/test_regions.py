"""Regions against membership written out label by label."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from matplotlib.figure import Figure

from diffgeo.data import label_tables, regions
from diffgeo.settings import Data
from diffgeo.settings.allowed import HOLES
from tests.support.regions import names_at

few = hypothesis.settings(max_examples=30, deadline=None)


CASES = [
    (Data(), 13.0, 19.0),
    (Data(hole="cross"), 13.0, 19.0),
    (Data(hole="cross", margin=6.0, dataset="2d"), 13.0, 19.0),
    (Data(size=16, hole="cross", hole_width=3.5, hole_center=7.75, margin=5.0, dataset="2d+1d"), 6.0, 9.5),
    (Data(hole="lesion", hole_width=1.0), 15.5, 16.5),
    (Data(hole="lesion", hole_width=3.5), 14.25, 17.75),
    (Data(hole="square", hole_width=8.0), 12.0, 20.0),
    (Data(hole="square", hole_area_fraction=0.25), 8.0, 24.0),
    (Data(hole="corner", hole_width=5.0, margin=2.0, dataset="2d"), 0.0, 5.0),
]


@pytest.mark.parametrize(("data", "low", "high"), CASES, ids=lambda value: getattr(value, "hole", None))
@pytest.mark.parametrize("spacing", [0.5, 1.0])
def test_every_label_lies_in_the_regions_that_the_papers_say(data, low, high, spacing):
    labels = data.margin + label_tables.lattice(data.size, spacing, spacing)
    known = regions.scored(data)
    masks = regions.masks(data, labels, tuple(known))
    assert next(iter(masks)) == "all"
    for row, (x, y) in enumerate(labels.astype(float)):
        found = {name for name, mask in masks.items() if mask[row]}
        assert found == names_at(x, y, data.hole, low, high, data.size, data.margin), (x, y)
    held = regions.held_out(data)
    if data.hole == "none":
        assert held is None
    else:
        np.testing.assert_array_equal(held.contains(labels), masks["ood"])
        np.testing.assert_array_equal(masks["id"], ~masks["ood"])


def test_holes_are_named_once():
    assert tuple(regions.SHAPES) == HOLES


def test_edges_count_as_held_out_for_float32_labels_at_any_spacing():
    for spacing in (0.1, 0.2, 0.3, 0.7):
        labels = label_tables.lattice(32, spacing, spacing)
        edge = float(labels[labels[:, 0] > 12][0, 0])  # a column of the lattice
        hole = regions.held_out(Data(hole="lesion", hole_width=2 * (16 - edge)))
        assert hole.contains(labels[labels[:, 0] == np.float32(edge)]).all()
        assert not hole.contains(labels[labels[:, 0] < np.float32(edge - spacing / 2)]).any()


boxes = st.lists(
    st.tuples(st.integers(0, 6), st.integers(1, 4), st.integers(0, 6), st.integers(1, 4)).map(
        lambda v: regions.Box((v[0], v[0] + v[1]), (v[2], v[2] + v[3]))
    ),
    min_size=1,
    max_size=3,
)


@few
@hypothesis.given(boxes, boxes)
def test_pieces_cover_the_inside_once(some, others):
    region = regions.Region("r", tuple(some), tuple(others))
    cells = label_tables.lattice(10, 1.0, 1.0) + 0.5  # edges are whole numbers: middles lie on none
    covered = np.sum([piece.contains(cells) for piece in region.pieces], axis=0) if region.pieces else np.zeros(100)
    np.testing.assert_array_equal(covered, region.contains(cells).astype(int))


def test_a_region_draws_what_it_contains():
    data = Data(hole="cross", margin=6.0, dataset="2d")
    ax = Figure().subplots()
    vertical = regions.scored(data)["vertical"]
    vertical.draw(ax, color="red")
    drawn = [patch.get_bbox().extents.tolist() for patch in ax.patches]
    assert sorted(drawn) == [[19, 6, 25, 19], [19, 25, 25, 38]]
    vertical.moved(-data.margin).draw(ax)
    assert ax.patches[-1].get_bbox().x0 == 13


@pytest.mark.parametrize(("share", "spacing"), [(0.035, 0.1), (0.1, 0.1), (0.2, 0.1), (0.2, 1.0)])
def test_a_square_by_share_holds_about_that_share_of_the_data(share, spacing):
    whole = label_tables.build_label_table(Data(increment=spacing))
    left = label_tables.build_label_table(Data(increment=spacing, hole="square", hole_area_fraction=share))
    side = int(np.rint(np.sqrt(whole.count)))
    one_column_more = ((np.sqrt(share) * side + 1) / side) ** 2
    assert abs((whole.count - left.count) / whole.count - share) <= one_column_more - share
