"""Rendering against the papers' formula written pixel by pixel, its symmetries, its gradients."""

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import strategies as st

from diffgeo import images
from diffgeo.errors import UserError
from diffgeo.settings import allowed

SIZE, COUNT = 16, 3  # one shape for all, so that two programs serve the whole file

few = hypothesis.settings(max_examples=30, deadline=None)
# 64ths of a pixel: their sums and differences are exact in float32
sixtyfourths = st.integers(-SIZE * 64, 2 * SIZE * 64).map(lambda i: i / 64)
centers = st.lists(st.tuples(sixtyfourths, sixtyfourths), min_size=COUNT, max_size=COUNT).map(np.array)
spread = st.floats(0.05, SIZE)
sigmas = st.lists(st.tuples(spread, spread), min_size=COUNT, max_size=COUNT).map(np.array)
kinds = st.lists(st.integers(0, 1), min_size=COUNT, max_size=COUNT).map(np.array)
shifts = st.tuples(st.integers(-SIZE + 1, SIZE - 1), st.integers(-SIZE + 1, SIZE - 1))


def picture(center, sigma, kind, size, periodic):
    """One image in [-1, 1] from the gray value of each pixel, in float64."""

    def stripe(pixel, mean, s):
        distance = abs(pixel - mean)
        if periodic:
            distance = min(abs(pixel - mean + turns * size) for turns in range(-4, 5))
        return np.exp(-(distance**2) / (4 * s**2))

    gray = np.empty((size, size))
    for row in range(size):
        for column in range(size):
            a, b = stripe(column, center[0], sigma[0]), stripe(row, center[1], sigma[1])
            gray[row, column] = 255 * (1 - a * b) if kind == "bump" else 255 * (1 - (a + b) / 2)
    return 2 * gray / 255 - 1


def render(centers, sigma, kind, periodic=False):
    return np.asarray(images.render(centers, sigma, kind, SIZE, periodic))[..., 0]


@pytest.mark.parametrize("periodic", [False, True])
@pytest.mark.parametrize("kind", ["bump", "sos"])
@pytest.mark.parametrize("sigma", [1.0, 0.3, 7.0, (0.5, 2.0)])
def test_pixels_follow_the_formula(kind, periodic, sigma):
    places = np.array([(3.25, 9.5), (15.8, -0.6), (-2.0, 40.1)], np.float32)
    expected = [picture(c, np.broadcast_to(sigma, 2), kind, SIZE, periodic) for c in places]
    drawn = images.render(places, sigma, kind, SIZE, periodic)
    assert drawn.shape == (COUNT, SIZE, SIZE, 1)
    assert drawn.dtype == jnp.float32
    np.testing.assert_allclose(drawn[..., 0], expected, atol=2e-5)


@pytest.mark.parametrize("periodic", [False, True])
def test_kinds_and_spreads_may_differ_by_image(periodic):
    places = np.array([(3.25, 9.5), (15.5, 0.5), (8.0, 2.0)])
    spreads = np.array([(0.5, 2.0), (1.0, 3.0), (4.0, 0.75)])
    drawn = render(places, spreads, np.array([1, 0, 1]), periodic)
    expected = [
        picture(c, s, kind, SIZE, periodic) for c, s, kind in zip(places, spreads, ("sos", "bump", "sos"), strict=True)
    ]
    np.testing.assert_allclose(drawn, expected, atol=2e-5)


def test_defaults_are_an_open_bump_of_side_32():
    drawn = images.render(np.array([(30.5, 4.0)]), 1.5)
    np.testing.assert_allclose(drawn[0, ..., 0], picture((30.5, 4.0), (1.5, 1.5), "bump", 32, False), atol=2e-5)


@few
@hypothesis.given(centers, sigmas, kinds, shifts)
def test_a_shift_by_whole_pixels_moves_an_open_image(centers, sigma, kind, shift):
    here, there = render(centers, sigma, kind), render(centers + np.array(shift), sigma, kind)
    columns, rows = (slice(max(d, 0), SIZE + min(d, 0)) for d in shift)
    columns_before, rows_before = (slice(max(-d, 0), SIZE + min(-d, 0)) for d in shift)
    np.testing.assert_array_equal(there[:, rows, columns], here[:, rows_before, columns_before])


@few
@hypothesis.given(centers, sigmas, kinds, shifts)
def test_a_shift_by_whole_pixels_rolls_a_periodic_image(centers, sigma, kind, shift):
    here, there = (render(c, sigma, kind, True) for c in (centers, centers + np.array(shift)))
    np.testing.assert_array_equal(there, np.roll(here, (shift[1], shift[0]), axis=(1, 2)))


@few
@hypothesis.given(centers, sigmas, kinds, st.tuples(st.integers(-2, 2), st.integers(-2, 2)))
def test_a_periodic_image_wraps(centers, sigma, kind, turns):
    here, there = (render(c, sigma, kind, True) for c in (centers, centers + SIZE * np.array(turns)))
    np.testing.assert_array_equal(there, here)


@few
@hypothesis.given(centers, sigmas, kinds, st.booleans())
def test_swapping_x_and_y_transposes(centers, sigma, kind, periodic):
    here = render(centers, sigma, kind, periodic)
    there = render(centers[:, ::-1], sigma[:, ::-1], kind, periodic)
    np.testing.assert_array_equal(there, here.swapaxes(1, 2))


@few
@hypothesis.given(centers, sigmas, kinds, st.booleans())
def test_values_lie_between_black_and_white(centers, sigma, kind, periodic):
    drawn = render(centers, sigma, kind, periodic)
    assert np.all((drawn >= -1) & (drawn <= 1))  # also fails for NaN


@jax.jit
def gradients(centers, sigma, kind, weights):
    """Of a weighted sum of pixels, with respect to centers and spreads, for open and periodic images."""

    def weighted(centers, sigma, periodic):
        return jnp.sum(images.render(centers, sigma, kind, SIZE, periodic) * weights)

    return [jax.grad(weighted, (0, 1))(centers, sigma, periodic) for periodic in (False, True)]


def gradients_of(centers, sigma, kind):
    weights = np.random.default_rng(0).normal(size=(1, SIZE, SIZE, 1)).astype(np.float32)
    return gradients(centers.astype(np.float32), sigma.astype(np.float32), kind, weights), weights[..., 0]


@few
@hypothesis.given(centers, sigmas, kinds)
@hypothesis.example(np.zeros((COUNT, 2)), np.full((COUNT, 2), 0.05), np.zeros(COUNT, int))
@hypothesis.example(np.full((COUNT, 2), 2.0 * SIZE), np.full((COUNT, 2), 0.05), np.ones(COUNT, int))
def test_gradients_are_finite(centers, sigma, kind):
    assert all(np.all(np.isfinite(x)) for x in jax.tree.leaves(gradients_of(centers, sigma, kind)[0]))


def test_gradients_are_those_of_the_formula():
    # no pixel lies opposite a center: a periodic profile has a corner there
    places = np.array([(3.25, 9.5), (14.75, 0.5), (8.25, 2.25)])
    spreads = np.array([(0.5, 2.0), (1.0, 3.0), (4.0, 1.0)])
    kind = ("sos", "bump", "sos")
    found, weights = gradients_of(places, spreads, np.array([1, 0, 1]))
    for periodic in (False, True):
        for which in (0, 1):
            for image in range(COUNT):
                for axis in (0, 1):
                    value = [0.0, 0.0]
                    for side, step in enumerate((-1e-5, 1e-5)):
                        moved = [places[image].copy(), spreads[image].copy()]
                        moved[which][axis] += step
                        value[side] = np.sum(weights * picture(*moved, kind[image], SIZE, periodic))
                    expected = (value[1] - value[0]) / 2e-5
                    assert found[periodic][which][image, axis] == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_spread_of_zero_draws_the_pixel_alone():
    drawn = render(np.array([(3.0, 5.0), (3.5, 5.0), (0.0, 0.0)]), 0.0, "bump")
    assert np.argwhere(drawn < 1).tolist() == [[0, 5, 3], [2, 0, 0]]
    assert drawn.min() == -1


def test_grey_values_round_and_clip():
    gray = np.array([-np.inf, -9.0, -1.0, 1.0, 9.0, np.inf])
    assert images.to_uint8(gray[:, None, None, None]).ravel().tolist() == [0, 0, 0, 255, 255, 255]
    levels = np.arange(256)
    for offset in (-0.49, 0.0, 0.49):  # of a gray level: rounds to the nearest, does not cut
        shown = images.to_uint8(((levels + offset) / 127.5 - 1).reshape(4, 8, 8, 1).astype(np.float32))
        assert shown.dtype == np.uint8
        np.testing.assert_array_equal(shown, levels.reshape(4, 8, 8))


def test_images_that_are_not_numbers_become_white():
    shown = images.to_uint8(np.array([[np.nan, 0.98], [-1.0, np.nan]])[None, :, :, None])
    assert shown.tolist() == [[[255, 252], [0, 255]]]


def test_errors_quote_what_is_wrong():
    with pytest.raises(UserError, match=r"'blob'.*bump, sos"):
        images.render(np.zeros((1, 2)), 1.0, "blob")
    with pytest.raises(UserError, match=r"'blob'.*bump, sos"):
        allowed.kind_index("blob")
    assert [allowed.kind_index(kind) for kind in allowed.KINDS] == [0, 1]
    for shape in ((2,), (3, 3), (1, 2, 2), ()):
        with pytest.raises(ValueError, match=str(shape).replace("(", r"\(").replace(")", r"\)")):
            images.render(np.zeros(shape), 1.0)
