"""Made-up results by which every claim holds, and by which it fails."""

from typing import Any, NamedTuple

import numpy as np

import experiments
from diffgeo.data import label_tables, regions
from diffgeo.settings import Data


class Made(NamedTuple):
    """Arguments of `tests.support.results.made_up`."""

    score: Any = None
    measures: Any = ()
    draw: Any = None


def mixed(one: Made, other: Made) -> Made:
    """The first in seed 0, the other in seed 1."""

    def pick(first, second):
        if first is None and second is None:
            return None
        return lambda at, *more: (first, second)[at["seed"]](at, *more)

    measures = {name: pick(function, dict(other.measures)[name]) for name, function in dict(one.measures).items()}
    return Made(pick(one.score, other.score), measures, pick(one.draw, other.draw))


# scores over time


def flat(value):
    return lambda at, t, region: value


def perfect_score(at, t, region):
    return 1.0


def rising(at, t, region):
    return 0.95 * t


def half_at(time):
    """Accuracy that passes one half at this time; `time` is a function of the coordinates."""
    return lambda at, t, region: 1 / (1 + (max(t, 1e-6) / time(at)) ** -4.0)


def scaled(powers, threshold=0.6):
    """Accuracy that is this threshold at c N^p bumps and linear in their logarithm; data set -> (c, p)."""

    def score(at, t, region):
        settings = experiments.find("p2_fig5").settings("laptop")
        data = settings.at(**at).data
        count = int(label_tables.build_label_table(data).count)
        if at["dataset"] == "2d+1d":
            count -= int(label_tables.build_label_table(settings.at(**at | {"dataset": "1d"}).data).count)
        constant, power = powers[at["dataset"]]
        return float(np.clip(threshold + 0.1 * np.log(count / (constant * at["size"] ** power)), 0, 1))

    return score


# places drawn


def perfect(at, labels, data):
    return labels


def seen(data: Data) -> np.ndarray:
    table = label_tables.build_label_table(data)
    return table.centers[: int(table.count)]


def copying(at, labels, data):
    """Draw the nearest seen label."""
    known = seen(data)
    return known[np.linalg.norm(labels[:, None] - known[None], axis=-1).argmin(axis=1)]


def right(share, otherwise="wrong"):
    """Draw a share of the labels of each column right, a function of the coordinates; copy or miss the others."""

    def draw(at, labels, data):
        chosen = np.random.default_rng(at["seed"]).permuted(np.arange(len(labels)) % 20) < 20 * share(at)
        missed = copying(at, labels, data) if otherwise == "copy" else labels + 5.0
        return np.where(chosen[:, None], labels, missed)

    return draw


def in_hole(inside):
    """Draw labels of the hole as `inside` does, the others right."""

    def draw(at, labels, data):
        mask = regions.masks(data, labels, ["ood"])["ood"]
        return np.where(mask[:, None], inside(at, labels, data), labels)

    return draw


def by(name, functions, default=perfect):
    """Draw as the function of the member's value of an axis does."""
    return lambda at, labels, data: functions.get(at[name], default)(at, labels, data)


def one_stripe(at, labels, data):
    """x right and y wrong for half of the labels, and the converse for the others."""
    first = (np.arange(len(labels)) % 2 == 0)[:, None]
    return np.where(first == [[True, False]], labels, labels + 5.0)


# measures


def over_time(names, function):
    return {name: lambda at, t, tensor: function(t) for name in names}


def order(function):
    return over_time(("r2", "r2_x", "r2_y"), function)


def probes(x, y):
    return {"probe_r2_x": lambda at, t, tensor: x * t, "probe_r2_y": lambda at, t, tensor: y * t}


def bars(h1, h2):
    """Persistence diagrams with these (births, deaths) of H1 and H2 over points that are joined at 1."""
    made = np.full((3, 64, 2), np.nan)
    made[0, :3] = (0, np.inf), (0, 1.0), (0, 0.9)
    made[1, : len(h1)], made[2, : len(h2)] = h1, h2
    return made


TORUS = bars([(1, 3), (1, 2.9), (1, 1.1)], [(1, 2), (1, 1.05)])
CLEARER = bars([(1, 4), (1, 3.9), (1, 1.1)], [(1, 3), (1, 1.05)])
NOTHING = bars([(1, 1.1), (1, 1.09), (1, 1.08)], [(1, 1.04), (1, 1.03)])


def diagrams(last, images=CLEARER, start=NOTHING):
    """Diagrams of the representation at the end, of the images, and of the untrained network."""

    def made(at, t, tensor):
        return images if tensor == "pixels" else (last if t == 1 else start)

    return {"bars": made, "bar_threshold": lambda at, t, tensor: 5.0}


def rings(xy, xx, images=(80, 78), start=(75, 77), shuffled=-2.0, gaussian=-1.0):
    """Mean angles of x-on-y and x-on-x rings at the end, of the images, and of the untrained network; nulls."""

    def made(at, t, tensor):
        both = images if tensor == "pixels" else ((xy, xx) if t == 1 else start)
        return [[both[0], 0.9], [both[1], 0.5], [both[1], 0.5]]

    return {
        "ring_mean": made,
        "ring_contrast_null": lambda at, t, tensor: [shuffled, 0.5],
        "ring_contrast_gaussian": lambda at, t, tensor: [gaussian, 0.5],
    }


def ahead_of_pixels(half, pixels):
    """R^2 that passes one half at one time in the representation, at another in the generated images' pixels."""

    def made(at, t, tensor):
        return half_at(lambda at: pixels if tensor == "generated_pixels" else half)(at, t, None)

    return {"r2": made}


def literal(degrees, start=80.0):
    """Mean angle between single components of x-on-x rings, at the end and of the untrained network."""

    def made(at, t, tensor):
        return [60.0, *[degrees if t == 1 else start] * 2]

    return {"ring_mean_literal": made}


def prominent(last):
    """Share of the variance in the first components: 0.5 until half of training, then this."""
    return {"explained_variance": lambda at, t, tensor: np.full(64, last if t > 0.5 else 0.5)}


def sheets(gap, images=lambda at: 2.0):
    """3-D UMAPs of two sheets this far apart, a function of the coordinates: the representation's, the images'."""

    def made(at, t, tensor):
        rows, columns = np.divmod(np.arange(256), 16)
        apart = (gap if tensor == "layer4" else images)(at) - 1
        return np.stack([rows, columns + apart * (columns >= 8), 0.1 * np.sin(rows + at["seed"])], axis=1)

    return {"umap": made}


SEEN_ONLY = {"2d": copying}
FRACTION = {0.1: 0.0, 0.3: 0.25, 0.5: 0.5, 0.7: 0.75, 1.0: 1.0}

# (experiment, claim) -> what makes it hold, what makes it fail
CASES = {
    ("p1_fig3", "a"): (Made(rising), Made(lambda at, t, region: 0.9 * (round(20 * t) % 2))),
    ("p1_fig8", "e"): (Made(half_at(lambda at: 0.5)), None),
    ("p1_fig8", "e, in speed"): (Made(half_at(lambda at: 0.5)), Made(half_at(lambda at: 0.2 / at["sigma"]))),
    ("p1_fig8", "e, seeds"): (
        Made(lambda at, t, region: 0.2 if at["increment"] == 1 and at["sigma"] < 1 else 0.9 * t),
        Made(lambda at, t, region: 0.2 if at["increment"] == 0.5 and at["sigma"] < 1 else 0.9 * t),
    ),
    ("p1_fig9", "f"): (Made(draw=perfect), Made(draw=by("hole_area_fraction", {0.1: in_hole(right(lambda at: 0.0))}))),
    ("p2_fig2", "g"): (Made(rising, diagrams(TORUS)), Made(rising, diagrams(NOTHING))),
    ("p2_fig2", "h"): (
        Made(rising, {"participation_ratio": lambda at, t, tensor: 3 + 14 * t if t < 0.5 else 14 - 8 * t}),
        Made(rising, {"participation_ratio": lambda at, t, tensor: 3.0 - t}),
    ),
    ("p2_fig2", "h, top 4"): (Made(rising, prominent(0.7)), Made(rising, prominent(0.3))),
    ("p2_fig2", "i"): (Made(rising, rings(88, 60)), Made(rising, rings(60, 88))),
    ("p2_fig4", "j"): (Made(draw=by("dataset", SEEN_ONLY)), Made(draw=perfect)),
    ("p2_fig4", "k"): (Made(draw=perfect), Made(draw=in_hole(copying))),
    ("p2_fig4", "k, beside 2D"): (
        Made(draw=by("dataset", SEEN_ONLY)),
        Made(draw=by("dataset", {"2d+1d": copying})),
    ),
    ("p2_fig4", "l"): (Made(draw=by("dataset", {"1d": one_stripe})), Made(draw=perfect)),
    ("p2_fig4", "l, as good"): (Made(draw=perfect), Made(draw=by("dataset", {"1d+rim": one_stripe}))),
    ("p2_fig4g", "k, few bumps"): (
        Made(draw=by("kept_fraction", {0.1: in_hole(copying)})),
        Made(draw=by("kept_fraction", {1.0: perfect}, in_hole(copying))),
    ),
    ("p2_fig5", "n"): (
        Made(scaled({"2d": (0.4, 2), "2d+1d": (2.5, 1)})),
        Made(scaled({"2d": (40, 0), "2d+1d": (0.4, 2)})),
    ),
    ("p2_fig5", "n, lower threshold"): (
        Made(scaled({"2d": (0.5, 2), "2d+1d": (3, 1)}, 0.3)),
        Made(scaled({"2d": (50, 0), "2d+1d": (0.5, 2)}, 0.3)),
    ),
    ("p2_fig6", "p"): (
        Made(draw=right(lambda at: 1.0 if at["kept_fraction"] == 1 else FRACTION[at["kept_fraction"]] * at["sigma"])),
        Made(draw=right(lambda at: 1.0 if at["kept_fraction"] == 1 else 1 - FRACTION[at["kept_fraction"]])),
    ),
    ("p2_fig11", "m"): (
        Made(draw=in_hole(right(lambda at: {0.5: 1, 1.5: 0.95, 3.5: 0.75, 5.5: 0.5}[at["hole_width"]], "copy"))),
        Made(draw=in_hole(right(lambda at: {0.5: 0.1, 1.5: 0.4, 3.5: 0.6, 5.5: 0.9}[at["hole_width"]]))),
    ),
    ("p2_fig11", "m, disconnected"): (
        Made(perfect_score, sheets(lambda at: 1.0 + at["hole_width"])),
        Made(perfect_score, sheets(lambda at: 8.0 - at["hole_width"])),
    ),
    ("p2_fig12", "o"): (
        Made(draw=in_hole(right(lambda at: 1.0 if at["kind"] == "sos" else (0.6 if at["hole"] == "square" else 0.2)))),
        Made(draw=in_hole(right(lambda at: 0.2 if at["kind"] == "sos" else (0.6 if at["hole"] == "square" else 0.9)))),
    ),
    ("p2_fig12", "o, decay"): (
        Made(draw=in_hole(right(lambda at: 0.9 if at["hole"] == "square" else 1.2 - 0.15 * at["hole_width"]))),
        Made(draw=in_hole(right(lambda at: 0.9 if at["hole"] == "corner" else 1.2 - 0.15 * at["hole_width"]))),
    ),
    ("p1_fig3", "a, disordered B"): (
        Made(rising, order(lambda t: 0.2) | over_time(["intrinsic_dimension"], lambda t: 2.0)),
        Made(rising, order(lambda t: 0.8) | over_time(["intrinsic_dimension"], lambda t: 2.0)),
    ),
    ("p1_fig3", "b"): (Made(rising, ahead_of_pixels(0.5, 0.8)), Made(rising, ahead_of_pixels(0.12, 0.8))),
    ("p1_fig3", "b, before the label"): (
        Made(rising, ahead_of_pixels(0.5, 0.8)),
        Made(rising, ahead_of_pixels(0.12, 0.8)),
    ),
    ("p1_fig4", "b"): (Made(rising, ahead_of_pixels(0.5, 0.8)), Made(rising, ahead_of_pixels(0.12, 0.8))),
    ("p2_fig2", "i, 3-D torus"): (Made(rising, literal(67.0)), Made(rising, literal(45.0))),
}

LATER = {
    ("p1_fig4", "c"): Made(half_at(lambda at: 0.3 * at["increment"] ** 0.5)),
    ("p1_fig4", "c, as read"): Made(half_at(lambda at: 0.3 * at["increment"] ** 0.5)),
    ("p1_fig5", "d"): Made(rising, probes(0.9, 0.9)),
    ("p1_fig5", "d, y ahead"): Made(rising),
}
"""Claims whose inputs stored results lack: they are not decided, and say what was not measured."""
