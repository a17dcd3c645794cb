"""2402.03305 Fig. 1, 2, 6, 2408.13256 Fig. 1, 7, 9a-d: example images, two ways to draw them, and the network.

The frame yields 0D, 1D and 2D images; the network is drawn from its module.

Claim: none; shows the data.

Cost: nothing is trained; seconds on two CPU cores at every preset.

    python -m launch.train --experiment=examples --preset=paper --workdir=runs/examples
"""

from functools import partial

from diffgeo.data import computed
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import data
from diffgeo.settings import Data, Settings, Train

EXAMPLES = {
    "bump": ("bump", 0.3125, 0.5625),
    "SOS": ("sos", 0.3125, 0.5625),
    "0D SOS": ("sos", -0.8, -0.8),
    "1D SOS": ("sos", -0.8, 0.65),
    "2D SOS": ("sos", 0.35, 0.65),
    "2D bump": ("bump", 0.35, 0.65),
}
"""Name -> kind, x, y; positive coordinates in units of the image's side, negative ones in units of the margin."""

EXPERIMENT = Experiment(
    name="examples",
    figure="2402.03305 Fig. 1, 2, 6, 2408.13256 Fig. 1, 7, 9a-d: example images, the network",
    claim="none: shows the data",
    time="8 seconds",
    expect="example images of every data set, the network's blocks",
    presets={
        "tiny": Settings(data=Data(size=8, margin=4.0, sigma=0.5), train=Train(steps=0)),
        "laptop": Settings(data=Data(size=16, margin=5.0, sigma=0.7), train=Train(steps=0)),
        "paper": Settings(data=Data(size=32, margin=6.0), train=Train(steps=0)),
    },
    plots=(
        Plot("p1_fig1", partial(data.factorized_and_coupled, example="bump")),
        Plot("p1_fig6", data.network),
        Plot("p1_fig2", partial(data.example_images, examples=("bump",))),
        Plot("p2_fig1", partial(data.example_images, examples=("bump", "SOS"))),
        Plot("p2_fig9abcd", partial(data.frame_examples, examples=("0D SOS", "1D SOS", "2D SOS", "2D bump"))),
    ),
    compute=partial(computed.example_images, examples=EXAMPLES),
)
