"""The picture of all verdicts: a row each, at the number that decides, on the side that the verdict says."""

import math

import pytest

from diffgeo import claims
from diffgeo.claims import Claim, Comparison, Verdict
from diffgeo.errors import UserError
from diffgeo.plots import style
from diffgeo.report import forest


def comparison(value, low, high, lower=-math.inf, upper=math.inf, role=claims.PRIMARY):
    return Comparison("a number", value, low, high, 5, lower, upper, role)


def verdict(name, word, *comparisons):
    return Verdict(Claim(name, "so it is", "ours", list, "more seeds"), word, comparisons, "")


INSIDE = comparison(2.0, 1.0, 3.0, lower=0.0)
OUTSIDE = comparison(-3.0, -4.0, -2.0, lower=0.0)


def test_distances_are_in_half_widths_from_the_nearer_limit():
    assert forest.distance(INSIDE) == 2.0
    assert forest.distance(OUTSIDE) == -3.0
    assert forest.distance(comparison(0.5, 0.4, 0.6, lower=-1.0, upper=0.7)) == pytest.approx(2.0)
    assert forest.distance(comparison(1.0, 0.5, 1.5, lower=-1.0, upper=0.5)) == -1.0
    for nothing in (comparison(math.nan, -math.inf, math.inf, 0.0), comparison(1.0, -math.inf, 2.0, 0.0)):
        assert math.isnan(forest.distance(nothing))


def test_a_distance_over_one_is_an_interval_inside_and_under_minus_one_outside():
    for value in (-2.1, -0.5, 0.5, 2.1):
        one = comparison(value, value - 1, value + 1, lower=0.0)
        word = claims.HOLDS if value > 1 else claims.FAILS if value < -1 else claims.UNDECIDED
        assert one.verdict == word
        assert (forest.distance(one) > 1, forest.distance(one) < -1) == (word == claims.HOLDS, word == claims.FAILS)


def test_the_weakest_primary_number_decides():
    control = comparison(-9.0, -9.1, -8.9, lower=0.0, role=claims.CONTROL)
    assert forest.deciding(verdict("z", claims.FAILS, INSIDE, OUTSIDE, control)) is OUTSIDE
    assert forest.deciding(verdict("z", claims.UNDECIDED, control)) is None
    unknown = comparison(math.nan, -math.inf, math.inf, lower=0.0)
    assert forest.deciding(verdict("z", claims.UNDECIDED, INSIDE, unknown)) is None
    assert forest.deciding(verdict("z", claims.FAILS, OUTSIDE, unknown)) is OUTSIDE


def test_every_claim_is_a_row_on_its_side():
    runs = {
        "one": [verdict("b", claims.HOLDS, INSIDE), verdict("a", claims.FAILS, OUTSIDE)],
        "other": [verdict("c", claims.UNDECIDED)],
    }
    with style.context():
        figure = forest.verdict_forest(runs)
    (ax,) = figure.axes
    assert [label.get_text() for label in ax.get_yticklabels()] == ["(a) one, 5 seeds", "(b) one, 5 seeds", "(c) other"]
    places = {int(line.get_ydata()[0]): line.get_xdata()[0] for line in ax.lines[1:] if len(line.get_xdata()) == 1}
    assert places == {0: -3.0, 1: 2.0}
    assert [text.get_text() for text in ax.texts] == ["no interval"]
    assert ax.get_ylim()[0] > ax.get_ylim()[1]


def test_nothing_to_draw_is_refused():
    with pytest.raises(UserError, match="no verdict"):
        forest.verdict_forest({"one": []})
