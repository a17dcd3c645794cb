"""2408.13256 Fig. 6c, e, 13, 14, 15: accuracy against the kept fraction per sigma, beside percolation.

Claim: accuracy rises with the kept fraction of the data, later for smaller sigma, as does the size of the largest
cluster of overlapping bumps. Fig. 6b is `p1_fig7`, the full simulation of Fig. 6c, 13 and 14b is `percolation`.

Scaling: the papers have N = 32 and the unit lattice, 1,024 labels. `laptop` has N = 16 and the unit lattice, 256
labels; overlap is a property of neighbors and does not change. Bumps hardly connect at the smallest of its three
sigmas and always do at the largest; the kept fraction takes five values from 0.1 to 1.

Cost: `laptop` 53 minutes on two CPU cores shared with other work (30 models); `paper` 150 models of about 4.1 hours
each on a TPU v5e chip (`launch.list`, at the rate of a plan for batches of 16).

    python -m launch.train --experiment=p2_fig6 --preset=laptop --workdir=runs/p2_fig6
"""

from functools import partial

from diffgeo import plots
from diffgeo.claims import Claim, p2_data
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import members, percolation
from diffgeo.settings import LAPTOP, P2_PAPER, TENTHS, TINY, adapt

EXPERIMENT = Experiment(
    name="p2_fig6",
    figure="2408.13256 Fig. 6c, e, 14, 15: accuracy against the kept fraction, beside percolation",
    claim="accuracy rises with the kept fraction, later for smaller sigma, as clusters of overlapping bumps do",
    time="53 minutes beside other work",
    expect="accuracy rises with the kept fraction for wide bumps; narrow ones need longer training",
    presets={
        "tiny": adapt(
            TINY,
            {"sigma": (0.3, 1.0), "kept_fraction": (0.5, 1.0)},
            evaluation={"label_source": "grid", "num_validation": 8},
        ),
        "laptop": adapt(
            LAPTOP,
            {"sigma": (0.2, 0.5, 1.0), "kept_fraction": (0.1, 0.3, 0.5, 0.7, 1.0)},
            train={"steps": 2_000, "log_every": 1_000},
            evaluation={"label_source": "grid", "every_steps": 1_000},
        ),
        "paper": adapt(
            P2_PAPER,
            {"sigma": (0.1, 0.3, 0.5, 0.7, 1.0), "kept_fraction": TENTHS},
            evaluation={"num_validation": 1_024},
        ),
    },
    analyses=("spectrum", "manifold"),
    plots=(
        Plot("fig6ce", partial(percolation.simulated_and_trained, threshold=0.005)),
        Plot("fig6d", partial(plots.truth_and_sample, kept_fraction=1.0, seed="first")),
        Plot("fig14b_trained", partial(percolation.simulated_and_trained, threshold=0.05)),
        Plot("fig14c", partial(plots.final_losses, axis="kept_fraction", by="sigma")),
        Plot("fig15", partial(members.last_umaps, rows="sigma", columns="kept_fraction", seed="first")),
    ),
    claims=(
        Claim(
            name="p",
            statement=(
                "accuracy on unseen labels is higher with most data than with least, at large sigma than at small"
            ),
            source="2408.13256, section 3.3, Fig. 6e",
            test=p2_data.claim_p_more_data_helps,
            would_decide="more seeds and draws, and training until all data are learned at every sigma",
        ),
        Claim(
            name="p, losses",
            statement=(
                "final training and validation loss grow with the data, a line explaining over 0.9 of their variance"
            ),
            source="2408.13256, D.2, Fig. 14c",
            test=p2_data.claim_p_losses_are_linear,
            would_decide="the validation loss, and more seeds",
        ),
    ),
)
