"""Parts of the frame, held-out regions and kept fractions of label tables, against loops and pictures."""

import dataclasses
import itertools
from fractions import Fraction

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st

from diffgeo import images, percolation
from diffgeo.data import label_tables
from diffgeo.errors import UserError
from diffgeo.settings import Data, allowed
from tests.support.settings import few, multiples_below

FRAME = Data(margin=6.0, dataset="2d+rim+1d+0d", kind="bump")  # 44 x 44 labels about 32 x 32 pixels
LAPTOP = Data(
    size=16,
    margin=5.0,
    dataset="2d+1d",
    kind="sos",
    sigma=0.7,
    increment=0.5,
    hole="cross",
    hole_width=3.5,
    hole_center=7.75,
)


def part_by_brightness(x, y, data, level=0.04):
    """The part of one label in image coordinates, from the two stripes' profiles pixel by pixel."""
    in_x, in_y = 0 <= x < data.size, 0 <= y < data.size
    if in_x and in_y:
        return "2d"
    pixels = np.arange(data.size)
    seen = [
        within or np.exp(-((pixels - m) ** 2) / (4 * data.sigma**2)).max() > level
        for m, within in ((x, in_x), (y, in_y))
    ]
    if all(seen):
        return "rim"
    return "1d" if in_x or in_y else "0d"


def counted(data, parts, held=lambda x, y: False):
    """Labels of a data set by a loop over the frame's lattice in exact arithmetic."""
    margin = Fraction(data.margin)
    along_x, along_y = (
        multiples_below(data.size + 2 * margin, Fraction(d).limit_denominator(1000)) for d in data.spacing
    )
    found = []
    for x in along_x:
        for y in along_y:
            part = part_by_brightness(float(x - margin), float(y - margin), data)
            if part in parts and not (part == "2d" and held(x - margin, y - margin)):
                found.append((float(x), float(y)))
    return found


def rows(table):
    return [tuple(row) for row in table.centers.tolist()]


def change(data, **fields):
    return dataclasses.replace(data, **fields)


@pytest.mark.parametrize("names", ["2d", "1d", "rim", "0d", "2d+1d", "1d+rim", "2d+rim+1d+0d"])
@pytest.mark.parametrize("data", [FRAME, change(FRAME, increment=0.5, sigma=1.3), change(LAPTOP, hole="none")])
def test_parts_of_the_frame_are_counted(names, data):
    table = label_tables.build_label_table(change(data, dataset=names))
    assert rows(table) == counted(data, names.split("+"))
    assert table.origin.tolist() == [data.margin] * 2


def test_parts_divide_the_papers_frame():
    counts = {
        name: int(label_tables.build_label_table(change(FRAME, dataset=name)).count) for name in label_tables.PARTS
    }
    assert sum(counts.values()) == 44**2
    assert counts["2d"] == 32**2
    assert all(counts.values())
    assert label_tables.rim_reach(1.0) == pytest.approx(3.588, abs=1e-3)
    assert label_tables.rim_reach(0.7) == pytest.approx(2.512, abs=1e-3)
    np.testing.assert_array_equal(label_tables.build_label_table(change(FRAME, dataset="2d")).centers, lattice_at(6.0))


def lattice_at(margin):
    return label_tables.build_label_table(Data()).centers + np.float32(margin)


@pytest.mark.parametrize("spacing", [1.0, 0.5, 0.1])
def test_the_cross_leaves_out_exactly_its_centers(spacing):
    def held(x, y):
        return 13 <= x <= 19 or 13 <= y <= 19

    data = Data(increment=spacing, hole="cross")
    if spacing == 0.1:  # counted in integers: the loop would take long
        kept = 320 - 61
        table = label_tables.build_label_table(data)
        assert table.count == kept**2
        assert not np.any((table.centers > 12.95) & (table.centers < 19.05))
    else:
        assert rows(label_tables.build_label_table(data)) == counted(data, ["2d"], held)
    in_frame = change(FRAME, increment=spacing, hole="cross", dataset="2d")
    np.testing.assert_allclose(
        label_tables.build_label_table(in_frame).centers - 6, label_tables.build_label_table(data).centers, atol=1e-5
    )


def test_a_hole_leaves_the_stripes_alone():
    whole, cut = (
        label_tables.build_label_table(change(FRAME, hole=hole, dataset="1d+rim+0d")) for hole in ("none", "cross")
    )
    np.testing.assert_array_equal(whole.centers, cut.centers)


def test_the_cross_of_the_small_preset():
    """As of the prototype: [6, 9.5] of 16 x 16, stripes over 2.5 pixels outside."""
    table = label_tables.build_label_table(LAPTOP)
    expected = counted(LAPTOP, ["2d", "1d"], lambda x, y: 6 <= x <= 9.5 or 6 <= y <= 9.5)
    assert rows(table) == expected
    at = table.centers - 5
    stripes = at[np.any((at < 0) | (at >= 16), axis=1)]
    outside = np.max(np.maximum(-stripes, stripes - 15), axis=1)
    assert outside.min() > 2.5
    assert len(stripes) == len(expected) - 24**2 > 100


def test_kinds_belong_to_parts():
    table = label_tables.build_label_table(FRAME)
    at = table.centers - 6
    two_d = np.all((at >= 0) & (at < 32), axis=1)
    assert set(table.kinds[two_d].tolist()) == {allowed.kind_index("bump")}
    assert set(table.kinds[~two_d].tolist()) == {allowed.kind_index("sos")}
    assert set(label_tables.build_label_table(change(FRAME, kind="sos")).kinds.tolist()) == {allowed.kind_index("sos")}


def stripes_in(image):
    """Number of stripes in an image: columns and rows that are dark from end to end."""
    return int(image.min(axis=0).max() > 0.4) + int(image.min(axis=1).max() > 0.4)


@few
@hypothesis.given(st.sampled_from(["2d", "1d", "0d"]), st.integers(0, 2**31))
def test_far_from_the_rim_a_part_shows_its_number_of_stripes(name, seed):
    x, y = np.random.default_rng(seed).uniform(0, 44, (2, 400))
    data, labels = FRAME, np.stack([x, y], axis=1).astype(np.float32)
    at = labels - 6
    # a middle line between the outermost pixels, or too far out to be seen: no flank at the edge
    clear = np.all(
        ((at >= 0) & (at <= 31)) | (at < -label_tables.rim_reach(1.0)) | (at > 31 + label_tables.rim_reach(1.0)), axis=1
    )
    mask = label_tables.PARTS[name](data, labels) & clear
    dark = (1 - np.asarray(images.render(at, 1.0, "sos", size=32))[..., 0]) / 2
    assert {stripes_in(image) for image in dark[mask]} == {int(name[0])}


def crossing(table):
    """Per row, the largest value over pixels of the fainter of the two stripes' profiles."""
    profile = images.stripe_profiles(table.centers - table.origin, table.sigma, 32)
    return np.minimum(profile[:, 0].max(axis=1), profile[:, 1].max(axis=1))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 1.4])
def test_no_stripe_without_rim_shows_a_crossing_and_some_with_rim_do(sigma):
    data = change(FRAME, sigma=sigma, increment=0.25)
    without, only_rim = (label_tables.build_label_table(change(data, dataset=name)) for name in ("1d+0d", "rim"))
    assert crossing(without).max() <= label_tables.RIM_LEVEL
    assert crossing(only_rim).min() > label_tables.RIM_LEVEL
    assert crossing(only_rim).max() > 0.9


def test_kept_fractions_are_nested_and_the_same_for_every_sigma_and_data_set():
    def points(**fields):
        table = label_tables.build_label_table(change(FRAME, hole="cross", dataset="2d", **fields))
        return {(x - 6, y - 6) for x, y in rows(table)}

    whole = points()
    chain = [points(kept_fraction=f / 10) for f in range(1, 11)]
    assert [len(one) for one in chain] == [round(len(whole) * f / 10) for f in range(1, 11)]
    assert all(a < b for a, b in itertools.pairwise(chain))
    assert chain[-1] == whole
    for sigma in (0.1, 0.5, 2.0):
        assert points(kept_fraction=0.3, sigma=sigma) == chain[2]
    assert points(kept_fraction=0.3, subset_seed=1) != chain[2]
    plain = label_tables.build_label_table(Data(hole="cross", kept_fraction=0.3))
    assert set(rows(plain)) == chain[2]
    mixed = label_tables.build_label_table(change(FRAME, hole="cross", dataset="2d+1d", kept_fraction=0.3))
    stripes = label_tables.build_label_table(change(FRAME, dataset="1d"))
    assert {(x + 6, y + 6) for x, y in chain[2]} | set(rows(stripes)) == set(rows(mixed))
    assert mixed.count == len(chain[2]) + stripes.count


def test_kept_points_are_those_of_the_percolation_simulation(monkeypatch):
    seen = []
    monkeypatch.setattr(percolation, "largest_cluster", lambda points, *_: seen.append(points) or 1.0)
    percolation.simulate(16, 1.0, [1.0], [0.1], [0.2, 0.6], percolation.Draws(1, 3, True))
    for points, fraction in zip(seen, (0.2, 0.6), strict=True):
        table = label_tables.build_label_table(Data(size=16, kept_fraction=fraction, subset_seed=3))
        assert set(rows(table)) == {tuple(point) for point in points.tolist()}


def test_what_leaves_no_data_is_said():
    with pytest.raises(UserError, match=r"'1d' has no label.*margin=0.0, over 3.59"):
        label_tables.build_label_table(Data(dataset="1d"))
    with pytest.raises(UserError, match=r"'2d\+1d' has no label in its part '1d'.*margin=6.0, over 7.18"):
        label_tables.build_label_table(Data(dataset="2d+1d", margin=6.0, sigma=2.0))
    with pytest.raises(UserError, match=r"hole=lesion"):
        label_tables.build_label_table(Data(hole="lesion", hole_width=40.0))
    with pytest.raises(UserError, match=r"'grid'.*margin=6.0.*'2d'"):
        label_tables.build_label_table(Data(margin=6.0))
    with pytest.raises(UserError, match=r"'2d\+rmi'.*'rim'"):
        label_tables.build_label_table(Data(margin=6.0, dataset="2d+rmi"))
