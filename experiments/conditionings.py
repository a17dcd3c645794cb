"""Beyond the papers: how the code of the label reaches the network, with everything else equal.

Question: the papers put the codes of the diffusion step, of x and of y beside one another. Does it matter for the
filling of a hole that x and y stay apart there? Here they are also added, so that a block reads one vector of both, or
scale and shift the features of each block (FiLM).

Hypotheses, fixed before any model of this kind was trained: in the hole all forms are right in as many samples, within
0.15, and layer 3 is as additive under all of them.

Controls: labels that were seen, which every form must serve; drawing the nearest seen label is never right at the
labels asked, over a pixel inside the hole.

Cost: `laptop` predicted 30 minutes on two CPU cores (15 models); `paper` 9 models.

    python -m launch.train --experiment=conditionings --preset=laptop --workdir=runs/conditionings
"""

import xarray as xr

from diffgeo import claims
from diffgeo.claims import Claim, Comparison
from diffgeo.experiment import Experiment

from . import _forms
from ._forms import additive, right
from ._held_out import OURS, RESOLUTION

AXIS = "conditioning"
CONCAT, SUM, FILM = FORMS = ("concat", "sum", "film")


def forms_compose_alike(results: xr.Dataset) -> list[Comparison]:
    """In the hole models whose codes are added, or are FiLM's, are right as often as the papers', within 0.15.

    Quote: none.
    Statistic: last share of samples right in x and y at held-out labels, less that of codes beside one another
    (equivalence), for each of the two forms.
    Baseline: all must be right at over half of the seen labels; copying is never right at the held-out ones.
    Refuted by: a form that is off by over 0.15.
    """
    papers = right(results, AXIS, CONCAT)
    apart = {form: right(results, AXIS, form) - papers for form in (SUM, FILM)}
    return [
        *_forms.learned(results, AXIS, FORMS),
        claims.compare("sum less concat, held out", apart[SUM], -0.15, 0.15, resolution=RESOLUTION),
        claims.compare("FiLM less concat, held out", apart[FILM], -0.15, 0.15, resolution=RESOLUTION),
        claims.compare("concat, held out", papers, role=claims.CONTROL, resolution=RESOLUTION),
    ]


def forms_are_as_additive(results: xr.Dataset) -> list[Comparison]:
    """Layer 3 is as additive with codes that are added, or FiLM's, as with the papers' form, within 0.15.

    Quote: none.
    Statistic: last additive share of layer 3, largest over t, less that of codes beside one another (equivalence).
    Baseline: all must be right at over half of the seen labels.
    Refuted by: a form that is off by over 0.15.
    """
    papers = additive(results, AXIS, CONCAT)
    apart = {form: additive(results, AXIS, form) - papers for form in (SUM, FILM)}
    return [
        *_forms.learned(results, AXIS, FORMS),
        claims.compare("sum less concat, layer 3", apart[SUM], -0.15, 0.15),
        claims.compare("FiLM less concat, layer 3", apart[FILM], -0.15, 0.15),
        claims.compare("concat, layer 3", papers, role=claims.CONTROL),
    ]


EXPERIMENT = Experiment(
    name="conditionings",
    figure="beyond the papers: forms of conditioning and a hole in the data",
    claim="labels in a hole are drawn right whether codes of x and y are apart, added, or scale and shift features",
    time="30 minutes",
    expect="a hole filled under every form of conditioning",
    presets=_forms.presets(AXIS, FORMS),
    metrics=_forms.METRICS,
    plots=_forms.plots_of(AXIS),
    claims=(
        Claim(
            name="form, hole",
            statement="in a hole added codes and FiLM are right as often as codes beside one another, within 0.15",
            source=OURS,
            test=forms_compose_alike,
            would_decide="more seeds",
        ),
        Claim(
            name="form, additive",
            statement="layer 3 is as additive with added codes and FiLM as with codes beside one another, within 0.15",
            source=OURS,
            test=forms_are_as_additive,
            would_decide="more seeds",
        ),
    ),
)
