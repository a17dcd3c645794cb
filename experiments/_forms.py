"""What experiments share that compare forms of a network: the same data with a hole, what is asked and drawn."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffgeo import claims, plots
from diffgeo.claims import Comparison
from diffgeo.experiment import Metric, Plot
from diffgeo.plots import style
from diffgeo.settings import FIVE_SEEDS, LAPTOP, PAPER, TINY, Settings, adapt
from diffgeo.settings.conditionings import Conditioner

from ._held_out import ASKED, NUMBERS, REGIONS, RESOLUTION, asked_labels, shares_right
from .codes import LAYERS, SHARE, TIMES, codes
from .codes import NUMBERS as OF_LAYER

HELD_OUT, SEEN = REGIONS


def presets(
    axis: str,
    values: tuple,
    embeddings: tuple[int, int, int] | None = None,
    conditioning: Mapping[str, Conditioner] | None = None,
) -> dict[str, Settings]:
    """Return presets of models of one axis on bumps at every pixel but those of a hole.

    Args:
      axis, values: of the grid, beside the seed.
      embeddings: widths of all codes together at "tiny", "laptop" and "paper"; None for the usual.
      conditioning: name and module that all models have in place of the papers' form.
    """
    form = {"conditioning": next(iter(conditioning))} if conditioning else {}
    widths = [{"embedding": width} for width in embeddings] if embeddings else [{}, {}, {}]
    tiny, laptop, paper = (form | width for width in widths)
    return {
        "tiny": adapt(
            TINY,
            {axis: values},
            conditionings=conditioning,
            model=tiny,
            data={"hole": "square", "hole_area_fraction": 0.4, "increment": 1.0},
            evaluation={"label_source": "grid", "stored_images": 64},
        ),
        "laptop": adapt(
            LAPTOP,
            {axis: values, "seed": FIVE_SEEDS},
            conditionings=conditioning,
            model=laptop,
            data={"hole": "square", "hole_area_fraction": 0.1, "increment": 1.0},
            train={"steps": 2_000, "log_every": 250},
            evaluation={"label_source": "grid", "every_steps": 250, "stored_images": 256},
        ),
        "paper": adapt(
            PAPER,
            {axis: values},
            conditionings=conditioning,
            model=paper,
            data={"hole": "square", "hole_area_fraction": 0.1, "increment": 1.0},
            evaluation={"label_source": "grid", "stored_images": 1_024},
        ),
    }


def composed(model: Any) -> np.ndarray:
    """Return float32[region, number]: shares of samples right in x, y and both, at labels on pixels."""
    labels = asked_labels(model, apart=1.0).reshape(-1, 2)
    hits = model.sample(x=labels[:, 0], y=labels[:, 1])["hit"].values
    return shares_right(hits.reshape(len(REGIONS), ASKED, 2))


METRICS = (
    Metric(
        "composed",
        composed,
        description="shares of samples right in x, in y and in both, at labels on pixels",
        of_model=True,
        only_last=True,
        coordinates={"region": REGIONS, "number": NUMBERS},
    ),
    Metric(
        "codes",
        codes,
        description="additive share, dimension and metric tensor of layers at true images",
        of_model=True,
        only_last=True,
        coordinates={"layer": LAYERS, "t": TIMES, "number": OF_LAYER},
    ),
)


def right(results: xr.Dataset, axis: str, value: str, region: str = HELD_OUT) -> xr.DataArray:
    """Return the last share of samples right in x and y, by seed."""
    at = {axis: value, "composed_region": region, "composed_number": "both"}
    return results["metric_composed"].isel(step=-1).sel(at)


def additive(results: xr.Dataset, axis: str, value: str, layer: str = "layer3") -> xr.DataArray:
    """Return a layer's last additive share by seed, the largest over the diffusion steps.

    The largest, since steps of one number are not of one noise under all objectives.
    """
    at = {axis: value, "codes_layer": layer, "codes_number": SHARE}
    return results["metric_codes"].isel(step=-1).sel(at).max("codes_t")


def learned(results: xr.Dataset, axis: str, values: tuple) -> list[Comparison]:
    """Return the preconditions that models of these forms are right at over half of the seen labels."""
    return [
        claims.compare(
            f"{value}: right, seen labels",
            right(results, axis, value, SEEN),
            0.5,
            role=claims.PRECONDITION,
            resolution=RESOLUTION,
        )
        for value in values
    ]


def draw_composed(results: xr.Dataset, axis: str) -> Figure:
    """Draw shares of right samples at seen and at held-out labels, a dot for each model."""
    figure, axes = plt.subplots(figsize=(6, 4), layout="constrained")
    values = results[axis].values
    for number, (region, color) in enumerate(zip(REGIONS, style.CATEGORICAL, strict=False)):
        for place, value in enumerate(values):
            of_seeds = right(results, axis, value, region).values
            beside = place + 0.24 * (number - 0.5) + np.linspace(-0.06, 0.06, len(of_seeds))
            name = f"labels {region}" if place == 0 else None
            axes.plot(beside, of_seeds, "os"[number], color=color, ms=5, alpha=0.8, label=name)
    axes.set_xticks(range(len(values)), [str(value).replace("_", " ") for value in values])
    axes.set(xlabel=axis, ylabel="share of samples right in x and y", ylim=(-0.03, 1.03))
    axes.legend(fontsize=8)
    return figure


def draw_additive(results: xr.Dataset, axis: str) -> Figure:
    """Draw the additive share of every layer, and what is right in the hole over that of layer 3, for each model."""
    figure, (left, across) = plt.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for number, (value, color) in enumerate(zip(results[axis].values, style.CATEGORICAL, strict=False)):
        shares = np.stack([additive(results, axis, value, layer).values for layer in LAYERS])
        places = np.arange(len(LAYERS)) + 0.12 * (number - 1.5)
        name = str(value).replace("_", " ")
        left.plot(places, shares.mean(axis=1), "-", color=color, lw=1, label=name)
        left.plot(places, shares, "o", color=color, ms=3.5, alpha=0.7)
        across.plot(shares[LAYERS.index("layer3")], right(results, axis, value), "o", color=color, ms=5, alpha=0.8)
    left.set_xticks(
        range(len(LAYERS)), [layer.replace("layer", "layer ").replace("neck1", "\nneck") for layer in LAYERS]
    )
    left.set(ylabel="additive share of variance, largest over t", ylim=(-0.03, 1.03))
    left.legend(fontsize=8, title=axis)
    across.set(xlabel="additive share of layer 3", ylabel="right in x and y, held-out labels", ylim=(-0.03, 1.03))
    return figure


def plots_of(axis: str) -> tuple[Plot, ...]:
    """Return the pictures of such an experiment."""
    return (
        Plot("composed", partial(draw_composed, axis=axis)),
        Plot("additive", partial(draw_additive, axis=axis)),
        Plot("accuracy", partial(plots.region_curves, axis=axis, regions=("id", "ood"))),
        Plot("held_out_samples", partial(plots.region_samples, axis=axis, region="ood")),
    )
