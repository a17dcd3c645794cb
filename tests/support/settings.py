"""Small settings that the tests of training share; references that several tests count by."""

from fractions import Fraction

import hypothesis
import jax
import numpy as np

from diffgeo.settings import Data, Diffusion, Evaluation, Grid, Model, Settings, Train
from diffgeo.training import Placement, stack

EMA_DECAY = 0.9
few = hypothesis.settings(max_examples=20, deadline=None)


def tiny(**axes) -> Settings:
    """The narrowest network on 8 x 8 images; every test of training compiles this one program."""
    return Settings(
        model=Model(base_channels=4, embedding=24),
        data=Data(size=8),
        diffusion=Diffusion(timesteps=20),
        train=Train(steps=40, batch_size=4, learning_rate=2e-3, ema_decay=EMA_DECAY),
        evaluation=Evaluation(every_steps=10, num_samples=6, sampler_steps=3, stored_images=4),
        axes=axes or {"seed": (0,)},
    )


def mapped(members, layout: Placement = Placement(mapping="loop"), devices=None, rows: int = 1024):
    """Members on the given devices, by default one, with tables of one padded length so that programs are shared."""
    return layout.over(members, rows, jax.devices()[:1] if devices is None else devices)


def members_of(settings: Settings):
    """All members of a grid."""
    return Grid(settings).members


def parameters(state) -> np.ndarray:
    """float[M, P], every member's parameters in one row.

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


def trained(members, steps: int, layout=Placement(mapping="loop"), devices=None):
    own = mapped(members, layout, devices)
    own.initialize()
    for _ in range(steps // layout.chunk if layout.chosen == "sharded" else 1):
        handle = own.train_steps(layout.chunk if layout.chosen == "sharded" else steps)
    return own, handle


def drawn(own, *arguments, **options):
    """`own.sample(...)` of all members, stacked."""
    return stack(list(own.sample(*arguments, **options)))


def draw(seed, *shape):
    """float32[shape] of standard normal numbers."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def taps(height: int, width: int):
    """Each output pixel (r, c) with each tap (i, j) of a 3 x 3 kernel whose input pixel lies in the image, and that."""
    for r, c, i, j in np.ndindex(height, width, 3, 3):
        row, column = r + i - 1, c + j - 1
        if 0 <= row < height and 0 <= column < width:
            yield (r, c), (i, j), (row, column)


def correlate(images, kernel):
    """3 x 3 cross-correlation of zero-padded images, tap by tap, float64."""
    n, height, width, _ = images.shape
    out = np.zeros((n, height, width, kernel.shape[3]))
    for (r, c), tap, (row, column) in taps(height, width):
        out[:, r, c] += images[:, row, column].astype(float) @ kernel[tap]
    return out


def multiples_below(stop, spacing):
    """0, d, 2 d, ... under the stop, counted in exact arithmetic."""
    values, value = [], Fraction(0)
    while value < stop:
        values.append(value)
        value += Fraction(spacing)
    return values
