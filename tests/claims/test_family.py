"""The family of claims that is corrected together, and the catalog that docs/claims.md is made of."""

import functools

import pytest
import xarray as xr

import experiments
from diffgeo.claims import FAILS, HOLDS, Claim, compare, judge
from diffgeo.claims.catalog import PARTS, described, markdown
from diffgeo.claims.family import FAMILY, corrected, table
from tests.support.simulation import over_seeds


def held(p_like: float):
    """A verdict that holds, more clearly for values that spread less."""
    values = over_seeds([1.0 - p_like, 1.0, 1.0 + p_like])
    return judge(Claim("z", "s", "p", lambda results: [compare("w", values, lower=0.0)], "d"), xr.Dataset())


def test_the_family_is_every_letter_where_it_is_declared():
    assert list(FAMILY) == list("abcdefghijklmnop")
    for letter, name in FAMILY.items():
        assert letter in {claim.name for claim in experiments.find(name).claims}


def test_claims_are_corrected_for_all_letters_however_few_are_given():
    clear, barely = held(1e-4), held(0.35)
    assert (clear.verdict, barely.verdict) == (HOLDS, HOLDS)
    found = corrected({("p1_fig9", "f"): clear, ("p2_fig2", "g"): barely, ("p2_fig2", "h, top 4"): clear})
    assert found["f"] == pytest.approx(16 * clear.p)
    assert found["g"] == pytest.approx(min(1.0, 15 * barely.p))
    assert {p for letter, p in found.items() if letter not in "fg"} == {1.0}
    lines = table({("p1_fig9", "f"): clear, ("p2_fig2", "g"): barely}).splitlines()
    assert lines[0].startswith("(f) p = ")
    assert lines[0].endswith(" among all 16: holds after correction")
    assert lines[1].endswith(" among all 16: does not hold after correction")


def test_what_does_not_hold_has_no_small_p():
    fails = judge(
        Claim("z", "s", "p", lambda _: [compare("w", over_seeds([1.0, 1.0, 1.1]), upper=0.0)], "d"), xr.Dataset()
    )
    assert fails.verdict == FAILS
    assert corrected({("p1_fig9", "f"): fails})["f"] == 1.0


@pytest.mark.parametrize("name", experiments.names())
def test_every_test_says_what_it_quotes_measures_and_is_told_from(name):
    for claim in experiments.find(name).claims:
        parts = described(claim.test)
        assert list(parts) == list(PARTS)
        assert all(len(words) > 1 for words in parts.values())
        ours = claim.source.startswith("a question of this project")
        assert '"' in parts["Quote"] or parts["Quote"].startswith("none" if ours else "as (")


def test_catalog_describes_each_test_once():
    def test(results):
        """(z) Something [source].

        Quote: "words:
        more".
        Statistic: B: a mean, C: another.
        Baseline: none.
        Refuted by: the opposite.
        """

    parts = described(functools.partial(test, results=None))
    assert parts["Quote"] == '"words: more".'
    assert parts["Statistic"] == "B: a mean, C: another."
    text = markdown({"one": [Claim("z", "s", "p", test, "d")], "two": [Claim("z, again", "s", "p", test, "d")]})
    assert text.count('* **Quote**: "words: more".') == 1
    with pytest.raises(ValueError, match="has no 'Quote'"):
        described(lambda results: None)
