"""All verdicts in one picture: how far the number that decides each claim is from the limit that the claim sets."""

import math
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from diffgeo import claims
from diffgeo.errors import require
from diffgeo.plots import style

FARTHEST = 6.0
"""Half widths of an interval from which on a number is drawn at the edge."""

LOOKS = {
    claims.HOLDS: (style.OKABE_ITO["blue"], "o", style.OKABE_ITO["blue"]),
    claims.FAILS: (style.OKABE_ITO["vermillion"], "X", style.OKABE_ITO["vermillion"]),
    claims.UNDECIDED: (style.NEUTRAL, "o", "white"),
}
"""Verdict -> color, marker, and the color that fills it."""


def distance(comparison: claims.Comparison) -> float:
    """Return how far a value is inside of the range its claim wants, in half widths of its 95 % interval.

    Over 1 it holds by itself, under -1 it fails; negative outside of the range. NaN without a value or an interval.
    """
    half = (comparison.high - comparison.low) / 2
    if math.isnan(comparison.value) or not math.isfinite(half) or half <= 0:
        return math.nan
    inside = [comparison.value - comparison.lower, comparison.upper - comparison.value]
    return min(each for each in inside if math.isfinite(each)) / half


def deciding(verdict: claims.Verdict) -> claims.Comparison | None:
    """Return the primary comparison that is the least inside of its range.

    None if one has no interval, on which the claim depends as well, unless it fails by the others.
    """
    primary = [one for one in verdict.comparisons if one.role == claims.PRIMARY]
    known = [one for one in primary if not math.isnan(distance(one))]
    if len(known) < len(primary) and verdict.verdict != claims.FAILS:
        return None
    return min(known, key=distance, default=None)


@style.styled
def verdict_forest(judged: Mapping[str, Sequence[claims.Verdict]]) -> Figure:
    """Draw a row for each claim: its deciding number with its interval, from the limit, which is the vertical line.

    All intervals are as wide as each other then: a number to the right of the line by more than a half width is as the
    claim says, to the left by more it is not. A claim holds if all its numbers do, and every baseline and
    precondition: a filled marker says that it does.

    Args:
      judged: name of a run -> its verdicts.

    Raises:
      UserError: for no verdict at all.
    """
    rows = [(name, verdict) for name, verdicts in judged.items() for verdict in verdicts]
    rows.sort(key=lambda row: (row[1].claim.name, row[0]))
    require(bool(rows), "there is no verdict to draw: the runs have no claims")
    figure = style.new_figure(style.WIDTH, 0.9 + 0.27 * len(rows))
    ax = figure.subplots()
    ax.axvline(0.0, color=style.GUIDE_COLOR, linewidth=1.0)
    for at, (_, verdict) in enumerate(rows):
        comparison = deciding(verdict)
        color, marker, fill = LOOKS[verdict.verdict]
        if comparison is None:
            ax.text(0.15, at, "no interval", va="center", color=style.NEUTRAL, fontsize=8)
            continue
        middle = max(-FARTHEST, min(FARTHEST, distance(comparison)))
        ax.plot([middle - 1, middle + 1], [at, at], color=color, linewidth=1.6)
        ax.plot([middle], [at], marker=marker, markersize=6, color=color, markerfacecolor=fill)
    ax.set_yticks(range(len(rows)), [_label(name, verdict) for name, verdict in rows], fontsize=8)
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlim(-FARTHEST - 1.3, FARTHEST + 1.3)
    ax.set_xlabel("distance from the claim's limit (half widths of the 95 % interval); right: as the claim says")
    for verdict, (color, marker, fill) in LOOKS.items():
        ax.plot([], [], marker=marker, color=color, markerfacecolor=fill, label=verdict)
    ax.legend(loc="lower right", fontsize=8)
    style.open_frame(ax)
    figure.suptitle("The number that decides each claim, against its limit")
    return figure


def _label(name: str, verdict: claims.Verdict) -> str:
    comparison = deciding(verdict)
    seeds = f", {comparison.seeds} seeds" if comparison is not None else ""
    return f"({verdict.claim.name}) {name}{seeds}"
