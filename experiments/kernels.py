"""Beyond the papers: do kernels of the network predict how it fills a hole?

Question: a wide network in its linear regime draws what kernel ridge regression by its tangent kernel would. Does that
kernel, before training or after it, fill the hole of `p1_fig9` as the trained model does? If only the trained one does,
the filling is learned with the representation, and is no property of architecture and label code alone.

Each kernel regresses the true images of 256 training labels on those labels. Of a held-out label it gives an image,
whose center is read as a sample's is.

Hypotheses, fixed before these models were measured, after a look at one model without a hole: at labels in the hole the
untrained network's kernel is right in at least a tenth less than the trained model, the trained network's kernel in as
many within 0.15.

Controls: seen labels, where a kernel must be right. Copying the nearest training label is never right in the part of
the hole that is asked. Found after the run: a Gaussian kernel of the labels, 1.5 pixels wide, fills the whole hole (a
test), so that (kernel, trained) does not tell the network's kernel from any smooth one. In the second batch of seeds
the untrained network's kernel is as right as the trained one's.

Cost: `laptop` 56 minutes on two CPU cores shared with other work (10 models, those of `p1_fig9`), 8 of them
measuring:

    python -m launch.train --experiment=kernels --preset=laptop --workdir=runs/kernels
    python -m launch.analyze --models=runs/p1_fig9 --experiment=kernels --workdir=runs/kernels
"""

from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffgeo import claims, plots
from diffgeo.claims import Claim, Comparison, select
from diffgeo.experiment import Experiment, Metric, Plot
from diffgeo.plots import style

from . import p1_fig9
from ._held_out import (
    ASKED,
    CHOICE,
    NUMBERS,
    OURS,
    REGIONS,
    RESOLUTION,
    TINY_HOLE,
    asked_labels,
    largest_hole,
    shares_right,
)

KERNEL, MODEL = WAYS = ("kernel", "model")
HELD_OUT, SEEN = REGIONS
LABELS = 256
"""Training labels that a kernel regresses on, chosen by `CHOICE`; all of them if there are fewer."""
T = 300
"""Diffusion step of the kernel's gray image: noise and picture have about the same power there."""
DRAWS = 2
RIDGE = 1e-5
"""Of the kernel's mean diagonal: near to interpolation, which is training without end."""


def kernel_images(model: Any, labels: np.ndarray) -> np.ndarray:
    """Return float32[L, N, N], what kernel ridge regression on training labels draws at float32[L, 2] labels."""
    seen = np.random.default_rng(CHOICE).permutation(model.training_labels)[:LABELS]
    together = np.concatenate([seen, labels])
    t = min(T, model.settings.diffusion.timesteps)
    kernel = model.tangent_kernel(x=together[:, 0], y=together[:, 1], t=t, draws=DRAWS).astype(np.float64)
    images = model.true_images(x=seen[:, 0], y=seen[:, 1])
    mean, among = images.mean(axis=0), kernel[: len(seen), : len(seen)]
    ridge = RIDGE * np.trace(among) / len(seen) * np.eye(len(seen))
    weights = np.linalg.solve(among + ridge, (images - mean).reshape(len(seen), -1))
    return (kernel[len(seen) :, : len(seen)] @ weights).reshape(-1, *mean.shape).astype(np.float32) + mean


def predicted(model: Any) -> np.ndarray:
    """Return float32[way, region, number]: shares right in x, y and both; NaN between the first and last evaluation."""
    found = np.full((len(WAYS), len(REGIONS), len(NUMBERS)), np.nan, np.float32)
    if 0 < model.step < model.settings.train.steps:
        return found
    labels = asked_labels(model).reshape(-1, 2)
    hits = {
        KERNEL: model.read(kernel_images(model, labels), x=labels[:, 0], y=labels[:, 1])["hit"].values,
        MODEL: model.sample(x=labels[:, 0], y=labels[:, 1])["hit"].values,
    }
    for row, way in enumerate(WAYS):
        found[row] = shares_right(hits[way].reshape(len(REGIONS), ASKED, 2))
    return found


def _share(results: xr.Dataset, way: str, step: int, region: str = HELD_OUT, number: str = "both") -> xr.DataArray:
    """Return a share of right images by seed, of the models with the largest hole."""
    at = {"predicted_number": number, "predicted_way": way, "predicted_region": region}
    return largest_hole(results["metric_predicted"].sel(at)).isel(step=step)


def untrained_kernel_falls_short(results: xr.Dataset) -> list[Comparison]:
    """At held-out labels the trained model is right in 0.1 more than its untrained network's tangent kernel.

    Quote: none; a network in its linear regime would do as that kernel does.
    Statistic: share of samples right in x and y in the hole, less that of the kernel's images at step 0; over 0.1.
    Baseline: that kernel, which must be right in over half of the seen labels; copying is never right in the hole.
    Refuted by: a kernel that fills the hole as well.
    """
    model, kernel, of_seen = _share(results, MODEL, -1), _share(results, KERNEL, 0), _share(results, KERNEL, 0, SEEN)
    return [
        select.learned(results, "last accuracy outside the hole", "id"),
        claims.compare("untrained kernel, seen labels", of_seen, 0.5, role=claims.PRECONDITION, resolution=RESOLUTION),
        claims.compare("model less untrained kernel, held out", model - kernel, lower=0.1, resolution=RESOLUTION),
        claims.compare("untrained kernel, held out", kernel, role=claims.CONTROL, resolution=RESOLUTION),
    ]


def trained_kernel_predicts(results: xr.Dataset) -> list[Comparison]:
    """At held-out labels the trained network's tangent kernel is right as often as the model, within 0.15.

    Quote: none; the kernel at the end of training is one of learned features.
    Statistic: share of the kernel's images right in x and y in the hole, less that of samples (equivalence).
    Baseline: the untrained network's kernel, printed in the claim beside this; seen labels, printed.
    Refuted by: a kernel that is off by over 0.15 either way.
    """
    apart = _share(results, KERNEL, -1) - _share(results, MODEL, -1)
    of_seen = _share(results, KERNEL, -1, SEEN) - _share(results, MODEL, -1, SEEN)
    return [
        select.learned(results, "last accuracy outside the hole", "id"),
        claims.compare("trained kernel less model, held out", apart, -0.15, 0.15, resolution=RESOLUTION),
        claims.compare("trained kernel less model, seen", of_seen, role=claims.CONTROL, resolution=RESOLUTION),
    ]


def draw_predictions(results: xr.Dataset) -> Figure:
    """Draw shares of right images by region and way, a dot for each model, by size of the hole."""
    ways = {
        "untrained network's kernel": (KERNEL, 0),
        "trained network's kernel": (KERNEL, -1),
        "trained model": (MODEL, -1),
    }
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    fractions = results["hole_area_fraction"].values
    for panel, region in zip(panels, REGIONS, strict=True):
        for number, (fraction, color) in enumerate(zip(fractions, style.CATEGORICAL, strict=False)):
            for place, (way, step) in enumerate(ways.values()):
                at = {"predicted_number": "both", "predicted_way": way, "predicted_region": region}
                values = results["metric_predicted"].sel(at | {"hole_area_fraction": fraction}).isel(step=step).values
                beside = place + 0.2 * (number - 0.5) + np.linspace(-0.05, 0.05, len(values))
                name = f"hole of {100 * fraction:g} %" if place == 0 else None
                panel.plot(beside, values, "o", color=color, ms=5, alpha=0.8, label=name)
        panel.set_title(f"labels {region}")
        panel.set_xticks(range(len(ways)), [name.replace("'s ", "'s\n") for name in ways])
        panel.set_ylim(-0.03, 1.03)
    panels[0].set_ylabel("share of images right in x and y")
    panels[0].legend(fontsize=8)
    return figure


EXPERIMENT = Experiment(
    name="kernels",
    figure="beyond the papers: the tangent kernel's prediction for labels in a hole",
    claim="the trained network's tangent kernel fills a hole as the model does, the untrained network's most of it",
    time="56 minutes beside other work",
    expect="a trained kernel as right as the model in the hole, an untrained one nearly",
    presets={"tiny": TINY_HOLE} | {name: p1_fig9.EXPERIMENT.presets[name] for name in ("laptop", "paper")},
    metrics=(
        Metric(
            "predicted",
            predicted,
            description="shares right in x, in y and in both: of images by ridge regression, and of samples",
            of_model=True,
            coordinates={"way": WAYS, "region": REGIONS, "number": NUMBERS},
        ),
    ),
    plots=(
        Plot("predictions", draw_predictions),
        Plot("accuracy", partial(plots.region_curves, axis="hole_area_fraction", regions=("id", "ood"))),
    ),
    claims=(
        Claim(
            name="kernel at start",
            statement="in a hole the trained model is right in 0.1 more than its untrained network's tangent kernel",
            source=OURS,
            test=untrained_kernel_falls_short,
            would_decide="more seeds",
        ),
        Claim(
            name="kernel, trained",
            statement="in a hole the trained network's tangent kernel is right as often as the model, within 0.15",
            source=OURS,
            test=trained_kernel_predicts,
            would_decide="more seeds",
        ),
    ),
)
