"""2402.03305 Fig. 7b and 2408.13256 Fig. 6b: overlap of neighboring bumps against the increment, for several spreads.

Claim: overlap falls with the increment and grows with the spread. For wide bumps it does so smoothly; for narrow bumps
the pixel grid shows, with cusps at increments near 0.5, where the overlap may exceed 1.

Cost: nothing is trained; seconds on two CPU cores at every preset.

    python -m launch.train --experiment=p1_fig7 --preset=paper --workdir=runs/p1_fig7
"""

from diffgeo.data import computed
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import percolation
from diffgeo.settings import TENTHS, Data, Settings, Train


def preset(size: int, points: int, sigmas: tuple[float, ...]) -> Settings:
    """Return settings with increments up to 1.5 pixels, `points` of them per pixel."""
    increments = tuple(i / points for i in range(1, round(1.5 * points) + 1))
    return Settings(data=Data(size=size), train=Train(steps=0), axes={"sigma": sigmas, "increment": increments})


EXPERIMENT = Experiment(
    name="p1_fig7",
    figure="2402.03305 Fig. 7b, 2408.13256 Fig. 6b: overlap of neighboring bumps against the increment",
    claim="overlap falls with the increment and grows with the spread; small spreads have cusps near 0.5",
    time="4 seconds",
    expect="overlap of neighboring bumps falls with the increment",
    presets={
        "tiny": preset(8, 10, (0.1, 1.0)),
        "laptop": preset(16, 50, TENTHS),
        "paper": preset(32, 100, TENTHS),
    },
    plots=(Plot("overlap", percolation.neighbor_overlap),),
    compute=computed.neighbor_overlap,
)
