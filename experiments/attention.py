"""Beyond the papers: the network without its attention, with everything else equal.

Question: the papers' network has self-attention after each of its blocks down and up. Does what they find depend on it?
Asked are (f), that a hole in the data is filled, and whether layers become sums of a code of x and one of y.

Hypotheses, fixed before any model of this kind was trained: in the hole both are right in as many samples, within 0.15,
and layer 3 is as additive.

Controls: labels that were seen, which both networks must serve; drawing the nearest seen label is never right at the
labels asked, over a pixel inside the hole.

Cost: `laptop` predicted 20 minutes on two CPU cores (10 models); `paper` 6 models.

    python -m launch.train --experiment=attention --preset=laptop --workdir=runs/attention
"""

import xarray as xr

from diffgeo import claims
from diffgeo.claims import Claim, Comparison
from diffgeo.experiment import Experiment

from . import _forms
from ._forms import additive, right
from ._held_out import OURS, RESOLUTION

AXIS = "attention"


def the_hole_is_filled_without(results: xr.Dataset) -> list[Comparison]:
    """In the hole networks without attention are right as often as those with it, within 0.15.

    Quote: none.
    Statistic: last share of samples right in x and y at held-out labels, without less with attention (equivalence).
    Baseline: both must be right at over half of the seen labels; copying is never right at the held-out ones.
    Refuted by: a difference of over 0.15.
    """
    without, with_it = (right(results, AXIS, value) for value in (False, True))
    return [
        *_forms.learned(results, AXIS, (True, False)),
        claims.compare("without less with, held out", without - with_it, -0.15, 0.15, resolution=RESOLUTION),
        claims.compare("with, held out", with_it, role=claims.CONTROL, resolution=RESOLUTION),
    ]


def layers_are_as_additive_without(results: xr.Dataset) -> list[Comparison]:
    """Layer 3 is as additive without attention as with it, within 0.15.

    Quote: none.
    Statistic: last additive share of layer 3, largest over t, without less with attention (equivalence).
    Baseline: both must be right at over half of the seen labels.
    Refuted by: a difference of over 0.15.
    """
    without, with_it = (additive(results, AXIS, value) for value in (False, True))
    return [
        *_forms.learned(results, AXIS, (True, False)),
        claims.compare("without less with, layer 3", without - with_it, -0.15, 0.15),
        claims.compare("with, layer 3", with_it, role=claims.CONTROL),
    ]


EXPERIMENT = Experiment(
    name="attention",
    figure="beyond the papers: a network without attention and a hole in the data",
    claim="labels in a hole are drawn right with attention and without it",
    time="20 minutes",
    expect="a hole filled with attention and without",
    presets=_forms.presets(AXIS, (True, False)),
    metrics=_forms.METRICS,
    plots=_forms.plots_of(AXIS),
    claims=(
        Claim(
            name="attention, hole",
            statement="in a hole networks without attention are right as often as those with it, within 0.15",
            source=OURS,
            test=the_hole_is_filled_without,
            would_decide="more seeds",
        ),
        Claim(
            name="attention, additive",
            statement="layer 3 is as additive without attention as with it, within 0.15",
            source=OURS,
            test=layers_are_as_additive_without,
            would_decide="more seeds",
        ),
    ),
)
