"""Small settings that the tests of training share; references that several tests count by."""

import dataclasses
import re
from fractions import Fraction

import hypothesis
import jax
import numpy as np
import pytest

from diffgeo.data import label_tables
from diffgeo.errors import UserError
from diffgeo.settings import TINY, Grid, Settings, adapt
from diffgeo.training import Placement, stack_trees

EMA_DECAY = 0.9
few = hypothesis.settings(max_examples=20, deadline=None)


def tiny(**axes) -> Settings:
    """Return settings of the narrowest network on 8 x 8 images; all tests of training compile this one program."""
    small = adapt(
        TINY,
        data={"increment": 1.0},
        train={"steps": 40, "ema_decay": EMA_DECAY, "log_every": 10},
        evaluation={
            "every_steps": 10,
            "num_samples": 6,
            "num_common": 0,
            "sampler_steps": 3,
            "stored_images": 4,
            "readout": "contour",
        },
    )
    return dataclasses.replace(small, axes=axes or {"seed": (0,)})


def placed(members, placement: Placement = Placement(mapping="loop"), devices=None, rows: int = 1024):
    """Return the members' ensemble on the given devices, by default one, with tables padded to `rows`.

    Tables of one length share their compiled programs.
    """
    tables = [label_tables.build_label_table(member.settings.data) for member in members]
    devices = jax.devices()[:1] if devices is None else devices
    return placement.place(members, label_tables.stack(tables, rows), devices)


def members_of(settings: Settings):
    """Return all members of a grid."""
    return Grid(settings).members


def parameters(state) -> np.ndarray:
    """Return float[M, P], every member's parameters in one row.

    Without the attention's key biases: softmax does not see them, their gradient is rounding noise alone, and Adam
    scales that to full steps.
    """
    params = jax.tree.map(np.array, state.params)
    for name in (f"sa{i}" for i in range(1, 7)):
        bias = params[name]["in_proj"]["bias"]
        channels = bias.shape[1] // 3
        bias[:, channels : 2 * channels] = 0.0
    leaves = jax.tree.leaves(params)
    return np.concatenate([leaf.reshape(len(leaf), -1) for leaf in leaves], axis=1)


def trained(members, steps: int, placement: Placement = Placement(mapping="loop"), devices=None):
    """Return the members' ensemble after so many steps from step 0, and the handle of its last call."""
    ensemble = placed(members, placement, devices)
    ensemble.initialize()
    chunk = placement.chunk if placement.chosen == "sharded" else steps
    for _ in range(steps // chunk):
        handle = ensemble.train_steps(chunk)
    return ensemble, handle


def drawn(ensemble, *arguments, **options):
    """Return `ensemble.sample(...)` of all members, stacked."""
    return stack_trees(list(ensemble.sample(*arguments, **options)))


def draw(seed, *shape):
    """Return float32[shape] of standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def taps(height: int, width: int):
    """Yield output pixel (r, c), tap (i, j) of a 3 x 3 kernel, and its input pixel, for all that lie in the image."""
    for r, c, i, j in np.ndindex(height, width, 3, 3):
        row, column = r + i - 1, c + j - 1
        if 0 <= row < height and 0 <= column < width:
            yield (r, c), (i, j), (row, column)


def correlate(images, kernel):
    """Return the 3 x 3 cross-correlation of zero-padded images, tap by tap, float64."""
    n, height, width, _ = images.shape
    out = np.zeros((n, height, width, kernel.shape[3]))
    for (r, c), tap, (row, column) in taps(height, width):
        out[:, r, c] += images[:, row, column].astype(float) @ kernel[tap]
    return out


def multiples_below(stop, spacing):
    """Return 0, d, 2 d, ... under the stop, counted in exact arithmetic."""
    values, value = [], Fraction(0)
    while value < stop:
        values.append(value)
        value += Fraction(spacing)
    return values


def refused(*quoted):
    """Return a context that wants a `UserError` whose message holds all of these."""
    return pytest.raises(UserError, match="".join(f"(?=.*{re.escape(part)})" for part in quoted))
