"""2408.13256 Fig. 6c, 13, 14b: largest connected cluster of a random subset of the data, per spread and threshold.

Claim: a cluster that spans the data appears at a kept fraction that falls with the spread and rises with the overlap
threshold; bumps of sigma = 0.1 never connect.

Cost: nothing is trained; about 20 seconds on two CPU cores at `paper` (measured).

    python -m launch.train --experiment=percolation --preset=paper --workdir=runs/percolation
"""

from functools import partial

from diffgeo.data import computed
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import percolation
from diffgeo.settings import TENTHS, Data, Settings, Train

THRESHOLDS = (0.005, 0.05, 0.1, 0.2, 0.5, 0.8)
"""Overlap thresholds; the paper states the first two, but not the others of Fig. 13."""


def preset(size: int, values: tuple[float, ...], draws: int) -> Settings:
    """Return settings with sigmas and kept fractions of the same values, on the unit lattice."""
    axes = {"sigma": values, "kept_fraction": values, "subset_seed": tuple(range(draws))}
    return Settings(data=Data(size=size), train=Train(steps=0), axes=axes)


EXPERIMENT = Experiment(
    name="percolation",
    figure="2408.13256 Fig. 6c, 13, 14b: mass of the largest cluster against the kept fraction (simulation)",
    claim="larger spreads connect at smaller kept fractions, higher thresholds at larger; sigma = 0.1 never connects",
    time="18 seconds",
    expect="larger bumps connect at smaller kept fractions; sigma = 0.1 never does",
    presets={
        "tiny": preset(8, (0.1, 0.5, 1.0), 2),
        "laptop": preset(16, TENTHS, 5),
        "paper": preset(32, TENTHS, 5),
    },
    plots=(
        Plot("p2_fig6c", partial(percolation.cluster_masses, thresholds=(0.005,))),
        Plot("p2_fig13", partial(percolation.cluster_masses, thresholds=THRESHOLDS)),
        Plot("p2_fig14b", partial(percolation.cluster_masses, thresholds=(0.05,), variable="largest_fraction_nested")),
    ),
    compute=partial(computed.cluster_masses, thresholds=THRESHOLDS),
)
