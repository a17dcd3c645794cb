"""Images that exist already: 8 x 8 digits of an .npz, one factor.

    python -m launch.train --experiment=docs/examples/digits.py --preset=laptop --workdir=runs/digits

digits.npz holds images uint8[1797, 8, 8] and labels float[1797, 1] of the UCI set of handwritten digits, as
`sklearn.datasets.load_digits` has them.
"""

from functools import partial
from pathlib import Path

import numpy as np
from sklearn.neighbors import KNeighborsClassifier

from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import LAPTOP, TINY, Dataset, Factor, adapt

with np.load(Path(__file__).with_name("digits.npz")) as stored:
    IMAGES, LABELS = stored["images"], stored["labels"]

CLASSIFIER = KNeighborsClassifier(3).fit(IMAGES.reshape(len(IMAGES), -1), LABELS[:, 0])


def read(images):
    return CLASSIFIER.predict(images.reshape(len(images), -1))[:, None]


DATASET = Dataset.from_arrays(
    IMAGES, LABELS, read, [Factor("digit", 0, 9, tolerance=0.5, values=tuple(range(10)))], "digits"
)

OWN_LABELS = {"label_source": "train", "num_common": 0}
EXPERIMENT = Experiment(
    name="digits",
    figure="no figure of the papers",
    claim="digits are drawn as asked for",
    presets={
        "tiny": adapt(TINY, None, DATASET, evaluation=OWN_LABELS),
        "laptop": adapt(LAPTOP, None, DATASET, data={"size": 8}, evaluation=OWN_LABELS),
    },
    plots=(Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis=None)),),
)
