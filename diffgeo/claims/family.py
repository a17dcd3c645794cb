"""The family of claims that is corrected together: every lettered claim of both papers at its primary comparison."""

from collections.abc import Mapping

from diffgeo.claims.claim import HOLDS, Verdict
from diffgeo.claims.intervals import holm

FAMILY = {
    "a": "p1_fig3",
    "b": "p1_fig4",
    "c": "p1_fig4",
    "d": "p1_fig5",
    "e": "p1_fig8",
    "f": "p1_fig9",
    "g": "p2_fig2",
    "h": "p2_fig2",
    "i": "p2_fig2",
    "j": "p2_fig4",
    "k": "p2_fig4",
    "l": "p2_fig4",
    "m": "p2_fig11",
    "n": "p2_fig5",
    "o": "p2_fig12",
    "p": "p2_fig6",
}
"""Letter of a claim -> experiment whose run decides it. Variants ("k, few bumps") are not in the family."""


def corrected(verdicts: Mapping[tuple[str, str], Verdict]) -> dict[str, float]:
    """Return Holm's p-value of every letter of `FAMILY`: the chance of one wrong "holds" among all of them is 5 %.

    Args:
      verdicts: (experiment, claim) -> verdict; letters that are missing, or do not hold, count as p = 1.
    """
    found = [verdicts.get((experiment, letter)) for letter, experiment in FAMILY.items()]
    p_values = [verdict.p if verdict is not None and verdict.verdict == HOLDS else 1.0 for verdict in found]
    return dict(zip(FAMILY, holm(p_values), strict=True))


def table(verdicts: Mapping[tuple[str, str], Verdict]) -> str:
    """Return a line for each claim of the family that holds in these runs, with its own p-value and Holm's."""
    lines = []
    for letter, p in corrected(verdicts).items():
        verdict = verdicts.get((FAMILY[letter], letter))
        if verdict is not None and verdict.verdict == HOLDS:
            stands = "holds" if p <= 0.05 else "does not hold"
            lines.append(f"({letter}) p = {verdict.p:.2g}, {p:.2g} among all {len(FAMILY)}: {stands} after correction")
    return "\n".join(lines)
