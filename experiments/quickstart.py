"""A first look at 2402.03305 Fig. 3 and 4: models of small images pass through the phases to high accuracy in minutes.

Cost: 4 minutes on two CPU cores with an empty compilation cache.

    python -m launch.quickstart
"""

from functools import partial

from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import LAPTOP, TINY, adapt

EXPERIMENT = Experiment(
    name="quickstart",
    figure="a first look at 2402.03305 Fig. 3 and 4",
    claim="noise, then bumps at wrong places, then right ones",
    time="4 minutes",
    expect="noise, then wrong places, then accuracy over 0.9",
    presets={
        "tiny": adapt(
            TINY,
            {"increment": (0.5, 1.0)},
            data={"increment": 1.0},
            evaluation={"num_samples": 8, "readout": "contour"},
        ),
        "laptop": adapt(
            LAPTOP,
            {"increment": (0.25, 1.0)},
            model={"embedding": 96},
            data={"size": 8},
            train={"steps": 1_600, "log_every": 100},
            evaluation={"every_steps": 100, "num_samples": 64},
        ),
    },
    plots=(
        Plot("overview", plots.overview),
        Plot("phase_diagram", partial(plots.phase_diagram, metric="accuracy", axis="increment")),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis="increment")),
        Plot("failure_modes", partial(plots.failure_modes, axis="increment")),
    ),
)
