"""2402.03305 Fig. 5: accuracy and R^2 of x and of y over training, where x is sampled more densely than y.

Claim: x, which takes more values, is not learned faster than y, and the R^2 of both move together: the coordinates are
not learned independently.

Scaling: the papers have N = 32, dx = 0.1 and dy = 0.5, 1.0. `laptop` halves the image and has dx = 0.25, so that x
takes 2 and 4 times as many values as y instead of 5 and 10. `paper` has dy = 0.1 as well, a balanced control: whether
imbalance slows learning at all.

Cost: `laptop` 17 minutes on two CPU cores (6 models, a minute of it analysis); `paper` 9 models of about 1.1 hours each
on a TPU v5e chip (`launch.plan`, 11 ms per step).

    python -m launch.train --experiment=p1_fig5 --preset=laptop --workdir=runs/p1_fig5
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p1
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import COMPARABLE_SPEED, LAPTOP, PAPER, TINY, adapt

EXPERIMENT = Experiment(
    name="p1_fig5",
    figure="2402.03305 Fig. 5: accuracy and R^2 of x and of y, increments dx < dy",
    claim="x is not learned faster than y although it has more values: their R^2 move together",
    time="17 minutes",
    expect="x, sampled more densely, and y learned together",
    presets={
        "tiny": adapt(TINY, {"increment_y": (1.0, 2.0)}),
        "laptop": adapt(
            LAPTOP,
            {"increment_y": (0.5, 1.0), "seed": (0, 1, 2)},
            data={"increment": 0.25},
            train={"steps": 4_000, "log_every": 400},
            evaluation={"every_steps": 400},
        ),
        "paper": adapt(PAPER, {"increment_y": (0.1, 0.5, 1.0)}, data={"increment": 0.1}, train=COMPARABLE_SPEED),
    },
    analyses=("spectrum", "manifold"),
    plots=(
        Plot(
            "coordinates",
            partial(
                plots.learning_curves,
                metrics=("accuracy_x", "accuracy_y", "accuracy", "r2_x", "r2_y"),
                axis="increment_y",
            ),
        ),
        Plot("failure_modes", partial(plots.failure_modes, axis="increment_y")),
        Plot("joint_against_product", partial(plots.joint_against_product, axis="increment_y")),
    ),
    claims=(
        Claim(
            name="d",
            statement=(
                "with dx < dy, x leads y by less than 0.05 and their R^2 differ by under 0.1, averaged over training"
            ),
            source="2402.03305, section 3, Fig. 5",
            test=p1.claim_d_coordinates_are_coupled,
            would_decide="common labels, mirrored spacings, more seeds",
        ),
        Claim(
            name="d, y ahead",
            statement="with dx < dy, y is right in over 0.02 more of the samples than x, averaged over training",
            source="2402.03305, section 3, Fig. 5",
            test=p1.claim_d_y_is_ahead,
            would_decide="common labels, mirrored spacings, more seeds",
        ),
    ),
)
