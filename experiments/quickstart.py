"""A first look at 2402.03305 Fig. 3 and 4: models of small images pass through the phases to high accuracy, in minutes.

Cost: 3 minutes on two CPU cores, with nothing compiled before.

    python -m launch.quickstart
"""

from functools import partial

from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import Data, Diffusion, Evaluation, Model, Settings, Train

# With 8 channels, four heads would be 2 wide and cost twice the time. At N = 8 a large share of the labels lies within
# 2 sigma of the border, where Alg. 1's rectangle reads over a pixel off: the darkest pixel is read.
EXPERIMENT = Experiment(
    name="quickstart",
    figure="a first look at 2402.03305 Fig. 3 and 4",
    claim="noise, then bumps at wrong places, then right ones",
    presets={
        "tiny": Settings(
            model=Model(base_channels=4, embedding=24),
            data=Data(size=8),
            diffusion=Diffusion(timesteps=20),
            train=Train(steps=6, batch=4, learning_rate=2e-3),
            evaluation=Evaluation(every=2, count=8, sampler_steps=4),
            axes={"increment": (0.5, 1.0), "seed": (0, 1)},
        ),
        "laptop": Settings(
            model=Model(base_channels=8, embedding=96, heads=1),
            data=Data(size=8),
            train=Train(steps=1_600, batch=32, learning_rate=2e-3),
            evaluation=Evaluation(every=100, count=64, sampler_steps=20, readout="darkest"),
            axes={"increment": (0.25, 1.0), "seed": (0, 1)},
        ),
    },
    plots=(
        Plot("overview", plots.overview),
        Plot("phase_diagram", partial(plots.phase_diagram, metric="accuracy", axis="increment")),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis="increment")),
        Plot("failure_modes", partial(plots.failure_modes, axis="increment")),
    ),
)
