"""Conditioning by a module of one's own, on the papers' bumps: the diffusion step gates what the label says.

python -m launch.train --experiment=docs/examples/gated.py --preset=laptop --workdir=runs/gated
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import LAPTOP, TINY, adapt


class Gated(nn.Module):
    """Return PE(t) | sigmoid(Dense(PE(t))) * (PE(x) | PE(y))."""

    @nn.compact
    def __call__(self, codes):
        step, *factors = codes
        label = jnp.concatenate(factors, axis=-1)
        gate = jax.nn.sigmoid(nn.Dense(label.shape[-1])(step))
        return jnp.concatenate([step, gate * label], axis=-1)


AXES = {"conditioning": ("concat", "gated")}
OWN = {"gated": Gated}

EXPERIMENT = Experiment(
    name="gated",
    figure="no figure of the papers",
    claim="a gate of the label changes how fast a model learns",
    presets={
        "tiny": adapt(TINY, AXES, conditionings=OWN),
        "laptop": adapt(LAPTOP, AXES, conditionings=OWN, data={"size": 8, "increment": 0.5}, train={"steps": 1_200}),
    },
    plots=(Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis="conditioning")),),
)
