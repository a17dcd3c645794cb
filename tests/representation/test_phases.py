"""Factorization of accuracy, and the rules of phases A, B and C."""

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.representation import factorization, phase


def test_independent_coordinates_factorize():
    rng = np.random.default_rng(0)
    inside = 0
    for seed in range(60):
        hits = rng.random((400, 2)) < [0.8, 0.6]
        result = factorization(hits, seed, draws=400)
        assert result.joint == hits.all(axis=1).mean()
        assert result.product == pytest.approx(hits[:, 0].mean() * hits[:, 1].mean())
        assert result.low <= result.difference <= result.high
        inside += result.low <= 0 <= result.high
    assert 50 <= inside < 60  # a 95 % interval


def test_samples_right_or_wrong_as_a_whole_do_not_factorize():
    both = np.arange(200) < 100
    result = factorization(np.stack([both, both], axis=-1))
    assert result[:3] == (0.5, 0.25, 0.25)
    assert 0.2 < result.low < result.high <= 0.25
    against = factorization(np.stack([both, ~both], axis=-1))
    assert against[:3] == (0.0, 0.25, -0.25)


def test_bootstrap_agrees_with_drawing_samples():
    rng = np.random.default_rng(1)
    hits = rng.random((80, 2)) < 0.5
    hits[:30, 1] = hits[:30, 0]
    drawn = hits[rng.integers(0, 80, (4_000, 80))]
    differences = drawn.all(axis=2).mean(axis=1) - drawn[..., 0].mean(axis=1) * drawn[..., 1].mean(axis=1)
    result = factorization(hits, draws=4_000, level=0.9)
    np.testing.assert_allclose([result.low, result.high], np.quantile(differences, [0.05, 0.95]), atol=0.01)


def test_no_samples_and_impossible_levels_are_refused():
    with pytest.raises(UserError, match="0 samples"):
        factorization(np.zeros((0, 2), bool))
    with pytest.raises(UserError, match="level 95"):
        factorization(np.ones((5, 2), bool), level=95.0)


@pytest.mark.parametrize(
    ("shares", "order", "expected"),
    [
        ((0.0, 1.0, 0.0, 0.0), 0.0, "A"),  # nothing is drawn
        ((0.0, 0.3, 0.2, 0.5), 0.9, "A"),  # wrong images, however ordered the manifold
        ((0.1, 0.1, 0.4, 0.4), 0.1, "A"),  # exactly half show one bump: not most
        ((0.1, 0.1, 0.7, 0.1), 0.3, "B"),
        ((0.5, 0.0, 0.5, 0.0), 0.9, "B"),  # exactly half correct: not most
        ((0.9, 0.0, 0.1, 0.0), 0.5, "B"),  # right images on an unordered manifold
        ((0.6, 0.2, 0.1, 0.1), 0.51, "C"),
        ((1.0, 0.0, 0.0, 0.0), 1.0, "C"),
    ],
)
def test_phases(shares, order, expected):
    assert phase(*shares, order) == expected


def test_phases_of_what_is_not_evaluated_are_refused():
    with pytest.raises(UserError, match="evaluate the checkpoint first"):
        phase(np.nan, 0.0, 0.0, 1.0, 0.5)
    with pytest.raises(UserError, match="do not sum to 1"):
        phase(0.5, 0.5, 0.5, 0.0, 0.5)
