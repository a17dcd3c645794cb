"""The rule that reads Betti numbers from bars: by hand, and on clouds whose Betti numbers are known."""

import numpy as np
import pytest

from diffgeo.representation import persistence, read_bars
from diffgeo.representation.barcodes import FIRST, longest_bars
from tests.support.betti_table import DRAWS, MUST, UNRESOLVED, false_holes, simulate
from tests.support.ideal_clouds import SHAPES, shapeless

WHOLE = [[0.0, np.inf], [0.0, 1.0], [0.0, 0.9], [0.0, 0.85]]
"""H0 of a cloud that is joined at scale 1."""
QUICK = ("Clifford torus", "Clifford torus, radii 1 and 0.7", "Clifford torus, uneven", "plane", "cylinder", "sphere")


def bars(*degrees):
    return [np.array(degree, float).reshape(-1, 2) for degree in degrees]


def test_holes_are_the_bars_above_the_last_clear_gap():
    # H1: 3.0 and 2.0 against 1.3; the largest gap is behind the first
    reading = read_bars(bars(WHOLE, [[0.5, 3.0], [1.0, 2.0], [1.0, 1.3]], [[1.5, 2.1], [1.5, 1.6]]), 4.0)
    assert reading.betti.tolist() == [1, 2, 1]
    np.testing.assert_allclose(reading.gaps[1][:3], np.log([3.0 / 2.0, 2.0 / 1.3, 1.3]))
    np.testing.assert_allclose(reading.gaps[2][:2], np.log([2.1 / 1.5 / (1.6 / 1.5), 1.6 / 1.5]))


@pytest.mark.parametrize(
    ("h1", "number"),
    [
        ([[1.0, 1.75]], 0),  # under the ratio
        ([[1.0, 1.85]], 1),
        ([[0.1, 1.75]], 0),  # opens before the points are joined
        ([[1.0, 1.9], [1.0, 1.8]], 0),  # the second is none, and the first is not told from it
        ([[1.0, 2.1], [1.0, 1.79]], 1),
        ([], 0),
        ([[0.5, np.inf]], 1),  # alive at the threshold
        ([[1.0, 3.0]] * FIRST + [[1.0, 1.1]], FIRST),
    ],
)
def test_bars_of_h1_by_hand(h1, number):
    assert read_bars(bars(WHOLE, h1), 4.0).betti.tolist() == [1, number]


def test_components_are_told_apart_and_do_not_join_the_rest():
    apart = [[0.0, np.inf], [0.0, 9.0], [0.0, 1.0], [0.0, 0.9]]
    assert read_bars(bars(apart, [[0.5, 2.5]]), 10.0).betti.tolist() == [2, 1]
    alive = [[0.0, np.inf], [0.0, np.inf], [0.0, 1.0], [0.0, 0.9]]
    assert read_bars(bars(alive, [[0.5, 2.5]]), 3.0).betti.tolist() == [2, 1]
    near = [[0.0, np.inf], [0.0, 2.4], [0.0, 1.0], [0.0, 0.9]]
    assert read_bars(bars(near, [[0.5, 2.5]]), 10.0).betti.tolist() == [1, 0]


def test_a_cloud_without_bars_was_not_measured():
    reading = read_bars(np.full((3, 8, 2), np.nan), np.nan)
    assert np.isnan(reading.betti).all()
    assert np.isnan(reading.gaps).all()
    assert reading.gaps.shape == reading.values.shape == (3, FIRST)


def test_stored_bars_read_the_same():
    result = persistence(SHAPES["Clifford torus"].draw(0.06, 3))
    stored = np.stack([longest_bars(degree, 64) for degree in result.diagrams]).astype(np.float16)
    reading = read_bars(stored, result.threshold)
    assert tuple(reading.betti) == result.betti
    np.testing.assert_allclose(reading.gaps, read_bars(result.diagrams, result.threshold).gaps, atol=5e-3)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("name", QUICK)
def test_shapes_with_noise_of_an_eighth_of_their_radius(name, seed):
    cloud = SHAPES[name]
    assert persistence(cloud.draw(0.12, seed)).betti == cloud.betti


@pytest.mark.parametrize("seed", range(5))
def test_noise_has_no_hole(seed):
    cloud = shapeless()["noise in 3 dimensions"]
    assert persistence(cloud.draw(0.0, seed)).betti == cloud.betti


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in SHAPES if name not in UNRESOLVED and "at random" not in name])
def test_hundred_draws_of_a_shape(name):
    read = simulate(SHAPES[name], MUST)
    assert read[SHAPES[name].betti] >= 0.99 * DRAWS, read


@pytest.mark.slow
@pytest.mark.parametrize("name", ["plane", *(name for name in shapeless() if "5" not in name)])
def test_hundred_draws_without_a_hole(name):
    cloud = SHAPES.get(name) or shapeless()[name]
    read = simulate(cloud, MUST if name in SHAPES else 0.0)
    assert false_holes(cloud, read) == 0, read


def test_longest_bars_are_padded_and_infinite_first():
    found = np.array([[0.0, 1.0], [0.5, np.inf], [0.0, 3.0]])
    np.testing.assert_array_equal(longest_bars(found, 2), [[0.5, np.inf], [0.0, 3.0]])
    np.testing.assert_array_equal(longest_bars(found, 4)[3], [np.nan, np.nan])
