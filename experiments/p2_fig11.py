"""2408.13256 Fig. 11: accuracy overall, in and out of distribution against the width of a vertical lesion; UMAPs.

Claim: accuracy in the lesion falls gradually with its width.

Scaling: the papers have N = 32 and widths 1.0 ... 8.0. `laptop` has N = 16 and widths 0.5 ... 5.5 about x = 7.75, which
contain 1, 2, 4 and 6 columns of the unit grid; sigma = 0.7 and d = 0.5 as in p2_fig4.

Cost: `laptop` 34 minutes on two CPU cores (8 models); `paper` 45 models of about 4.1 hours each on a TPU v5e chip
(`launch.list`, at the rate of a plan for batches of 16).

    python -m launch.train --experiment=p2_fig11 --preset=laptop --workdir=runs/p2_fig11
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p2_composition
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import members
from diffgeo.settings import LAPTOP, P2_PAPER, TINY, adapt

LESION = {"kind": "sos", "hole": "lesion"}

EXPERIMENT = Experiment(
    name="p2_fig11",
    figure="2408.13256 Fig. 11: accuracy over the width of a lesion",
    claim="accuracy in the lesion falls gradually with its width",
    time="34 minutes",
    expect="a stripe of an x not seen is drawn at an x seen",
    presets={
        "tiny": adapt(
            TINY,
            {"hole_width": (1.0, 3.0)},
            data=LESION | {"sigma": 0.5},
            evaluation={"label_source": "grid", "stored_images": 64},
        ),
        "laptop": adapt(
            LAPTOP,
            {"hole_width": (0.5, 1.5, 3.5, 5.5)},
            data=LESION | {"sigma": 0.7, "increment": 0.5, "hole_center": 7.75},
            train={"steps": 5_000, "log_every": 1_250},
            evaluation={"label_source": "grid", "every_steps": 1_250, "stored_images": 256},
        ),
        "paper": adapt(
            P2_PAPER,
            {"hole_width": tuple(i / 2 for i in range(2, 17))},
            data=LESION | {"increment": 0.1},
            evaluation={"stored_images": 1_024},
        ),
    },
    analyses=("spectrum", "manifold"),
    plots=(
        Plot("fig11b", partial(plots.final_values, axis="hole_width", by="region", values=("all", "id", "ood"))),
        Plot("fig11c", partial(members.last_umaps, columns="hole_width", seed="first")),
        Plot("held_out_samples", partial(plots.region_samples, axis="hole_width", region="ood")),
        Plot("error_map", partial(plots.error_map, axis="hole_width")),
    ),
    claims=(
        Claim(
            name="m",
            statement=(
                "accuracy in the lesion falls with its width, in more than one step, and is over copying on average"
            ),
            source="2408.13256, C.3, Fig. 11b",
            test=p2_composition.claim_m_falls_gradually,
            would_decide="more seeds, more widths",
        ),
        Claim(
            name="m, disconnected",
            statement=(
                "the gap in the representation's UMAP widens with the lesion, more so than that of the images drawn"
            ),
            source="2408.13256, C.3, Fig. 11c",
            test=p2_composition.claim_m_disconnected,
            would_decide="more seeds, the generated images' pixels beside the representation",
        ),
    ),
)
