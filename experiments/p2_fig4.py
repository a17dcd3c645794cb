"""2408.13256 Fig. 4c-f and 10: models of 2D, 1D, 2D + 1D and 1D-with-rim data where a cross of the 2D data is held out.

Claim: the 2D model is right in the coordinate whose values it has seen and wrong in the other: it composes but does not
interpolate. With stripes at every position in the data as well (2D + 1D), it is right everywhere. Stripes alone (1D)
are not composed unless the data have a rim of partial crossings. Fig. 9 is the experiment `latents`, Fig. 4g is
`p2_fig4g`.

Scaling: the papers have N = 32, the cross at [13, 19] and a frame margin of 6. `laptop` has N = 16, [6, 9.5], margin 5,
sigma = 0.7, so that the cross is wider than a stripe (5 sigma; the papers' is 6) and stripes fit beside the rim;
d = 0.5. `paper` has the 0D labels that the paper mixes with the stripes (C.1); `laptop` leaves them out, their images
being empty.

Cost: `laptop` 32 minutes on two CPU cores (8 models); `paper` 12 models of about 4.1 hours each on a TPU v5e chip
(`launch.list`, at the rate of a plan for batches of 16).

    python -m launch.train --experiment=p2_fig4 --preset=laptop --workdir=runs/p2_fig4
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p2_composition
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import LAPTOP, P2_PAPER, TINY, adapt

MODELS = {"dataset": ("1d", "2d", "2d+1d", "1d+rim")}
STATED = {"dataset": ("1d+0d", "2d", "2d+1d+0d", "1d+rim+0d")}
CROSS = {"kind": "sos", "hole": "cross"}
PARTS = ("vertical", "horizontal", "intersection")

EXPERIMENT = Experiment(
    name="p2_fig4",
    figure="2408.13256 Fig. 4c-f, 10: accuracy of x and y in the parts of a held-out cross",
    claim="2D data: right in the coordinate that was seen; with stripes: right everywhere; stripes alone need a rim",
    time="32 minutes",
    expect="right in the coordinate seen; with stripes beside them, right everywhere",
    presets={
        "tiny": adapt(
            TINY,
            MODELS,
            data=CROSS | {"margin": 4.0, "sigma": 0.5, "hole_width": 2.0},
            evaluation={"label_source": "grid", "stored_images": 64},
        ),
        "laptop": adapt(
            LAPTOP,
            MODELS,
            data=CROSS | {"margin": 5.0, "sigma": 0.7, "increment": 0.5, "hole_width": 3.5, "hole_center": 7.75},
            train={"steps": 6_000, "log_every": 1_000},
            evaluation={"label_source": "grid", "every_steps": 1_000, "stored_images": 256},
        ),
        "paper": adapt(
            P2_PAPER,
            STATED,
            data=CROSS | {"margin": 6.0, "increment": 0.1},
            evaluation={"stored_images": 1_024},
        ),
    },
    analyses=("spectrum",),
    plots=(
        Plot("fig4cde", partial(plots.part_scores, axis="dataset", regions=PARTS)),
        Plot("fig4f", partial(plots.labeled_sample, dataset="2d+1d", seed="first")),
        Plot("fig10be", partial(plots.region_curves, axis="dataset", regions=("all", "id", "ood"))),
        Plot("fig10cf", partial(plots.region_samples, axis="dataset", region="all")),
        Plot("held_out_samples", partial(plots.region_samples, axis="dataset", region="ood")),
        Plot("error_map", partial(plots.error_map, axis="dataset")),
        Plot("joint_against_product", partial(plots.joint_against_product, axis="dataset", regions=("id", *PARTS))),
    ),
    claims=(
        Claim(
            name="j",
            statement=(
                "the 2D model is mostly right in a coordinate seen, mostly wrong in one not seen (intersection: both)"
            ),
            source="2408.13256, section 3.2, Fig. 4c-e",
            test=p2_composition.claim_j_right_in_the_seen_coordinate,
            would_decide="more seeds, longer training of the 2D model",
            qualified="does not interpolate; not told from copying the nearest seen label",
        ),
        Claim(
            name="k",
            statement="the 2D + 1D model is mostly right in x and mostly right in y in every held-out part",
            source="2408.13256, section 3.2, Fig. 4c-e",
            test=p2_composition.claim_k_stripes_compose,
            would_decide="more seeds, longer training",
        ),
        Claim(
            name="k, beside 2D",
            statement="the 2D + 1D model is more accurate than the 2D model in every held-out part",
            source="2408.13256, section 3.2, Fig. 4c-e",
            test=p2_composition.claim_k_stripes_help,
            would_decide="more seeds",
        ),
        Claim(
            name="l",
            statement=(
                "the 1D model draws both stripes right in under 0.3 of images, and a rim of crossings adds over 0.2"
            ),
            source="2408.13256, sections 3.2, C.2, Fig. 10",
            test=p2_composition.claim_l_rim_composes,
            would_decide="more seeds, longer training of the 1D models",
        ),
        Claim(
            name="l, as good",
            statement="the 1D model with the rim is less than 0.05 below the 2D + 1D model in accuracy",
            source="2408.13256, C.2, Fig. 10",
            test=p2_composition.claim_l_rim_is_as_good,
            would_decide="more seeds, longer training",
        ),
    ),
)
