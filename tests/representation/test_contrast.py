"""The contrast of rings against the angles that it is made of, and against shuffled labels."""

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.representation import clifford_torus, null_contrasts, ring_contrast, ring_statistics, torus_3d

RNG = np.random.default_rng(3)
CLOUDS = {
    "torus": torus_3d(8, 10),
    "noisy": clifford_torus(8, 10) + 0.2 * RNG.normal(size=(80, 4)),
    "wide": RNG.normal(size=(80, 300)),
}


@pytest.mark.parametrize("name", CLOUDS)
def test_it_is_the_difference_of_mean_angles(name):
    statistics = ring_statistics(CLOUDS[name], (8, 10))
    expected = statistics["x_on_y"]["angles"].mean() - statistics["x_on_x"]["angles"].mean()
    assert ring_contrast(CLOUDS[name], (8, 10)) == pytest.approx(expected, abs=1e-5)


def test_a_clifford_torus_stands_out_of_its_null_and_noise_does_not():
    assert ring_contrast(clifford_torus(8, 10), (8, 10)) == pytest.approx(90.0, abs=1e-4)
    null = null_contrasts(clifford_torus(8, 10), (8, 10))
    assert abs(null).max() < 10
    noise = RNG.normal(size=(80, 20))
    null = null_contrasts(noise, (8, 10), draws=40)
    assert abs(ring_contrast(noise, (8, 10)) - null.mean()) < 4 * null.std()


def test_a_null_is_that_of_shuffled_points():
    cloud = CLOUDS["wide"]
    order = np.random.default_rng(5).permutation(80)
    assert null_contrasts(cloud, (8, 10), 1, 5)[0] == pytest.approx(ring_contrast(cloud[order], (8, 10)), abs=1e-6)


def test_rings_without_a_plane_are_refused():
    line = np.pad(np.arange(80.0)[:, None], ((0, 0), (0, 2)))
    with pytest.raises(UserError, match="fewer than 2 dimensions"):
        ring_contrast(line, (8, 10))
    with pytest.raises(UserError, match="80 points are no 8 x 9 grid"):
        ring_contrast(line, (8, 9))
