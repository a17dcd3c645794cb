"""Gram-basis scores, principal components, and what cannot be analyzed."""

import subprocess
import sys

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from diffgeo import representation
from diffgeo.errors import UserError
from tests.support.clouds import periodic_bumps

RNG = np.random.default_rng(0)


def test_importing_loads_no_jax_and_no_heavy_package():
    heavy = "jax", "umap", "ripser", "sklearn", "scipy", "matplotlib", "xarray", "cv2"
    code = f"import sys, diffgeo.representation; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("features", [7, 40, 3_000])
def test_scores_keep_distances_angles_and_components(features):
    # nearby pairs, a far mean and steeply falling variances: what a single-precision Gram matrix would lose
    cloud = RNG.normal(size=(40, features)) * np.geomspace(1.0, 1e-3, features) + 5.0
    cloud[20:] = cloud[:20] + 1e-2 * RNG.normal(size=(20, features))
    activations = cloud.astype(np.float32)
    scores = representation.gram_scores(activations)
    assert scores.dtype == np.float32
    assert scores.shape == (40, min(39, features))
    exact = activations.astype(np.float64)
    np.testing.assert_allclose(pdist(scores.astype(np.float64)), pdist(exact), rtol=1e-5)
    centered = exact - exact.mean(axis=0)
    lengths = np.linalg.norm(centered, axis=1)
    cosines = centered @ centered.T / np.outer(lengths, lengths)
    ours = scores.astype(np.float64)
    norms = np.linalg.norm(ours, axis=1)
    np.testing.assert_allclose(ours @ ours.T / np.outer(norms, norms), cosines, atol=1e-6)
    values = np.linalg.svd(centered, compute_uv=False)[: scores.shape[1]]
    np.testing.assert_allclose(np.linalg.norm(ours, axis=0)[:10], values[:10], rtol=1e-5)


def test_components_agree_with_scikit_learn():
    from sklearn.decomposition import PCA

    points = RNG.normal(size=(50, 8)) @ RNG.normal(size=(8, 8))
    ours = representation.pca(points)
    theirs = PCA().fit(points)
    np.testing.assert_allclose(ours.explained, theirs.explained_variance_ratio_)
    np.testing.assert_allclose(ours.variances * 50 / 49, theirs.explained_variance_)
    np.testing.assert_allclose(np.abs(ours.projections), np.abs(theirs.transform(points)), atol=1e-9)


def test_rank_of_a_flat_cloud():
    flat = RNG.normal(size=(30, 2)) @ RNG.normal(size=(2, 500))
    assert representation.gram_scores(flat).shape == (30, 2)


def test_participation_ratio_of_known_clouds():
    assert representation.participation_ratio(representation.clifford_torus(32, 32)) == pytest.approx(4.0)
    assert representation.participation_ratio(np.arange(5.0)[:, None]) == pytest.approx(1.0)
    variances = np.array([4.0, 1.0, 1.0])
    axes = np.concatenate([np.diag(np.sqrt(variances)), -np.diag(np.sqrt(variances))])  # an octahedron
    assert representation.participation_ratio(1e30 * axes) == pytest.approx(36.0 / 18.0)


def test_participation_ratio_of_pixels():
    assert representation.participation_ratio(periodic_bumps()) == pytest.approx(81.5, rel=0.02)


ANALYSES = {
    "gram_scores": representation.gram_scores,
    "participation_ratio": representation.participation_ratio,
    "persistence": representation.persistence,
    "ring_statistics": lambda points: representation.ring_statistics(points, (4, 3)),
    "umap_embedding": representation.umap_embedding,
    "probe_r2": lambda points: representation.probe_r2(points, RNG.random((len(points), 2))),
    "neighbor_r2": lambda points: representation.neighbor_r2(points, RNG.random((len(points), 2))),
    "regression_r2": lambda points: representation.regression_r2(points, RNG.random((len(points), 2))),
    "analyze": lambda points: representation.analyze(points, RNG.random((len(points), 2))),
}


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(name, value):
    points = RNG.normal(size=(12, 5))
    points[3, 2] = value
    with pytest.raises(UserError, match="1 of 12 points are not finite"):
        ANALYSES[name](points)


@pytest.mark.parametrize("name", ANALYSES)
@pytest.mark.parametrize("points", [np.zeros((12, 5)), np.tile(RNG.normal(size=5), (12, 1)).astype(np.float32)])
def test_equal_points_are_refused(name, points):
    with pytest.raises(UserError, match="all 12 points are equal"):
        ANALYSES[name](points)


@pytest.mark.parametrize("name", [name for name in ANALYSES if name != "ring_statistics"])
def test_too_few_points_are_refused(name):
    with pytest.raises(UserError, match="2 points are too few"):
        ANALYSES[name](RNG.normal(size=(2, 5)))
