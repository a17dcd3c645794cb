"""2402.03305 Fig. 4: accuracy and averaged R^2 over increment and training steps, sigma = 1.

Claim: models pass through near-zero accuracy and bumps at wrong places to correct ones, and data sets with a smaller
increment are learned faster at an equal number of batches.

Cost: `laptop` 47 minutes on two CPU cores that did other work beside it; `paper` 1.7 EFLOP of training and 0.14 EFLOP
of sampling.

    python -m launch.train --experiment=p1_fig4 --preset=laptop --workdir=runs/p1_fig4
"""

from functools import partial

from diffgeo import evidence, plots
from diffgeo.claims import Claim
from diffgeo.experiment import Experiment, Plot
from diffgeo.presets import TINY, adapt
from diffgeo.settings import Data, Evaluation, Model, Settings, Train

# With 8 channels, four heads would be 2 wide and cost twice the time: the small presets have one.
# `laptop` reads the darkest pixel [2408.13256, A.3]: at N = 16 a large share of the labels lies within 2 sigma of the
# border, where Alg. 1's rectangle is cut and reads over a pixel off even on perfect images.
EXPERIMENT = Experiment(
    name="p1_fig4",
    figure="2402.03305 Fig. 4: accuracy and averaged R^2 over increment x steps",
    claim="smaller increments are learned faster at equal batches, through the phases A, B, C",
    presets={
        "tiny": adapt(TINY, {"increment": (0.5, 1.0)}),
        "laptop": Settings(
            model=Model(base_channels=8, embedding=192, heads=1),
            data=Data(size=16),
            train=Train(steps=2_400, batch=32, learning_rate=2e-3),
            evaluation=Evaluation(every=200, count=256, sampler_steps=20, readout="darkest"),
            axes={"increment": (0.5, 1.0, 2.0), "seed": (0, 1, 2)},
        ),
        "paper": Settings(
            axes={"increment": (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0), "seed": (0, 1, 2)},
        ),
    },
    analyses=("spectrum", "manifold"),
    plots=(
        Plot("overview", plots.overview),
        Plot("phase_diagram", partial(plots.phase_diagram, metric="accuracy", axis="increment")),
        Plot("phase_diagram_r2", partial(plots.phase_diagram, metric="r2", axis="increment")),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "r2", "loss"), axis="increment")),
        Plot("failure_modes", partial(plots.failure_modes, axis="increment")),
    ),
    claims=(
        Claim(
            "b",
            "accuracy and averaged R^2 rise together",
            "2402.03305, section 3, Fig. 4",
            evidence.rise_together,
            "more seeds",
        ),
        Claim(
            "c",
            "a smaller increment is learned faster at equal batches",
            "2402.03305, section 3, Fig. 4",
            evidence.faster_along,
            "more seeds, and increments further apart",
        ),
    ),
)
