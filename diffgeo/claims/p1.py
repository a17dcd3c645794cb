"""Tests of the claims of 2402.03305, (a) to (f): functions from a results Dataset to comparisons.

experiments/CHOICES.md lists the claims by letter. Where a paper says "slightly", "high" or "no strong effect", the
limit is an argument with a default chosen here, before any run was judged.
"""

from collections.abc import Callable

import numpy as np
import xarray as xr

from diffgeo.claims.bootstrap import mean_over_training, scores
from diffgeo.claims.claim import CONTROL, PRECONDITION, Comparison, compare
from diffgeo.claims.intervals import RESAMPLE
from diffgeo.claims.select import LAYER, LEARNED, analyzed, gain, mean_over_axes, ranks
from diffgeo.settings.allowed import PHASES


def claim_a_phases_in_order(results: xr.Dataset) -> list[Comparison]:
    """(a) Phases A, B, C occur, in that order [2402.03305, section 3, Fig. 3]."""
    phase = analyzed(results, "phase")
    axes = [dim for dim in phase.dims if dim != "step"]

    def in_order(values: np.ndarray) -> float:
        """Return 1 if A, B and C first occur in that order, else 0."""
        firsts = [np.flatnonzero(values == phase) for phase in range(len(PHASES))]
        return float(all(f.size for f in firsts) and firsts[0][0] < firsts[1][0] < firsts[2][0])

    def concordance(values: np.ndarray) -> float:
        """Return the fraction of pairs of evaluations in different phases that are in the order of their phases."""
        known = values[values >= 0]
        earlier, later = np.triu_indices(len(known), 1)
        step = known[later].astype(int) - known[earlier]
        return float((step > 0).sum() / max(1, (step != 0).sum()))

    def per_seed(function: Callable[[np.ndarray], float]) -> xr.DataArray:
        return xr.apply_ufunc(function, phase, input_core_dims=[["step"]], vectorize=True).mean(
            [dim for dim in axes if dim != "seed"]
        )

    return [
        compare("share of seeds with A, B, C first seen in that order", per_seed(in_order), lower=0.5, within=(0, 1)),
        compare(
            "pairs of evaluations whose later one is in the later phase",
            per_seed(concordance),
            lower=0.9,
            within=(0, 1),
        ),
    ]


def claim_b_accuracy_and_r2_rise_together(results: xr.Dataset, tensor: str = LAYER) -> list[Comparison]:
    """(b) Accuracy and averaged R^2 rise together [2402.03305, section 3, Fig. 4]."""
    accuracy, r2 = scores(results)["accuracy"], analyzed(results, "r2").sel(tensor=tensor, drop=True)
    ranked = [ranks(accuracy.isel({RESAMPLE: 0})), ranks(r2)]
    together = mean_over_axes(xr.corr(*ranked, dim="step"))
    return [
        compare("rise of accuracy", mean_over_axes(gain(accuracy)), lower=0.2, role=PRECONDITION),
        compare(f"rise of R^2 ({tensor})", mean_over_axes(gain(r2)), lower=0.0),
        compare(f"rank correlation of accuracy and R^2 ({tensor}) over steps", together, lower=0.5),
    ]


def claim_c_smaller_increment_is_faster(results: xr.Dataset, axis: str = "increment") -> list[Comparison]:
    """(c) A smaller increment is learned faster at equal batches [2402.03305, section 3, Fig. 4].

    Speed is measured by the mean accuracy over training, which needs no threshold that a member may never reach.
    """
    accuracy = scores(results)["accuracy"]
    speed, values = mean_over_axes(mean_over_training(accuracy), axis), np.sort(results[axis].values)
    centered = xr.DataArray(np.log(speed[axis].values), dims=axis)
    centered = centered - centered.mean()
    slope = (speed * centered).sum(axis) / (centered**2).sum()
    last = mean_over_axes(accuracy.isel(step=-1), axis).sel({axis: values[0]})
    return [
        compare(f"last accuracy at {axis} = {values[0]:g}", last, lower=LEARNED, role=PRECONDITION),
        compare(
            f"mean accuracy over training, {axis} = {values[0]:g} less {values[-1]:g}",
            speed.sel({axis: values[0]}) - speed.sel({axis: values[-1]}),
            lower=0.0,
        ),
        compare(f"slope of that mean against log {axis}", slope, upper=0.0),
    ]


def claim_d_coordinates_are_coupled(
    results: xr.Dataset, tolerance: float = 0.05, spread: float = 0.1
) -> list[Comparison]:
    """(d) With dx < dy, x is not learned faster than y, and their R^2 move together [2402.03305, section 3, Fig. 5]."""
    accuracy = scores(results)
    ahead = mean_over_training(accuracy["accuracy_x"]) - mean_over_training(accuracy["accuracy_y"])
    apart = abs(analyzed(results, "r2_x") - analyzed(results, "r2_y")).sel(tensor=LAYER, drop=True)
    last = accuracy["accuracy"].isel(step=-1)
    return [
        compare("last accuracy", mean_over_axes(last), lower=LEARNED, role=PRECONDITION),
        compare("mean accuracy over training, x less y", mean_over_axes(ahead), upper=tolerance),
        compare("mean difference of R^2 of x and of y", mean_over_axes(mean_over_training(apart)), upper=spread),
    ]


def claim_e_sigma_has_little_effect(
    results: xr.Dataset, axis: str = "sigma", tolerance: float = 0.1
) -> list[Comparison]:
    """(e) No strong effect of sigma [2402.03305, C.1, Fig. 8]."""
    accuracy = scores(results)["accuracy"]
    speed = mean_over_axes(mean_over_training(accuracy), axis)
    last = mean_over_axes(accuracy.isel(step=-1))
    comparisons = [compare("mean last accuracy", last, lower=0.3, role=PRECONDITION)]
    for value in speed[axis].values:
        description = f"mean accuracy over training, {axis} = {value:g} less the mean over {axis}"
        difference = speed.sel({axis: value}) - speed.mean(axis)
        comparisons.append(compare(description, difference, lower=-tolerance, upper=tolerance))
    return comparisons


def claim_f_hole_is_slightly_worse(
    results: xr.Dataset, axis: str = "hole_area_fraction", tolerance: float = 0.15
) -> list[Comparison]:
    """(f) Accuracy in a hole is only slightly lower than outside [2402.03305, C.2, Fig. 9]."""
    inside, outside = (scores(results, name)["accuracy"].isel(step=-1) for name in ("ood", "id"))
    comparisons = [
        compare("last accuracy outside the hole", mean_over_axes(outside), lower=LEARNED, role=PRECONDITION),
        compare("outside less inside, mean over holes", mean_over_axes(outside - inside), upper=tolerance),
    ]
    for value in results[axis].values:  # controls only, since a small hole holds few labels of the unit grid
        gap = (outside - inside).sel({axis: value})
        comparisons.append(compare(f"outside less inside the hole, {axis} = {value:g}", gap, role=CONTROL))
    return comparisons
