"""2408.13256 Fig. 2, 3 and 8: topology and geometry of the representation that a model of periodic bumps learns.

Claim: the representation is a torus (Betti numbers 1, 2, 1) whose effective dimension rises, then falls, to more than
4. Rings of fixed x and of fixed y lie in orthogonal planes, as on a Clifford torus, but rings of different x do not lie
in parallel planes.

Scaling: labels are those of the N x N unit grid [2408.13256, A.3], so that rings of fixed x and of fixed y exist.

Cost: `laptop` 13 minutes of training and 14 of analysis on two CPU cores (3 models); `paper` 236 PFLOP per model,
sampling included, 4.1 hours on a TPU v5e chip (`launch.list`, at the rate of a plan for batches of 16).

    python -m launch.train --experiment=p2_fig2 --preset=laptop --workdir=runs/p2_fig2
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p2_geometry
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import members
from diffgeo.settings import LAPTOP, P2_PAPER, TINY, adapt

EXPERIMENT = Experiment(
    name="p2_fig2",
    figure="2408.13256 Fig. 2, 3 and 8: topology and geometry of the representation of periodic bumps",
    claim="a torus of effective dimension over 4: x orthogonal to y, different values of x not parallel",
    time="28 minutes",
    expect="right images; geometry that the images have too",
    presets={
        "tiny": adapt(TINY, data={"periodic": True}, evaluation={"label_source": "grid", "layer_fields": True}),
        "laptop": adapt(
            LAPTOP,
            {"seed": (0, 1, 2)},
            data={"periodic": True, "increment": 0.25},
            train={"steps": 6_000, "log_every": 300},
            evaluation={"every_steps": 300, "label_source": "grid", "num_samples": 500},
        ),
        "paper": adapt(
            P2_PAPER,
            data={"increment": 0.1, "periodic": True},
        ),
    },
    analyses=("spectrum", "manifold", "topology", "rings"),
    plots=(
        Plot("fig2a", lambda _: plots.ideal_tori()),
        Plot("fig2b", partial(members.persistence, seed="first")),
        Plot("fig2c", members.dimension),
        Plot("fig2d", partial(members.spectra, seed="first")),
        Plot("fig2efg", partial(members.components_in_training, seed="first")),
        Plot("fig2_controls", partial(members.components, seed="first")),
        Plot("fig3", partial(members.rings, seed="first")),
        Plot("fig3_literal", partial(members.literal_rings, seed="first")),
        Plot("fig8", members.distances),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "r2", "loss"), axis=None)),
        Plot("failure_modes", partial(plots.failure_modes, axis=None)),
    ),
    claims=(
        Claim(
            name="g",
            statement="the representation of periodic bumps has the long bars of a torus: two of H1 and one of H2",
            source="2408.13256, section 3.1, Fig. 2b",
            test=p2_geometry.claim_g_torus,
            would_decide="more seeds",
        ),
        Claim(
            name="h",
            statement="the effective dimension of the representation rises, then falls, and ends over 4",
            source="2408.13256, section 3.1, Fig. 2c",
            test=p2_geometry.claim_h_dimension_rises_then_falls,
            would_decide="more seeds, and as many images as the paper's: 20 million",
        ),
        Claim(
            name="h, top 4",
            statement="the first four components hold more of the variance at the end of training than in its middle",
            source="2408.13256, section 3.1, Fig. 2d",
            test=p2_geometry.claim_h_top_components,
            would_decide="more seeds, longer training",
        ),
        Claim(
            name="i",
            statement=(
                "planes of x and y are further from parallel than those of different x, these over 30 degrees apart"
            ),
            source="2408.13256, section 3.1, B.2, Fig. 3, 8",
            test=p2_geometry.claim_i_orthogonal_not_parallel,
            would_decide="more seeds",
        ),
        Claim(
            name="i, 3-D torus",
            statement=(
                "the mean angle of rings of different x is within 10 degrees of that of x-on-y rings of a 3-D torus"
            ),
            source="2408.13256, section 3.1, Fig. 3",
            test=p2_geometry.claim_i_like_coupled_torus,
            would_decide="angles between single components, as the paper takes them, and more seeds",
        ),
    ),
)
