"""What a verdict is made of: a comparison with its interval and range, and the roles of a claim's comparisons."""

import math

import numpy as np
import pytest
import xarray as xr

from diffgeo import claims
from diffgeo.claims import CONTROL, FAILS, HOLDS, PRECONDITION, UNDECIDED, Claim, Comparison, compare, judge
from diffgeo.errors import UserError


def statistic(values):
    return xr.DataArray(np.array(values, float), dims=[claims.RESAMPLE, "seed"])


def test_a_shares_interval_ends_at_0_and_1():
    one_of_three = xr.DataArray([1.0, 0.0, 0.0], dims="seed")
    wide, told = compare("share", one_of_three), compare("share", one_of_three, within=(0, 1))
    assert wide.low < 0 < told.value == wide.value
    assert (told.low, told.high) == (0.0, min(wide.high, 1.0))


@pytest.mark.parametrize(
    ("ends", "limits", "verdict"),
    [
        ((0.1, 0.3), (0.0, math.inf), HOLDS),
        ((-0.3, -0.1), (0.0, math.inf), FAILS),
        ((-0.1, 0.1), (0.0, math.inf), UNDECIDED),
        ((-0.1, 0.1), (-0.2, 0.2), HOLDS),
        ((0.2, 0.4), (-0.2, 0.2), FAILS),
        ((-0.3, 0.1), (-0.2, 0.2), UNDECIDED),
        ((-math.inf, math.inf), (0.0, math.inf), UNDECIDED),
    ],
)
def test_verdict_of_a_comparison(ends, limits, verdict):
    assert Comparison("w", sum(ends) / 2, *ends, 3, *limits).verdict == verdict


def test_verdict_of_a_claim():
    good, bad = statistic([[1.0, 1.0]]), statistic([[-1.0, -1.0]])
    split = statistic([[1.0, -1.0]])

    def verdict(*comparisons):
        return judge(Claim("z", "s", "p", lambda results: comparisons, "d"), xr.Dataset()).verdict

    holds, fails, open_ = (compare("w", values, lower=0.0) for values in (good, bad, split))
    assert verdict(holds, holds) == HOLDS
    assert verdict(holds, fails) == FAILS
    assert verdict(open_, fails) == FAILS
    assert verdict(holds, open_) == UNDECIDED
    assert verdict(holds, fails._replace(role=CONTROL)) == HOLDS
    assert verdict(fails, holds._replace(role=PRECONDITION)) == FAILS
    for lacking in (fails, open_):
        assert verdict(fails, lacking._replace(role=PRECONDITION)) == UNDECIDED
    with pytest.raises(UserError, match="'w' for 1 of the seeds"):
        compare("w", statistic([[1.0, np.nan]]))
    with pytest.raises(UserError, match="one value of sigma"):
        compare("w", xr.DataArray(np.zeros((2, 3)), dims=["sigma", "seed"]))
