"""2408.13256 Fig. 4a-b, 9e-h, 10a, 10d, 11a, 12a-b, 14a: the labels of each data set, held-out ones marked.

Claim: none; shows the data.

Cost: nothing is trained; seconds on two CPU cores at every preset.

    python -m launch.train --experiment=latents --preset=paper --workdir=runs/latents
"""

from functools import partial

from diffgeo.data import computed
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import data
from diffgeo.settings import TENTHS, Data, Settings, Train

CROSS = {"hole": "cross", "kind": "sos"}
GRID = {"dataset": "grid", "margin": 0.0}

TABLES = {
    "2D": CROSS | {"dataset": "2d"},
    "1D": CROSS | {"dataset": "1d+0d"},
    "2D + 1D": CROSS | {"dataset": "2d+1d+0d"},
    "2D bump + 1D": CROSS | {"dataset": "2d+1d+0d", "kind": "bump"},
    "1D with rim": CROSS | {"dataset": "1d+rim+0d"},
    "lesion": GRID | {"hole": "lesion", "kind": "sos"},
    "interior square": GRID | {"hole": "square"},
    "exterior square": GRID | {"hole": "corner"},
} | {f"fraction {fraction}": GRID | {"kept_fraction": fraction} for fraction in TENTHS}
"""Name -> fields of the preset's data that differ."""

EXPERIMENT = Experiment(
    name="latents",
    figure="2408.13256 Fig. 4a-b, 9e-h, 10a, 10d, 11a, 12a-b, 14a: the labels of each data set",
    claim="none: shows the data",
    time="7 seconds",
    expect="the labels of every data set",
    presets={
        "tiny": Settings(data=Data(size=8, margin=4.0, sigma=0.5, hole_width=2.0), train=Train(steps=0)),
        "laptop": Settings(
            data=Data(size=16, margin=5.0, sigma=0.7, increment=0.5, hole_width=3.5, hole_center=7.75),
            train=Train(steps=0),
        ),
        "paper": Settings(data=Data(size=32, margin=6.0), train=Train(steps=0)),
    },
    plots=(
        Plot("p2_fig4ab", partial(data.label_histograms, tables=("2D", "1D"))),
        Plot("p2_fig9efgh", partial(data.latents, tables=("2D", "1D", "2D + 1D", "2D bump + 1D"))),
        Plot("p2_fig10ad", partial(data.latents, tables=("1D", "1D with rim"))),
        Plot("p2_fig11a_12ab", partial(data.latents, tables=("lesion", "interior square", "exterior square"))),
        Plot("p2_fig14a", partial(data.nested_latents, tables=tuple(f"fraction {fraction}" for fraction in TENTHS))),
    ),
    compute=partial(computed.label_tables, tables=TABLES),
)
