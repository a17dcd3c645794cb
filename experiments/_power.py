"""What decides each claim at `laptop`: the smallest effect of interest, the spread between seeds, the seeds, the cost.

Spreads are those of the runs of version 0.1 (gallery, judged again by today's rules). An effect is a distance from the
limit of a comparison, in the comparison's own unit: half of a margin where a paper says that two things are alike, else
what the paper's sentence or figure would look like at its weakest. `launch.list --power` makes the table of
docs/claims.md.
"""

from collections.abc import Collection
from typing import NamedTuple

from diffgeo.claims.family import FAMILY
from diffgeo.claims.intervals import LEVEL, power, seeds_needed

FIRST_STEP = (1 - LEVEL) / len(FAMILY)
"""Level of the first step of Holm's method over all letters."""

MOST = 99
"""Seeds beyond which a number counts as out of reach."""


class Number(NamedTuple):
    """A number that a claim depends on.

    Attributes:
      claim: its name.
      number: what is compared with which limit.
      effect: smallest distance from the limit that is of interest.
      spread: standard deviation between seeds; None where no run has measured it.
      why: reason of the effect.
      accelerator: whether two cores cannot decide it.
    """

    claim: str
    number: str
    effect: float
    spread: float | None
    why: str
    accelerator: bool = False


class Design(NamedTuple):
    """Seeds of the `laptop` run that decides, minutes of one of them on two cores, and the numbers it decides by."""

    seeds: int
    minutes: float
    numbers: tuple[Number, ...]


HALF = "half of the margin"

DESIGNS = {
    "p1_fig3": Design(
        5,
        2.9,
        (
            Number("a", "log T50, right less single bumps, > 0", 0.4, 0.24, "B half as long again as A"),
            Number("a", "pairs of evaluations in order, > 0.9", 0.05, 0.017, "19 of 20 pairs"),
            Number("a, disordered B", "R^2 in phase B, < 0.5", 0.3, 0.26, "R^2 of 0.2 or of 0.8"),
            Number("b", "log T50 of R^2 less that of accuracy, within log 2", 0.35, 0.68, HALF),
        ),
    ),
    "p1_fig4": Design(
        5,
        7,
        (
            Number("b", "log T50 of R^2 less that of accuracy, within log 2", 0.35, 0.32, HALF),
            Number("c", "slope of log T50 on log increment, > 0.1", 0.1, 0.035, "none, or T50 1.6 times at d = 1"),
        ),
    ),
    "p1_fig5": Design(
        5,
        9,
        (
            Number("d", "probe R^2 of x less y, < 0.05", 0.025, 0.002, HALF),
            Number("d", "accuracy of x less y, < 0.05", 0.025, 0.015, HALF),
            Number("d, y ahead", "accuracy of y less x, > 0.02", 0.02, 0.015, "none, or 0.04"),
        ),
    ),
    "p1_fig8": Design(
        5,
        21,
        (
            Number("e", "difference of T50 over 320,000 steps, within 0.1", 0.05, 0.001, HALF),
            Number("e, in speed", "slope of log T50 on log sigma, within 0.5", 0.25, None, HALF),
        ),
    ),
    "p1_fig9": Design(5, 7, (Number("f", "accuracy, smallest hole less the largest, < 0.15", 0.075, 0.024, HALF),)),
    "p2_fig2": Design(
        8,
        12,
        (
            Number("g", "log length of the second bar of H1, > 0.59", 0.05, 0.10, "a ratio of 1.9, not 1.8", True),
            Number("g", "gap behind the first bar of H2, > 0.15", 0.1, 0.03, "a gap of 0.25"),
            Number("h", "log of highest over first dimension, > 0.1", 0.6, 0.52, "it doubles"),
            Number("h", "log of highest over last dimension, > 0.1", 0.6, None, "it halves", True),
            Number("h, top 4", "share of the first four, last less middle, > 0", 0.1, 0.055, "seen by eye in Fig. 2d"),
            Number("i", "contrast of angles (degrees), > 0", 3.0, 1.3, "that of the true images"),
            Number("i", "the same less that of the true images, > 0", 2.0, 1.3, "half as much again"),
        ),
    ),
    "p2_fig4": Design(
        5,
        28,
        (
            Number("j", "logit of the unseen coordinate, < 0", 1.4, 5.5, "accuracy 0.2", True),
            Number("k", "logit of each coordinate, > 0", 1.4, 0.7, "accuracy 0.8; spread of one label in 24"),
            Number("l", "logit of both, 1D model, < -0.85", 1.3, 0.2, "accuracy 0.1"),
            Number("l", "accuracy of both, 1D with rim less 1D, > 0.2", 0.3, 0.086, "a gain of a half"),
            Number("l, as good", "accuracy, 1D with rim less 2D + 1D, > -0.05", 0.05, 0.08, "equal, or 0.1 less"),
        ),
    ),
    "p2_fig4g": Design(
        5, 35, (Number("k, few bumps", "accuracy, most bumps less a quarter, within 0.15", 0.075, 0.043, HALF),)
    ),
    "p2_fig5": Design(
        10,
        50,
        (
            Number("n", "exponent of the bumps alone, 1.5 to 2.5", 0.25, 0.23, HALF),
            Number("n", "exponent of the bumps beside stripes, < 1.5", 0.5, None, "linear"),
        ),
    ),
    "p2_fig6": Design(
        5,
        11,
        (
            Number("p", "accuracy on unseen labels, most data less least, > 0", 0.1, 0.038, "a tenth"),
            Number("p, losses", "variance that a line explains, > 0.9", 0.05, 0.008, "0.85 or 0.95"),
        ),
    ),
    "p2_fig11": Design(
        5,
        35,
        (
            Number("m", "share of the fall in its largest step, < 0.75", 0.1, 0.007, "0.65"),
            Number("m", "accuracy less copying, > 0", 0.1, 0.038, "a tenth"),
            Number("m, disconnected", "slope of the log gap (1 / pixel), > 0", 0.1, 0.028, "it doubles in 7 pixels"),
        ),
    ),
    "p2_fig12": Design(
        10,
        42,
        (
            Number("o", "accuracy, SOS less bumps, inside, > 0", 0.2, 0.19, "a fifth"),
            Number("o", "accuracy of bumps, inside less outside, > 0", 0.2, 0.10, "a fifth"),
            Number("o, decay", "slope on the width, outside less inside, < 0", 0.1, 0.07, "a tenth a pixel"),
        ),
    ),
}


def markdown(chosen: Collection[str] | None = None) -> str:
    """Return the power table: a row a number, with the seeds that find its effect in 9 of 10 runs.

    Args:
      chosen: names of experiments; None for all.
    """
    rows = [
        "| claim, experiment | number, limit | effect | spread | seeds at 5 % | in Holm's first step | planned | why |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, design in DESIGNS.items():
        if chosen is not None and name not in chosen:
            continue
        for each in design.numbers:
            needed = [_needed(each, level) for level in (1 - LEVEL, FIRST_STEP)]
            spread = "not measured" if each.spread is None else f"{each.spread:g}"
            cells = (f"({each.claim}) `{name}`", each.number, f"{each.effect:g}", spread, *needed)
            rows.append(f"| {' | '.join(cells)} | {_planned(design, each)} | {each.why} |")
    return "\n".join(rows)


def _needed(number: Number, level: float) -> str:
    if number.spread is None:
        return "?"
    return str(seeds_needed(number.effect, number.spread, level, most=MOST) or f"over {MOST}")


def _planned(design: Design, number: Number) -> str:
    """Return seeds, their minutes and the power at 5 %."""
    if number.accelerator:
        return "`paper`, an accelerator"
    cost = f"{design.seeds} seeds, {design.seeds * design.minutes:.0f} min"
    return cost if number.spread is None else f"{cost}, {power(number.effect, number.spread, design.seeds):.2f}"
