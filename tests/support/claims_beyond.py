"""Made-up results by which claims beyond the papers hold, and by which they fail."""

import numpy as np

from experiments import codes, interventions
from tests.support.claims import Made, half_at, rising


def pushed(along, across=0.05, main=1.0, late=1.0, random=0.0):
    """Displacements of `experiments/interventions.py`.

    Args:
      along: layer -> displacement by the whole difference.
      across: the same for all directions.
      main: layer -> share of it by main effects, or one share.
      late: of all edits, the share of those at late steps; the others have 1 - late.
      random: displacement along by the other directions.
    """
    shares = main if isinstance(main, dict) else dict.fromkeys(interventions.LAYERS, main)
    made = np.full([len(c) for c in MOVED.coordinates.values()], 0.0, np.float32)
    for at, layer in enumerate(interventions.LAYERS):
        whole = along.get(layer, 0.0)
        for number, displacement in enumerate((whole * shares.get(layer, 1.0), whole, random, random)):
            made[at, :, number, :, 0] = displacement
    made[..., 1], made[..., 2] = across, 1.0
    windows = list(interventions.WINDOWS)
    made[:, windows.index(interventions.LATE)] *= late
    made[:, windows.index(interventions.EARLY)] *= 1 - late

    def measured(at, t, tensor):
        return made * (1 + 0.01 * at["seed"])

    return {"metric_moved": measured}


def coded(share=lambda layer, t, time: 0.5, coupling=0.1, dimension=4.0):
    """Numbers of `experiments/codes.py`.

    Args:
      share: (layer, diffusion step, time) -> additive share.
      coupling, dimension: of all layers.
    """

    def measured(at, time, tensor):
        made = np.empty((len(codes.LAYERS), len(codes.TIMES), len(codes.NUMBERS)), np.float32)
        for row, layer in enumerate(codes.LAYERS):
            for column, t in enumerate(codes.TIMES):
                made[row, column] = share(layer, t, time), dimension, coupling, 0.1
        return made * (1 + 0.01 * at["seed"])

    return {"metric_codes": measured}


def rises_and_falls(layer, t, time):
    return 0.2 + 2.4 * time * (1 - time)


(MOVED,) = (one for one in interventions.EXPERIMENT.metrics if one.name == "moved")
ALL = dict.fromkeys(interventions.LAYERS, 1.0)
HALF_IN_4 = {"layer4": 0.4}


def learned(held_out=0.5, lead=0.0, gain=0.0):
    """Shares of `experiments/trajectories.py`.

    Args:
      held_out: time at which held-out labels are right in half of the samples; seen ones are at 0.5.
      lead: of x over y.
      gain: of scaled labels, before half are right.
    """

    def measured(at, t, tensor):
        made = np.empty((4, 2, 3), np.float32)
        for region, time in enumerate((held_out, 0.5)):
            share = half_at(lambda at, time=time: time * (1 + 0.02 * at["seed"]))(at, t, None)
            for way, more in enumerate((0.0, gain, gain, 0.0)):
                both = min(1.0, share + more)
                made[way, region] = min(1.0, both + lead), both, both
        return made

    return {"metric_concepts": measured}


def predicted(start, end, model=0.95):
    """Shares of `experiments/kernels.py`: of the kernels at start and end in held-out labels, and of the model."""

    def measured(at, t, tensor):
        made = np.full((2, 2, 3), 0.97, np.float32)
        made[:, 0] = np.array([[start if t == 0 else end], [model]]) - 0.01 * at["seed"]
        return made if t in (0, 1) else np.full_like(made, np.nan)

    return {"metric_predicted": measured}


BEYOND = {
    ("codes", "code additive"): (
        Made(rising, coded(lambda layer, t, time: 0.2 + 0.7 * time)),
        Made(rising, coded(lambda layer, t, time: 0.2 + 0.7 * time * (layer != "layer3"))),
    ),
    ("codes", "code of the picture"): (
        Made(rising, coded()),
        Made(rising, coded(lambda layer, t, time: 0.8 if layer == "layer4" else 0.5)),
    ),
    ("codes", "code on the way"): (
        Made(rising, coded(rises_and_falls)),
        Made(rising, coded(lambda layer, t, time: 0.2 + 0.6 * time)),
    ),
    ("codes", "code angles"): (Made(rising, coded(coupling=0.1)), Made(rising, coded(coupling=0.4))),
    ("interventions", "edit moves"): (Made(rising, pushed(ALL)), Made(rising, pushed({}))),
    ("interventions", "edit by layer"): (
        Made(rising, pushed(ALL, main=HALF_IN_4)),
        Made(rising, pushed(ALL, main={"layer1": 0.4})),
    ),
    ("interventions", "edit of bottleneck"): (
        Made(rising, pushed(ALL | {"bottleneck1": 0.0})),
        Made(rising, pushed(ALL)),
    ),
    ("interventions", "edit late"): (Made(rising, pushed(ALL, late=0.8)), Made(rising, pushed(ALL, late=0.2))),
    ("kernels", "kernel at start"): (Made(rising, predicted(0.6, 0.9)), Made(rising, predicted(0.93, 0.9))),
    ("kernels", "kernel, trained"): (Made(rising, predicted(0.6, 0.9)), Made(rising, predicted(0.6, 0.6))),
    ("trajectories", "hole in time"): (Made(rising, learned()), Made(rising, learned(held_out=0.8))),
    ("trajectories", "hole, x and y"): (Made(rising, learned()), Made(rising, learned(lead=0.3))),
    ("trajectories", "hole drawn out"): (Made(rising, learned(gain=0.4)), Made(rising, learned())),
}
"""(experiment, claim) -> what makes it hold, what makes it fail."""
