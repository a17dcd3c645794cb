"""Gaps of clouds: of two parts at a known distance, of one part, beside stray points."""

import numpy as np
import pytest

from diffgeo.representation import log_gap

LATTICE = np.stack(np.meshgrid(np.arange(8), np.arange(8)), axis=-1).reshape(-1, 2).astype(float)


@pytest.mark.parametrize("gap", [2.0, 5.0])
@pytest.mark.parametrize("scale", [1.0, 30.0])
def test_two_lattices_lie_their_gap_apart(gap, scale):
    both = np.concatenate([LATTICE, LATTICE + np.array([7 + gap, 0])])
    assert log_gap(scale * both) == pytest.approx(np.log(gap))
    turned = both @ np.array([[0.6, 0.8, 0.0], [-0.8, 0.6, 0.0]])
    assert log_gap(turned[::-1]) == pytest.approx(np.log(gap))


def test_one_lattice_and_stray_points_have_no_gap():
    assert log_gap(LATTICE) == 0
    assert log_gap(np.concatenate([LATTICE, [[100.0, 0.0], [0.0, -50.0]]])) == 0
    assert log_gap(np.concatenate([LATTICE, LATTICE])) == 0


def test_a_part_is_a_twentieth_of_the_points():
    few, many = (np.stack([50.0 + np.arange(n), np.zeros(n)], axis=1) for n in (3, 4))  # of 67, of 68
    assert log_gap(np.concatenate([LATTICE, few])) == 0
    assert log_gap(np.concatenate([LATTICE, many])) == pytest.approx(np.log(43))


def test_a_widening_slit_disconnects_a_sheet():
    sheet = np.random.default_rng(0).uniform(0, 1, (800, 2))
    gaps = [log_gap(sheet[np.abs(sheet[:, 0] - 0.5) > width / 2]) for width in (0.0, 0.1, 0.2, 0.4)]
    assert gaps == sorted(gaps)
    assert gaps[0] < 0.8 < 1.5 < gaps[-1]
