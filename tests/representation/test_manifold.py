"""Scores of a manifold: near 1 on a noiseless one, near 0 on permuted labels, and against independent computations."""

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.representation import neighbor_r2, probe_r2, regression_r2, umap_embedding
from diffgeo.representation.manifold import PENALTIES

SIDE = 16
X, Y = (values.ravel().astype(float) for values in np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij"))
LABELS = np.stack([X, Y], axis=-1)
RNG = np.random.default_rng(3)
PLANE = LABELS @ RNG.normal(size=(2, 40)) + 7.0
ANGLES = 2 * np.pi * LABELS / SIDE
TORUS = np.concatenate([np.cos(ANGLES), np.sin(ANGLES)], axis=1) @ RNG.normal(size=(4, 40))
PERMUTED = RNG.permutation(LABELS)


@pytest.fixture(scope="module")
def embedding():
    return umap_embedding(PLANE, seed=1)


@pytest.mark.parametrize("scale", [1e21, 1e40])
def test_points_beyond_umap_s_range_are_refused_in_a_sentence(scale):
    with pytest.raises(UserError, match=r"lie \d.*e\+\d+ from their mean"):
        umap_embedding(scale * PLANE)


def test_what_umap_itself_refuses_is_a_sentence(monkeypatch, embedding):
    import umap  # as `embedding` has: it warns of what it lacks

    def refuse(*_):
        raise ValueError("zero-size array to\n reduction operation")

    monkeypatch.setattr(umap.UMAP, "fit_transform", refuse)
    with pytest.raises(UserError, match=f"cannot embed these {SIDE * SIDE} points: zero-size array to reduction"):
        umap_embedding(PLANE)


def test_umap_is_repeatable_and_keeps_the_plane(embedding):
    assert embedding.shape == (SIDE * SIDE, 3)
    np.testing.assert_array_equal(embedding, umap_embedding(PLANE, seed=1))
    assert not np.array_equal(embedding, umap_embedding(PLANE, seed=2))
    assert regression_r2(embedding, LABELS).mean > 0.9
    assert abs(regression_r2(embedding, PERMUTED).mean) < 0.05
    assert neighbor_r2(embedding, LABELS).mean > 0.95


SCORES = {"regression": regression_r2, "probe": probe_r2, "neighbor": neighbor_r2}


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize(("points", "period"), [(PLANE, None), (TORUS, SIDE)], ids=["plane", "torus"])
def test_scores_of_a_noiseless_manifold_and_of_permuted_labels(name, points, period):
    features = points[:, :4] if name == "regression" else points  # in-sample: few features
    perfect = SCORES[name](features, LABELS, period)
    assert min(perfect.each) > (0.95 if name == "neighbor" else 0.9999)
    chance = SCORES[name](features, PERMUTED, period)
    assert max(np.abs(chance.each)) < 0.08


@pytest.mark.parametrize("name", SCORES)
def test_x_and_y_are_not_confused(name):
    only_x = np.stack([X, X**2 / SIDE, RNG.normal(size=X.size)], axis=-1)
    score = SCORES[name](only_x, LABELS)
    assert score.x > 0.9
    assert score.y < 0.1
    assert score.mean == pytest.approx((score.x + score.y) / 2)


@pytest.mark.parametrize("name", SCORES)
def test_each_factor_is_scored_as_if_it_stood_alone(name):
    """Of K = 1, 2 and 3 factors, the first circular and the others plain."""
    circle = np.concatenate([TORUS[:, :3], PLANE[:, :2]], axis=1)
    labels = np.stack([X, Y, X + 2 * Y], axis=-1)
    periods = [SIDE, None, None]
    alone = [SCORES[name](circle, labels[:, k : k + 1], periods[k]).mean for k in range(3)]
    for count in (1, 2, 3):
        score = SCORES[name](circle, labels[:, :count], periods[:count])
        np.testing.assert_allclose(score.each, alone[:count], rtol=1e-9)
        assert score.mean == pytest.approx(np.mean(alone[:count]))
    assert alone[0] != pytest.approx(SCORES[name](circle, labels[:, :1]).mean), "the period matters"


def test_neighbor_score_is_zero_on_average_by_chance():
    values = [neighbor_r2(PLANE, RNG.permutation(LABELS)).mean for _ in range(40)]
    # the plain R^2 would be -0.2
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(40) + 0.005


def test_a_torus_needs_its_period():
    """At the seam plain labels jump; the neighbors' mean label is wrong there."""
    assert neighbor_r2(TORUS, LABELS).mean < neighbor_r2(TORUS, LABELS, SIDE).mean - 0.1


def test_scores_do_not_depend_on_rotation_shift_or_scale():
    rotation = np.linalg.qr(RNG.normal(size=(40, 40)))[0]
    noisy = PLANE + 10 * RNG.normal(size=PLANE.shape)
    moved = 1e3 * noisy @ rotation + 50.0
    for score in (probe_r2, neighbor_r2):
        np.testing.assert_allclose(score(noisy, LABELS).each, score(moved, LABELS).each, rtol=1e-6)


def test_probe_agrees_with_scikit_learn():
    from sklearn.linear_model import RidgeCV

    noisy = PLANE + 20 * RNG.normal(size=PLANE.shape)
    folds = np.array_split(np.random.default_rng(5).permutation(len(noisy)), 5)
    predicted = np.empty_like(X)
    for fold in folds:
        train = np.setdiff1d(np.arange(len(noisy)), fold)
        spread = noisy[train] - noisy[train].mean(axis=0)
        penalties = PENALTIES * np.sum(spread**2) / len(train)
        predicted[fold] = RidgeCV(alphas=penalties).fit(noisy[train], X[train]).predict(noisy[fold])
    expected = 1 - np.sum((X - predicted) ** 2) / np.sum((X - X.mean()) ** 2)
    assert 0.5 < expected < 0.99  # the penalty matters
    assert probe_r2(noisy, LABELS, seed=5).x == pytest.approx(expected, abs=1e-9)


def test_regression_agrees_with_the_multiple_correlation():
    features = RNG.normal(size=(X.size, 3)) + 0.1 * PLANE[:, :3]
    design = np.column_stack([np.ones(X.size), features])
    residual = X - design @ np.linalg.lstsq(design, X, rcond=None)[0]
    assert regression_r2(features, LABELS).x == pytest.approx(1 - residual.var() / X.var())


def test_labels_that_cannot_be_scored_are_refused():
    constant = LABELS.copy()
    constant[:, 1] = 3.0
    with pytest.raises(UserError, match="all labels have y = 3"):
        probe_r2(PLANE, constant)
    with pytest.raises(UserError, match="255 labels do not fit 256 points"):
        neighbor_r2(PLANE, LABELS[1:])
    with pytest.raises(UserError, match="period of 0 pixels"):
        neighbor_r2(PLANE, LABELS, 0.0)
    with pytest.raises(UserError, match="labels are not finite"):
        regression_r2(PLANE, np.where(LABELS == 3, np.nan, LABELS))
