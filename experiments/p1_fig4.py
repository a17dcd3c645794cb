"""2402.03305 Fig. 4: accuracy and averaged R^2 over increment and training steps, sigma = 1.

Claim: models pass from near-zero accuracy through bumps at wrong positions to correct bumps, and data sets with a
smaller increment are learned faster at an equal number of batches.

Scaling: the papers have N = 32 and d = 0.1 ... 1. `laptop` halves the image and has d = 0.25, 0.5, 1; it and `paper`
train at a constant rate, so that speeds compare.

Cost: `laptop` 70 minutes on two CPU cores shared with other work, 5 of them analysis (15 models); `paper` 1.7 EFLOP of
training and 0.14 EFLOP of sampling.

    python -m launch.train --experiment=p1_fig4 --preset=laptop --workdir=runs/p1_fig4
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p1
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import COMPARABLE_SPEED, FIVE_SEEDS, LAPTOP, LAPTOP_SPEED, PAPER, TENTHS, TINY, adapt

EXPERIMENT = Experiment(
    name="p1_fig4",
    figure="2402.03305 Fig. 4: accuracy and averaged R^2 over increment x steps",
    claim="smaller increments are learned faster at equal batches, through the phases A, B, C",
    time="70 minutes beside other work",
    expect="dense data are ahead where samples are read to whole pixels, and not below a pixel",
    presets={
        "tiny": adapt(TINY, {"increment": (0.5, 1.0)}),
        "laptop": adapt(
            LAPTOP,
            {"increment": (0.25, 0.5, 1.0), "seed": FIVE_SEEDS},
            train=LAPTOP_SPEED | {"steps": 2_000},
        ),
        "paper": adapt(PAPER, {"increment": TENTHS}, train=COMPARABLE_SPEED),
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
            name="b",
            statement=(
                "averaged R^2 and accuracy reach one half within a factor of 2, R^2 before that of generated pixels"
            ),
            source="2402.03305, section 3, Fig. 4",
            test=p1.claim_b_accuracy_and_r2_rise_together,
            would_decide="more seeds",
        ),
        Claim(
            name="c",
            statement="accuracy reaches one half a quarter sooner at a tenth of the increment, up to an increment of 1",
            source="2402.03305, section 3, Fig. 4",
            test=p1.claim_c_smaller_increment_is_faster,
            would_decide="common labels, a constant learning rate, more seeds",
        ),
        Claim(
            name="c, as read",
            statement="the same, on each model's own labels, by the run's read-out to whole pixels",
            source="2402.03305, section 3, Fig. 4",
            test=p1.claim_c_as_read,
            would_decide="a read-out for which labels are equal",
        ),
    ),
)
