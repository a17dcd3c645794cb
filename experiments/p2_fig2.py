"""2408.13256 Fig. 2, 3 and 8: topology and geometry of what a model of periodic bumps learns.

Claim: the representation is a torus (Betti numbers 1, 2, 1) whose effective dimension rises, then falls, to more than
4; rings of fixed x and of fixed y lie in orthogonal planes, as on a Clifford torus, but rings of different x do not lie
in parallel ones.

Cost: `laptop` about 30 minutes on two CPU cores; `paper` 57 PFLOP of training a model.

    python -m launch.train --experiment=p2_fig2 --preset=laptop --workdir=runs/p2_fig2
"""

from functools import partial

from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.plots import learned
from diffgeo.settings import Data, Diffusion, Evaluation, Model, Settings, Train

# Samples are taken on the N x N unit grid [2408.13256, A.3], so that rings of fixed x and of fixed y exist.
EXPERIMENT = Experiment(
    name="p2_fig2",
    figure="2408.13256 Fig. 2, 3 and 8: topology and geometry of the representation of periodic bumps",
    claim="a torus of effective dimension over 4: x orthogonal to y, different values of x not parallel",
    presets={
        "tiny": Settings(
            model=Model(base_channels=4, embedding=24),
            data=Data(size=8, periodic=True),
            diffusion=Diffusion(timesteps=20),
            train=Train(steps=4, batch=4, learning_rate=2e-3),
            evaluation=Evaluation(every=2, labels="grid", sampler_steps=4, readout="darkest"),
            axes={"seed": (0, 1)},
        ),
        "laptop": Settings(
            model=Model(base_channels=8, embedding=192, heads=1),
            data=Data(size=16, periodic=True, increment=0.25),
            train=Train(steps=6_000, batch=32, learning_rate=2e-3),
            evaluation=Evaluation(every=300, labels="grid", sampler_steps=20, readout="darkest"),
            axes={"seed": (0, 1, 2)},
        ),
        "paper": Settings(
            data=Data(increment=0.1, periodic=True),
            evaluation=Evaluation(labels="grid", readout="darkest"),
            axes={"seed": (0, 1, 2)},
        ),
    },
    analyses=("spectrum", "manifold", "topology", "rings"),
    plots=(
        Plot("fig2a", lambda _: plots.ideal_tori()),
        Plot("fig2b", partial(learned.persistence, seed=0)),
        Plot("fig2c", learned.dimension),
        Plot("fig2d", partial(learned.spectra, seed=0)),
        Plot("fig2efg", partial(learned.components_in_training, seed=0)),
        Plot("fig2_controls", partial(learned.components, seed=0)),
        Plot("fig3", partial(learned.rings, seed=0)),
        Plot("fig8", learned.distances),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "r2", "loss"), axis=None)),
        Plot("failure_modes", partial(plots.failure_modes, axis=None)),
    ),
)
