"""Metric tensors of surfaces whose metric is known."""

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.representation import clifford_torus, metric_tensor, torus_3d

RNG = np.random.default_rng(2)
X, Y = np.array([0.0, 0.5, 2.0, 3.0]), np.linspace(1.0, 4.0, 5)


def over(x, y, function):
    grids = np.meshgrid(x, y, indexing="ij")
    return np.stack([grid.ravel() for grid in function(*grids)], axis=1)


def test_a_sheared_plane_has_the_products_of_its_directions():
    first, second = RNG.normal(size=(2, 6))
    plane = over(X, Y, lambda x, y: [x * a + y * b + 3.0 for a, b in zip(first, second, strict=True)])
    found = metric_tensor(plane, X, Y)
    assert found.xx.shape == (3, 4)
    for values, expected in ((found.xx, first @ first), (found.xy, first @ second), (found.yy, second @ second)):
        np.testing.assert_allclose(values, expected)
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    assert found.coupling == pytest.approx(abs(cosine))
    assert found.variation == pytest.approx((0.0, 0.0), abs=1e-9)


def test_orthogonal_codes_are_not_coupled():
    angle = 2 * np.pi / 32
    at = np.arange(32) * angle
    found = metric_tensor(clifford_torus(32, 32), at, at)
    chord = (2 * np.sin(angle / 2) / angle) ** 2
    np.testing.assert_allclose(found.xx, chord)
    np.testing.assert_allclose(found.yy, chord)
    assert found.coupling == pytest.approx(0.0, abs=1e-9)
    assert found.variation == pytest.approx((0.0, 0.0), abs=1e-9)


def test_the_torus_in_space_is_orthogonal_and_slower_inside():
    """g_xx = (R + r cos y)^2: its root has a standard deviation of r / sqrt 2 about R; the tube is as fast anywhere."""
    at = np.arange(256) * 2 * np.pi / 256
    found = metric_tensor(torus_3d(256, 256), at, at)
    assert found.coupling < 0.01
    along_x, along_y = found.variation
    assert along_x == pytest.approx(1 / np.sqrt(2) / 2, rel=0.01)
    assert along_y == pytest.approx(0.0, abs=1e-3)


def test_what_does_not_move_is_left_out():
    still = over(X, Y, lambda x, y: [x, 0 * y])
    found = metric_tensor(still, X, Y)
    assert np.isnan(found.coupling)
    assert found.variation[0] == pytest.approx(0.0, abs=1e-9)
    assert np.isnan(found.variation[1])


@pytest.mark.parametrize(
    ("words", "x", "y"), [("are no 3 x 5 grid", X[:3], Y), ("do not rise", X[::-1], Y), ("at least 2 x 2", X[:1], Y)]
)
def test_labels_that_are_no_grid_are_refused(words, x, y):
    plane = over(X, Y, lambda x, y: [x, y])
    with pytest.raises(UserError, match=words):
        metric_tensor(plane, x, y)
