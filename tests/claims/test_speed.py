"""T50 on curves of a known one, and contrasts of speeds that were not reached."""

import numpy as np
import pytest
import xarray as xr

from diffgeo.claims.speed import contrast, half_time, half_times, slope_weights
from diffgeo.errors import UserError
from tests.support.simulation import STEPS, accuracy_curve


@pytest.mark.parametrize("half", [250.0, 700.0, 1_400.0])
@pytest.mark.parametrize("steepness", [1.5, 4.0, 12.0])
def test_half_time_is_that_put_in(half, steepness):
    found = half_time(STEPS, 1 / (1 + (STEPS / half) ** -steepness))
    assert found.censored == 0
    assert np.exp(found.log_step) == pytest.approx(half, rel=1e-3)


def test_half_time_of_noisy_curves_is_unbiased():
    generator = np.random.default_rng(0)
    found = np.array([half_time(STEPS, accuracy_curve(generator, 700)).log_step for _ in range(200)])
    assert np.exp(found.mean()) == pytest.approx(700, rel=0.01)
    assert found.std() < 0.05


def test_half_times_out_of_reach_are_bounds():
    assert half_time(STEPS, np.full(20, 0.3)) == (pytest.approx(np.log(2_000)), 1)
    assert half_time(STEPS, np.full(20, 0.9)) == (pytest.approx(np.log(100)), -1)
    jump = half_time(STEPS, (STEPS > 1_000).astype(float))
    assert jump.censored == 0
    assert 1_000 < np.exp(jump.log_step) < 1_100
    assert half_time(np.array([0, *STEPS]), np.array([0.0, *np.full(20, 0.9)])).censored == -1
    with pytest.raises(UserError, match="two evaluations after step 0"):
        half_time(np.array([0, 100]), np.array([0.0, 1.0]))


def test_slope_of_known_speeds_and_its_bounds():
    values = np.array([0.25, 0.5, 1.0])
    halves = {seed: 300 * values**0.5 * (1 + 0.1 * seed) for seed in range(2)}
    shares = [[1 / (1 + (STEPS / half) ** -4.0) for half in halves[seed]] for seed in range(2)]
    curves = xr.DataArray(shares, {"increment": values, "step": STEPS}, ["seed", "increment", "step"])
    weights = slope_weights(values, "increment")
    slope = contrast(half_times(curves), weights)
    np.testing.assert_allclose(slope.values, 0.5, atol=1e-3)
    assert slope.bounds == (False, False)
    for index, bounds in ((0, (True, False)), (2, (False, True))):
        unreached = curves.copy()
        unreached[0, index] = 0.1
        assert contrast(half_times(unreached), weights).bounds == bounds
