"""Made-up results by which every claim holds, and by which it fails."""

import numpy as np

import experiments
from diffgeo.data import label_tables


def phases(bounds):
    return {"phase": lambda at, t, tensor: int(np.searchsorted(bounds, t, side="right"))}


def order(function):
    return {name: lambda at, t, tensor: function(t) for name in ("r2", "r2_x", "r2_y")}


def rings(xy, xx, far_xy, far_xx):
    """Mean angles and distances to a Clifford torus of x-on-y and x-on-x rings; [ring_pair, ring_statistic]."""
    return {
        "ring_mean": lambda at, t, tensor: [[xy, 0.9], [xx, 0.5], [xx, 0.5]],
        "wasserstein_clifford": lambda at, t, tensor: [[far_xy, 0.1], [far_xx, 0.5], [far_xx, 0.5]],
    }


def by_part(table):
    """Scores by (data set, region), 0.9 where not named."""
    return lambda at, t, region: table.get((at["dataset"], region), 0.9)


SEEN_Y, SEEN_X, NEITHER = (0.13, 0.15, 0.9), (0.13, 0.9, 0.15), (0.02, 0.12, 0.15)
TWO_D = {("2d", "vertical"): SEEN_Y, ("2d", "horizontal"): SEEN_X, ("2d", "intersection"): NEITHER}
PARTS = ("vertical", "horizontal", "intersection")
NARROW_TO_WIDE = {0.5: 0.9, 1.5: 0.7, 3.5: 0.45, 5.5: 0.2}
INCREASING = {0.5: 0.2, 1.5: 0.4, 3.5: 0.6, 5.5: 0.9}


def scaled(powers):
    """Accuracy that rises steeply at c N^p labels; data set -> (c, p)."""

    def score(at, t, region):
        settings = experiments.find("p2_fig5").settings("laptop")
        count = int(label_tables.build_label_table(settings.at(**at).data).count)
        constant, power = powers[at["dataset"]]
        return 1 / (1 + (count / (constant * at["size"] ** power)) ** -3.0)

    return score


def square(bump_inside, bump_corner, sos):
    def score(at, t, region):
        if region != "ood":
            return 0.9
        return sos if at["kind"] == "sos" else {"square": bump_inside, "corner": bump_corner}[at["hole"]]

    return score


def flat(value):
    return lambda at, t, region: value


def rising(at, t, region):
    return 0.95 * t


TRUE = (1, 2, 1)  # Betti numbers of a torus

# (experiment, claim) -> what makes it hold, what makes it fail: (score, measures)
CASES = {
    ("p1_fig3", "a"): ((rising, phases([0.3, 0.6])), (rising, phases([0.0, 2.0]))),
    ("p1_fig3", "b"): ((rising, order(lambda t: 0.1 + 0.8 * t)), (rising, order(lambda t: 0.9 - 0.5 * t))),
    ("p1_fig3", "b, before the label"): (
        (rising, order(lambda t: 0.1 + 0.8 * t)),
        (rising, order(lambda t: 0.9 - 0.5 * t)),
    ),
    ("p1_fig4", "b"): ((rising, order(lambda t: 0.1 + 0.8 * t)), (rising, order(lambda t: 0.9 - 0.5 * t))),
    ("p1_fig4", "c"): (
        (lambda at, t, region: t ** at["increment"], ()),
        (lambda at, t, region: t ** (1 / at["increment"]), ()),
    ),
    ("p1_fig5", "d"): (
        (rising, order(lambda t: t)),
        (
            lambda at, t, region: (t**2, t**0.3, t**2),
            {name: lambda at, t, tensor, r2=r2: r2 for name, r2 in (("r2", 0.5), ("r2_x", 0.9), ("r2_y", 0.2))},
        ),
    ),
    ("p1_fig8", "e"): (
        (rising, ()),
        (lambda at, t, region: t * (at["sigma"] - 0.4) / 0.6, ()),
    ),
    ("p1_fig9", "f"): (
        (lambda at, t, region: (0.93 if region == "ood" else 0.95) * t, ()),
        (lambda at, t, region: (0.3 if region == "ood" else 0.95) * t, ()),
    ),
    ("p2_fig2", "g"): (
        (rising, {"betti": lambda at, t, tensor: TRUE}),
        (rising, {"betti": lambda at, t, tensor: (1, 0, 0)}),
    ),
    ("p2_fig2", "h"): (
        (rising, {"participation_ratio": lambda at, t, tensor: 3 + 14 * t if t < 0.5 else 14 - 8 * t}),
        (rising, {"participation_ratio": lambda at, t, tensor: 3 + 7 * t}),
    ),
    ("p2_fig2", "i"): ((rising, rings(88, 60, 3, 40)), (rising, rings(40, 10, 50, 10))),
    ("p2_fig4", "j"): ((by_part(TWO_D), ()), (flat(0.9), ())),
    ("p2_fig4", "k"): ((flat(0.9), ()), (by_part({("2d+1d", part): 0.2 for part in PARTS}), ())),
    ("p2_fig4", "k, beside 2D"): (
        (by_part(TWO_D), ()),
        (by_part({("2d+1d", part): 0.2 for part in PARTS}), ()),
    ),
    ("p2_fig4", "l"): ((by_part({("1d", "all"): (0.05, 0.9, 0.1)}), ()), (flat(0.9), ())),
    ("p2_fig4g", "k, few bumps"): (
        (lambda at, t, region: 0.3 if at["kept_fraction"] < 0.2 else 0.8, ()),
        (lambda at, t, region: 0.8 if at["kept_fraction"] == 1 else 0.3, ()),
    ),
    ("p2_fig5", "n"): (
        (scaled({"2d": (0.4, 2), "2d+1d": (16, 1)}), ()),
        (scaled({"2d": (50, 0), "2d+1d": (16, 1)}), ()),
    ),
    ("p2_fig5", "n, lower threshold"): (
        (scaled({"2d": (0.5, 2), "2d+1d": (19, 1)}), ()),
        (scaled({"2d": (60, 0), "2d+1d": (19, 1)}), ()),
    ),
    ("p2_fig6", "p"): (
        (lambda at, t, region: at["kept_fraction"] ** (0.3 / at["sigma"]) * t, ()),
        (lambda at, t, region: 0.95 - 0.25 * at["kept_fraction"], ()),
    ),
    ("p2_fig11", "m"): (
        (lambda at, t, region: NARROW_TO_WIDE[at["hole_width"]] if region == "ood" else 0.9, ()),
        (lambda at, t, region: INCREASING[at["hole_width"]] if region == "ood" else 0.9, ()),
    ),
    ("p2_fig12", "o"): ((square(0.6, 0.3, 0.95), ()), (square(0.6, 0.7, 0.2), ())),
}
