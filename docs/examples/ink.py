"""A metric, a claim and a figure of one's own, on the papers' bumps: is the amount of ink drawn right?

python -m launch.train --experiment=docs/examples/ink.py --preset=laptop --workdir=runs/ink
"""

import matplotlib.pyplot as plt

from diffgeo import claims
from diffgeo.experiment import Experiment, Metric, Plot
from diffgeo.images import render
from diffgeo.results import select_scores
from diffgeo.settings import LAPTOP, TINY, adapt


def ink(images, labels, settings):
    """Return how dark a member's samples are, as a share of the true images at the same labels."""
    true = render(labels, settings.data.sigma, size=settings.data.size)
    return (1 - images / 255).mean() / ((1 - true) / 2).mean()


def draws_the_right_amount_of_ink(results):
    """The last evaluation's ink, mean over sigma, within a tenth of the true images'.

    Quote: none, this is our own statement.
    Statistic: `metric_ink` at the last step, within 0.1 of 1 (equivalence). Half of the samples must be right first.
    Baseline: the mean of all training images has the right amount of ink, too: the precondition excludes it.
    Refuted by: a share of ink under 0.9 or over 1.1.
    """
    last = select_scores(results).isel(step=-1).mean("sigma")
    return [
        claims.compare("last accuracy", last.accuracy, lower=0.5, role=claims.PRECONDITION),
        claims.compare("ink, as a share of the true images'", last.metric_ink, lower=0.9, upper=1.1),
    ]


def curves(results):
    """Draw the share of ink over training, a line for each seed and a color for each sigma."""
    figure, axes = plt.subplots(layout="constrained")
    for number, sigma in enumerate(results.sigma.values):
        for seed in results.seed.values:
            share = results.metric_ink.sel(sigma=sigma, seed=seed)
            name = f"sigma {sigma}" if seed == results.seed[0] else None
            axes.plot(share.step, share, color=f"C{number}", label=name)
    axes.axhspan(0.9, 1.1, color="0.9")
    axes.set(xlabel="training step", ylabel="ink, as a share of the true images'")
    axes.legend()
    return figure


AXES = {"sigma": (0.5, 1.0), "seed": (0, 1, 2)}

EXPERIMENT = Experiment(
    name="ink",
    figure="no figure of the papers",
    claim="models draw bumps as large and as dark as they should be",
    presets={
        "tiny": adapt(TINY, AXES),
        "laptop": adapt(LAPTOP, AXES, data={"size": 8, "increment": 0.5}, train={"steps": 1_200}),
    },
    plots=(Plot("ink", curves),),
    metrics=(Metric("ink", ink, description="ink of the samples over that of the true images"),),
    claims=(
        claims.Claim(
            name="ink",
            statement="the amount of ink is within a tenth of the true images'",
            source="our own",
            test=draws_the_right_amount_of_ink,
            would_decide="more seeds",
        ),
    ),
)
