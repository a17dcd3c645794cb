"""A data set of one's own: a white and a dark bump on gray, four factors; a new axis, the number of training labels.

python -m launch.train --experiment=docs/examples/two_bumps.py --preset=laptop --workdir=runs/two_bumps
"""

from functools import partial

import jax.numpy as jnp
import numpy as np

from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import LAPTOP, TINY, Dataset, Factor, adapt

SIZE, BORDER = 8, 1.0


def table(size, rows):
    return np.random.default_rng(0).uniform(BORDER, size - 1 - BORDER, (int(rows), 4))


def render(labels, size, rows):
    pixels = jnp.arange(size)

    def bump(x, y):
        along_x, along_y = (jnp.exp(-((pixels - u[:, None]) ** 2) / 2) for u in (x, y))
        return along_y[:, :, None] * along_x[:, None, :]

    x1, y1, x2, y2 = labels.T
    return (bump(x1, y1) - bump(x2, y2))[..., None]


def read(images, rows):
    """Center of mass of what is lighter than gray, and of what is darker."""
    signed = images / 127.5 - 1
    pixels = np.arange(images.shape[1])
    centers = []
    for part in (np.maximum(signed - 0.3, 0), np.maximum(-signed - 0.3, 0)):
        mass = part.sum(axis=(1, 2))
        mass = np.where(mass > 0, mass, np.nan)
        centers += [(part.sum(axis=1) * pixels).sum(axis=1) / mass, (part.sum(axis=2) * pixels).sum(axis=1) / mass]
    return np.stack(centers, axis=1)


DATASET = Dataset(
    name="two_bumps",
    factors=[Factor(name, BORDER, SIZE - 1 - BORDER, unit="px") for name in ("x1", "y1", "x2", "y2")],
    table=table,
    render=render,
    read=read,
    regions={"apart": lambda labels: np.hypot(*(labels[:, :2] - labels[:, 2:]).T) > 3},
    parameters={"rows": 4096},
)

EXPERIMENT = Experiment(
    name="two_bumps",
    figure="no figure of the papers",
    claim="with more training labels, both bumps are drawn at the right places",
    presets={
        "tiny": adapt(TINY, {"rows": (64, 128)}, DATASET),
        "laptop": adapt(
            LAPTOP,
            {"rows": (64, 4096)},
            DATASET,
            data={"size": SIZE},
            train={"steps": 2_400},
            evaluation={"every_steps": 400, "num_samples": 64},
        ),
    },
    plots=(Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis="rows")),),
)
