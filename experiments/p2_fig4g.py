"""2408.13256 Fig. 4g: 2D bumps + 1D stripes at several subsampling rates, where a cross of the bumps is held out.

Claim: models of bumps and stripes generate bumps in the held-out cross, even with only a fifth of the bumps.

Scaling: as p2_fig4; `laptop` keeps 0.1, 0.25, 0.5 or all of the 576 bumps outside the cross. The paper does not state
its rates.

Cost: `laptop` 34 minutes on two CPU cores (8 models); `paper` 15 models of about 4.1 hours each on a TPU v5e chip
(`launch.list`, at the rate of a plan for batches of 16).

    python -m launch.train --experiment=p2_fig4g --preset=laptop --workdir=runs/p2_fig4g
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p2_composition
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import LAPTOP, P2_PAPER, TINY, adapt

CROSS = {"kind": "bump", "hole": "cross", "dataset": "2d+1d"}
PARTS = ("vertical", "horizontal", "intersection")

EXPERIMENT = Experiment(
    name="p2_fig4g",
    figure="2408.13256 Fig. 4g: 2D bumps + 1D stripes at several subsampling rates",
    claim="bumps are made in the held-out cross, with few of them in the data as with many",
    time="34 minutes beside other work",
    expect="held-out bumps right with a quarter of the bumps as with all; not decided by two seeds",
    presets={
        "tiny": adapt(
            TINY,
            {"kept_fraction": (0.25, 1.0)},
            data=CROSS | {"margin": 4.0, "sigma": 0.5, "hole_width": 2.0},
            evaluation={"label_source": "grid", "stored_images": 64},
        ),
        "laptop": adapt(
            LAPTOP,
            {"kept_fraction": (0.1, 0.25, 0.5, 1.0)},
            data=CROSS | {"margin": 5.0, "sigma": 0.7, "increment": 0.5, "hole_width": 3.5, "hole_center": 7.75},
            train={"steps": 5_000, "log_every": 1_000},
            evaluation={"label_source": "grid", "every_steps": 1_000, "stored_images": 256},
        ),
        "paper": adapt(
            P2_PAPER,
            {"kept_fraction": (0.2, 0.4, 0.6, 0.8, 1.0)},
            data=CROSS | {"dataset": "2d+1d+0d", "margin": 6.0, "increment": 0.1},
            evaluation={"stored_images": 1_024},
        ),
    },
    analyses=("spectrum",),
    plots=(
        Plot("fig4g", partial(plots.final_values, axis="kept_fraction", by="region", values=("id", *PARTS))),
        Plot("curves", partial(plots.region_curves, axis="kept_fraction", regions=("id", "ood"))),
        Plot("held_out_samples", partial(plots.region_samples, axis="kept_fraction", region="ood")),
        Plot("error_map", partial(plots.error_map, axis="kept_fraction")),
    ),
    claims=(
        Claim(
            name="k, few bumps",
            statement=(
                "from a fifth of the bumps on, accuracy in the held-out cross is within 0.15 of that with most bumps"
            ),
            source="2408.13256, section 3.2, Fig. 4g",
            test=p2_composition.claim_k_few_bumps_suffice,
            would_decide="four seeds at least, longer training",
        ),
    ),
)
