"""2402.03305 Fig. 3: the three phases of manifold formation, in samples and in the representation of one model.

Claim: during training, the representation passes from no structure (A) through a disordered, quasi-2D manifold (B) to
an ordered 2D manifold (C), while samples pass from none or several bumps through single bumps at wrong positions to
bumps at the right ones.

Scaling: the papers have N = 32 and d = 0.1. `laptop` halves the image and has d = 0.25; both train at a constant rate.

Cost: `laptop` 28 minutes on two CPU cores shared with other work, 3 of them analysis (5 models); `paper` 57 PFLOP of
training per model, 1.1 hours on a TPU v5e chip (`launch.plan`, 11 ms per step).

    python -m launch.train --experiment=p1_fig3 --preset=laptop --workdir=runs/p1_fig3
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p1
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import members
from diffgeo.settings import COMPARABLE_SPEED, FIVE_SEEDS, LAPTOP, LAPTOP_SPEED, PAPER, TINY, adapt

EXPERIMENT = Experiment(
    name="p1_fig3",
    figure="2402.03305 Fig. 3: phases A, B, C in samples and in the representation",
    claim="the representation has no structure, then a disordered, then an ordered 2D manifold, as samples get right",
    time="28 minutes beside other work",
    expect="phases A, B, C in samples; the manifold of B is no sheet",
    presets={
        "tiny": TINY,
        "laptop": adapt(
            LAPTOP,
            {"seed": FIVE_SEEDS},
            data={"increment": 0.25},
            train=LAPTOP_SPEED | {"steps": 2_500, "log_every": 125},
            evaluation={"every_steps": 125, "num_common": 0},
        ),
        "paper": adapt(PAPER, data={"increment": 0.1}, train=COMPARABLE_SPEED),
    },
    analyses=("spectrum", "manifold"),
    plots=(
        Plot("phases", partial(members.phases, seed="first")),
        Plot("umaps", partial(members.umaps, seed="first")),
        Plot("web", partial(members.web, seed="first")),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "r2", "probe_r2"), axis=None)),
        Plot("failure_modes", partial(plots.failure_modes, axis=None)),
    ),
    claims=(
        Claim(
            name="a",
            statement="the behaviors of phases A, B and C come in that order, as far as a run gets, and B lasts",
            source="2402.03305, section 3, Fig. 3",
            test=p1.claim_a_phases_in_order,
            would_decide="more seeds, and evaluations close enough to see each phase",
        ),
        Claim(
            name="a, disordered B",
            statement="in phase B the representation has 1.5 to 3 dimensions and an averaged R^2 under one half",
            source="2402.03305, section 3, Fig. 3",
            test=p1.claim_a_b_is_disordered,
            would_decide="more seeds",
        ),
        Claim(
            name="b",
            statement=(
                "averaged R^2 and accuracy reach one half within a factor of 2, R^2 before that of generated pixels"
            ),
            source="2402.03305, section 3, Fig. 3, 4",
            test=p1.claim_b_accuracy_and_r2_rise_together,
            would_decide="more seeds",
        ),
        Claim(
            name="b, before the label",
            statement="the same in layer 4 before it adds the label, which earlier blocks have added already",
            source="a control of this project, beyond 2402.03305",
            test=partial(p1.claim_b_accuracy_and_r2_rise_together, tensor="layer4_pre_embedding"),
            would_decide="more seeds",
        ),
    ),
)
