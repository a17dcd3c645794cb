"""The table of docs/betti.md: how often the rule of `barcodes` reads the Betti numbers of clouds that are known.

    python -m tests.support.betti_table 16
    python -m tests.support.betti_table 32

print the rows of clouds of 16 x 16 and of 32 x 32 points. The slow tests of tests/representation/test_barcodes.py hold
those at noise 0.12 to 99 of 100.
"""

import sys
from collections import Counter
from collections.abc import Iterator
from typing import NamedTuple

from diffgeo.representation import persistence
from tests.support.ideal_clouds import SHAPES, SIDE, Cloud, shapeless

DRAWS = 100
FEWER = 30
"""Draws of shapes at other noise than that at which they must be right."""
MUST = 0.12
LEVELS = (0.06, MUST, 0.15, 0.2)
UNRESOLVED = ("3-D torus, R = 2 r", "3-D torus, R = 3 r")
"""At 16 x 16 points their outer circle has gaps as wide as the tube."""
PLANES = ("plane", "plane, uneven")
LARGE = ("Clifford torus", *UNRESOLVED, "plane")
"""Shapes of which clouds of 32 x 32 points are drawn, beside noise alone."""


class Case(NamedTuple):
    """A row of the table: a cloud, its noise, and how many draws of how many points on a side."""

    name: str
    cloud: Cloud
    noise: float
    draws: int
    side: int


def cases(side: int) -> Iterator[Case]:
    """Yield the rows of clouds of `side` x `side` points: 100 draws of what must be right or show no hole."""
    for name, cloud in SHAPES.items():
        if side > SIDE and name not in LARGE:
            continue
        for noise in LEVELS if side == SIDE else LEVELS[:2]:
            draws = DRAWS if noise == MUST or (name in PLANES and noise < MUST) else FEWER
            yield Case(name, cloud, noise, draws, side)
    for name, cloud in shapeless().items():
        yield Case(name, cloud, 0.0, DRAWS, side)


def simulate(cloud: Cloud, noise: float, draws: int = DRAWS, side: int = SIDE) -> Counter:
    """Return how often each vector of Betti numbers was read, of the draws with seeds 0, 1, ..."""
    return Counter(persistence(cloud.draw(noise, seed, side)).betti for seed in range(draws))


def false_holes(cloud: Cloud, read: Counter) -> int:
    """Return the draws in which a hole was read that is not there."""
    return sum(
        count
        for betti, count in read.items()
        if any(number > true for number, true in zip(betti[1:], cloud.betti[1:], strict=True))
    )


def row(case: Case) -> str:
    """Return a row of the table."""
    read = simulate(case.cloud, case.noise, case.draws, case.side)
    true = case.cloud.betti
    others = "; ".join(f"{_words(betti)}: {count}" for betti, count in read.most_common() if betti != true)
    numbers = f"{read[true]} of {case.draws} | {false_holes(case.cloud, read)}"
    return f"| {case.name} | {_words(true)} | {case.noise or '-'} | {numbers} | {others or '-'} |"


def _words(betti: tuple[int, ...]) -> str:
    return ", ".join(map(str, betti))


def main(side: int) -> None:
    """Print the table of clouds of `side` x `side` points."""
    print("| cloud | Betti numbers | noise | right | false holes | read instead |\n|---|---|---|---|---|---|")
    for case in cases(side):
        print(row(case), flush=True)


if __name__ == "__main__":
    main(int(sys.argv[1]))
