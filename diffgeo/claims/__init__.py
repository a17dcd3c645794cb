"""Claims of the papers as tests on results, and the statistics behind their verdicts."""

from diffgeo.claims.claim import (
    CONTROL,
    FAILS,
    HOLDS,
    PRECONDITION,
    PRIMARY,
    UNDECIDED,
    Claim,
    Comparison,
    Verdict,
    compare,
    judge,
    numbers,
    table,
    write,
)
from diffgeo.claims.intervals import LEVEL, RESAMPLE, interval

__all__ = [
    "CONTROL",
    "FAILS",
    "HOLDS",
    "LEVEL",
    "PRECONDITION",
    "PRIMARY",
    "RESAMPLE",
    "UNDECIDED",
    "Claim",
    "Comparison",
    "Verdict",
    "compare",
    "interval",
    "judge",
    "numbers",
    "table",
    "write",
]
