"""docs/claims.md: the claims on it are those of the code, and its examples run."""

import experiments
from diffgeo.claims import catalog
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
