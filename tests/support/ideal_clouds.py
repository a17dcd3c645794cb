"""Clouds whose Betti numbers are known, on which rules that read persistence diagrams are compared.

A cloud is drawn at a noise level: the standard deviation per coordinate over the cloud's smallest radius. Noise lies in
the coordinates of the shape alone. All have `SIDE`^2 points by default, as many as a grid of labels at N = 16.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from diffgeo import report
from diffgeo.representation import clifford_torus, torus_3d

SIDE = 16
TORUS, PLANE, CYLINDER, SPHERE = (1, 2, 1), (1, 0, 0), (1, 1, 0), (1, 0, 1)
GALLERY = "experiments/gallery/p2_fig2.zip"


class Cloud(NamedTuple):
    """A shape: its Betti numbers, its smallest radius, and its points for (side, generator)."""

    betti: tuple[int, int, int]
    radius: float
    points: Callable[[int, np.random.Generator], np.ndarray]

    def draw(self, noise: float, seed: int, side: int = SIDE) -> np.ndarray:
        """Return the points, with noise of this share of the radius."""
        rng = np.random.default_rng([seed, round(1e4 * noise)])
        points = self.points(side, rng)
        return points + noise * self.radius * rng.normal(size=points.shape)


def _grid(side: int) -> np.ndarray:
    """Return the unit square's lattice, [side^2, 2]."""
    return np.stack(np.meshgrid(np.arange(side), np.arange(side), indexing="ij"), axis=-1).reshape(-1, 2) / side


def _angles(turns: np.ndarray, radii: tuple[float, float] = (1.0, 1.0)) -> np.ndarray:
    """Return a product of two circles at [n, 2] shares of a turn."""
    a, b = 2 * np.pi * turns.T
    return np.stack([radii[0] * np.cos(a), radii[0] * np.sin(a), radii[1] * np.cos(b), radii[1] * np.sin(b)], axis=-1)


def _uneven(turns: np.ndarray) -> np.ndarray:
    """Return shares of a turn three times as dense at 1/2 as at 0."""
    return turns + 0.5 * np.sin(2 * np.pi * turns) / (2 * np.pi)


def _cylinder(side: int) -> np.ndarray:
    turns, height = _grid(side).T
    return np.stack([np.cos(2 * np.pi * turns), np.sin(2 * np.pi * turns), 2 * height - 1], axis=-1)


def _sphere(number: int) -> np.ndarray:
    """Return Fibonacci's lattice."""
    index = np.arange(number) + 0.5
    z, turn = 1 - 2 * index / number, np.pi * (1 + np.sqrt(5)) * index
    return np.stack([np.sqrt(1 - z * z) * np.cos(turn), np.sqrt(1 - z * z) * np.sin(turn), z], axis=-1)


def spectrum(step: int) -> np.ndarray:
    """Return the variances of layer 4's first 64 components: mean of the seeds of the gallery's run of Fig. 2.

    Args:
      step: 0 for the untrained network, -1 for the last evaluation.
    """
    results, _ = report.load(GALLERY)
    return results["spectrum"].isel(step=step).sel(tensor="layer4").mean("seed").values.astype(np.float64)


def gaussian(variances: np.ndarray) -> Cloud:
    """Return noise with these variances along its axes, which has no shape."""
    return Cloud(PLANE, 1.0, lambda side, rng: np.sqrt(variances) * rng.normal(size=(side**2, len(variances))))


SHAPES = {
    "Clifford torus": Cloud(TORUS, 1.0, lambda side, _: clifford_torus(side, side)),
    "Clifford torus, radii 1 and 0.7": Cloud(TORUS, 0.7, lambda side, _: _angles(_grid(side), (1.0, 0.7))),
    "Clifford torus, radii 1 and 0.5": Cloud(TORUS, 0.5, lambda side, _: _angles(_grid(side), (1.0, 0.5))),
    "Clifford torus, uneven": Cloud(TORUS, 1.0, lambda side, _: _angles(_uneven(_grid(side)))),
    "Clifford torus, points at random": Cloud(TORUS, 1.0, lambda side, rng: _angles(rng.random((side**2, 2)))),
    "3-D torus, R = 2 r": Cloud(TORUS, 1.0, lambda side, _: torus_3d(side, side)),
    "3-D torus, R = 3 r": Cloud(TORUS, 1.0, lambda side, _: torus_3d(side, side, 3.0)),
    "plane": Cloud(PLANE, 1.0, lambda side, _: 2 * _grid(side)),
    "plane, uneven": Cloud(PLANE, 1.0, lambda side, _: 2 * _uneven(_grid(side))),
    "plane, points at random": Cloud(PLANE, 1.0, lambda side, rng: 2 * rng.random((side**2, 2))),
    "cylinder": Cloud(CYLINDER, 1.0, lambda side, _: _cylinder(side)),
    "sphere": Cloud(SPHERE, 1.0, lambda side, _: _sphere(side**2)),
}
"""Shapes to which noise is added."""


def shapeless() -> dict[str, Cloud]:
    """Return clouds of noise alone; the spectra are those of a trained and of an untrained network."""
    return {
        "noise in 2 dimensions": gaussian(np.ones(2)),
        "noise in 3 dimensions": gaussian(np.ones(3)),
        "noise in 5 dimensions": gaussian(np.ones(5)),
        "noise in 20 dimensions": gaussian(np.ones(20)),
        "noise, trained network's spectrum": gaussian(spectrum(-1)),
        "noise, untrained network's spectrum": gaussian(spectrum(0)),
    }
