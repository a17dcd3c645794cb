"""2408.13256 Fig. 12: accuracy in a held-out square, in the middle or in a corner, of bumps and of sums of stripes.

Claim: sums of stripes are composed over larger squares than bumps, and the middle is easier than the corner.

Scaling: the papers have N = 32 and do not state the widths. `laptop` has N = 16 and widths 3.5, 5.5, 7.5, which contain
16, 36 and 64 labels of the unit grid both in the middle (about 7.75) and in the corner. sigma = 1 as in the papers, at
which bumps are learned in fewer steps than at 0.7; d = 0.5.

Cost: `laptop` 46 minutes on two CPU cores (24 models); `paper` 60 models of about 4.1 hours each on a TPU v5e chip
(`launch.list`, at the rate of a plan for batches of 16).

    python -m launch.train --experiment=p2_fig12 --preset=laptop --workdir=runs/p2_fig12
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p2_composition
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import LAPTOP, P2_PAPER, TINY, adapt

KINDS = {"hole": ("square", "corner"), "kind": ("bump", "sos")}

EXPERIMENT = Experiment(
    name="p2_fig12",
    figure="2408.13256 Fig. 12: accuracy in an interior or exterior held-out square",
    claim="sums of stripes are composed over larger squares than bumps, interior better than exterior",
    time="46 minutes",
    expect=("sums of stripes composed over larger squares than bumps; bumps in the middle easier than in the corner"),
    presets={
        "tiny": adapt(
            TINY,
            {**KINDS, "hole_width": (2.0, 3.0)},
            data={"sigma": 0.5},
            evaluation={"label_source": "grid", "stored_images": 16},
        ),
        "laptop": adapt(
            LAPTOP,
            {**KINDS, "hole_width": (3.5, 5.5, 7.5)},
            data={"increment": 0.5, "hole_center": 7.75},
            train={"steps": 2_000, "log_every": 1_000},
            evaluation={"label_source": "grid", "every_steps": 1_000},
        ),
        "paper": adapt(
            P2_PAPER,
            {**KINDS, "hole_width": (4.0, 8.0, 12.0, 16.0, 20.0)},
            data={"increment": 0.1},
        ),
    },
    plots=(
        Plot("fig12cd", partial(plots.final_values, axis="hole_width", by="region", panels="kind", hole="square")),
        Plot("fig12ef", partial(plots.final_values, axis="hole_width", by="region", panels="kind", hole="corner")),
        Plot("in_the_square", partial(plots.final_values, axis="hole_width", by="kind", panels="hole", region="ood")),
    ),
    claims=(
        Claim(
            name="o",
            statement=(
                "SOS are right more often than bumps in held-out squares, bumps more often inside than at the corner"
            ),
            source="2408.13256, C.4, Fig. 12",
            test=p2_composition.claim_o_squares,
            would_decide="more seeds, longer training of the bumps",
        ),
        Claim(
            name="o, decay",
            statement="for bumps, the slope of accuracy on the width is lower in the corner than inside",
            source="2408.13256, C.4, Fig. 12",
            test=p2_composition.claim_o_decay,
            would_decide="more seeds, longer training of the bumps",
        ),
    ),
)
