"""Angles and residuals of rings: ideal tori, planes of known angle, scipy's angles, and degenerate rings."""

import time

import numpy as np
import pytest
from scipy.linalg import orth, subspace_angles

from diffgeo.errors import UserError
from diffgeo.representation import (
    PAIRS,
    clifford_torus,
    ideal_statistics,
    ring_components,
    ring_distances,
    ring_histograms,
    ring_statistics,
    torus_3d,
)
from tests.support.clouds import periodic_bumps

RNG = np.random.default_rng(11)


def means(statistics, pair):
    return *statistics[pair]["angles"].mean(axis=0), statistics[pair]["residual"].mean()


def test_ideal_clifford_torus():
    statistics = ring_statistics(clifford_torus(32, 32), (32, 32))
    assert statistics["x_on_y"]["angles"].shape == (1024, 2)
    assert statistics["x_on_x"]["residual"].shape == (496,)
    for pair, angle, residual in (("x_on_y", 90.0, 1.0), ("x_on_x", 0.0, 0.0), ("y_on_y", 0.0, 0.0)):
        np.testing.assert_allclose(statistics[pair]["angles"], angle, atol=1e-5)
        np.testing.assert_allclose(statistics[pair]["residual"], residual, atol=1e-9)


def test_ideal_3d_torus_by_hand():
    """The tube at angle a lies in the plane of (cos a, sin a, 0) and z; all circles of y in the plane of (x, y)."""
    nx, ny = 12, 8
    statistics = ring_statistics(torus_3d(nx, ny, 3.0, 1.0), (nx, ny))
    np.testing.assert_allclose(statistics["y_on_y"]["angles"], 0.0, atol=1e-5)
    np.testing.assert_allclose(statistics["x_on_y"]["angles"], np.tile([90.0, 0.0], (nx * ny, 1)), atol=1e-5)
    np.testing.assert_allclose(statistics["x_on_y"]["residual"], 0.5)
    first, second = np.triu_indices(nx, 1)
    between = 360.0 / nx * (second - first)
    expected = np.minimum(between % 180, 180 - between % 180)
    np.testing.assert_allclose(statistics["x_on_x"]["angles"], np.stack([expected, 0 * expected], -1), atol=1e-5)
    np.testing.assert_allclose(statistics["x_on_x"]["residual"], 0.5 * np.sin(np.radians(expected)) ** 2, atol=1e-12)


def test_pixels_of_periodic_bumps():
    pixels = periodic_bumps()
    statistics = ring_statistics(pixels, (32, 32))
    assert means(statistics, "x_on_y") == pytest.approx((90, 73, 0.97), rel=0.02)
    assert means(statistics, "x_on_x") == pytest.approx((82, 82, 0.97), rel=0.02)
    assert means(statistics, "y_on_y") == pytest.approx((82, 82, 0.97), rel=0.02)


def test_two_components_miss_an_additive_code_and_a_share_of_variance_does_not():
    """Stripes: x and y add, so all rings of x are one curve, shifted; two components do not hold it."""
    apart = np.mod(np.arange(16)[:, None] - np.arange(16) + 8, 16) - 8
    stripe = np.exp(-(apart**2) / 4.0)  # [16 places, 16 pixels]
    cloud = np.concatenate(np.broadcast_arrays(stripe[:, None], 0.7 * stripe[None]), axis=-1).reshape(256, 32)
    two = ring_statistics(cloud, (16, 16))
    np.testing.assert_allclose(two["x_on_y"]["residual"], 1.0)
    assert two["x_on_x"]["residual"].min() > 0.3
    needed = ring_components(cloud, (16, 16), 0.999)
    wide = ring_statistics(cloud, (16, 16), variance=0.999)
    assert wide["x_on_x"]["angles"].shape == (120, needed)
    assert needed > 4
    np.testing.assert_allclose(wide["x_on_y"]["residual"], 1.0)
    assert wide["x_on_x"]["residual"].max() < 1e-3


@pytest.mark.parametrize("components", [1, 2, 3])
def test_angles_and_residuals_agree_with_an_independent_computation(components):
    nx, ny, features = 5, 6, 9
    cloud = RNG.normal(size=(nx, ny, features))
    statistics = ring_statistics(cloud.reshape(-1, features), (nx, ny), components)

    def plane(ring):
        return np.linalg.svd(ring - ring.mean(axis=0))[2][:components].T

    def outside(ring, basis):
        centered = ring - ring.mean(axis=0)
        return np.linalg.norm(centered - centered @ basis @ basis.T) ** 2 / np.linalg.norm(centered) ** 2

    xs, ys = [cloud[i] for i in range(nx)], [cloud[:, j] for j in range(ny)]
    pairs = {
        "x_on_y": [(a, b) for a in xs for b in ys],
        "x_on_x": [(xs[i], xs[j]) for i in range(nx) for j in range(i + 1, nx)],
        "y_on_y": [(ys[i], ys[j]) for i in range(ny) for j in range(i + 1, ny)],
    }
    for name, rings in pairs.items():
        angles = [np.degrees(subspace_angles(plane(a), plane(b))) for a, b in rings]
        residual = [0.5 * (outside(b, plane(a)) + outside(a, plane(b))) for a, b in rings]
        np.testing.assert_allclose(statistics[name]["angles"], angles, atol=1e-5)
        np.testing.assert_allclose(statistics[name]["residual"], residual)


def test_literal_cosines_mislead_where_principal_angles_do_not():
    """Three nearly round rings in parallel planes, the second's longer axis turned by 0.8 radians."""
    turns = 2 * np.pi * np.arange(8) / 8
    ellipse = np.stack([1.001 * np.cos(turns), np.sin(turns), 0 * turns, 0 * turns], axis=-1)
    turn = np.eye(4)
    turn[:2, :2] = [[np.cos(0.8), np.sin(0.8)], [-np.sin(0.8), np.cos(0.8)]]
    offsets = np.array([[0, 0, 0, 0], [0, 0, 3, 1], [0, 0, 1, 5]])
    points = np.stack([ellipse, ellipse @ turn, ellipse]) + offsets[:, None]
    principal = ring_statistics(points.reshape(24, 4), (3, 8))["x_on_x"]["angles"]
    np.testing.assert_allclose(principal, 0.0, atol=1e-5)
    literal = ring_statistics(points.reshape(24, 4), (3, 8), literal=True)["x_on_x"]["angles"]
    turned = np.degrees(0.8)
    np.testing.assert_allclose(literal[0], [turned, turned, 90 - turned, 90 - turned], atol=1e-5)
    np.testing.assert_allclose(literal[1], [90, 90, 0, 0], atol=1e-5)


def test_random_planes_in_many_dimensions_are_nearly_orthogonal():
    statistics = ring_statistics(RNG.normal(size=(64, 4_000)), (8, 8))
    assert statistics["x_on_x"]["angles"].min() > 84
    assert statistics["y_on_y"]["residual"].min() > 0.98
    # a ring of x and one of y share one of their 8 points
    assert statistics["x_on_y"]["angles"].mean() > 75


@pytest.mark.parametrize("literal", [False, True])
def test_nothing_changes_with_rotation_shift_or_scale(literal):
    cloud = RNG.normal(size=(42, 10))
    moved = 1e3 * cloud @ orth(RNG.normal(size=(10, 10))) + 12.0
    one, other = (ring_statistics(points, (6, 7), literal=literal) for points in (cloud, moved))
    for pair in PAIRS:
        np.testing.assert_allclose(one[pair]["angles"], other[pair]["angles"], atol=1e-6)
        np.testing.assert_allclose(one[pair]["residual"], other[pair]["residual"], atol=1e-9)


def test_exchange_of_x_and_y_exchanges_their_statistics():
    cloud = RNG.normal(size=(6, 7, 10))
    one = ring_statistics(cloud.reshape(42, 10), (6, 7))
    other = ring_statistics(cloud.transpose(1, 0, 2).reshape(42, 10), (7, 6))
    np.testing.assert_allclose(one["x_on_x"]["angles"], other["y_on_y"]["angles"])
    swapped = other["x_on_y"]["residual"].reshape(7, 6).T.ravel()
    np.testing.assert_allclose(one["x_on_y"]["residual"], swapped)


def test_wasserstein_distances_to_the_ideals():
    shape = (10, 12)
    clifford, torus = (ideal_statistics(name, shape) for name in ("clifford", "torus3d"))
    np.testing.assert_allclose(ring_distances(clifford, ideal_statistics("clifford", shape)), 0.0)
    between = ring_distances(clifford, torus)
    # 90, 90 against 90, 0 degrees; residual 1 against 1/2
    np.testing.assert_allclose(between[0], [45.0, 0.5])
    np.testing.assert_allclose(between[1, 0], torus["x_on_x"]["angles"].mean(), atol=1e-5)
    np.testing.assert_allclose(between[2], 0.0, atol=1e-5)
    with pytest.raises(UserError, match="unknown ideal torus 'klein'"):
        ideal_statistics("klein", shape)


def test_histograms_hold_every_pair():
    angles, residual = ring_histograms(ideal_statistics("clifford", (8, 8)))
    np.testing.assert_allclose(angles.sum(axis=1), 1.0)
    np.testing.assert_allclose(residual.sum(axis=1), 1.0)
    assert angles[0, -1] == angles[1, 0] == residual[0, -1] == residual[2, 0] == 1.0


def test_rings_that_cannot_be_compared_are_refused():
    cloud = RNG.normal(size=(30, 6))
    with pytest.raises(UserError, match="30 points are no 4 x 7 grid"):
        ring_statistics(cloud, (4, 7))
    with pytest.raises(UserError, match="no 2 x 15 grid of at least 3 x 3"):
        ring_statistics(cloud, (2, 15))
    with pytest.raises(UserError, match="rings of x have no 7 components: give 1 to 6"):
        ring_statistics(cloud, (5, 6), components=7)
    with pytest.raises(UserError, match="share of variance"):
        ring_statistics(cloud, (5, 6), variance=1.5)
    flat = cloud.reshape(5, 6, 6).copy()
    flat[2] = np.outer(np.arange(6), np.ones(6))
    with pytest.raises(UserError, match="the ring at x index 2 spans fewer than 2 dimensions"):
        ring_statistics(flat.reshape(30, 6), (5, 6))


def test_papers_size_is_quick():
    points = RNG.normal(size=(1024, 1024))
    start = time.process_time()
    ring_statistics(points, (32, 32))
    assert time.process_time() - start < 10
