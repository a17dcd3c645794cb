"""Beyond the papers: additive share and metric tensor of every layer, over training and diffusion steps.

Question: 2408.13256 calls a representation factorized if x and y have subspaces of their own. That is f(x) + g(y), and
directions of x and y that are orthogonal. Which layers have it, at which noise, and when in training?

Hypotheses, fixed before these models were measured, after a look at one model of seed 100: training makes layers 1 and
3 additive; layer 4 at t = 1 is as additive as the picture that it is about to draw; at t = 300 it is most additive
while bumps are at wrong places, and less so once they are right; in layers 1 and 3 the directions of x and y are
further from parallel than random ones.

Controls: the untrained network, the images' pixels, random directions in as many dimensions; of the additive share the
torus in space (0.90) and independent points (0.15) are known.

Cost: `laptop` 42 minutes on two CPU cores shared with other work (5 models, those of `p1_fig3`), 14 of them measuring:

    python -m launch.train --experiment=codes --preset=laptop --workdir=runs/codes
    python -m launch.analyze --models=runs/p1_fig3 --experiment=codes --workdir=runs/codes
"""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffgeo import claims, plots, representation
from diffgeo.claims import Claim, Comparison
from diffgeo.experiment import Experiment, Metric, Plot
from diffgeo.plots import style
from diffgeo.results import select_scores
from diffgeo.settings import TINY

from . import p1_fig3

PIXELS = "pixels"
LAYERS = (PIXELS, "layer0", "layer1", "layer2", "bottleneck1", "layer3", "layer4")
COLORS = tuple(
    style.OKABE_ITO[name] for name in ("black", "sky blue", "blue", "orange", "purple", "green", "vermillion")
)
TIMES = (1, 100, 300, 600)
SHARE, DIMENSION, COUPLING, VARIATION = NUMBERS = (
    "additive share",
    "participation ratio",
    "coupling",
    "variation",
)
WORDS = {
    SHARE: "share of variance in f(x) + g(y)",
    DIMENSION: "participation ratio (dimensions)",
    COUPLING: "coupling: mean |cos| of the angle between the directions of x and y",
}
"""Axis labels."""


def codes(model: Any) -> np.ndarray:
    """Return float32[layer, t, number]: `NUMBERS` of a model's layers at true images on the unit grid of labels.

    Labels are an eighth of the image from its border. "coupling" is the mean |cos| of the angle between the directions
    of x and y, "variation" how much the speed along one depends on the other; see `representation.MetricTensor`.
    """
    border = model.settings.data.size // 8
    values = np.arange(border, model.settings.data.size - border)
    found = np.full((len(LAYERS), len(TIMES), len(NUMBERS)), np.nan, np.float32)
    for at, layer in enumerate(LAYERS):
        for column, t in enumerate(TIMES):
            step = min(t, model.settings.diffusion.timesteps)
            cloud = model.activations(x=values[:, None], y=values[None, :], layer=layer, t=step)
            metric = cloud.metric_tensor()
            found[at, column] = (
                cloud.additive_share(),
                cloud.participation_ratio(),
                metric.coupling,
                np.mean(metric.variation),
            )
    return found


def _code(results: xr.Dataset, number: str, layer: str, t: int) -> xr.DataArray:
    """Return a number by seed and step."""
    return results["metric_codes"].sel(codes_number=number, codes_layer=layer, codes_t=t)


def _learned(results: xr.Dataset) -> Comparison:
    accuracy = select_scores(results)["accuracy"].isel(step=-1)
    return claims.compare("last accuracy", accuracy, lower=0.5, role=claims.PRECONDITION)


def layers_become_additive(results: xr.Dataset) -> list[Comparison]:
    """Training raises the additive share of layers 1 and 3 by 0.3 or more, at t = 300.

    Quote: none; 2408.13256 reads factorization from the geometry of layer 4 at the last denoising step.
    Statistic: additive share at the last evaluation less that of the untrained network, in each of the two layers.
    Baseline: the untrained network, which is given the label too.
    Refuted by: a rise under 0.3 in one of them.
    """
    rises = []
    for layer in ("layer1", "layer3"):
        share = _code(results, SHARE, layer, 300)
        rise = share.isel(step=-1) - share.isel(step=0)
        rises.append(claims.compare(f"{layer.replace('layer', 'layer ')}: additive share, last less first", rise, 0.3))
    return [_learned(results), *rises]


def layer4_is_as_additive_as_the_picture(results: xr.Dataset) -> list[Comparison]:
    """At t = 1 the additive share of layer 4 is within 0.1 of that of the true images' pixels.

    Quote: none; the papers' representation is layer 4 at the last denoising step.
    Statistic: additive share of layer 4 less that of the pixels, at the last evaluation (equivalence).
    Baseline: layer 3, which is further from them; the same difference there is printed.
    Refuted by: a difference of over 0.1.
    """
    pixels = _code(results, SHARE, PIXELS, 1).isel(step=-1)
    of_layer4, of_layer3 = (_code(results, SHARE, layer, 1).isel(step=-1) for layer in ("layer4", "layer3"))
    return [
        _learned(results),
        claims.compare("layer 4 less pixels, additive share", of_layer4 - pixels, -0.1, 0.1),
        claims.compare("layer 3 less pixels, additive share", of_layer3 - pixels, role=claims.CONTROL),
    ]


def layer4_is_most_additive_on_the_way(results: xr.Dataset) -> list[Comparison]:
    """At t = 300 the additive share of layer 4 rises over training, then falls by 0.1 or more.

    Quote: none; it is to the additive share what claim (h) says of the effective dimension.
    Statistic: additive share at the step at which it is highest in the mean of the other seeds, less that at the last
    evaluation, over 0.1; and less that of the untrained network, over 0.1.
    Baseline: the untrained network.
    Refuted by: a share that rises to the end.
    """
    share = _code(results, SHARE, "layer4", 300)
    peak = _peak(share)
    return [
        _learned(results),
        claims.compare("additive share, peak less last", peak - share.isel(step=-1), 0.1),
        claims.compare("additive share, peak less untrained", peak - share.isel(step=0), 0.1),
    ]


def _peak(share: xr.DataArray) -> xr.DataArray:
    """Return each seed's value where the mean of the others is highest: its own maximum would favor noise."""
    peaks = []
    for seed in share["seed"].values:
        others = share.sel(seed=share["seed"] != seed) if share.sizes["seed"] > 1 else share
        at = int(others.mean("seed", skipna=False).argmax("step"))
        peaks.append(float(share.sel(seed=seed).isel(step=at)))
    return xr.DataArray(peaks, {"seed": share["seed"].values}, dims="seed")


def directions_are_orthogonal(results: xr.Dataset) -> list[Comparison]:
    """In layers 1 and 3 the directions of x and y are less coupled than random ones, by a factor of 0.6.

    Quote: none; 2408.13256, section 3.1, calls rings in orthogonal planes "factorized".
    Statistic: log of the coupling at t = 1 over that of random directions in as many dimensions as the layer's
    participation ratio P, sqrt(2 / (pi P)), at the last evaluation; under log 0.6.
    Baseline: these random directions; layer 4 is printed beside.
    Refuted by: directions as parallel as random ones.
    """
    found = []
    for layer in ("layer1", "layer3", "layer4"):
        coupling, dimension = (_code(results, name, layer, 1).isel(step=-1) for name in (COUPLING, DIMENSION))
        ratio = xr.apply_ufunc(np.log, coupling / (2 / (np.pi * dimension)) ** 0.5)
        name = f"{layer.replace('layer', 'layer ')}: log of coupling over that of random directions"
        role = claims.CONTROL if layer == "layer4" else claims.PRIMARY
        limit = np.inf if layer == "layer4" else float(np.log(0.6))
        found.append(claims.compare(name, ratio, upper=limit, role=role))
    return [_learned(results), *found]


def of_tori(number: str) -> dict[str, float]:
    """Return a number of the two tori that 2408.13256 compares representations with, on a grid of 16 by 16 labels."""
    count = 16
    found = {}
    for name, points in {
        "Clifford torus": representation.clifford_torus(count, count),
        "torus in space": representation.torus_3d(count, count),
    }.items():
        metric = representation.metric_tensor(points, np.arange(count), np.arange(count))
        found[name] = {
            SHARE: representation.additive_share(points, (count, count)),
            DIMENSION: representation.participation_ratio(points),
            COUPLING: metric.coupling,
            VARIATION: float(np.mean(metric.variation)),
        }[number]
    return found


def draw_number(results: xr.Dataset, number: str = SHARE) -> Figure:
    """Draw a number over training, a panel for each diffusion step, a color for each layer, a line for each seed.

    Dotted lines are the two ideal tori, for scale: these data are a plane.
    """
    figure, panels = plt.subplots(2, 2, figsize=(9, 6.5), sharex=True, sharey=True, layout="constrained")
    steps = results["step"].values
    for panel, t in zip(panels.ravel(), TIMES, strict=True):
        for layer, color in zip(LAYERS, COLORS, strict=True):
            values = _code(results, number, layer, t).transpose("seed", "step").values
            line = "--" if layer == PIXELS else "-"
            for row, of_seed in enumerate(values):
                name = layer.replace("layer", "layer ").replace("neck1", "neck") if row == 0 else None
                panel.plot(steps, of_seed, line, color=color, lw=1, alpha=0.8, label=name)
        for (name, value), dots in zip(of_tori(number).items(), (":", "-."), strict=True):
            panel.axhline(value, color=style.GUIDE_COLOR, ls=dots, lw=1, label=name)
        panel.set_title(f"diffusion step t = {t}", fontsize=9)
    panels[0, 0].legend(fontsize=7, ncols=2)
    figure.supxlabel("training step", fontsize=9)
    figure.supylabel(WORDS.get(number, number), fontsize=9)
    return figure


OURS = "a question of this project, beyond both papers"

EXPERIMENT = Experiment(
    name="codes",
    figure="beyond the papers: which layers are a sum of a code of x and one of y",
    claim="training makes layers 1 and 3 sums of a code of x and one of y, and layer 4 less so",
    time="42 minutes beside other work",
    expect="layers that become sums of a code of x and one of y, layer 4 less so",
    presets={"tiny": TINY} | {name: p1_fig3.EXPERIMENT.presets[name] for name in ("laptop", "paper")},
    metrics=(
        Metric(
            "codes",
            codes,
            description="additive share, dimension and metric tensor of layers at true images",
            of_model=True,
            coordinates={"layer": LAYERS, "t": TIMES, "number": NUMBERS},
        ),
    ),
    plots=(
        Plot("additive_share", draw_number),
        Plot("coupling", partial(draw_number, number=COUPLING)),
        Plot("dimension", partial(draw_number, number=DIMENSION)),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis=None)),
    ),
    claims=(
        Claim(
            name="code additive",
            statement="training raises the additive share of layers 1 and 3 by 0.3 or more, at t = 300",
            source=OURS,
            test=layers_become_additive,
            would_decide="more seeds",
        ),
        Claim(
            name="code of the picture",
            statement="at t = 1 layer 4 is as additive as the picture, within 0.1",
            source=OURS,
            test=layer4_is_as_additive_as_the_picture,
            would_decide="more seeds",
        ),
        Claim(
            name="code on the way",
            statement="at t = 300 layer 4 becomes more additive, then less, by 0.1 or more each",
            source=OURS,
            test=layer4_is_most_additive_on_the_way,
            would_decide="more seeds",
        ),
        Claim(
            name="code angles",
            statement="in layers 1 and 3 the directions of x and y are less coupled than random ones, 0.6 times",
            source=OURS,
            test=directions_are_orthogonal,
            would_decide="more seeds",
        ),
    ),
)
