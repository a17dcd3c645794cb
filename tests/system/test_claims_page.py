"""docs/claims.md: the claims on it are those of the code, and its examples run."""

import experiments
from diffgeo.claims import catalog, family
from tests.support.programs import REPOSITORY

PAGE = (REPOSITORY / "docs/claims.md").read_text()


def test_the_page_has_the_claims_as_the_program_prints_them():
    printed = catalog.markdown({name: experiments.find(name).claims for name in experiments.names()})
    assert PAGE.partition("## The claims\n\n")[2].rstrip() == printed


def test_every_verdict_is_in_the_history():
    history = (REPOSITORY / "docs/verdict-history.md").read_text()
    for name in experiments.names():
        for claim in experiments.find(name).claims:
            assert f"| ({claim.name}) |" in history, claim.name


def test_the_power_table_is_as_printed_and_has_every_letter_of_the_family():
    assert f"\n\n{experiments.power_table()}\n\n" in PAGE
    designed = {(number.claim[0], name) for name, design in experiments.DESIGNS.items() for number in design.numbers}
    assert set(family.FAMILY.items()) <= designed


def test_designs_are_of_claims_that_exist_and_the_presets_have_their_seeds():
    for name in ("p1_fig3", "p1_fig4", "p1_fig9"):  # the presets that are designed for them so far
        assert len(experiments.find(name).settings("laptop").axes["seed"]) == experiments.DESIGNS[name].seeds
    for name, design in experiments.DESIGNS.items():
        known = {claim.name for claim in experiments.find(name).claims}
        assert {number.claim for number in design.numbers} <= known
