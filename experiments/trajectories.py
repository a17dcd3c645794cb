"""Beyond the papers: how held-out labels are learned, and whether scaling a label elicits them earlier.

Question: the models of `p1_fig9` never see labels in a hole. On the way to drawing them, is one coordinate learned
before the other, as a turn in the plane of concepts (accuracy of x, accuracy of y), and later than seen labels are?
And is the ability hidden before a plain label shows it? Park et al. 2024 ("Emergence of hidden capabilities") elicit it
by scaling the label that the network is given.

Hypotheses, fixed before these models were measured, after a look at models without a hole and at the summary of
`p1_fig9` of version 0.1: labels in the hole are learned when seen ones are; their x and y together; a label scaled by
1.5 raises their accuracy before the plain one is right in half of them. (Of the models without a hole none was helped;
what is tested is the literature's statement.)

Controls: seen labels; a random direction of the norm by which 2 moves the conditioning. Copying the nearest training
label is never right in the hole's part that is asked.

Cost: `laptop` 58 minutes on two CPU cores shared with other work (10 models, those of `p1_fig9`), 10 of them
measuring:

    python -m launch.train --experiment=trajectories --preset=laptop --workdir=runs/trajectories
    python -m launch.analyze --models=runs/p1_fig9 --experiment=trajectories --workdir=runs/trajectories
"""

from functools import partial
from itertools import cycle
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffgeo import claims, plots
from diffgeo.claims import Claim, Comparison, select, speed
from diffgeo.experiment import Experiment, Metric, Plot
from diffgeo.plots import style

from . import p1_fig9
from ._held_out import ASKED, NUMBERS, OURS, REGIONS, RESOLUTION, TINY_HOLE, asked_labels, largest_hole, shares_right

ASKED_FOR, SCALED, TWICE, RANDOM = WAYS = ("as asked", "label times 1.5", "label times 2", "random")
SCALES = {ASKED_FOR: 1.0, SCALED: 1.5, TWICE: 2.0}
HELD_OUT, SEEN = REGIONS
CONDITIONING = "conditioning"
COLORS = dict(zip(WAYS, (style.OKABE_ITO[name] for name in ("black", "vermillion", "orange", "sky blue")), strict=True))


def scaled_conditioning(model: Any, labels: np.ndarray) -> np.ndarray:
    """Return float32[way, L, 1, 1, E], the edit of the conditioning by each way, at float32[L, 2] labels.

    Scaling by w moves it (w - 1) times as far as it is from its mean over a grid of labels one pixel apart, so that the
    code of the diffusion step stays.
    """
    values = np.arange(1, model.settings.data.size - 1)
    grid = model.activations(x=values[:, None], y=values[None, :], layer=CONDITIONING)
    of_labels = model.activations(x=labels[:, 0], y=labels[:, 1], layer=CONDITIONING)
    away = of_labels.values - grid.values.mean(axis=0)
    noise = np.random.default_rng(ASKED).normal(size=away.shape)
    noise *= np.linalg.norm(away, axis=-1, keepdims=True) / np.linalg.norm(noise, axis=-1, keepdims=True)
    return np.stack([*((scale - 1) * away for scale in SCALES.values()), noise]).astype(np.float32)


def concepts(model: Any) -> np.ndarray:
    """Return float32[way, region, number]: shares of samples right in x, in y and in both, by `WAYS` and `REGIONS`."""
    labels = asked_labels(model).reshape(-1, 2)
    added = np.concatenate(list(scaled_conditioning(model, labels)))
    drawn = model.edited({CONDITIONING: added}).sample(x=labels[:, 0], y=labels[:, 1], draws=len(WAYS))
    return shares_right(drawn["hit"].values.reshape(len(WAYS), len(REGIONS), ASKED, 2))


def _shares(results: xr.Dataset, number: str, way: str = ASKED_FOR, region: str = HELD_OUT) -> xr.DataArray:
    """Return a share of right samples by seed and step, of the models with the largest hole."""
    at = {"concepts_number": number, "concepts_way": way, "concepts_region": region}
    return largest_hole(results["metric_concepts"].sel(at)).transpose("seed", "step")


def learned_together(results: xr.Dataset) -> list[Comparison]:
    """Labels in the hole are right in half of the samples when seen ones are, within a factor of 1.25 of steps.

    Quote: none; 2402.03305, C.2, compares accuracies at the end.
    Statistic: log T50 of samples right in x and y at held-out labels less that at seen ones, within log 1.25.
    Baseline: copying the nearest training label, which is never right at these held-out labels.
    Refuted by: labels in the hole that take a quarter more steps.
    """
    held_out, seen = (speed.half_times(_shares(results, "both", region=region)) for region in REGIONS)
    later = held_out["log_step"] - seen["log_step"]
    censored = held_out["censored"] - seen["censored"]
    bounds = bool((censored < 0).any()), bool((censored > 0).any())
    return [
        select.learned(results, "last accuracy outside the hole", "id"),
        claims.compare("log T50, held out less seen", later, -float(np.log(1.25)), float(np.log(1.25)), bounds=bounds),
    ]


def no_turn(results: xr.Dataset) -> list[Comparison]:
    """Held-out labels are learned in x and y together: the two accuracies differ by under 0.1 over training.

    Quote: none; the models of Park et al. 2024 learn one concept of a held-out class before the other, with a turn.
    Statistic: accuracy of x less that of y, mean over evaluations, within 0.1.
    Baseline: the same at seen labels, printed.
    Refuted by: a lead of over a tenth on average.
    """
    lead, of_seen = (
        (_shares(results, "x", region=region) - _shares(results, "y", region=region)).mean("step") for region in REGIONS
    )
    return [
        select.learned(results, "last accuracy outside the hole", "id"),
        claims.compare("held out: accuracy of x less that of y", lead, -0.1, 0.1),
        claims.compare("seen: accuracy of x less that of y", of_seen, role=claims.CONTROL),
    ]


def drawn_out(results: xr.Dataset) -> list[Comparison]:
    """Before held-out labels are right in half of the samples, scaling them by 1.5 adds a tenth or more.

    Quote: none; after Park et al. 2024, whose models show held-out classes earlier if the label is scaled.
    Statistic: share right in x and y with the label times 1.5 less that as asked, at the evaluation where this is
    largest in the mean of the other seeds, of those at which the mean as asked is at most one half; over 0.1.
    Baseline: a random direction of the norm by which 2 moves the conditioning, printed; the label times 2 as well.
    Refuted by: a gain of under a tenth at every such evaluation.
    """
    asked = _shares(results, "both")
    before = asked.mean("seed") <= 0.5

    def gain(way: str) -> xr.DataArray:
        gained = (_shares(results, "both", way) - asked).isel(step=np.flatnonzero(before.values))
        return select.at_peak_of_others(gained, "step") if gained.sizes["seed"] > 1 else gained.max("step")

    return [
        select.learned(results, "last accuracy outside the hole", "id"),
        claims.compare(
            "held out: label times 1.5 less as asked, at its best before",
            gain(SCALED),
            lower=0.1,
            resolution=RESOLUTION,
        ),
        *[
            claims.compare(f"held out: {way} less as asked", gain(way), role=claims.CONTROL, resolution=RESOLUTION)
            for way in (TWICE, RANDOM)
        ],
    ]


def draw_trajectories(results: xr.Dataset) -> Figure:
    """Draw accuracy of y over that of x, a line for each seed from the first evaluation to the last, by region."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 4.2), sharex=True, sharey=True, layout="constrained")
    for panel, region in zip(panels, REGIONS, strict=True):
        x, y = (_shares(results, number, region=region) for number in ("x", "y"))
        for seed, color in zip(x["seed"].values, cycle(style.CATEGORICAL), strict=False):
            panel.plot(x.sel(seed=seed), y.sel(seed=seed), "o-", color=color, ms=3, lw=1, label=f"seed {seed}")
        panel.plot([0, 1], [0, 1], ":", color="0.6", lw=0.8)
        panel.set(title=f"labels {region}", xlabel="share of samples right in x", aspect="equal")
    panels[0].set_ylabel("share of samples right in y")
    panels[0].legend(fontsize=8)
    return figure


def draw_scaled(results: xr.Dataset) -> Figure:
    """Draw the share of samples right in both over training, a color for each way of asking, a line for each seed."""
    figure, panels = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
    for panel, region in zip(panels, REGIONS, strict=True):
        for way in WAYS:
            shares = _shares(results, "both", way, region)
            for row, of_seed in enumerate(shares.values):
                name = way if row == 0 else None
                panel.plot(shares["step"], of_seed, color=COLORS[way], lw=1, alpha=0.8, label=name)
        panel.set(title=f"labels {region}", xlabel="training step")
    panels[0].set_ylabel("share of samples right in x and y")
    panels[0].legend(fontsize=8)
    return figure


EXPERIMENT = Experiment(
    name="trajectories",
    figure="beyond the papers: how labels in a hole are learned, and whether a scaled label shows them earlier",
    claim="labels in a hole are learned in x and y together, and scaled labels do not show them earlier",
    time="58 minutes beside other work",
    expect="held-out labels learned a little later than seen ones; scaled labels that help nothing",
    presets={"tiny": TINY_HOLE} | {name: p1_fig9.EXPERIMENT.presets[name] for name in ("laptop", "paper")},
    metrics=(
        Metric(
            "concepts",
            concepts,
            description="shares of samples right in x, in y and in both, held out and seen, by how the label is given",
            of_model=True,
            coordinates={"way": WAYS, "region": REGIONS, "number": NUMBERS},
        ),
    ),
    plots=(
        Plot("trajectories", draw_trajectories),
        Plot("scaled_labels", draw_scaled),
        Plot("accuracy", partial(plots.region_curves, axis="hole_area_fraction", regions=("id", "ood"))),
    ),
    claims=(
        Claim(
            name="hole in time",
            statement="labels in a hole reach one half when seen labels do, within a factor of 1.25 of steps",
            source=OURS,
            test=learned_together,
            would_decide="more seeds",
        ),
        Claim(
            name="hole, x and y",
            statement="in the hole x and y are learned together: their accuracies differ by under 0.1 over training",
            source=OURS,
            test=no_turn,
            would_decide="more seeds",
        ),
        Claim(
            name="hole drawn out",
            statement="before the hole is half right, scaling its labels by 1.5 adds a tenth to their accuracy",
            source=OURS,
            test=drawn_out,
            would_decide="more seeds",
        ),
    ),
)
