"""Additive share of codes whose analysis of variance is known."""

import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.images import render
from diffgeo.representation import additive_share, clifford_torus, torus_3d
from tests.support.clouds import periodic_bumps

RNG = np.random.default_rng(1)


def lattice(side):
    return np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2)


def test_codes_of_single_coordinates_are_additive():
    assert additive_share(clifford_torus(8, 12), (8, 12)) == pytest.approx(1.0)
    sos = np.asarray(render(lattice(16).astype(np.float32), 1.0, "sos", 16, periodic=True)).reshape(256, -1)
    assert additive_share(sos, (16, 16)) == pytest.approx(1.0, abs=1e-5)


def test_the_torus_in_space_by_integration():
    # (R + r cos b) cos a: f has R^2/2, the interaction r^2/4, of each of two features; g has r^2/2 in the third
    total = 2 * (2.0**2 / 2 + 1 / 4) + 1 / 2
    assert additive_share(torus_3d(16, 16), (16, 16)) == pytest.approx(1 - (1 / 2) / total)


@pytest.mark.parametrize(("size", "interaction"), [(16, 0.52), (32, 0.73)])
def test_bumps_are_not(size, interaction):
    share = additive_share(periodic_bumps(size), (size, size))
    assert share == pytest.approx(1 - interaction, abs=0.005)


def test_a_code_without_labels_scores_its_degrees_of_freedom():
    noise = RNG.normal(size=(16 * 16, 500))
    assert additive_share(noise, (16, 16)) == pytest.approx(30 / 255, abs=0.005)
    product = np.outer(np.arange(5.0) - 2, np.arange(7.0) - 3).reshape(-1, 1)
    assert additive_share(product, (5, 7)) == pytest.approx(0.0, abs=1e-12)


def test_the_shape_must_fit():
    with pytest.raises(UserError, match="6 points are no 2 x 4 grid"):
        additive_share(np.ones((6, 1)), (2, 4))
