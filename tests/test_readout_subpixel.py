"""The sub-pixel read-out: drawn centers come back, and accuracy does not depend on the lattice of the labels."""

import math

import numpy as np
import pytest

from diffgeo.readout import hits, predict_centers, score, stripes_present, summarize

KINDS = ("bump", "sos")
SPACINGS = (0.25, 0.5, 1.0, 2.0)
ERRORS = (0.3, 0.6, 1.0)


def draw(centers, sigma, kind, size, noise=0.0, background=0.0, periodic=False, seed=0):
    """Render uint8 images by hand, with Gaussian pixel noise and a gray background."""
    centers = np.asarray(centers, float)
    away = np.arange(size)[None, :, None] - centers[:, None, :]
    if periodic:
        away = np.mod(away + size / 2, size) - size / 2
    profile = np.exp(-(away**2) / (4 * sigma**2))
    x, y = profile[:, None, :, 0], profile[:, :, None, 1]
    darkness = 255 * (x * y if kind == "bump" else (x + y) / 2) + background
    darkness = darkness + noise * np.random.default_rng(seed).normal(size=darkness.shape)
    return np.rint(np.clip(255 - darkness, 0, 255)).astype(np.uint8)


def lattice_labels(spacing, shift, low, high, count, rng):
    """Draw labels from the lattice k * spacing + shift, from low to high on both axes."""
    first = low + np.mod(shift - low, spacing)
    values = np.arange(first, high + 1e-9, spacing)
    return rng.choice(values, (count, 2))


def on_the_border(labels, size, rng):
    """Move one coordinate of each label, or both, to the first or last pixel."""
    moved, which = labels.copy(), rng.integers(0, 3, len(labels))
    for axis in (0, 1):
        chosen = which != axis
        moved[chosen, axis] = rng.choice([0, size - 1], chosen.sum())
    return moved


def drawn_accuracy(error):
    """Return the probability that isotropic Gaussian errors stay under a pixel on both axes."""
    return math.erf(1 / (error * math.sqrt(2))) ** 2


# The fault, and that it is mended


def test_the_darkest_pixel_makes_accuracy_depend_on_the_lattice():
    rng, found, mended = np.random.default_rng(0), [], []
    for spacing in SPACINGS:
        labels = lattice_labels(spacing, 0.0, 0.0, 15.75, 2000, rng)
        drawn = labels + rng.normal(0, 0.6, labels.shape)
        images = draw(drawn, 1.0, "bump", 16)
        found.append(hits(predict_centers(images, "darkest"), labels).all(axis=1).mean())
        mended.append(hits(predict_centers(images, "subpixel", sigma=1.0), labels).all(axis=1).mean())
    np.testing.assert_allclose(found, [0.71, 0.58, 0.39, 0.39], atol=0.03)
    np.testing.assert_allclose(mended, drawn_accuracy(0.6), atol=0.03)


@pytest.mark.parametrize("noise", [0.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "sigma"), [(16, 0.5), (16, 1.2), (32, 0.5), (32, 0.8), (32, 1.2)])
def test_accuracy_is_that_of_the_drawing_at_every_lattice_inside(kind, size, sigma, noise):
    rng = np.random.default_rng(1)
    for error in ERRORS:
        for spacing, shift in [(d, s) for d in SPACINGS for s in (0.0, 0.37 * d)]:
            labels = lattice_labels(spacing, shift, 1.0, size - 2.0, 300 if size == 16 else 150, rng)
            drawn = labels + rng.normal(0, error, labels.shape)
            images = draw(drawn, sigma, kind, size, noise, background=1.25 * noise)
            read = hits(predict_centers(images, "subpixel", kind, sigma), labels).all(axis=1)
            # against the same draws, so that the chance of the draws is not in the difference
            assert abs(read.mean() - (np.abs(drawn - labels) < 1).all(axis=1).mean()) < 0.02


@pytest.mark.parametrize("noise", [0.0, 4.0])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("size", "sigma"), [(16, 0.6), (16, 1.2), (32, 0.6), (32, 1.2)])
def test_accuracy_is_that_of_the_drawing_at_the_border(kind, size, sigma, noise):
    rng = np.random.default_rng(2)
    for error in ERRORS:
        differences = []  # of all lattices together: the border's coordinate is on none, and noise moves some hits
        for spacing in SPACINGS:
            labels = on_the_border(lattice_labels(spacing, 0.0, 0.0, size - 1.0, 400, rng), size, rng)
            drawn = labels + rng.normal(0, error, labels.shape)
            images = draw(drawn, sigma, kind, size, noise, background=1.25 * noise)
            read = hits(predict_centers(images, "subpixel", kind, sigma), labels).all(axis=1)
            differences.append(read.mean() - (np.abs(drawn - labels) < 1).all(axis=1).mean())
        assert abs(np.mean(differences)) < 0.01


# Exactness and bias


@pytest.mark.parametrize("known", [True, False], ids=["sigma known", "sigma from the image"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sigma", [0.5, 0.7, 1.0, 1.2])
def test_rendered_centers_are_read_to_their_rounding(sigma, kind, known):
    centers = np.random.default_rng(0).uniform(1, 14, (200, 2))
    read = predict_centers(draw(centers, sigma, kind, 16), "subpixel", kind, sigma if known else None)
    assert np.abs(read - centers).max() < 0.02


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("place", ["inside", "border"])
@pytest.mark.parametrize("sigma", [0.6, 1.2])
def test_bias_under_noise_is_small_wherever_between_the_pixels(sigma, place, kind):
    rng = np.random.default_rng(3)
    for fraction in np.linspace(-0.5, 0.5, 6):
        labels = rng.integers(3, 13, (400, 2)) + fraction
        if place == "border":  # one-sided: as far outside the first pixel as a hit may lie
            labels[:, 0] = 0.9 * 2 * fraction
        read = predict_centers(draw(labels, sigma, kind, 16, 4.0, 5.0), "subpixel", kind, sigma)
        assert np.abs(np.mean(read - labels, axis=0)).max() < 0.05


@pytest.mark.parametrize("kind", KINDS)
def test_a_background_does_not_pull_the_center(kind):
    centers = np.random.default_rng(0).uniform(0, 15, (100, 2))
    read = predict_centers(draw(centers, 0.8, kind, 16, background=60), "subpixel", kind, 0.8)
    np.testing.assert_allclose(read, centers, atol=0.05)


def test_a_peak_clipped_at_black_is_read_from_its_flanks():
    centers = np.random.default_rng(0).uniform(0, 15, (100, 2))
    clipped = draw(centers, 1.0, "bump", 16, background=120)
    assert ((clipped == 0).sum(axis=(1, 2)) >= 2).all()
    np.testing.assert_allclose(predict_centers(clipped, "subpixel", sigma=1.0), centers, atol=0.05)


@pytest.mark.parametrize("kind", KINDS)
def test_a_network_that_draws_another_sigma_is_read_right_inside(kind):
    centers = np.random.default_rng(0).uniform(3, 12, (200, 2))
    for drawn in (0.7, 1.2):
        read = predict_centers(draw(centers, drawn, kind, 16), "subpixel", kind, 0.9)
        assert np.abs(read - centers).max() < 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_periodic_images_wrap(kind):
    centers = np.concatenate([np.random.default_rng(0).uniform(0, 16, (100, 2)), [[-0.4, 15.6], [0.0, 15.999]]])
    images = draw(centers, 1.0, kind, 16, periodic=True)
    read = predict_centers(images, "subpixel", kind, 1.0, periodic=True)
    assert hits(read, centers, 0.02, period=16).all()
    assert read.min() >= 0
    assert read.max() < 16


# Where little can be read


def test_without_dark_neighbors_the_center_is_known_to_its_pixel():
    for sigma, worst in ((0.3, 0.02), (0.2, 0.15), (0.1, 0.5)):
        centers = np.random.default_rng(0).uniform(2, 13, (400, 2))
        read = predict_centers(draw(centers, sigma, "bump", 16), "subpixel", sigma=sigma)
        seen = np.isfinite(read).all(axis=1)
        assert np.abs(read - centers)[seen].max() < worst
        # a bump of half a pixel's diagonal is under MIN_CONTRAST between four pixels once exp(-.5 / 4 s^2) < .2
        assert seen.all() == (math.exp(-0.5 / (4 * sigma**2)) > 0.2)


def test_no_bump_or_several_have_no_center():
    one, other = (draw([c], 1.0, "bump", 32) for c in ([6.0, 10.0], [24.0, 20.0]))
    both = np.minimum(one, other)
    white = np.full((1, 32, 32), 255, np.uint8)
    assert np.isnan(predict_centers(np.concatenate([both, white]), "subpixel", sigma=1.0)).all()
    result = score(np.concatenate([both, white, one]), np.array([[15.0, 15.0], [15.5, 15.5], [6.0, 10.0]]), "subpixel")
    assert summarize(result)["accuracy"] == pytest.approx(1 / 3)


def test_noise_shows_no_center():
    noise = np.random.default_rng(0).normal(127, 60, (200, 16, 16))
    images = np.rint(np.clip(noise, 0, 255)).astype(np.uint8)
    for kind in KINDS:
        assert np.isnan(predict_centers(images, "subpixel", kind, 0.7)).any(axis=1).mean() > 0.95


# Single stripes


@pytest.mark.parametrize("background", [0.0, 40.0])
def test_a_single_stripe_gives_its_own_coordinate_and_not_the_other(background):
    x = np.random.default_rng(0).uniform(0, 15, 100)
    vertical = draw(np.stack([x, np.full(100, -40.0)], axis=1), 0.7, "sos", 16, 4.0, background)
    read = predict_centers(vertical, "subpixel", "sos", 0.7)
    np.testing.assert_allclose(read[:, 0], x, atol=0.1)
    assert np.isnan(read[:, 1]).all()
    read = predict_centers(vertical.transpose(0, 2, 1), "subpixel", "sos", 0.7)
    np.testing.assert_allclose(read[:, 1], x, atol=0.1)
    assert np.isnan(read[:, 0]).all()
    middle = predict_centers(vertical, "darkest", "sos")  # what the papers' method says instead: the centroid
    assert np.abs(middle[:, 1] - 7.5).max() < 0.5
    if background:
        assert np.abs(middle[:, 0] - x).max() > 2


def test_which_stripes_are_present():
    away = -40.0
    images = draw([[5.2, 9.1], [5.2, away], [away, 9.1], [away, away], [15.8, 0.0]], 0.7, "sos", 16, 4.0, 5.0)
    expected = [[True, True], [True, False], [False, True], [False, False], [True, True]]
    np.testing.assert_array_equal(stripes_present(images), expected)
    two = np.minimum(images[1], draw([[11.5, away]], 0.7, "sos", 16))
    np.testing.assert_array_equal(stripes_present(two), [[False, False]])
    half = (255 - (255 - images[:1].astype(float)) * 0.4).astype(np.uint8)  # 51 gray levels each
    np.testing.assert_array_equal(stripes_present(half), [[False, False]])


def test_a_stripe_across_the_edges_is_one_only_if_periodic():
    images = draw([[-0.5, 7.0]], 1.0, "sos", 16, periodic=True)
    assert stripes_present(images).tolist() == [[False, True]]
    assert stripes_present(images, periodic=True).tolist() == [[True, True]]


# Alg. 1 as printed


def test_literal_contours_are_half_a_pixel_higher():
    images = draw(np.random.default_rng(0).uniform(5, 26, (50, 2)), 1.0, "bump", 32)
    difference = predict_centers(images, "contour_literal") - predict_centers(images, "contour")
    np.testing.assert_array_equal(difference, 0.5)
    square = np.full((1, 16, 16), 255, np.uint8)
    square[0, 6:9, 3:5] = 0  # x = 3, w = 2; y = 6, h = 3
    np.testing.assert_array_equal(predict_centers(square, "contour_literal"), [[4.0, 7.5]])


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_images_without_a_profile_are_read_without_a_warning(kind, periodic):
    """Noise, black and white pixels, plateaus, one dark pixel, a single gray: neighbors may be equal or all dark."""
    generator = np.random.default_rng(0)
    noise = generator.integers(0, 256, (200, 8, 8)).astype(np.uint8)
    block, dot = np.full_like(noise[:1], 255), np.full_like(noise[:1], 255)
    block[:, 2:5, 3:7], dot[:, 7, 0] = 0, 0
    grays = np.stack([np.full((8, 8), gray, np.uint8) for gray in (0, 128, 255)])
    for images in (noise, noise // 128 * 255, block, dot, grays):
        for sigma in (None, 0.3, 1.0):
            assert not np.isinf(predict_centers(images, "subpixel", kind, sigma, periodic)).any()
