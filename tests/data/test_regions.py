"""Regions against membership written out label by label; scores of a run in each region."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from matplotlib.figure import Figure

from diffgeo import results
from diffgeo.data import label_tables, regions
from diffgeo.host.background import Background
from diffgeo.images import render
from diffgeo.run import Run
from diffgeo.run.evaluation import evaluate
from diffgeo.run.waves import waves
from diffgeo.settings import Data, Evaluation, Grid, Settings
from diffgeo.settings.allowed import HOLES
from diffgeo.training import Sampled

few = hypothesis.settings(max_examples=30, deadline=None)


def names_at(x, y, hole, low, high, side, margin=0.0):
    """Regions that one label lies in, written as the papers say; low ... high is the hole's extent."""
    x, y = x - margin, y - margin
    in_x, in_y = low <= x <= high, low <= y <= high
    ood = {"none": False, "cross": in_x or in_y, "lesion": in_x, "square": in_x and in_y}.get(hole)
    if hole == "corner":
        ood = x <= high - low and y <= high - low
    found = {"all"}
    if hole != "none" and 0 <= x <= side and 0 <= y <= side:
        found.add("ood" if ood else "id")
    if hole == "cross":
        found |= {"vertical"} if in_x and not in_y else set()
        found |= {"horizontal"} if in_y and not in_x else set()
        found |= {"intersection"} if in_x and in_y else set()
    return found


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


@pytest.mark.parametrize(("hole_area_fraction", "spacing"), [(0.035, 0.1), (0.1, 0.1), (0.2, 0.1), (0.2, 1.0)])
def test_a_square_by_share_holds_about_that_share_of_the_data(share, spacing):
    whole = label_tables.build_label_table(Data(increment=spacing))
    left = label_tables.build_label_table(Data(increment=spacing, hole="square", hole_area_fraction=share))
    side = int(np.rint(np.sqrt(whole.count)))
    one_column_more = ((np.sqrt(share) * side + 1) / side) ** 2
    assert abs((whole.count - left.count) / whole.count - share) <= one_column_more - share


@pytest.fixture
def scored_run():
    """Scores of perfect images, but of one bump at (2, 2) for every label with x >= 12, on 16 x 16 labels."""
    settings = Settings(
        data=Data(size=16, hole_width=4.0, kind="bump"),
        evaluation=Evaluation(label_source="grid", readout="darkest"),
        axes={"hole": ("none", "cross", "square"), "seed": (0,)},
    )
    run = Run("test", "tiny", settings)
    (wave,) = waves(run.grid, None)

    class Mapped:
        max_pending = 1

        def sample(self, params, step, labels, record=False, images=None):
            for own in labels:
                drawn = render(np.where(own[:, :1] < 12, own, 2.0), 1.0, size=16)
                yield Sampled(np.asarray(drawn), {}, {})

    class Store(dict):
        def write(self, members, values, step):
            self.update(values)

    values = Store()
    with Background() as reader:
        evaluate(wave, Mapped(), None, 0, values, reader)
    return run, wave, dict(values)


def test_scores_have_a_region_for_every_hole_of_the_grid(scored_run):
    _, wave, values = scored_run
    names = ("all", "id", "ood", "vertical", "horizontal", "intersection")
    assert wave.regions == names
    labels = wave.labels[0].astype(int)
    right = labels[:, 0] < 12
    for member, hole in enumerate(("none", "cross", "square")):
        found = dict(zip(names, values["accuracy"][member], strict=True))
        member_of = [names_at(x, y, hole, 6.0, 10.0, 16) for x, y in labels]
        for name in names:
            mask = np.array([name in own for own in member_of])
            expected = right[mask].mean() if mask.any() else np.nan
            np.testing.assert_equal(found[name], expected, err_msg=f"{hole} {name}")
    y_right = right | (labels[:, 1] == 2)  # where the stray bump is
    assert values["accuracy_y"][1][0] == y_right.mean()
    assert values["wrong_place"][1][0] == 1 - right.mean()


def test_results_label_the_regions(scored_run, tmp_path):
    run, wave, values = scored_run
    empty = results.template(run.grid, 256, {})
    assert empty.accuracy.dims == ("hole", "seed", "step", "region")
    assert empty.several_bumps.dims == empty.accuracy.dims
    assert empty.loss.dims == ("hole", "seed", "step")
    assert empty.region.values.tolist() == list(wave.regions)
    results.Results.create(tmp_path / "results.zarr", empty)
    store = results.Results(tmp_path / "results.zarr", run.grid)
    assert store.missing(wave.members) == list(empty.step.values)
    store.write(wave.members, values, 0)
    found = results.open_results(tmp_path).load()
    assert found.accuracy.sel(hole="square", region="ood", step=0).item() == 1.0
    assert found.accuracy.sel(hole="cross", region="horizontal", step=0).item() == pytest.approx(7 / 11)
    assert np.isnan(found.accuracy.sel(hole="none", region="ood", step=0)).all()
    assert 0 not in store.missing(wave.members)


def test_without_a_hole_scores_have_no_region(tmp_path):
    grid = Grid(Settings(data=Data(size=8)))
    assert results.template(grid, 64, {}).accuracy.dims == ("seed", "step")
