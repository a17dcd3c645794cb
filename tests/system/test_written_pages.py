"""Pages whose tables are written from the gallery: written again they are the same, and every table is written so."""

import re

import pytest

import experiments
from diffgeo.report import markdown
from tests.support.programs import REPOSITORY

PAGES = ("experiments/README.md", "docs/findings.md")


@pytest.mark.parametrize("page", PAGES)
def test_a_page_written_again_is_the_same(page):
    path = REPOSITORY / page
    text = path.read_text()
    assert markdown.rewritten(text, path.parent, experiments.of_run) == text


@pytest.mark.parametrize("page", PAGES)
def test_no_number_of_a_result_is_typed(page):
    prose = markdown.BLOCK.sub("", (REPOSITORY / page).read_text())
    prose = re.sub(r"!?\[[^\]]*\]\(", "(", prose)  # texts of pictures name settings
    assert re.findall(r"\[-?\d[\d.]*, -?\d[\d.]*\]", prose) == []  # an interval
    assert re.findall(r"(?<![\w.])0\.\d+(?!\.?\d*\.md)", re.sub(r"at most 0\.05|version 0\.1|of 0\.1", "", prose)) == []


def test_every_figure_has_its_verdicts():
    text = (REPOSITORY / PAGES[0]).read_text()
    claimed = [name for name in experiments.names() if experiments.find(name).claims]
    assert [name for name in claimed if f"<!-- verdicts gallery/{name}.zip" not in text] == []
