"""The map from the papers' figures to experiments: every panel of 2402.03305, Fig. 1-9, and 2408.13256, Fig. 1-15."""

from typing import NamedTuple

P1, P2 = "2402.03305", "2408.13256"


class Panel(NamedTuple):
    """A panel of a paper's figure, or several that one plot shows.

    Attributes:
      paper: arXiv number.
      figure: number and panels, "4c-e" for instance.
      plots: (experiment, plot) of each picture that shows it; none for what is drawn nowhere.
      claims: letters of the claims that are tested on it, by the experiments of `plots`.
      note: what it is, if no plot shows it.
    """

    paper: str
    figure: str
    plots: tuple[tuple[str, str], ...] = ()
    claims: str = ""
    note: str = ""


def _panel(paper: str, figure: str, experiment: str, *plots: str, claims: str = "") -> Panel:
    return Panel(paper, figure, tuple((experiment, plot) for plot in plots), claims)


def _schematic(paper: str, figure: str, words: str) -> Panel:
    return Panel(paper, figure, note=f"schematic: {words}")


PANELS = (
    _panel(P1, "1", "examples", "p1_fig1"),
    _panel(P1, "2", "examples", "p1_fig2"),
    _panel(P1, "3", "p1_fig3", "phases", "umaps", "web", claims="ab"),
    _panel(P1, "4a", "p1_fig4", "phase_diagram", "learning_curves", claims="bc"),
    _panel(P1, "4b", "p1_fig4", "phase_diagram_r2", claims="b"),
    _panel(P1, "5", "p1_fig5", "coordinates", claims="d"),
    _panel(P1, "6", "examples", "p1_fig6"),
    _schematic(P1, "7a", "overlap of two bumps"),
    _panel(P1, "7b", "p1_fig7", "overlap"),
    _panel(P1, "8", "p1_fig8", "accuracy", "r2", claims="e"),
    _panel(P1, "9", "p1_fig9", "accuracy", "r2", "held_out_samples", claims="f"),
    _panel(P2, "1", "examples", "p2_fig1"),
    _panel(P2, "2a", "p2_fig2", "fig2a"),
    _panel(P2, "2b", "p2_fig2", "fig2b", claims="g"),
    _panel(P2, "2c", "p2_fig2", "fig2c", claims="h"),
    _panel(P2, "2d", "p2_fig2", "fig2d"),
    _panel(P2, "2e-g", "p2_fig2", "fig2efg", "fig2_controls"),
    _panel(P2, "3", "p2_fig2", "fig3_literal", "fig3", claims="i"),
    _panel(P2, "4a-b", "latents", "p2_fig4ab"),
    _panel(P2, "4c-e", "p2_fig4", "fig4cde", claims="jk"),
    _panel(P2, "4f", "p2_fig4", "fig4f"),
    _panel(P2, "4g", "p2_fig4g", "fig4g", claims="k"),
    _panel(P2, "5a-b", "p2_fig5", "fig5ab"),
    _panel(P2, "5c", "p2_fig5", "fig5c", claims="n"),
    _schematic(P2, "6a", "percolation of overlapping bumps"),
    _panel(P2, "6b", "p1_fig7", "overlap"),
    Panel(P2, "6c", (("percolation", "p2_fig6c"), ("p2_fig6", "fig6ce"))),
    _panel(P2, "6d", "p2_fig6", "fig6d"),
    _panel(P2, "6e", "p2_fig6", "fig6ce", claims="p"),
    _panel(P2, "7", "examples", "p1_fig6"),
    _panel(P2, "8", "p2_fig2", "fig8", claims="i"),
    _panel(P2, "9a-d", "examples", "p2_fig9abcd"),
    _panel(P2, "9e-h", "latents", "p2_fig9efgh"),
    _panel(P2, "10a, d", "latents", "p2_fig10ad"),
    _panel(P2, "10b, e", "p2_fig4", "fig10be", claims="l"),
    _panel(P2, "10c, f", "p2_fig4", "fig10cf", claims="l"),
    _panel(P2, "11a", "latents", "p2_fig11a_12ab"),
    _panel(P2, "11b", "p2_fig11", "fig11b", claims="m"),
    _panel(P2, "11c", "p2_fig11", "fig11c", claims="m"),
    _panel(P2, "12a-b", "latents", "p2_fig11a_12ab"),
    _panel(P2, "12c-d", "p2_fig12", "fig12cd", claims="o"),
    _panel(P2, "12e-f", "p2_fig12", "fig12ef", claims="o"),
    _panel(P2, "13", "percolation", "p2_fig13"),
    _panel(P2, "14a", "latents", "p2_fig14a"),
    Panel(P2, "14b", (("percolation", "p2_fig14b"), ("p2_fig6", "fig14b_trained"))),
    _panel(P2, "14c", "p2_fig6", "fig14c", claims="p"),
    _panel(P2, "15", "p2_fig6", "fig15"),
)
"""Every panel, in the papers' order."""
