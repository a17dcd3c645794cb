"""2402.03305 Fig. 8: accuracy and R^2 over sigma and training steps, for three increments.

Claim: the spread of the bumps has no strong effect on how fast they are learned, whereas the increment does.

Scaling: the papers have N = 32, sigma = 0.1 ... 1.0 and d = 0.1, 0.5, 1.0. `laptop` halves the image and has
sigma = 0.3, 0.6, 1.0 and d = 0.5, 1, 2, the increments of p1_fig4.

Cost: `laptop` 47 minutes on two CPU cores (18 models); `paper` 90 models of about 1.1 hours each on a TPU v5e chip
(`launch.plan`, 11 ms per step).

    python -m launch.train --experiment=p1_fig8 --preset=laptop --workdir=runs/p1_fig8
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p1
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import COMPARABLE_SPEED, LAPTOP, PAPER, TENTHS, TINY, adapt

EXPERIMENT = Experiment(
    name="p1_fig8",
    figure="2402.03305 Fig. 8: accuracy and R^2 over sigma x steps, for three increments",
    claim="no strong effect of sigma, unlike that of the increment",
    time="47 minutes",
    expect="wide bumps learned before narrow ones; R^2 alike; not decided by two seeds",
    presets={
        "tiny": adapt(TINY, {"increment": (0.5, 1.0), "sigma": (0.5, 1.0)}),
        "laptop": adapt(
            LAPTOP,
            {"increment": (0.5, 1.0, 2.0), "sigma": (0.3, 0.6, 1.0)},
            train={"log_every": 400},
            evaluation={"every_steps": 400},
        ),
        "paper": adapt(PAPER, {"increment": (0.1, 0.5, 1.0), "sigma": TENTHS}, train=COMPARABLE_SPEED),
    },
    analyses=("spectrum", "manifold"),
    plots=(
        Plot("accuracy", partial(plots.phase_diagrams, metric="accuracy", axis="sigma", panels="increment")),
        Plot("r2", partial(plots.phase_diagrams, metric="r2", axis="sigma", panels="increment")),
        Plot("last_accuracy", partial(plots.final_values, axis="sigma", by="increment")),
    ),
    claims=(
        Claim(
            name="e",
            statement=(
                "smallest and largest sigma reach one half within a tenth of the paper's 320,000 steps of each other"
            ),
            source="2402.03305, C.1, Fig. 8",
            test=p1.claim_e_sigma_has_little_effect,
            would_decide="training until every sigma is learned, more seeds",
        ),
        Claim(
            name="e, in speed",
            statement="ten times the sigma changes the steps to accuracy one half by less than a factor of 3.2",
            source="2402.03305, B.5, C.1, Fig. 8",
            test=p1.claim_e_speed,
            would_decide="training until every sigma is learned, more seeds",
        ),
        Claim(
            name="e, seeds",
            statement="more of the sigmas end under accuracy one half at the largest increment than at the smallest",
            source="2402.03305, C.1, Fig. 8",
            test=p1.claim_e_seeds_fail_at_large_increments,
            would_decide="more seeds",
        ),
    ),
)
