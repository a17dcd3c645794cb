"""Bytes that a run takes on disk: which of its checkpoints stay, and whether they fit."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from diffgeo.errors import UserError

KEEPS = ("all", "last", "every:K", "analysis")
"""Parameters that stay once their evaluation is recorded: all of them, with the two newest training states; those of
the last evaluation; of every K-th and the last; of the first and the last, the untrained and the trained network that
the analyses compare."""

ALL, LAST, EVERY = "all", "last", "every"
KEPT_STATES = 2
"""Newest training states that stay while a wave trains; with `ALL`, after it, too."""

ROOM = 30e9
"""Bytes of checkpoints up to which a run keeps all of them by default."""

COMPRESSED = 0.82
"""Share of checkpoints' bytes that compression leaves: signs and exponents of float32 shrink, fractions do not.

Measured on the smallest network: 0.81 of a run that keeps all; 0.80 of untrained parameters, 0.95 to 1 of trained ones
(the files' own bytes count there), 0.71 to 0.73 of states, whose moments are of few magnitudes."""


def kept_steps(keep: str, steps: Sequence[int]) -> list[int]:
    """Return the evaluation steps whose parameters stay.

    Args:
      keep: one of `KEEPS`, with a number in place of K.
      steps: of all evaluations, ascending.

    Raises:
      UserError: for any other `keep`.
    """
    every = re.fullmatch(r"every:([1-9]\d*)", keep)
    if every:
        return sorted({*steps[:: int(every[1])], steps[-1]})
    kept = {ALL: list(steps), LAST: [steps[-1]], "analysis": sorted({steps[0], steps[-1]})}
    if keep not in kept:
        raise UserError(f"unknown --keep={keep}: choose one of {', '.join(KEEPS)}, with a number for K")
    return kept[keep]


def finished_bytes(keep: str, steps: Sequence[int], params: int, state: int) -> int:
    """Return the bytes of a finished run's checkpoints, from those of all members' parameters and of their states."""
    states = min(KEPT_STATES, len(steps)) * state if keep == ALL else 0
    return len(kept_steps(keep, steps)) * params + states


def default_keep(steps: Sequence[int], params: int, state: int) -> str:
    """Return `ALL` if all checkpoints take at most `ROOM`, else `LAST`; arguments as of `finished_bytes`."""
    return ALL if finished_bytes(ALL, steps, params, state) <= ROOM else LAST


class Storage(NamedTuple):
    """Bytes on disk, before compression, which leaves about `COMPRESSED` of checkpoints.

    Attributes:
      keep: one of `KEEPS`.
      checkpoints: of the finished run.
      training: the most at any time: those that stay, states of the wave that trains, and the one being written.
      results: of all results.
    """

    keep: str
    checkpoints: int
    training: int
    results: int

    def __str__(self):
        return (
            f"about {gigabytes(COMPRESSED * self.checkpoints)} of checkpoints (--keep={self.keep}), "
            f"up to {gigabytes(self.training)} while it trains, and up to {gigabytes(self.results)} of results"
        )


def gigabytes(count: float) -> str:
    """Return bytes in words, in the unit that leaves one to three digits before the point."""
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"
