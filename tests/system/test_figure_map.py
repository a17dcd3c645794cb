"""The map from the papers' panels to experiments is complete, and what it names is there."""

import re

import pytest

import experiments
from experiments import PANELS
from launch import list as listed

FIGURES = {"2402.03305": 9, "2408.13256": 15}
LETTERS = {"2402.03305": "abcdef", "2408.13256": "ghijklmnop"}


@pytest.mark.parametrize("paper", FIGURES)
def test_every_figure_and_claim_of_a_paper_is_in_the_map(paper):
    own = [panel for panel in PANELS if panel.paper == paper]
    numbers = [int(re.match(r"\d+", panel.figure)[0]) for panel in own]
    assert numbers == sorted(numbers)
    assert set(numbers) == set(range(1, FIGURES[paper] + 1))
    assert set("".join(panel.claims for panel in own)) == set(LETTERS[paper])
    assert len({panel.figure for panel in own}) == len(own)


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: f"{panel.paper}-{panel.figure}")
def test_what_a_panel_names_is_there(panel):
    for name, plot in panel.plots:
        assert plot in {each.name for each in experiments.find(name).plots}
    tested = {claim.name[0] for name, _ in panel.plots for claim in experiments.find(name).claims}
    assert set(panel.claims) <= tested
    assert panel.plots or panel.note.startswith("schematic: ")


def test_every_picture_named_after_a_figure_is_in_the_map():
    shown = {shown for panel in PANELS for shown in panel.plots}
    for name in experiments.names():
        for plot in experiments.find(name).plots:
            if re.match(r"(p[12]_)?fig\d", plot.name) and not plot.name.endswith("_lower"):
                assert (name, plot.name) in shown


def test_the_table_has_a_row_for_each_panel():
    _, _, *rows = listed.figure_map(PANELS, experiments.find).splitlines()
    assert len(rows) == len(PANELS)
    row = next(row for row in rows if "2408.13256 Fig. 4g " in row)
    assert "`runs/p2_fig4g/figures/fig4g.png`" in row
    assert "`python -m launch.train --experiment=p2_fig4g --preset=laptop --workdir=runs/p2_fig4g`" in row
    assert row.endswith("| (k) |")
    assert "schematic" in next(row for row in rows if "2402.03305 Fig. 7a " in row)
