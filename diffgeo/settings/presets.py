"""Settings that the experiments start from; each states only what differs from one of these.

`TINY` is one compiled train step for all experiments; `LAPTOP` learns 16 x 16 images on two CPU cores in minutes a
model; the papers' own sizes are the defaults of `Settings`.
"""

import dataclasses
from collections.abc import Mapping

from diffgeo.settings.conditionings import Conditioner
from diffgeo.settings.datasets import Dataset
from diffgeo.settings.schema import Settings
from diffgeo.settings.sections import SECTIONS, Data, Diffusion, Evaluation, Model, Train

TINY = Settings(
    model=Model(base_channels=4, embedding=24),
    data=Data(size=8, increment=0.5),
    diffusion=Diffusion(timesteps=20),
    train=Train(steps=6, batch_size=4, learning_rate=2e-3, log_every=2),
    evaluation=Evaluation(every_steps=2, num_samples=24, num_common=8, sampler_steps=4, readout="darkest"),
    axes={"seed": (0, 1)},
)

# With 8 channels, four heads would be 2 wide and cost twice the time. The darkest pixel is read [2408.13256, A.3]: at
# N = 16 a large share of the labels lies within 2 sigma of the border, where Alg. 1's rectangle is cut and reads over a
# pixel off even on perfect images.
LAPTOP = Settings(
    model=Model(base_channels=8, embedding=192, heads=1),
    data=Data(size=16),
    train=Train(steps=2_400, batch_size=32, learning_rate=2e-3, log_every=200),
    evaluation=Evaluation(every_steps=200, num_samples=256, sampler_steps=20, readout="darkest"),
    axes={"seed": (0, 1)},
)

PAPER = Settings(axes={"seed": (0, 1, 2)}, evaluation=Evaluation(layer_fields=True))

TENTHS = tuple(i / 10 for i in range(1, 11))
"""0.1, 0.2, ..., 1: the papers' values of increments, spreads and kept fractions."""


def adapt(
    base: Settings,
    axes: Mapping[str, tuple] | None = None,
    dataset: Dataset | None = None,
    conditionings: Mapping[str, Conditioner] | None = None,
    **sections: Mapping[str, object],
) -> Settings:
    """Return settings with some fields of some sections replaced.

    Args:
      base: what to start from.
      axes: those of the grid in their order; "seed" is added from `base`, last, unless it is named.
      dataset: of the user, in place of the base's: of its data settings, the images' size stays.
      conditionings: of the user, name -> module, in place of the base's; see `diffgeo.settings.conditionings`.
      **sections: section -> field -> value, as in data={"sigma": 0.7}; parameters of a user's data set as
        data={"parameters": {"gap": 2.0}}.
    """
    start = {name: getattr(base, name) for name in SECTIONS}
    if dataset is not None:
        start["data"] = Data(size=base.data.size)
    changed = {name: dataclasses.replace(start[name], **sections.get(name, {})) for name in SECTIONS}
    unknown = set(sections) - set(SECTIONS)
    if unknown:
        raise TypeError(f"unknown sections {sorted(unknown)}: choose of {', '.join(SECTIONS)}")
    grid = dict(axes or {})
    axes = grid if "seed" in grid else {**grid, "seed": base.axes["seed"]}
    own = {"dataset": dataset or base.dataset, "conditionings": conditionings or base.conditionings}
    return dataclasses.replace(base, **changed, axes=axes, **own)


P2_PAPER = adapt(
    PAPER,
    train={"batch_size": 64, "log_every": 8_000},
    evaluation={"every_steps": 8_000, "label_source": "grid", "readout": "darkest"},
)
"""2408.13256. Its epochs 0, 150 and "after 200 epochs" [section 3.1, Fig. 2] fix the least batch: the 102,400 images of
d = 0.1 are 1,600 steps of 64, so that 320,000 steps are 200 epochs and epoch 150 is an evaluation."""

COMPARABLE_SPEED = {"schedule": "constant", "warmup_fraction": 0.05}
"""Training of presets whose claims are about speed: under a one-cycle schedule a horizon's length is part of it."""

LAPTOP_SPEED = COMPARABLE_SPEED | {"learning_rate": 1e-3}
"""The same at `LAPTOP`. At a constant 2e-3 accuracy falls back between evaluations once it is over one half."""

FIVE_SEEDS = (0, 1, 2, 3, 4)
"""Seeds of a run that decides a claim (docs/claims.md); 5 to 9 confirm it."""
