"""Beyond the papers: the code of the label as the cause of composition, with everything else equal.

Question: 2408.13256 says that models compose if they are "given factorized inputs". Is a hole in the labels filled
because x and y have codes of their own? Here bumps lie on pixels and the label is encoded by sinusoids, by waves of the
image's period, by a one-hot vector of x and one of y, which share the factors and no notion of near and far, or by one
one-hot vector of the pair, which shares nothing.

Codes are scaled to the length of sinusoids: unscaled, periodic waves have a third of it and one-hot vectors a tenth.
Five models of the former had hardly learned anything after the 2,000 steps in which sinusoids did.

Hypotheses, fixed before models with these codes were trained: factors suffice, so that in the hole all codes that have
them are right in as many samples within 0.15, and the code of the pair in 0.3 fewer; under it layer 3 is less additive.

Controls: labels that were seen, which every code must serve; drawing the nearest seen label is never right at the
labels asked, over a pixel inside the hole.

Cost: `laptop` predicted 40 minutes on two CPU cores (20 models); `paper` 12 models.

    python -m launch.train --experiment=encodings --preset=laptop --workdir=runs/encodings
"""

from typing import TYPE_CHECKING, Any

import xarray as xr

from diffgeo import claims
from diffgeo.claims import Claim, Comparison
from diffgeo.experiment import Experiment

from . import _forms
from ._forms import additive, right
from ._held_out import OURS, RESOLUTION

if TYPE_CHECKING:
    from ._equal_norm import EqualNorm

AXIS = "encoding"
SINUSOID, PERIODIC, ONE_HOT, JOINT = CODES = ("sinusoid", "periodic", "one_hot", "joint_one_hot")


def equal_norm(**attributes: Any) -> "EqualNorm":
    """Return the module that scales codes of labels to one length."""
    from ._equal_norm import EqualNorm

    return EqualNorm(**attributes)


def a_joint_code_does_not_compose(results: xr.Dataset) -> list[Comparison]:
    """In the hole models with a one-hot code of x and one of y are right in 0.3 more samples than with one of the pair.

    Quote: "given factorized inputs" [2408.13256, abstract].
    Statistic: last share of samples right in x and y at held-out labels, one-hot less joint one-hot, over 0.3.
    Baseline: both must be right at over half of the seen labels; copying is never right at the held-out ones.
    Refuted by: a joint code that fills the hole, or a pair of codes that does not.
    """
    factored, joint = (right(results, AXIS, code) for code in (ONE_HOT, JOINT))
    return [
        *_forms.learned(results, AXIS, (ONE_HOT, JOINT)),
        claims.compare("one-hot less joint, held out", factored - joint, 0.3, resolution=RESOLUTION),
        claims.compare("one-hot, held out", factored, role=claims.CONTROL, resolution=RESOLUTION),
        claims.compare("joint, held out", joint, role=claims.CONTROL, resolution=RESOLUTION),
    ]


def factors_suffice(results: xr.Dataset) -> list[Comparison]:
    """In the hole periodic waves and one-hot codes of x and y are right as often as sinusoids, within 0.15.

    Quote: none; one-hot codes tell a network nothing of which labels are neighbors.
    Statistic: last share of samples right in x and y at held-out labels, less that of sinusoids (equivalence).
    Baseline: all must be right at over half of the seen labels; copying is never right at the held-out ones.
    Refuted by: a difference of over 0.15.
    """
    sinusoid = right(results, AXIS, SINUSOID)
    apart = {code: right(results, AXIS, code) - sinusoid for code in (PERIODIC, ONE_HOT)}
    return [
        *_forms.learned(results, AXIS, (SINUSOID, PERIODIC, ONE_HOT)),
        claims.compare("periodic less sinusoid, held out", apart[PERIODIC], -0.15, 0.15, resolution=RESOLUTION),
        claims.compare("one-hot less sinusoid, held out", apart[ONE_HOT], -0.15, 0.15, resolution=RESOLUTION),
        claims.compare("sinusoid, held out", sinusoid, role=claims.CONTROL, resolution=RESOLUTION),
    ]


def a_joint_code_is_less_additive(results: xr.Dataset) -> list[Comparison]:
    """Layer 3 is less additive by 0.1 under a joint code than under one of x and one of y.

    Quote: none.
    Statistic: last additive share of layer 3, largest over t, joint one-hot less one-hot, under -0.1.
    Baseline: both must be right at over half of the seen labels.
    Refuted by: a joint code that the network takes apart.
    """
    apart = additive(results, AXIS, JOINT) - additive(results, AXIS, ONE_HOT)
    return [
        *_forms.learned(results, AXIS, (ONE_HOT, JOINT)),
        claims.compare("joint less one-hot, layer 3", apart, upper=-0.1),
    ]


EXPERIMENT = Experiment(
    name="encodings",
    figure="beyond the papers: codes of the label and a hole in the data",
    claim="labels in a hole are drawn right if x and y have codes of their own, and not if the pair has one",
    time="40 minutes",
    expect="a hole filled under every code of x and of y, and not under one of the pair",
    presets=_forms.presets(AXIS, CODES, (96, 384, 1_536), {"equal_norm": equal_norm}),
    metrics=_forms.METRICS,
    plots=_forms.plots_of(AXIS),
    claims=(
        Claim(
            name="code, joint",
            statement="in a hole one-hot codes of x and of y are right in 0.3 more samples than one of the pair",
            source=OURS,
            test=a_joint_code_does_not_compose,
            would_decide="more seeds",
        ),
        Claim(
            name="code, factors",
            statement="in a hole periodic and one-hot codes of x and of y are right as often as sinusoids, within 0.15",
            source=OURS,
            test=factors_suffice,
            would_decide="more seeds",
        ),
        Claim(
            name="code, taken apart",
            statement="layer 3 is less additive by 0.1 under a code of the pair than under codes of x and of y",
            source=OURS,
            test=a_joint_code_is_less_additive,
            would_decide="more seeds",
        ),
    ),
)
