"""The papers' overlap of two bumps, against its definition on rendered images and its continuum limit."""

import numpy as np
import pytest

from diffgeo import images

SIZE = 32


def from_pictures(center_a, center_b, sigma, size=SIZE):
    """||sqrt(a b)||_2 / ||a||_2 of the inverted images, written as in [2408.13256, A.5]."""
    a, b = (1.0 - np.asarray(images.render(np.array([center_a, center_b]), sigma, size=size), np.float64)) / 2
    return np.linalg.norm(np.sqrt(a * b)) / np.linalg.norm(a)


@pytest.mark.parametrize("sigma", [0.3, 0.5, 1.0, 2.5, (0.6, 1.7)])
def test_equals_its_definition_on_rendered_images(sigma):
    rng = np.random.default_rng(0)
    for a, b in rng.uniform(-0.5, SIZE - 0.5, (20, 1, 2)) + rng.uniform(-1, 1, (20, 2, 2)):
        a, b = a.astype(np.float32), b.astype(np.float32)
        # render is float32 and near 1 where the bumps are faint: only its rounding separates the two.
        assert images.overlap(a, b, sigma, SIZE) == pytest.approx(from_pictures(a, b, sigma), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("sigma", [1e-3, 0.1, 0.5, 1.0, 7.0, (0.2, 3.0)])
@pytest.mark.parametrize("center", [(16.0, 16.0), (0.0, 31.0), (3.01, 7.02), (-0.01, 31.02)])
def test_is_one_with_itself(center, sigma):
    assert images.overlap(center, center, sigma, SIZE) == pytest.approx(1.0, abs=1e-12)


@pytest.mark.parametrize("sigma", [1.0, 1.3, 2.0])
def test_tends_to_the_continuum_away_from_borders(sigma):
    for distance in np.arange(0.0, 6.01, 0.25):
        for angle in (0.0, 0.4, np.pi / 4):
            step = distance * np.array([np.cos(angle), np.sin(angle)])
            for start in (24.0, 24.37):
                value = images.overlap((start, start), start + step, sigma, 64)
                assert value == pytest.approx(np.exp(-(distance**2) / (16 * sigma**2)), rel=0.02)


def test_closed_form_of_one_bright_pixel():
    """sigma = 0.1: a on a pixel is that pixel only, so the overlap is the root of b's value there."""
    for d in (0.1, 0.3, 0.45):
        expected = np.exp(-0.5 * d**2 / (4 * 0.1**2))
        assert images.overlap((16.0, 16.0), (16.0 + d, 16.0), 0.1, SIZE) == pytest.approx(expected, rel=1e-9)
        # And the other way round, divided by b's norm, which is smaller by the same root squared.
        assert images.overlap((16.0 + d, 16.0), (16.0, 16.0), 0.1, SIZE) == pytest.approx(1 / expected, rel=1e-2)


def test_neighbors_at_half_a_pixel_have_a_cusp_and_exceed_one():
    """[2408.13256, Fig. 6b]: lattice neighbors (0, d) of a small bump as the increment d passes 1/2."""

    def neighbor(d, sigma=0.1):  # from the first off-pixel bump to the next one of the lattice
        return images.overlap((16.0 + d, 16.0), (16.0 + 2 * d, 16.0), sigma, SIZE)

    below, at, above = neighbor(0.45), neighbor(0.5), neighbor(0.55)
    assert at > 1.0  # the off-pixel bump is fainter than its neighbor, which sits on a pixel
    assert neighbor(0.4) < below < at > above > neighbor(0.6)
    # The wide bump has neither: pixels do not show.
    assert neighbor(0.4, 1.0) > neighbor(0.5, 1.0) > neighbor(0.6, 1.0)
    assert neighbor(0.5, 1.0) < 1.0


def test_is_not_symmetric_at_a_border():
    inside, border = (4.0, 16.0), (0.0, 16.0)
    ratio = images.overlap(border, inside, 1.0, SIZE) / images.overlap(inside, border, 1.0, SIZE)
    pixels = np.arange(SIZE)
    expected = np.sqrt(np.sum(np.exp(-((pixels - 4.0) ** 2) / 2)) / np.sum(np.exp(-(pixels**2) / 2)))
    assert ratio == pytest.approx(expected, rel=1e-9)
    assert ratio > 1.1


def test_a_blank_bump_has_no_overlap():
    assert np.isnan(images.overlap((16.5, 16.5), (16.5, 16.5), 1e-3, SIZE))
    assert np.isnan(images.overlap((-30.0, -30.0), (3.0, 3.0), 1.0, SIZE))
    assert np.isfinite(images.overlap((-26.0, -26.0), (-26.0, -26.0), 1.0, SIZE))
    assert images.overlap((16.0, 16.0), (-30.0, -30.0), 1.0, SIZE) == pytest.approx(0.0, abs=1e-30)
