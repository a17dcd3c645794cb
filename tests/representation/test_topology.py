"""Betti numbers of sampled shapes with noise, and diagrams against a brute-force reduction."""

import itertools

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.representation import clifford_torus, persistence, read_bars, torus_3d
from diffgeo.representation.points import landmarks


def circle(number):
    angles = 2 * np.pi * np.arange(number) / number
    return np.stack([np.cos(angles), np.sin(angles)], axis=-1)


def sphere(number):
    """Fibonacci's lattice."""
    place = np.arange(number) + 0.5
    z, turn = 1 - 2 * place / number, np.pi * (1 + np.sqrt(5)) * place
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=-1)


def plane(side):
    return np.stack(np.meshgrid(np.arange(side), np.arange(side)), axis=-1).reshape(-1, 2) / side


def random_sphere(number, seed):
    points = np.random.default_rng(seed).normal(size=(number, 3))
    return points / np.linalg.norm(points, axis=1, keepdims=True)


SHAPES = {
    "circle": (circle(40), (1, 1, 0)),
    "two circles": (np.concatenate([circle(40), circle(40) + np.array([4, 0])]), (2, 2, 0)),
    "sphere": (sphere(120), (1, 0, 1)),
    "plane": (plane(14), (1, 0, 0)),
    "clifford": (clifford_torus(14, 14), (1, 2, 1)),
    "torus": (torus_3d(18, 14), (1, 2, 1)),
}


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("name", SHAPES)
def test_betti_numbers_with_noise_in_many_dimensions(name, seed):
    points, expected = SHAPES[name]
    rng = np.random.default_rng(seed)
    wide = np.pad(points, ((0, 0), (0, 6)))
    spread = np.sqrt(np.mean(np.sum((points - points.mean(axis=0)) ** 2, axis=1)))
    result = persistence(wide + 0.01 * spread * rng.normal(size=wide.shape))
    assert result.betti == expected


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_points_drawn_at_random(seed):
    rng = np.random.default_rng(seed)
    turns = rng.uniform(0, 2 * np.pi, 150)
    assert persistence(np.stack([np.cos(turns), np.sin(turns)], axis=-1), maxdim=1).betti == (1, 1)
    assert persistence(random_sphere(400, seed)).betti == (1, 0, 1)
    assert persistence(rng.random((300, 2)), maxdim=1).betti == (1, 0)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("ideal", [clifford_torus, torus_3d])
@pytest.mark.slow
def test_tori_of_the_papers_size(ideal, seed):
    points = ideal(32, 32)
    result = persistence(points + 0.01 * np.random.default_rng(seed).normal(size=points.shape))
    assert result.betti == (1, 2, 1)
    assert min(read_bars(result.diagrams, result.threshold).gaps[[1, 2], [1, 0]]) > 0.3


@pytest.mark.parametrize(
    ("points", "expected"),
    [
        ([[0, 0], [1, 0], [1, 1], [0, 1]], (1, 0, 0)),  # a square lives from 1 to sqrt 2: any lattice has it
        (circle(12), (1, 1, 0)),
        ([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], (1, 0, 1)),  # an octahedron
        ([[0, 0], [0, 1], [1, 0], [9, 0], [9, 1], [8, 0]], (2, 0, 0)),
    ],
)
def test_betti_numbers_by_hand(points, expected):
    assert persistence(np.array(points, float)).betti == expected


def test_one_stray_point_does_not_move_the_scale():
    points = np.concatenate([SHAPES["clifford"][0], [[9.0, 9.0, 9.0, 9.0]]])
    assert persistence(points).betti == (2, 2, 1)  # the stray point is a component of its own


def test_nothing_moves_with_rotation_scale_or_order():
    rng = np.random.default_rng(4)
    points = SHAPES["clifford"][0] + 0.02 * rng.normal(size=(196, 4))
    rotated = 1e3 * (rng.permutation(points) @ np.linalg.qr(rng.normal(size=(4, 4)))[0]) + 7.0
    one, other = persistence(points), persistence(rotated)
    assert one.betti == other.betti
    gaps = [read_bars(each.diagrams, each.threshold).gaps for each in (one, other)]
    np.testing.assert_allclose(*gaps, atol=1e-4)
    np.testing.assert_allclose(np.sort(1e3 * one.diagrams[0][:, 1]), np.sort(other.diagrams[0][:, 1]), rtol=1e-4)


def brute_force(distances, threshold, maxdim=2):
    """Persistence by reducing the whole boundary matrix over the field of two elements."""
    number = len(distances)
    simplices = []
    for size in range(1, maxdim + 3):
        for corners in itertools.combinations(range(number), size):
            birth = max((distances[a, b] for a, b in itertools.combinations(corners, 2)), default=0.0)
            if birth <= threshold:
                simplices.append((birth, size, corners))
    simplices.sort()
    index = {corners: place for place, (_, _, corners) in enumerate(simplices)}
    reduced, died = {}, {}
    for place, (_, size, corners) in enumerate(simplices):
        column = set()
        if size > 1:
            column = {index[face] for face in itertools.combinations(corners, size - 1)}
        while column and max(column) in reduced:
            column ^= reduced[max(column)]
        if column:
            reduced[max(column)] = column
            died[max(column)] = place
    destroyers = set(died.values())
    bars = [[] for _ in range(maxdim + 1)]
    for place, (birth, size, _) in enumerate(simplices):
        if place not in destroyers and size <= maxdim + 1:
            death = simplices[died[place]][0] if place in died else np.inf
            if death > birth:
                bars[size - 1].append((birth, death))
    return [np.array(sorted(one)).reshape(-1, 2) for one in bars]


@pytest.mark.parametrize("points", [sphere(12), np.random.default_rng(0).normal(size=(11, 3)), clifford_torus(3, 4)])
def test_diagrams_agree_with_a_brute_force_reduction(points):
    result = persistence(points)
    apart = np.linalg.norm(points[:, None] - points, axis=-1).astype(np.float32)
    for ours, theirs in zip(result.diagrams, brute_force(apart, result.threshold), strict=True):
        ours = ours[np.lexsort(ours.T[::-1])]
        if len(ours) == len(theirs):
            np.testing.assert_allclose(ours, theirs, atol=1e-5)
        else:  # equal lengths but for rounding: bars of no length
            long = ours[ours[:, 1] - ours[:, 0] > 1e-5], theirs[theirs[:, 1] - theirs[:, 0] > 1e-5]
            np.testing.assert_allclose(*long, atol=1e-5)


def test_greedy_landmarks_cover():
    points = np.random.default_rng(1).random((200, 2))
    chosen, radius = landmarks(points, 40)
    apart = np.linalg.norm(points[:, None] - points[chosen], axis=-1)
    assert len(set(chosen)) == 40
    assert radius == pytest.approx(apart.min(axis=1).max())
    between = np.linalg.norm(points[chosen][:, None] - points[chosen], axis=-1)
    assert between[np.triu_indices(40, 1)].min() >= radius  # the property of greedy landmarks
    random = np.random.default_rng(2).choice(200, 40, replace=False)
    assert radius < np.linalg.norm(points[:, None] - points[random], axis=-1).min(axis=1).max()
    everything, none = landmarks(points, 200)
    np.testing.assert_array_equal(everything, np.arange(200))
    assert none == 0.0


def test_a_large_cloud_is_reduced_and_says_so():
    result = persistence(circle(3_000), maxdim=1, most=60)
    assert result.betti == (1, 1)
    assert len(result.diagrams[0]) == 60
    assert 0.02 < result.covering_radius < 0.12


def test_the_threshold_bounds_the_triangles(monkeypatch):
    monkeypatch.setattr("diffgeo.representation.topology.MAX_TRIANGLES", 2_000)
    points = np.random.default_rng(0).normal(size=(150, 30))  # distances all alike: no scale to be seen
    result = persistence(points)
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    near = apart < result.threshold * (1 - 1e-6)
    np.fill_diagonal(near, False)
    near = near.astype(float)
    assert 500 < np.trace(near @ near @ near) / 6 <= 2_000


def test_equal_points_count_once():
    once = persistence(circle(12))
    often = persistence(np.repeat(circle(12), 5, axis=0))
    assert often.betti == once.betti == (1, 1, 0)
    assert len(often.diagrams[0]) == 12
    with pytest.raises(UserError, match="3 points are too few"):
        persistence(np.repeat(circle(3), 5, axis=0))


def test_most_points_in_one_spot_take_no_more_memory(monkeypatch):
    """Differences that single precision does not see: every threshold joins all of them."""
    monkeypatch.setattr("diffgeo.representation.topology.MAX_TRIANGLES", 2_000)
    monkeypatch.setattr("diffgeo.representation.topology.FEW", 22)
    rng = np.random.default_rng(3)
    spot = 1e-12 * rng.normal(size=(80, 2)) + np.array([1.0, 0.0])
    result = persistence(np.concatenate([spot, circle(12)]), maxdim=1)
    assert len(result.diagrams[0]) <= 22
    assert result.betti == (1, 1)


def test_nothing_is_alive_beyond_the_threshold():
    """The threshold is cut where one point reaches all others: ripser without any threshold finds the same bars."""
    from ripser import ripser

    points = np.random.default_rng(5).normal(size=(40, 12))  # distances all alike: the cut is what counts
    apart = np.linalg.norm(points[:, None] - points, axis=-1)
    result = persistence(points)
    assert result.threshold == pytest.approx(apart.max(axis=1).min(), rel=1e-5)
    for ours, theirs in zip(result.diagrams, ripser(apart, distance_matrix=True, maxdim=2)["dgms"], strict=True):
        np.testing.assert_allclose(np.sort(ours, axis=0), np.sort(theirs, axis=0), rtol=1e-5)
