"""The contrast of rings against the angles that it is made of, and against its nulls."""

import numpy as np
import pytest
from scipy import stats

from diffgeo.errors import UserError
from diffgeo.representation import (
    clifford_torus,
    contrast,
    gaussian_contrasts,
    pca,
    ring_contrast,
    ring_statistics,
    shuffled_contrasts,
    torus_3d,
)

RNG = np.random.default_rng(3)
CLOUDS = {
    "torus": torus_3d(8, 10),
    "noisy": clifford_torus(8, 10) + 0.2 * RNG.normal(size=(80, 4)),
    "wide": RNG.normal(size=(80, 300)),
}
NULLS = (shuffled_contrasts, gaussian_contrasts)


@pytest.mark.parametrize("name", CLOUDS)
def test_it_is_the_difference_of_mean_angles(name):
    statistics = ring_statistics(CLOUDS[name], (8, 10))
    expected = statistics["x_on_y"]["angles"].mean() - statistics["x_on_x"]["angles"].mean()
    assert ring_contrast(CLOUDS[name], (8, 10)) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("null", NULLS)
def test_tori_stand_out_of_a_null(null):
    assert ring_contrast(clifford_torus(8, 10), (8, 10)) == pytest.approx(90.0, abs=1e-4)
    assert abs(null(clifford_torus(8, 10), (8, 10))).max() < 15
    assert ring_contrast(CLOUDS["torus"], (8, 10)) > null(CLOUDS["torus"], (8, 10)).max() + 10
    assert ring_contrast(CLOUDS["noisy"], (8, 10)) > null(CLOUDS["noisy"], (8, 10)).max() + 30


@pytest.mark.parametrize("null", NULLS)
@pytest.mark.parametrize("spectrum", [np.ones(20), 0.8 ** np.arange(60)], ids=["flat", "steep"])
def test_the_contrast_of_noise_has_any_rank_among_those_of_a_null(null, spectrum):
    ranks = []
    for seed in range(60):
        noise = np.random.default_rng([7, seed]).normal(size=(36, len(spectrum))) * np.sqrt(spectrum)
        ranks.append(np.mean(null(noise, (6, 6), draws=39, seed=seed) < ring_contrast(noise, (6, 6))))
    assert stats.kstest(ranks, "uniform").pvalue > 1e-3


def test_a_shuffled_contrast_is_that_of_shuffled_points():
    cloud = CLOUDS["wide"]
    order = np.random.default_rng(5).permutation(80)
    assert shuffled_contrasts(cloud, (8, 10), 1, 5)[0] == pytest.approx(ring_contrast(cloud[order], (8, 10)), abs=1e-6)


@pytest.mark.parametrize("name", CLOUDS)
def test_gaussian_points_have_the_spectrum_of_the_cloud_and_are_not_it(name, monkeypatch):
    drawn = []
    monkeypatch.setattr(contrast, "_contrast", lambda gram, shape: drawn.append(gram) or 0.0)
    gaussian_contrasts(CLOUDS[name], (8, 10), draws=2)
    variances = pca(CLOUDS[name]).variances
    for gram in drawn:
        np.testing.assert_allclose(np.linalg.eigvalsh(gram)[::-1][: len(variances)] / 80, variances, rtol=1e-6)
        np.testing.assert_allclose(gram.sum(axis=0), 0.0, atol=1e-9 * np.trace(gram))
    assert np.abs(drawn[0] - drawn[1]).max() > 0.1 * np.abs(drawn[0]).max()


def test_rings_without_a_plane_are_refused():
    line = np.pad(np.arange(80.0)[:, None], ((0, 0), (0, 2)))
    with pytest.raises(UserError, match="fewer than 2 dimensions"):
        ring_contrast(line, (8, 10))
    with pytest.raises(UserError, match="80 points are no 8 x 9 grid"):
        ring_contrast(line, (8, 9))
