"""Made-up results for pictures, and what a drawn figure shows."""

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from diffgeo.plots.curves import MODES

STEPS = np.arange(0, 9) * 1_000


SIDE = 8


INCREMENTS = np.array([0.1, 0.2, 1.0], np.float32)


def make_results(axis="increment", values=INCREMENTS, seeds=(0, 1, 2), kept=4, region=False) -> xr.Dataset:
    """A plausible run: every member learns along a sigmoid of its own."""
    rng = np.random.default_rng(7)
    shape = (len(values), len(seeds), len(STEPS))
    middle = rng.uniform(2_000, 5_000, shape[:2])[..., None]
    correct = rng.uniform(0.8, 1.0, shape[:2])[..., None] / (1 + np.exp((middle - STEPS) / 400))
    no_bump = (1 - correct) / (1 + np.exp((STEPS - 0.5 * middle) / 400))
    several = 0.25 * (1 - correct - no_bump)
    loss = 0.02 + np.exp(-STEPS / 2_000) + rng.uniform(0, 0.01, shape)
    loss[..., 0] = np.nan
    labels = rng.uniform(0, SIDE - 1, (*shape[:2], 30, 2))
    samples = rng.integers(0, 256, (*shape, kept, SIDE, SIDE), dtype=np.uint8)
    axes = (axis, "seed")
    curves = {
        "loss": loss,
        "accuracy": correct,
        "accuracy_x": correct**0.5,
        "correct": correct,
        "no_bump": no_bump,
        "wrong_place": 1 - correct - no_bump - several,
        "several_bumps": several,
    }
    variables = {name: ((*axes, "step"), curve.astype(np.float32)) for name, curve in curves.items()}
    coords = {axis: values, "seed": list(seeds), "step": STEPS, "factor": ["x", "y"]}
    if region:
        scores = np.stack([np.zeros_like(correct), correct], axis=-1).astype(np.float32)
        variables["accuracy"] = ((*axes, "step", "region"), scores)
        coords["region"] = ["held_out", "all"]  # "all" not first: it is found by name
    variables["label"] = ((*axes, "sample", "factor"), labels.astype(np.float32))
    variables["samples"] = ((*axes, "step", "kept", "row", "column"), samples)
    variables["nonfinite_step"] = (axes, np.full(shape[:2], -1))
    return xr.Dataset(variables, coords)


def without_tail(results: xr.Dataset, first: int) -> xr.Dataset:
    """The results as they are while the run goes on: nothing evaluated from the step at that index on."""
    results = results.copy(deep=True)
    for name in ("loss", "accuracy", "accuracy_x", *MODES):
        results[name][{"step": slice(first, None)}] = np.nan
    return results


def draw(figure: Figure) -> Figure:
    figure.draw_without_rendering()
    return figure


def heat_maps(figure: Figure) -> list[np.ndarray]:
    """Data of the panels (the color bar holds no image), NaN where nothing is drawn."""
    return [np.ma.filled(ax.images[0].get_array(), np.nan) for ax in figure.axes if ax.images]


def lines(ax, thick: bool) -> list[np.ndarray]:
    """Curves of an axes: thick ones are means, thin ones members."""
    return [line.get_ydata() for line in ax.lines if (line.get_linewidth() > 1.5) == thick]


def dots_in_images(ax) -> dict[int, np.ndarray]:
    """Position of each red dot in pixels of the image it lies on, by the image's index in drawing order."""
    found = {}
    for dot in np.asarray(ax.collections[0].get_offsets()):
        for place, image in enumerate(ax.images):
            left, right, bottom, top = image.get_extent()
            if left <= dot[0] < right and top <= dot[1] < bottom:
                found[place] = dot - (left, top) - 0.5
    return found
