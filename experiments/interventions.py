"""Beyond the papers: activations of a layer are moved along what it has of x, and the drawn center is read.

Question: 2402.03305 and 2408.13256 look at representations; is what they see used? If a layer's activations at label
(x, y) are f(x) + g(y) + an interaction, adding f(x + s) - f(x) should move the bump by s along x and leave y alone.

Hypotheses, fixed before these models were measured, after a look at one model of seed 100: the main effects of layer 4
move the bump, along their own factor alone and unlike random directions; what part of the whole difference of
activations they carry depends on the layer, most of it in layer 1 and the lesser part in layer 4; the bottleneck is not
used; the last 300 diffusion steps matter more than those before.

Controls: random directions and the first principal component, of equal norm; the whole difference of activations
between the two labels, which main effects are a part of.

Cost: `laptop` 42 minutes on two CPU cores shared with other work (5 models, those of `p1_fig3`), 14 of them measuring:

    python -m launch.train --experiment=interventions --preset=laptop --workdir=runs/interventions
    python -m launch.analyze --models=runs/p1_fig3 --experiment=interventions --workdir=runs/interventions
"""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import xarray as xr
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from diffgeo import claims, plots
from diffgeo.claims import Claim, Comparison
from diffgeo.experiment import Experiment, Metric, Plot
from diffgeo.plots import style
from diffgeo.results import select_scores
from diffgeo.settings import TINY

from . import p1_fig3

LAYERS = ("layer0", "layer1", "bottleneck1", "layer3", "layer4")
DIRECTIONS = ("main effect", "whole difference", "random", "principal")
FACTORS = ("x", "y")
WINDOWS = {"t = 100, always": (100, None), "t = 300, always": (300, None), "t = 100, t <= 300": (100, (1, 300))}
WINDOWS["t = 300, t > 300"] = (300, (301, 1_000))
"""Name -> the diffusion step whose activations give an edit, and the first and last step at which it is added."""
ALWAYS, LATE, EARLY = "t = 300, always", "t = 100, t <= 300", "t = 300, t > 300"
MOVES = ("along", "across", "read")
COLORS = tuple(style.OKABE_ITO[name] for name in ("blue", "vermillion", "green", "orange"))
RANDOM = 27
"""Seed of random directions, the same for all models."""


def grid_of(settings: Any) -> tuple[np.ndarray, np.ndarray, int]:
    """Return the values of x and y that edits are made of, float32[L, 2] labels that are edited, and the shift.

    Labels are pixels, an eighth of the image from its border; so are those at which an edited sample should be, the
    shift, an eighth of the image, further on.
    """
    shift = settings.data.size // 8
    values = np.arange(shift, settings.data.size - shift)
    inner = values[1 : -shift - 1]
    return values, np.array([(x, y) for x in inner for y in inner[::2]], np.float32), shift


def edits_of(model: Any, layer: str, t: int) -> Iterator[np.ndarray]:
    """Yield float32[L, h, w, c], an edit for each label, by factor and, faster, `DIRECTIONS`.

    All but the whole difference have the norm of the main effect's.
    """
    values, labels, shift = grid_of(model.settings)
    grid = model.activations(x=values[:, None], y=values[None, :], layer=layer, t=t)
    at = np.searchsorted(values, labels)
    whole = grid.values.reshape(len(values), len(values), *grid.values.shape[1:])
    cloud = (grid.values - grid.values.mean(axis=0)).reshape(len(grid.values), -1)
    first = np.linalg.svd(cloud, full_matrices=False)[2][0].reshape(grid.values.shape[1:])
    random = np.random.default_rng(RANDOM)
    for factor, effects in enumerate(grid.main_effects()):
        further = at + shift * np.eye(2, dtype=int)[factor]
        main = effects[further[:, factor]] - effects[at[:, factor]]
        difference = whole[further[:, 0], further[:, 1]] - whole[at[:, 0], at[:, 1]]
        for edit in (main, difference, random.normal(size=main.shape), np.broadcast_to(first, main.shape)):
            yield edit if edit is difference else _of_norm(edit, main)


def _of_norm(edit: np.ndarray, main: np.ndarray) -> np.ndarray:
    """Return float32[L, h, w, c], edits scaled to the norms of others."""
    wanted, has = (np.sqrt((one**2).sum(axis=(1, 2, 3), keepdims=True)) for one in (main, edit))
    return (edit * (wanted / np.maximum(has, 1e-12))).astype(np.float32)


def moved(model: Any) -> np.ndarray:
    """Return float32[layer, window, direction, factor, move]: how edits move the centers that a model draws.

    "along": median displacement along the factor, in shifts; 1 is what the edit's label asks for. "across": median
    size of the displacement along the other. "read": share of samples that show a center both ways. A sample starts
    from the same noise with and without an edit.
    """
    _, labels, shift = grid_of(model.settings)
    count = len(DIRECTIONS) * len(FACTORS)
    ask = {"x": labels[:, 0], "y": labels[:, 1], "draws": count}
    nothing = dict.fromkeys(LAYERS, 0.0)  # of all layers, so that all edits are of one compiled program
    plain = model.edited(nothing).sample(**ask).prediction.values
    last = model.settings.diffusion.timesteps
    found = np.full((len(LAYERS), len(WINDOWS), len(FACTORS), len(DIRECTIONS), len(MOVES)), np.nan, np.float32)
    for at, layer in enumerate(LAYERS):
        for window, (t, steps) in enumerate(WINDOWS.values()):
            added = np.concatenate(list(edits_of(model, layer, min(t, last))))
            within = None if steps is None else tuple(min(step, last) for step in steps)
            drawn = model.edited(nothing | {layer: added}, within).sample(**ask).prediction.values
            moves = ((drawn - plain) / shift).reshape(len(FACTORS), len(DIRECTIONS), len(labels), 2)
            for factor, of_factor in enumerate(moves):
                found[at, window, factor, :, 0] = _median(of_factor[..., factor])
                found[at, window, factor, :, 1] = _median(np.abs(of_factor[..., 1 - factor]))
                found[at, window, factor, :, 2] = np.isfinite(of_factor).all(axis=-1).mean(axis=-1)
    return found.transpose(0, 1, 3, 2, 4)


def _median(moves: np.ndarray) -> np.ndarray:
    """Return float[...], the median over the last axis of what can be read; NaN where nothing can."""
    read = np.isfinite(moves)
    return np.array([np.median(of[has]) if has.any() else np.nan for of, has in zip(moves, read, strict=True)])


def additive(model: Any) -> np.ndarray:
    """Return float32[layer, t]: share of a layer's variance over labels in a function of x plus one of y."""
    values, _, _ = grid_of(model.settings)
    last = model.settings.diffusion.timesteps
    return np.array(
        [
            [
                model.activations(x=values[:, None], y=values[None, :], layer=layer, t=min(t, last)).additive_share()
                for t in (100, 300)
            ]
            for layer in LAYERS
        ]
    )


def _moves(results: xr.Dataset, move: str, layer: str, direction: str, window: str = ALWAYS) -> xr.DataArray:
    """Return a number per seed, mean over the two factors, at the last evaluation."""
    last = results["metric_moved"].isel(step=-1)
    at = {"moved_layer": layer, "moved_direction": direction, "moved_window": window, "moved_move": move}
    return last.sel(at).mean("moved_factor", skipna=False)


def _learned(results: xr.Dataset) -> Comparison:
    accuracy = select_scores(results)["accuracy"].isel(step=-1)
    return claims.compare("last accuracy", accuracy, lower=0.5, role=claims.PRECONDITION)


def _log_ratio(one: xr.DataArray, other: xr.DataArray) -> xr.DataArray:
    """Return the logarithm of a ratio of moves; none is smaller than a fiftieth of a shift."""
    return xr.apply_ufunc(np.log, one.clip(min=0.02) / other.clip(min=0.02))


def main_effects_move(results: xr.Dataset) -> list[Comparison]:
    """Adding a main effect's difference to layer 4 moves the drawn center along its factor, and hardly across.

    Quote: none; 2408.13256 reads the geometry of this layer as a factorized code of x and y.
    Statistic: at the last evaluation, mean over x and y of the median displacement, in shifts: along over 0.25; log of
    across over along under log 0.5.
    Baseline: random directions of equal norm: along within 0.125 of nothing; and 0.2 more than theirs.
    Refuted by: no displacement, one across, or one of random directions too.
    """
    along, across = (_moves(results, move, "layer4", "main effect") for move in ("along", "across"))
    random = _moves(results, "along", "layer4", "random")
    principal = _moves(results, "along", "layer4", "principal")
    return [
        _learned(results),
        claims.compare("layer 4, main effect: displacement along, in shifts", along, lower=0.25),
        claims.compare("log of displacement across over along", _log_ratio(across, along), upper=float(np.log(0.5))),
        claims.compare("random directions: displacement along", random, lower=-0.125, upper=0.125),
        claims.compare("main effect less random", along - random, lower=0.2),
        claims.compare("main effect less first principal component", along - principal, role=claims.CONTROL),
    ]


def layers_differ(results: xr.Dataset) -> list[Comparison]:
    """Main effects carry over two thirds of what the whole difference does in layer 1, and less in layer 4.

    Quote: none; "factorized" of a layer means here that its effect on the picture is a sum of effects.
    Statistic: log of displacement along by main effects over that by the whole difference between the two labels'
    activations: over log 2/3 in layer 1, under log 2/3 in layer 4.
    Baseline: the whole difference itself, which must move the center by 0.25 shifts in both layers.
    Refuted by: layer 4 moved by its main effects alone, or layer 1 by its interaction.
    """
    limit = float(np.log(2 / 3))
    main, whole = (
        {layer: _moves(results, "along", layer, direction) for layer in ("layer1", "layer4")}
        for direction in ("main effect", "whole difference")
    )
    of_layer1, of_layer4 = (_log_ratio(main[layer], whole[layer]) for layer in ("layer1", "layer4"))
    least = xr.concat([whole["layer1"], whole["layer4"]], "layer").min("layer")
    return [
        _learned(results),
        claims.compare("whole difference: displacement along", least, lower=0.25, role=claims.PRECONDITION),
        claims.compare("layer 1: log of main effects over whole difference", of_layer1, lower=limit),
        claims.compare("layer 4: log of main effects over whole difference", of_layer4, upper=limit),
    ]


def bottleneck_is_unused(results: xr.Dataset) -> list[Comparison]:
    """Even the whole difference of the bottleneck's activations leaves the drawn center where it is.

    Quote: none; 2408.13256 says that it saw similar representations in the bottleneck.
    Statistic: displacement along by the whole difference in the bottleneck, within 0.1 shifts of nothing.
    Baseline: the same in layer 4 is over 0.25.
    Refuted by: a displacement of over a tenth.
    """
    of_bottleneck, of_layer4 = (
        _moves(results, "along", layer, "whole difference") for layer in ("bottleneck1", "layer4")
    )
    return [
        _learned(results),
        claims.compare("bottleneck: displacement along", of_bottleneck, lower=-0.1, upper=0.1),
        claims.compare("layer 4: displacement along", of_layer4, lower=0.25),
    ]


def late_steps_decide(results: xr.Dataset) -> list[Comparison]:
    """Main effects that are added at t <= 300 move the center farther than those added before.

    Quote: none; 2402.03305 reads layer 4 at the last step of sampling.
    Statistic: log of displacement along in layer 4 by edits at t <= 300 over that by edits at t > 300, over 0.
    Baseline: none; a displacement under a fiftieth of a shift counts as that.
    Refuted by: an equal displacement, or a larger one by early edits.
    """
    late, early = (_moves(results, "along", "layer4", "main effect", window) for window in (LATE, EARLY))
    return [
        _learned(results),
        claims.compare("log of displacement by late over by early edits", _log_ratio(late, early), lower=0.0),
        claims.compare("displacement by late edits", late, lower=0.1),
    ]


def draw_moves(results: xr.Dataset, move: str = "along") -> Figure:
    """Draw how far each direction moves the center, by layer and window; a dot for each seed, lines through means."""
    last = results["metric_moved"].isel(step=-1).sel(moved_move=move).mean("moved_factor")
    figure, panels = plt.subplots(2, 2, figsize=(9, 6.5), sharex=True, sharey=True, layout="constrained")
    places = np.arange(len(LAYERS))
    for panel, window in zip(panels.ravel(), WINDOWS, strict=True):
        for number, (direction, color) in enumerate(zip(DIRECTIONS, COLORS, strict=True)):
            values = last.sel(moved_window=window, moved_direction=direction).transpose("seed", "moved_layer").values
            beside = places + 0.12 * (number - 1.5)
            panel.plot(beside, values.mean(axis=0), "-", color=color, lw=1, label=direction)
            for of_seed in values:
                panel.plot(beside, of_seed, "o", color=color, ms=3.5, alpha=0.7)
        panel.axhline(0, color="0.7", lw=0.8)
        panel.axhline(1, color="0.7", lw=0.8, ls=":")
        at, _, when = window.partition(", ")
        panel.set_title(f"activations of {at}, added {when.replace('t ', 'at t ')}", fontsize=9)
        panel.set_xticks(places, [layer.replace("layer", "layer ").replace("neck1", "neck") for layer in LAYERS])
        panel.set_xlim(-0.5, len(LAYERS) - 0.5)
    panels[0, 0].legend(fontsize=8)
    figure.supylabel(f"median displacement {move} the factor (shifts of an eighth of the image)", fontsize=9)
    return figure


def draw_carried(results: xr.Dataset) -> Figure:
    """Draw the part of the whole difference's effect that main effects carry, over the layer's additive share."""
    last = results.isel(step=-1)
    along = last["metric_moved"].sel(moved_move="along", moved_window=ALWAYS).mean("moved_factor")
    share = last["metric_additive"].sel(additive_t=300)
    figure, axes = plt.subplots(figsize=(5, 4), layout="constrained")
    for layer, marker, color in zip(LAYERS, "os^Dv", (*COLORS, "black"), strict=True):
        if layer == "bottleneck1":
            continue  # nothing moves
        of_layer = along.sel(moved_layer=layer)
        carried = of_layer.sel(moved_direction="main effect") / of_layer.sel(moved_direction="whole difference")
        name = layer.replace("layer", "layer ")
        axes.plot(share.sel(additive_layer=layer), carried, marker, color=color, ms=5, alpha=0.8, label=name)
    axes.plot([0, 1], [0, 1], color="0.7", lw=0.8, ls=":")
    axes.set(xlabel="additive share of variance at t = 300", ylabel="displacement by main effects over whole")
    axes.legend(fontsize=8)
    return figure


OURS = "a question of this project, beyond both papers"

EXPERIMENT = Experiment(
    name="interventions",
    figure="beyond the papers: a layer moved along its main effects, and what is drawn then",
    claim="what a layer has of x moves the bump along x; in layer 4 about half of it is an interaction",
    time="42 minutes beside other work",
    expect="bumps that follow the edit of every layer but the bottleneck",
    presets={"tiny": TINY} | {name: p1_fig3.EXPERIMENT.presets[name] for name in ("laptop", "paper")},
    metrics=(
        Metric(
            "moved",
            moved,
            description="displacement of drawn centers by edits, in shifts of an eighth of the image",
            of_model=True,
            only_last=True,
            coordinates={
                "layer": LAYERS,
                "window": tuple(WINDOWS),
                "direction": DIRECTIONS,
                "factor": FACTORS,
                "move": MOVES,
            },
        ),
        Metric(
            "additive",
            additive,
            description="share of a layer's variance over labels in f(x) + g(y)",
            of_model=True,
            only_last=True,
            coordinates={"layer": LAYERS, "t": (100, 300)},
        ),
    ),
    plots=(
        Plot("displacement", draw_moves),
        Plot("leak", partial(draw_moves, move="across")),
        Plot("carried", draw_carried),
        Plot("learning_curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis=None)),
    ),
    claims=(
        Claim(
            name="edit moves",
            statement="main effects of layer 4, added, move the bump along their factor, and not across",
            source=OURS,
            test=main_effects_move,
            would_decide="more seeds",
        ),
        Claim(
            name="edit by layer",
            statement="main effects carry most of a label's effect in layer 1, and the lesser part in layer 4",
            source=OURS,
            test=layers_differ,
            would_decide="more seeds",
        ),
        Claim(
            name="edit of bottleneck",
            statement="activations of the bottleneck do not move the bump",
            source=OURS,
            test=bottleneck_is_unused,
            would_decide="more seeds",
        ),
        Claim(
            name="edit late",
            statement="edits of layer 4 in the last 300 diffusion steps move the bump more than those before",
            source=OURS,
            test=late_steps_decide,
            would_decide="more seeds",
        ),
    ),
)
