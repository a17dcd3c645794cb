"""Three factors and three channels: a ring at (x, y), red or blue on black.

python -m launch.train --experiment=docs/examples/colored_ring.py --preset=laptop --workdir=runs/colored_ring
"""

from functools import partial

import jax.numpy as jnp
import numpy as np

from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import members
from diffgeo.settings import LAPTOP, TINY, Dataset, Factor, adapt

SIZE, RED, BLUE = 8, 0, 2


def table(size, radius):
    places = np.arange(2, size - 2.99, 0.25)
    return np.stack(np.meshgrid(places, places, [0, 1], indexing="ij"), axis=-1).reshape(-1, 3)


def render(labels, size, radius):
    pixels = jnp.arange(size)
    x, y, color = (labels[:, k, None, None] for k in range(3))
    distance = jnp.hypot(pixels[None, None, :] - x, pixels[None, :, None] - y)
    ring = 2 * jnp.exp(-((distance - radius) ** 2)) - 1
    nothing = -jnp.ones_like(ring)
    return jnp.stack([jnp.where(color < 0.5, ring, -1), nothing, jnp.where(color < 0.5, -1, ring)], axis=-1)


def read(images, radius):
    """Center of mass of the brighter channel of red and blue, and which one that is."""
    light = images.astype(float)
    channel = np.where(light[..., RED].sum(axis=(1, 2)) >= light[..., BLUE].sum(axis=(1, 2)), RED, BLUE)
    shown = np.take_along_axis(light, channel[:, None, None, None], axis=3)[..., 0]
    mass, pixels = shown.sum(axis=(1, 2)), np.arange(images.shape[1])
    mass = np.where(mass > 0, mass, np.nan)
    x = (shown.sum(axis=1) * pixels).sum(axis=1) / mass
    y = (shown.sum(axis=2) * pixels).sum(axis=1) / mass
    return np.stack([x, y, channel / BLUE], axis=1)


DATASET = Dataset(
    name="colored_ring",
    factors=[
        Factor("x", 2, SIZE - 3, unit="px"),
        Factor("y", 2, SIZE - 3, unit="px"),
        Factor("color", 0, 1, tolerance=0.5, values=(0, 1)),
    ],
    table=table,
    render=render,
    read=read,
    channels=3,
    regions={"red": lambda labels: labels[:, 2] == 0, "blue": lambda labels: labels[:, 2] == 1},
    parameters={"radius": 1.5},
)

EXPERIMENT = Experiment(
    name="colored_ring",
    figure="no figure of the papers",
    claim="place and color are learned together",
    presets={
        "tiny": adapt(TINY, {"radius": (1.0, 1.5)}, DATASET),
        "laptop": adapt(LAPTOP, {"radius": (1.0, 1.5)}, DATASET, data={"size": SIZE}, train={"steps": 1_200}),
    },
    plots=(
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "probe_r2"), axis="radius")),
        Plot("factors", partial(plots.learning_curves, metrics=("probe_r2_x", "probe_r2_color"), axis="radius")),
        Plot("umaps", partial(members.umaps, radius=1.5, seed=0)),
        Plot("components", partial(members.components, radius=1.5, seed=0)),
    ),
    analyses=("spectrum", "manifold"),
)
