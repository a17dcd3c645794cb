"""Tests of the claims of 2408.13256, (g) to (p): functions from a results Dataset to comparisons.

experiments/CHOICES.md lists the claims by letter.
"""

import numpy as np
import xarray as xr

from diffgeo.claims.bootstrap import scores
from diffgeo.claims.claim import CONTROL, PRECONDITION, Comparison, compare
from diffgeo.claims.intervals import RESAMPLE
from diffgeo.claims.scaling import scaling_exponent
from diffgeo.claims.select import LAYER, LEARNED, analyzed, at_last_step, mean_over_axes
from diffgeo.data import regions

TORUS = (1, 2, 1)
"""Betti numbers of a torus."""

RIGHT_ANGLE = 75.0
"""Degrees; mean principal angle over which rings count as orthogonal."""

TWO_D, ONE_D, BOTH, RIM = "2d", "1d", "2d+1d", "1d+rim"
"""Data sets of the paper, values of the axis "dataset" of the experiment p2_fig4."""


def claim_g_torus(results: xr.Dataset) -> list[Comparison]:
    """(g) The last representation has the Betti numbers of a torus, 1, 2, 1 [2408.13256, section 3.1, Fig. 2]."""
    betti = analyzed(results, "betti")
    is_torus = (betti == xr.DataArray(list(TORUS), dims="homology")).all("homology").astype(float)
    is_torus = is_torus.where(betti.notnull().all("homology"))
    last = is_torus.isel(step=-1)
    share = "share of seeds with Betti numbers 1, 2, 1"
    return [
        _learned(results),
        compare(share, last.sel(tensor=LAYER), lower=0.5, within=(0, 1)),
        compare(f"{share}, untrained network", is_torus.isel(step=0).sel(tensor=LAYER), role=CONTROL, within=(0, 1)),
        compare(f"{share}, true images", last.sel(tensor="pixels"), role=CONTROL, within=(0, 1)),
    ]


def claim_h_dimension_rises_then_falls(results: xr.Dataset, change: float = 0.1) -> list[Comparison]:
    """(h) Effective dimension rises, then falls, to a value over 4 [2408.13256, section 3.1, Fig. 2]."""
    ratio = analyzed(results, "participation_ratio")
    dimension = ratio.sel(tensor=LAYER)
    peak, first, last = dimension.max("step"), dimension.isel(step=0), dimension.isel(step=-1)
    return [
        _learned(results),
        compare("log of highest over first effective dimension", xr.apply_ufunc(np.log, peak / first), lower=change),
        compare("log of highest over last effective dimension", xr.apply_ufunc(np.log, peak / last), lower=change),
        compare("last effective dimension", last, lower=4.0),
        compare("effective dimension of the true images", ratio.sel(tensor="pixels").isel(step=-1), role=CONTROL),
    ]


def claim_i_orthogonal_not_parallel(results: xr.Dataset) -> list[Comparison]:
    """(i) Rings of x are orthogonal to rings of y, as on a Clifford torus, but not parallel to each other.

    [2408.13256, section 3.1, B.2, Fig. 3, 8]. On a Clifford torus, the planes of x-on-y pairs are at 90 degrees and
    those of x-on-x pairs at 0.
    """
    angles = analyzed(results, "ring_mean").sel(ring_statistic="angles")
    distance = analyzed(results, "wasserstein_clifford").sel(ring_statistic="angles", tensor=LAYER).isel(step=-1)
    last = angles.isel(step=-1)
    xy, xx = ({"ring_pair": pair} for pair in ("x_on_y", "x_on_x"))
    return [
        _learned(results),
        compare("mean angle of x-on-y rings (degrees)", last.sel({"tensor": LAYER} | xy), lower=RIGHT_ANGLE),
        compare(
            "distance to a Clifford torus (degrees), x-on-x less x-on-y",
            distance.sel(xx) - distance.sel(xy),
            lower=0.0,
        ),
        compare("x-on-y angle, untrained network", angles.isel(step=0).sel({"tensor": LAYER} | xy), role=CONTROL),
        compare("x-on-x angle, untrained network", angles.isel(step=0).sel({"tensor": LAYER} | xx), role=CONTROL),
        compare("x-on-y angle, true images", last.sel({"tensor": "pixels"} | xy), role=CONTROL),
        compare("x-on-x angle, true images", last.sel({"tensor": "pixels"} | xx), role=CONTROL),
    ]


def claim_j_right_in_the_seen_coordinate(results: xr.Dataset, gap: float = 0.3) -> list[Comparison]:
    """(j) The 2D model is right in the coordinate that it has seen and wrong in the other.

    [2408.13256, section 3.2, Fig. 4c-e]. The horizontal part holds out y, the vertical part x, the intersection both.
    """
    last = {part: at_last_step(results, part, TWO_D) for part in ("id", "vertical", "horizontal", "intersection")}

    def less(part: str, seen: str, unseen: str) -> xr.DataArray:
        return last[part][f"accuracy_{seen}"] - last[part][f"accuracy_{unseen}"]

    middle = last["intersection"]
    return [
        compare("2D model: accuracy outside the cross", last["id"]["accuracy"], lower=LEARNED, role=PRECONDITION),
        compare("2D model, horizontal part: accuracy of x less y", less("horizontal", "x", "y"), lower=gap),
        compare("2D model, vertical part: accuracy of y less x", less("vertical", "y", "x"), lower=gap),
        compare("2D model, intersection: accuracy of x", middle["accuracy_x"], upper=LEARNED),
        compare("2D model, intersection: accuracy of y", middle["accuracy_y"], upper=LEARNED),
    ]


def claim_k_stripes_compose(results: xr.Dataset) -> list[Comparison]:
    """(k) The 2D + 1D model is right in every part [2408.13256, section 3.2, Fig. 4c-e]."""
    comparisons = [
        compare(
            "2D + 1D model: accuracy outside",
            at_last_step(results, "id", BOTH)["accuracy"],
            lower=LEARNED,
            role=PRECONDITION,
        )
    ]
    for part in ("vertical", "horizontal", "intersection"):
        for name in ("x", "y"):
            values = at_last_step(results, part, BOTH)[f"accuracy_{name}"]
            comparisons.append(compare(f"2D + 1D model, {part}: accuracy of {name}", values, lower=LEARNED))
    return comparisons


def claim_k_stripes_help(results: xr.Dataset) -> list[Comparison]:
    """(k) The 2D + 1D model is better than the 2D model in every part [2408.13256, section 3.2, Fig. 4c-e]."""
    learned = compare(
        "2D model: accuracy outside the cross",
        at_last_step(results, "id", TWO_D)["accuracy"],
        lower=LEARNED,
        role=PRECONDITION,
    )
    gains = []
    for part in ("vertical", "horizontal", "intersection"):
        both, alone = (at_last_step(results, part, data)["accuracy"] for data in (BOTH, TWO_D))
        gains.append(compare(f"{part}: accuracy of 2D + 1D less 2D", both - alone, lower=0.0))
    return [learned, *gains]


def claim_k_few_bumps_suffice(results: xr.Dataset, enough: float = 0.2, tolerance: float = 0.15) -> list[Comparison]:
    """(k) With stripes, a fifth of the bumps does as well as all in the held-out cross [2408.13256, 3.2, Fig. 4g]."""
    inside = scores(results, "ood")["accuracy"].isel(step=-1).sortby("kept_fraction")
    most = inside.isel(kept_fraction=-1, drop=True)
    comparisons = [compare("accuracy in the cross with most bumps", most, lower=0.3, role=PRECONDITION)]
    for value in inside["kept_fraction"].values[:-1]:
        description = f"accuracy in the cross, most bumps less fraction {value:g}"
        less = most - inside.sel(kept_fraction=value, drop=True)
        suffices = value >= enough
        comparisons.append(
            compare(description, less, upper=tolerance) if suffices else compare(description, less, role=CONTROL)
        )
    return comparisons


def claim_l_rim_composes(results: xr.Dataset, low: float = 0.3, gain: float = 0.2) -> list[Comparison]:
    """(l) Stripes alone do not compose; with a rim of partial crossings, they do [2408.13256, 3.2, C.2, Fig. 10]."""
    alone, rim = (at_last_step(results, regions.ALL, data) for data in (ONE_D, RIM))
    return [
        compare(
            "1D model: better of x and y",
            xr.apply_ufunc(np.maximum, alone["accuracy_x"], alone["accuracy_y"]),
            lower=low,
            role=PRECONDITION,
        ),
        compare("1D model: accuracy of both", alone["accuracy"], upper=low),
        compare("accuracy of both, 1D with rim less 1D", rim["accuracy"] - alone["accuracy"], lower=gain),
    ]


def claim_m_falls_gradually(results: xr.Dataset, axis: str = "hole_width", largest: float = 0.75) -> list[Comparison]:
    """(m) Accuracy in a lesion falls gradually with its width [2408.13256, C.3, Fig. 11]."""
    inside, outside = (scores(results, name)["accuracy"].isel(step=-1).sortby(axis) for name in ("ood", "id"))
    drop = inside.isel({axis: 0}, drop=True) - inside.isel({axis: -1}, drop=True)
    steepest = (-inside.diff(axis)).max(axis) / drop.where(drop > 0)
    falls = compare("accuracy in the narrowest lesion less in the widest", drop, lower=0.0)
    learned = compare("accuracy outside the lesion", outside.mean(axis), lower=LEARNED, role=PRECONDITION)
    if not (drop.isel({RESAMPLE: 0}) > 0).all():  # without a fall there is nothing to divide the steepest step by
        return [learned, falls]
    return [learned, falls, compare("largest fall between neighboring widths over the whole", steepest, upper=largest)]


def claim_n_data_scaling(results: xr.Dataset, threshold: float = 0.6, margin: float = 0.5) -> list[Comparison]:
    """(n) The labels needed for an accuracy grow as N^2 for bumps, as N with stripes [2408.13256, 3.2, Fig. 5]."""
    exponents = {name: scaling_exponent(results, name, threshold) for name in (TWO_D, BOTH)}
    description = f"exponent of the labels needed for accuracy {threshold:g}"
    return [
        compare(f"{description}, bumps", exponents[TWO_D], lower=2 - margin, upper=2 + margin),
        compare(f"{description}, bumps and stripes", exponents[BOTH], lower=1 - margin, upper=1 + margin),
        compare(f"{description}, bumps less both", exponents[TWO_D] - exponents[BOTH], lower=0.0),
    ]


def claim_o_squares(results: xr.Dataset) -> list[Comparison]:
    """(o) SOS compose over larger holes than bumps do, interior better than exterior [2408.13256, C.4, Fig. 12]."""
    inside, outside = (scores(results, name)["accuracy"].isel(step=-1) for name in ("ood", "id"))
    inside = inside.mean("hole_width")
    bump, sos = (inside.sel(kind=kind) for kind in ("bump", "sos"))
    return [
        compare("accuracy outside the square", mean_over_axes(outside), lower=LEARNED, role=PRECONDITION),
        compare("accuracy in the square, SOS less bump, interior", (sos - bump).sel(hole="square"), lower=0.0),
        compare("accuracy in the square, SOS less bump, exterior", (sos - bump).sel(hole="corner"), lower=0.0),
        compare(
            "accuracy in the square, interior less exterior, bump",
            bump.sel(hole="square") - bump.sel(hole="corner"),
            lower=0.0,
        ),
    ]


def claim_p_more_data_helps(results: xr.Dataset) -> list[Comparison]:
    """(p) Accuracy rises with the kept fraction, later for smaller sigma [2408.13256, section 3.3, Fig. 6e]."""
    last = mean_over_axes(scores(results)["accuracy"].isel(step=-1), "sigma", "kept_fraction").sortby(
        ["sigma", "kept_fraction"]
    )
    most, least = last.isel(kept_fraction=-1), last.isel(kept_fraction=0)
    mean = last.mean("kept_fraction")
    sigmas = last["sigma"].values
    rises = [  # controls: narrow bumps that are not learned even with all data are late for another reason
        compare(
            f"last accuracy, most data less least, sigma = {sigma:g}", (most - least).sel(sigma=sigma), role=CONTROL
        )
        for sigma in sigmas
    ]
    learned = compare(
        f"last accuracy with all data, sigma = {sigmas[0]:g}", most.isel(sigma=0), role=CONTROL, within=(0, 1)
    )
    return [
        compare(
            f"last accuracy with all data, sigma = {sigmas[-1]:g}",
            most.isel(sigma=-1),
            lower=LEARNED,
            role=PRECONDITION,
        ),
        compare("last accuracy, most data less least, mean over sigma", (most - least).mean("sigma"), lower=0.0),
        compare(
            f"mean accuracy over fractions, sigma = {sigmas[-1]:g} less {sigmas[0]:g}",
            mean.isel(sigma=-1) - mean.isel(sigma=0),
            lower=0.0,
        ),
        learned,
        *rises,
    ]


def _learned(results: xr.Dataset) -> Comparison:
    """Return the precondition that the models have learned."""
    last = mean_over_axes(scores(results)["accuracy"].isel(step=-1))
    return compare("last accuracy", last, lower=LEARNED, role=PRECONDITION)
