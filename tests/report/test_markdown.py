"""Tables of Markdown pages: written from summaries, and nothing else on the page touched."""

import re
from pathlib import Path

import pytest

from diffgeo import claims, report
from diffgeo.declared import experiments
from diffgeo.errors import UserError
from diffgeo.report import markdown

GALLERY = Path("experiments/gallery").resolve()
PAGE = """# Ours

Before.

<!-- {block} -->
| old |
<!-- end -->

After, with | and <!-- a comment -->.
"""


def page(block: str) -> str:
    """Return the table that a block is replaced by."""
    text = PAGE.format(block=block)
    new = markdown.rewritten(text, GALLERY, experiments.of_run)
    head, tail = f"<!-- {block} -->\n", "<!-- end -->"
    assert new.partition(head)[0] == text.partition(head)[0]
    assert new.partition(tail)[2] == text.partition(tail)[2]
    assert markdown.rewritten(new, GALLERY, experiments.of_run) == new
    return new.partition(head)[2].partition(tail)[0]


def test_verdicts_have_every_number_of_the_report_and_where_it_comes_from():
    table = page("verdicts p2_fig4.zip")
    results, _ = report.load(GALLERY / "p2_fig4.zip")
    for claim in experiments.find("p2_fig4").claims:
        verdict = claims.judge(claim, results)
        assert f"| ({claim.name}) | {claim.statement} |  | **{verdict.verdict}**" in table
        for each in verdict.comparisons:
            assert f"| {each.wanted} | {claims.numbers(each)} |" in table
    assert "rule | | younger than the run |" in table.replace("|  |", "| |")
    assert f"commit {results.attrs['commit']}" in table
    assert results.attrs["command"] in table
    widths = {line.count("|") for line in table.splitlines() if line.startswith("|")}
    assert widths == {5}


def test_a_second_run_has_a_column_of_its_own():
    table = page("verdicts p1_fig4.zip p1_fig4_earlier.zip")
    assert table.splitlines()[0] == "| claim | number | wanted | p1_fig4 | p1_fig4_earlier |"
    last = next(line for line in table.splitlines() if "last accuracy (precondition)" in line).split(" | ")
    assert last[3] != last[4].removesuffix(" |")


def test_two_experiments_are_not_two_runs_of_one():
    with pytest.raises(UserError, match="two experiments"):
        page("verdicts p1_fig4.zip p1_fig9.zip")


def test_the_family_has_every_letter_and_holm_counts_those_that_were_not_run():
    table = page("family p1_fig9.zip")
    rows = [line.split(" | ") for line in table.splitlines()[2:]]
    assert [row[0] for row in rows] == [f"| ({letter})" for letter in "abcdefghijklmnop"]
    verdict = claims.judge(experiments.find("p1_fig9").claims[0], report.load(GALLERY / "p1_fig9.zip")[0])
    held = rows["abcdef".index("f")]
    assert (held[3], held[4]) == (f"**{verdict.verdict}**", f"{verdict.p:.2g}")
    assert held[5] == f"{16 * verdict.p:.2g} |"
    assert rows[0][3] == "not run"


def test_runs_are_all_that_a_pattern_names_once():
    table = page("runs p1_fig4.zip p1_*.zip examples.zip")
    names = re.findall(r"^\| `(\w+)` ", table, re.MULTILINE)
    assert names == ["p1_fig4", *sorted({path.stem for path in GALLERY.glob("p1_*.zip")} - {"p1_fig4"}), "examples"]
    assert "nothing trained" in table
    assert "steps of 32" in table


def test_a_page_is_replaced_by_a_rename(tmp_path):
    path = tmp_path / "ours.md"
    path.write_text(PAGE.format(block="runs p1.zip"))
    (tmp_path / "p1.zip").write_bytes((GALLERY / "p1_fig9.zip").read_bytes())
    assert markdown.write_page(path, experiments.of_run) == path
    assert "`p1`" in path.read_text()
    assert sorted(found.name for found in tmp_path.iterdir()) == ["ours.md", "p1.zip"]


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("<!-- verdicts p1_fig4.zip -->\n", "no line '<!-- end -->'"),
        ("<!-- runs a.zip -->\n<!-- runs p1_fig4.zip -->\n<!-- end -->\n", "no line|no summary"),
        (PAGE.format(block="verdicts nowhere.zip"), "no summary 'nowhere.zip'"),
        (PAGE.format(block="runs ../README.md"), "is not a summary"),
    ],
)
def test_what_cannot_be_written_is_refused(text, match):
    with pytest.raises(UserError, match=match):
        markdown.rewritten(text, GALLERY, experiments.of_run)


def test_other_files_and_missing_ones_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"must end in \.md"):
        markdown.write_page(tmp_path / "page.txt", experiments.of_run)
    with pytest.raises(UserError, match="no page"):
        markdown.write_page(tmp_path / "page.md", experiments.of_run)
