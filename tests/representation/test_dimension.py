"""Intrinsic dimension of known manifolds, and of lattices, which have equal distances."""

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.representation import clifford_torus, intrinsic_dimension
from tests.support.ideal_clouds import SHAPES

RNG = np.random.default_rng(0)


def sphere(number):
    points = RNG.normal(size=(number, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


def torus(number):
    a, b = RNG.uniform(0, 2 * np.pi, (2, number))
    return np.stack([np.cos(a), np.sin(a), np.cos(b), np.sin(b)], axis=-1)


MANIFOLDS = {
    "line": (RNG.random((600, 1)) * np.ones(3), 1, 0.1),
    "plane": (RNG.random((600, 2)) @ RNG.normal(size=(2, 10)), 2, 0.2),
    "sphere": (sphere(600), 2, 0.25),
    "torus": (torus(600), 2, 0.25),
    "gaussian": (RNG.normal(size=(1000, 5)), 5, 0.6),
}


@pytest.mark.parametrize("name", MANIFOLDS)
def test_known_manifolds(name):
    points, dimension, error = MANIFOLDS[name]
    assert intrinsic_dimension(points) == pytest.approx(dimension, abs=error)


def test_one_and_two_neighbors_are_twonn():
    points = RNG.normal(size=(200, 3))
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    apart = np.sort(apart, axis=1)
    by_hand = 1.0 / np.log(apart[:, 2] / apart[:, 1]).mean()  # the maximum likelihood of Facco et al.
    assert intrinsic_dimension(points, 1, 2) == pytest.approx(by_hand)


def test_a_lattice_is_a_surface_though_its_nearest_neighbors_are_equally_far():
    plane = np.stack(np.meshgrid(np.arange(16.0), np.arange(16.0)), axis=-1).reshape(-1, 2)
    periodic = clifford_torus(16, 16)
    assert intrinsic_dimension(periodic, 1, 2) == np.inf
    for points in (plane, periodic):
        assert intrinsic_dimension(points) == pytest.approx(2.0, abs=0.2)
    assert intrinsic_dimension(plane * [1.0, 2.0]) < 2.6
    assert intrinsic_dimension(np.arange(100.0)[:, None]) == pytest.approx(1.0, abs=0.1)
    assert 2.0 < intrinsic_dimension(SHAPES["3-D torus, R = 2 r"].draw(0.0, 0)) < 3.0


def test_nothing_moves_with_rotation_and_scale_and_equal_points_count_once():
    points = RNG.random((300, 2))
    rotated = 1e3 * np.pad(points, ((0, 0), (0, 3))) @ np.linalg.qr(RNG.normal(size=(5, 5)))[0] + 7.0
    assert intrinsic_dimension(rotated) == pytest.approx(intrinsic_dimension(points), rel=1e-4)
    assert intrinsic_dimension(np.repeat(points, 3, axis=0)) == pytest.approx(intrinsic_dimension(points))
    spot = np.concatenate([points, 1e-12 * RNG.random((30, 2))])  # distances of 0 in double precision
    assert np.isfinite(intrinsic_dimension(spot))
    with pytest.raises(UserError, match="9 points are too few"):
        intrinsic_dimension(np.repeat(points[:9], 3, axis=0))
