"""The table of docs/betti.md: how often the rule of `barcodes` reads the Betti numbers of clouds that are known.

    python -m tests.support.betti_table

Half an hour on a core; the slow tests of tests/representation/test_barcodes.py hold its first column to 99 of 100.
"""

from collections import Counter

from diffgeo.representation import persistence
from tests.support.ideal_clouds import SHAPES, Cloud, shapeless

DRAWS = 100
FEWER = 30
"""Draws at noise beyond what must be right."""
MUST = 0.12
LEVELS = (0.06, 0.15, 0.2)
UNRESOLVED = ("3-D torus, R = 2 r", "3-D torus, R = 3 r")
"""At 16 x 16 points their outer circle has gaps as wide as the tube."""


def simulate(cloud: Cloud, noise: float, draws: int = DRAWS) -> Counter:
    """Return how often each vector of Betti numbers was read, of the draws with seeds 0, 1, ..."""
    return Counter(persistence(cloud.draw(noise, seed)).betti for seed in range(draws))


def false_holes(cloud: Cloud, read: Counter) -> int:
    """Return the draws in which a hole was read that is not there."""
    return sum(
        count
        for betti, count in read.items()
        if any(number > true for number, true in zip(betti[1:], cloud.betti[1:], strict=True))
    )


def row(name: str, cloud: Cloud, noise: float, draws: int) -> str:
    """Return a row of the table."""
    read = simulate(cloud, noise, draws)
    others = "; ".join(f"{betti} {count}" for betti, count in read.most_common() if betti != cloud.betti)
    numbers = f"{read[cloud.betti]} of {draws} | {false_holes(cloud, read)}"
    return f"| {name} | {cloud.betti} | {noise:g} | {numbers} | {others or '-'} |"


def main() -> None:
    """Print the table."""
    print("| cloud | Betti numbers | noise | right | false holes | read instead |\n|---|---|---|---|---|---|")
    for name, cloud in SHAPES.items():
        for noise, draws in ((MUST, DRAWS), *((level, FEWER) for level in LEVELS)):
            print(row(name, cloud, noise, draws), flush=True)
    for name, cloud in shapeless().items():
        print(row(name, cloud, 0.0, DRAWS), flush=True)


if __name__ == "__main__":
    main()
