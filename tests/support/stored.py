"""A small data set of images that exist already, and members that train on it."""

import numpy as np

from diffgeo.data import label_tables
from diffgeo.data.sources import source_of
from diffgeo.settings import TINY, Dataset, Factor, Member, adapt
from tests.support.settings import members_of

ROWS, SIZE = 50, 8


def dataset() -> Dataset:
    """Return images of noise with labels that have nothing to do with them."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (ROWS, SIZE, SIZE)).astype(np.uint8)
    labels = random.uniform(0, 5, (ROWS, 2))
    return Dataset.from_arrays(
        images, labels, lambda gray: gray[:, 0, :2] / 51.0, [Factor("u", 0, 5), Factor("v", 0, 5)]
    )


def members(*seeds: int) -> list[Member]:
    """Return the members of these seeds."""
    own = {"label_source": "train", "num_common": 0}
    # a `log_every` of these tests alone, or a program of the UNet's would be taken
    return members_of(adapt(TINY, {"seed": seeds}, dataset(), train={"log_every": 17}, evaluation=own))


def tables(of: list[Member]) -> label_tables.LabelTable:
    """Return their label tables, stacked and padded."""
    return label_tables.stack([source_of(member.settings).table() for member in of], 64)
