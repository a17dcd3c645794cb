# pyright: strict
"""Verdicts of a run's claims, as a notebook shows them."""

from collections.abc import Iterable

from diffgeo import claims


class Verdicts(tuple[claims.Verdict, ...]):
    """Verdicts in the order of the experiment's claims; prints as a table, each with the numbers that it rests on.

    Attributes:
      statement: what the experiment claims, in words.
    """

    statement: str

    def __new__(cls, statement: str, verdicts: Iterable[claims.Verdict]) -> "Verdicts":
        self = super().__new__(cls, verdicts)
        self.statement = statement
        return self

    def __repr__(self) -> str:
        return claims.table(self) if self else f"no claim to check: {self.statement}"
