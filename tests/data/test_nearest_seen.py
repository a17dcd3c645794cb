"""Copying the nearest seen label: by hand, by brute force, and on the circle."""

import numpy as np
import pytest

from diffgeo.data.nearest_seen import copied_hits


def test_seen_labels_are_copied_exactly():
    seen = np.stack(np.meshgrid(np.arange(8.0), np.arange(8.0)), axis=-1).reshape(-1, 2)
    np.testing.assert_array_equal(copied_hits(seen, seen), 1.0)


def test_lesion_by_hand():
    """Columns between 2 and 8 held out: an x that is 1 px or more from both is a miss, y is always right."""
    xs = np.array([0.0, 1, 2, 8, 9])
    seen = np.array([(x, y) for x in xs for y in range(10)])
    labels = np.array([(x, 4.0) for x in (2.5, 3, 4, 5, 7.5)])
    expected = copied_hits(labels, seen)
    np.testing.assert_array_equal(expected[:, 1], [1, 0, 0, 0, 1])
    np.testing.assert_array_equal(expected[:, 2], 1)
    np.testing.assert_array_equal(expected[:, 0], expected[:, 1])


def test_ties_are_drawn_equally_often():
    """Half way between two seen labels, one within tolerance and one not."""
    seen = np.array([[0.0, 0.0], [1.6, 0.8]])
    expected = copied_hits(np.array([[1.0, 0.0]]), seen)  # both at distance 1: errors (1, 0) and (0.6, 0.8)
    np.testing.assert_allclose(expected, [[0.5, 0.5, 1.0]])


def test_against_brute_force():
    random = np.random.default_rng(0)
    seen, labels = random.uniform(0, 16, (200, 2)), random.uniform(0, 16, (300, 2))
    for period in (None, 16.0):
        error = np.abs(labels[:, None] - seen[None])
        error = error if period is None else np.minimum(error, period - error)
        nearest = np.linalg.norm(error, axis=-1).argmin(axis=1)
        hit = error[np.arange(len(labels)), nearest] < 0.5
        expected = copied_hits(labels, seen, 0.5, period)
        np.testing.assert_array_equal(expected, np.column_stack([hit.all(axis=1), hit]))


def test_circle_joins_its_ends():
    assert copied_hits(np.array([[15.9, 0.0]]), np.array([[0.1, 15.5]]), 1.0, 16.0).all()
    assert not copied_hits(np.array([[15.9, 0.0]]), np.array([[0.1, 15.5]]), 1.0).any()


def test_nothing_seen_is_an_error():
    with pytest.raises(ValueError, match="m >= 1"):
        copied_hits(np.zeros((1, 2)), np.zeros((0, 2)))
