"""Read-outs of rendered images are their centers; counts agree with independent labeling."""

import subprocess
import sys

import numpy as np
import pytest
import scipy.ndimage

from diffgeo import readout
from diffgeo.errors import UserError
from diffgeo.images import render, to_uint8
from diffgeo.readout import OUTCOMES, accuracy, count_bumps, hits, outcomes, predict_centers, score
from diffgeo.settings.allowed import KINDS, READOUTS

PAPERS = ("contour", "darkest")

BATCH = 128  # every rendering has this many images, so that each size is compiled once

BORDERS = [(size, sigma) for size in (8, 16, 32) for sigma in (0.5, 0.7, 1.0, 1.5, 2.0) if 4 * sigma <= size - 2]
WIDE = [(size, sigma) for size in (8, 16, 32) for sigma in (0.5, 0.7, 1.0, 1.5, 2.0, 4.0) if sigma <= size / 8]


def images_of(centers, sigma=1.0, kind="bump", size=32, periodic=False):
    padded = np.resize(np.asarray(centers, float), (BATCH, 2))
    return to_uint8(render(padded, sigma, kind, size, periodic))[: len(centers)]


def together(*images):
    """Images laid over each other: at each pixel the darkest."""
    return np.minimum.reduce(images)


def random_centers(low, high, count=100, seed=0):
    return np.random.default_rng(seed).uniform(low, high, (count, 2))


def circle_distance(a, b, size):
    """Distance on the circle, through complex angles."""
    turn = np.exp(2j * np.pi * (np.asarray(a, float) - np.asarray(b, float)) / size)
    return np.abs(np.angle(turn)) * size / (2 * np.pi)


def torus_components(mask):
    """Brute force: spread the largest pixel number over dark neighbors until nothing changes."""
    numbers = np.where(mask, np.arange(1, mask.size + 1).reshape(mask.shape), 0)
    while True:
        spread = numbers
        for axes in ((1, 0), (0, 1), (1, 1), (1, -1)):
            for sign in (1, -1):
                moved = np.roll(numbers, (sign * axes[0], sign * axes[1]), (0, 1))
                spread = np.maximum(spread, np.where(mask, moved, 0))
        if (spread == numbers).all():
            return len(np.unique(numbers[mask]))
        numbers = spread


# Centers of rendered images


@pytest.mark.parametrize("method", PAPERS)
@pytest.mark.parametrize(("size", "sigma"), BORDERS)
def test_reads_the_center_of_a_bump(method, size, sigma):
    centers = random_centers(2 * sigma, size - 1 - 2 * sigma)
    predicted = predict_centers(images_of(centers, sigma, size=size), method)
    assert np.abs(predicted - centers).max() < 0.55


@pytest.mark.parametrize("method", PAPERS)
def test_reads_a_pixel_and_a_half_pixel_exactly(method):
    centers = np.array([[5.0, 9.0], [5.5, 9.0], [5.0, 9.5], [20.5, 3.5]])
    np.testing.assert_array_equal(predict_centers(images_of(centers, 0.7), method), centers)


@pytest.mark.parametrize("method", PAPERS)
def test_x_is_the_column(method):
    image = np.full((1, 8, 8), 255, np.uint8)
    image[0, 2, 6] = 0
    np.testing.assert_array_equal(predict_centers(image, method), [[6, 2]])


@pytest.mark.parametrize(("size", "sigma"), WIDE)
def test_darkest_reads_the_crossing_of_stripes_anywhere(size, sigma):
    centers = random_centers(0, size - 1)
    predicted = predict_centers(images_of(centers, sigma, "sos", size), "darkest", "sos")
    assert np.abs(predicted - centers).max() < 0.55


@pytest.mark.parametrize(("kind", "method"), [("bump", "contour"), ("bump", "darkest"), ("sos", "darkest")])
@pytest.mark.parametrize(("size", "sigma"), WIDE)
def test_periodic_images_are_read_across_the_edges(kind, method, size, sigma):
    edges = [[0, 0], [-0.5, 5.2], [size - 0.5, size - 0.6], [3.0, size - 1], [size - 0.9, 0.4]]
    centers = np.concatenate([random_centers(0, size), edges])
    predicted = predict_centers(images_of(centers, sigma, kind, size, True), method, kind, periodic=True)
    assert circle_distance(predicted, centers, size).max() < 0.55
    assert predicted.min() >= 0
    assert predicted.max() < size


def test_contour_cuts_at_otsus_level_not_at_a_fixed_one():
    # A patch of darkness 100 on 60: Otsu's level finds it, half of full darkness (127) would not.
    image = np.full((1, 16, 16), 195, np.uint8)
    image[0, 6:9, 3:6] = 155
    np.testing.assert_array_equal(predict_centers(image, "contour"), [[4, 7]])


def test_darkest_of_a_clipped_bump_is_the_middle_of_its_plateau():
    image = np.full((1, 16, 16), 255, np.uint8)
    image[0, 4:9, 6:9] = 0
    np.testing.assert_array_equal(predict_centers(image, "darkest"), [[7, 6]])


# Fall-back


@pytest.mark.parametrize("method", PAPERS)
@pytest.mark.parametrize("periodic", [False, True])
def test_an_image_without_darkness_reads_as_its_middle(method, periodic):
    white = np.full((1, 8, 8), 255, np.uint8)
    np.testing.assert_array_equal(predict_centers(white, method, periodic=periodic), [[3.5, 3.5]])
    np.testing.assert_array_equal(count_bumps(white, periodic=periodic), [0])


@pytest.mark.parametrize("method", PAPERS)
def test_two_bumps_read_as_the_centroid_of_darkness(method):
    images = together(images_of([[6, 10]]), images_of([[24.4, 20]]))  # the second has no pixel as dark
    expected = scipy.ndimage.center_of_mass(255.0 - images[0])[::-1]
    np.testing.assert_allclose(predict_centers(images, method)[0], expected, rtol=1e-6)
    np.testing.assert_allclose(expected, [15.2, 15], atol=0.1)
    # A hit of the papers' accuracy, and still a failure.
    result = score(images, np.array([[15.2, 15.0]]), method)
    assert readout.summarize(result)["accuracy"] == 1
    assert readout.summarize(result)["several_bumps"] == 1


def test_faint_and_lone_stripe_images_fall_back_to_the_centroid():
    faint = np.full((1, 16, 16), 255, np.uint8)
    faint[0, 2, 3] = 215
    faint[0, 2, 13] = 235
    np.testing.assert_allclose(predict_centers(faint, "darkest"), [[(40 * 3 + 20 * 13) / 60, 2]], rtol=1e-6)
    stripe = images_of([[9.0, -40.0]], kind="sos")  # the other stripe is outside the image
    stripe[0, 3, 9] -= 10  # a darker pixel, which a bump's read-out would take
    assert predict_centers(stripe, "darkest", "bump")[0, 1] < 4
    np.testing.assert_allclose(predict_centers(stripe, "darkest", "sos"), [[9, 15.5]], atol=0.1)


def test_periodic_centroid_lies_between_bumps_across_an_edge():
    images = together(*(images_of([[x, 16]], periodic=True) for x in (28, 34)))
    predicted = predict_centers(images, "contour", periodic=True)
    assert circle_distance(predicted, [[31, 16]], 32).max() < 0.1


# Counts


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize(("size", "sigma"), WIDE)
def test_one_rendered_bump_or_crossing_counts_once(kind, periodic, size, sigma):
    corners = [[0, 0], [0, size - 1], [size - 1, 0.5], [size - 1, size - 1], [0.5, 0.5]]
    centers = np.concatenate([random_centers(0, size - 1), corners])
    counts = count_bumps(images_of(centers, sigma, kind, size, periodic), kind, periodic)
    np.testing.assert_array_equal(counts, 1)


@pytest.mark.parametrize("sigma", [0.7, 1.0, 1.5, 2.0])
def test_noise_does_not_split_a_bump(sigma):
    centers = random_centers(0, 31, 128)
    noise = np.random.default_rng(1).integers(-8, 9, (128, 32, 32))
    noisy = np.clip(images_of(centers, sigma).astype(int) + noise, 0, 255).astype(np.uint8)
    np.testing.assert_array_equal(count_bumps(noisy), 1)


def test_weak_noise_about_any_grey_is_no_bump():
    rng = np.random.default_rng(0)
    for gray in (20, 127, 240):
        noise = np.clip(rng.normal(gray, 8, (100, 32, 32)), 0, 255).astype(np.uint8)
        np.testing.assert_array_equal(count_bumps(noise), 0)


def test_smallest_bump_between_pixels_counts():
    np.testing.assert_array_equal(count_bumps(images_of([[7.5, 7.5]], 0.3)), [1])


def test_counts_separated_bumps_and_crossings():
    bumps = [images_of([c]) for c in ([5, 5], [5.5, 20], [31, 31], [20, 0])]
    assert [count_bumps(together(*bumps[:k]))[0] for k in (1, 2, 3, 4)] == [1, 2, 3, 4]
    stripes = (np.arange(32) == 5) | (np.arange(32) == 20)  # two upright stripes, one level stripe
    darkness = 127 * stripes[None, :] + 127 * (np.arange(32) == 9)[:, None]
    image = (255 - darkness).astype(np.uint8)[None]
    np.testing.assert_array_equal(count_bumps(image, "sos"), [2])


def test_a_lone_stripe_is_a_bump_but_no_crossing():
    stripe = images_of([[9.0, -40.0]], kind="sos")
    np.testing.assert_array_equal(count_bumps(stripe, "bump"), [1])
    np.testing.assert_array_equal(count_bumps(stripe, "sos"), [0])


def test_count_agrees_with_scipy_and_brute_force():
    rng = np.random.default_rng(3)
    dark = rng.random((60, 9, 9)) < rng.uniform(0.05, 0.5, (60, 1, 1))
    images = np.where(dark, rng.integers(0, 40, dark.shape), rng.integers(120, 256, dark.shape)).astype(np.uint8)
    images[:, 4, 4] = 0
    darkness = 255.0 - images
    background = np.quantile(darkness, 0.1, axis=(1, 2), keepdims=True)
    above = (darkness - background) / (darkness.max((1, 2), keepdims=True) - background) > 0.75
    flat = [scipy.ndimage.label(mask, np.ones((3, 3)))[1] for mask in above]
    torus = [torus_components(mask) for mask in above]
    assert flat != torus
    assert max(torus) > 3
    np.testing.assert_array_equal(count_bumps(images), flat)
    np.testing.assert_array_equal(count_bumps(images, periodic=True), torus)


def test_edges_join_only_if_periodic():
    image = images_of([[-0.5, -0.5]], 1.0, periodic=True)
    np.testing.assert_array_equal(count_bumps(image), [4])
    np.testing.assert_array_equal(count_bumps(image, periodic=True), [1])
    # Neither bump at the darkest pixel's place: a second bump across an edge counts once too.
    both = together(image, images_of([[15.0, 15.0]]))
    np.testing.assert_array_equal(count_bumps(both, periodic=True), [2])


# Accuracy and outcomes


def test_tolerance_is_strict_and_per_axis():
    true = np.zeros((4, 2))
    predicted = np.array([[0.99, -0.99], [1.0, 0.0], [0.0, -1.0], [np.nan, 0.0]])
    np.testing.assert_array_equal(hits(predicted, true), [[1, 1], [0, 1], [1, 0], [0, 1]])
    assert accuracy(predicted, true) == {"accuracy": 0.25, "accuracy_x": 0.5, "accuracy_y": 0.75}
    np.testing.assert_array_equal(hits(predicted, true, tolerance=0.5)[0], [False, False])


def test_distance_with_a_period_is_on_the_circle():
    rng = np.random.default_rng(0)
    a, b = rng.uniform(-40, 80, (2, 500, 2))
    np.testing.assert_array_equal(hits(a, b, 3.0, 32), circle_distance(a, b, 32) < 3.0)
    far, near = np.array([[31.6, 0.0]]), np.array([[0.2, 0.0]])
    assert hits(far, near, period=32).all()
    assert not hits(far, near).all()


def test_accuracy_over_a_mask_of_labels():
    true = np.zeros((4, 2))
    predicted = np.array([[0.0, 0.0], [0.0, 5.0], [5.0, 5.0], [5.0, 5.0]])
    mask = np.array([True, True, False, False])
    assert accuracy(predicted, true, mask=mask) == {"accuracy": 0.5, "accuracy_x": 1.0, "accuracy_y": 0.5}
    assert all(np.isnan(value) for value in accuracy(predicted, true, mask=np.zeros(4, bool)).values())
    for indices in (np.array([0, 1, 2, 3]), np.array([True])):
        with pytest.raises(ValueError, match=r"mask must be bool\[4\]"):
            accuracy(predicted, true, mask=indices)


def test_outcomes_by_count_then_by_place():
    predicted = np.array([[0, 0], [0, 0], [0, 0], [2, 0], [9, 9]], float)
    bumps = np.array([1, 0, 3, 1, 0])
    found = [OUTCOMES[i] for i in outcomes(predicted, np.zeros((5, 2)), bumps)]
    assert found == ["correct", "no_bump", "several_bumps", "wrong_place", "no_bump"]


@pytest.mark.parametrize("method", PAPERS)
def test_score_and_summary_of_each_outcome(method):
    one = images_of([[10, 20], [10, 20], [10, 20]])
    images = np.concatenate([one, together(one[:1], images_of([[25, 5]])), np.full((1, 32, 32), 255, np.uint8)])
    true = np.array([[10.4, 19.6], [10, 25], [30, 20], [10, 20], [10, 20]])
    result = score(images, true, method)
    np.testing.assert_array_equal(result.bumps, [1, 1, 1, 2, 0])
    assert [OUTCOMES[i] for i in result.outcomes] == [
        "correct", "wrong_place", "wrong_place", "several_bumps", "no_bump"
    ]  # fmt: skip
    summary = readout.summarize(result)
    assert summary == pytest.approx(
        {"accuracy": 0.2, "accuracy_x": 0.4, "accuracy_y": 0.4}
        | {"correct": 0.2, "no_bump": 0.2, "wrong_place": 0.4, "several_bumps": 0.2}
    )
    part = readout.summarize(result, np.array([True, True, False, False, False]))
    assert part["accuracy"] == part["correct"] == part["wrong_place"] == 0.5
    assert accuracy(result.predicted, true).items() <= summary.items()


def test_score_of_periodic_stripes_uses_the_circle_and_the_kind():
    centers = np.array([[0.3, 31.4], [12.0, 31.9]])
    images = images_of(centers, 1.0, "sos", periodic=True)
    turns = np.array([[32, 0], [0, -32]])
    result = score(images, centers + turns, "darkest", "sos", periodic=True)
    assert readout.summarize(result)["correct"] == 1
    stripe = images_of([[9.0, -40.0]], kind="sos")
    assert readout.summarize(score(stripe, np.array([[9.0, 15.5]]), "darkest", "sos"))["no_bump"] == 1


# Bad input and odd input


def test_bad_choices_are_user_errors():
    images = np.zeros((1, 8, 8), np.uint8)
    with pytest.raises(UserError, match="'otsu': choose one of contour, darkest, subpixel"):
        predict_centers(images, "otsu")
    with pytest.raises(UserError, match="'ring': choose one of bump, sos"):
        count_bumps(images, "ring")
    with pytest.raises(UserError, match="'ring'"):
        predict_centers(images, "contour", "ring")
    with pytest.raises(UserError, match=r"'contour' cannot find .* choose 'darkest'"):
        predict_centers(images, "contour", "sos")
    assert tuple(readout.MIN_CONTRAST) == KINDS


@pytest.mark.parametrize(
    ("images", "said"),
    [
        (np.zeros((1, 8, 8), np.float32), r"float32\[1, 8, 8\]"),
        (np.zeros((8, 8), np.uint8), r"uint8\[8, 8\]"),
        (np.zeros((1, 8, 8, 1), np.uint8), r"uint8\[1, 8, 8, 1\]"),
        (np.zeros((1, 8, 9), np.uint8), r"uint8\[1, 8, 9\]"),
        (np.zeros((1, 0, 0), np.uint8), r"uint8\[1, 0, 0\]"),
    ],
)
def test_bad_images_are_refused(images, said):
    for function in (predict_centers, count_bumps):
        with pytest.raises(ValueError, match=r"images must be uint8\[n, N, N\], got " + said):
            function(images)


def test_bad_centers_and_counts_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 2\) and \(1, 2\)"):
        hits(np.zeros((3, 2)), np.zeros((1, 2)))
    with pytest.raises(ValueError, match=r"\(2, 3\)"):
        hits(np.zeros((2, 3)), np.zeros((2, 2)))
    with pytest.raises(ValueError, match=r"\(2,\)"):
        hits(np.zeros(2), np.zeros(2))
    with pytest.raises(ValueError, match=r"\(3,\).*\(1,\)"):
        outcomes(np.zeros((3, 2)), np.zeros((3, 2)), np.ones(1, int))


@pytest.mark.parametrize("method", READOUTS)
@pytest.mark.parametrize("periodic", [False, True])
def test_no_images_and_views_that_cannot_be_written(method, periodic):
    empty = score(np.zeros((0, 8, 8), np.uint8), np.zeros((0, 2)), method, periodic=periodic)
    assert empty.predicted.shape == (0, 2)
    assert empty.outcomes.shape == (0,)
    images = images_of(random_centers(4, 27, 5))
    view = np.asfortranarray(np.repeat(images, 2, axis=0))[::2]
    view.flags.writeable = False
    expected = predict_centers(images, method, periodic=periodic)
    np.testing.assert_array_equal(predict_centers(view, method, periodic=periodic), expected)
    np.testing.assert_array_equal(count_bumps(view, periodic=periodic), 1)


def test_importing_needs_neither_jax_nor_opencv():
    program = "import sys, diffgeo.readout; sys.exit(bool({'jax', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0
