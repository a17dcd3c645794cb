"""Bootstrap intervals against all resamplings of two seeds, and against a binomial's."""

import math

import numpy as np
import pytest

from diffgeo import claims


def test_interval_against_all_resamplings_of_two_seeds():
    # the mean of two seeds drawn from (0, 1) is 0, 1/2, 1 with shares 1/4, 1/2, 1/4: the 2.5 % quantile is 0
    low, high = claims.interval(np.array([[0.0, 1.0]]))
    assert low == pytest.approx(0.5 - 0.5 * math.sqrt(2))
    assert high == pytest.approx(0.5 + 0.5 * math.sqrt(2))


def test_interval_of_samples_alone_is_that_of_a_binomial():
    count, share = 400, 0.3
    drawn = np.random.default_rng(1).binomial(count, share, size=(4_000, 8)) / count
    low, high = claims.interval(np.concatenate([np.full((1, 8), share), drawn]))
    error = math.sqrt(share * (1 - share) / count / 8) * math.sqrt(8 / 7)
    # all seeds are alike: what is left is the spread of a mean of 8 draws with replacement from 8 drawn values
    assert (high - low) / 2 == pytest.approx(1.96 * error * math.sqrt(1 + 7 / 8), rel=0.06)
    assert (high + low) / 2 == pytest.approx(share, abs=0.2 * error)
