"""Tests of the claims of 2402.03305, (a) to (f): functions from a results Dataset to comparisons.

experiments/CHOICES.md lists the claims by letter, docs/claims.md is made of the docstrings here. Where the paper says
"slightly", "high" or "no strong effect", the limit is an argument with a default chosen here. docs/verdict-history.md
says which limits were chosen with stored runs known.
"""

import math

import numpy as np
import xarray as xr

from diffgeo.claims import samples, speed
from diffgeo.claims.claim import BASELINE, CONTROL, Comparison, compare, compare_seeds, unmeasured
from diffgeo.claims.intervals import share_resolution
from diffgeo.claims.scores import (
    COMMON_LABELS,
    as_read,
    common_scores,
    is_subpixel,
    mean_over_training,
    own_scores,
    scores,
)
from diffgeo.claims.select import LAYER, LEARNED, analyzed, has, learned, mean_over_axes
from diffgeo.errors import UserError
from diffgeo.results import settings_of
from diffgeo.settings.allowed import PHASES

PAPERS_STEPS = 320_000
"""Training steps of the papers [2402.03305, B.6]."""

COARSEST = 1.0
"""Pixels; largest increment at which speeds are compared: beyond it a model can only memorize."""

GENERATED_PIXELS = "generated_pixels"


def claim_a_phases_in_order(results: xr.Dataset) -> list[Comparison]:
    """(a) The behaviors of phases A, B, C come in that order, and B lasts [2402.03305, section 3, Fig. 3].

    Quote: "we observe the universal emergence of three phases in manifold formation each corresponding to distinct
    generation behavior"; "the predominant failure mode of generation during this phase [B] is ii [a single bump at an
    inaccurate location]".
    Statistic: behavior A: at most half of the samples show exactly one bump; B: over half do, at most half are right;
    C: over half are right. (1) log T50 of right samples less log T50 of samples with one bump, over 0: B has a
    duration. (2) Of the pairs of evaluations with different behaviors, the share whose later one is the later behavior,
    over 0.9. Only behaviors are tested, not the manifold; that all three are seen is a control, so a run that ends
    before C can hold.
    Baseline: behaviors in random order agree in half of the pairs.
    Refuted by: behaviors that come back in over a tenth of the pairs. Right samples as soon as there are single bumps
    leave it open: they are some of these, so that (1) is hardly ever under 0.
    """
    right, one = _outcomes(results)
    behavior = xr.where(right > 0.5, 2, xr.where(one > 0.5, 1, 0)).where(right.notnull())
    if behavior.isnull().any():
        raise UserError(f"{int(behavior.isnull().sum())} evaluations are missing: finish the run first")
    later, sooner = speed.half_times(right), speed.half_times(one)
    lasts = _difference(later, sooner)
    share = xr.apply_ufunc(_in_order, behavior, input_core_dims=[["step"]], vectorize=True)
    pairs = xr.apply_ufunc(_concordance, behavior, input_core_dims=[["step"]], vectorize=True)
    return [
        compare("log T50 of right samples less that of single bumps", lasts.values, lower=0.0, bounds=lasts.bounds),
        compare("pairs of evaluations whose later one is in the later phase", mean_over_axes(pairs), lower=0.9),
        compare_seeds("seeds with A, B, C first seen in that order", _every(share), role=CONTROL),
    ]


def claim_a_b_is_disordered(results: xr.Dataset, order: float = 0.5) -> list[Comparison]:
    """(a, disordered B) In phase B the representation is about 2D, its R^2 under one half [2402.03305, section 3].

    Quote: "we begin to witness phase B emerging, where the manifold formed is 2-dimensional or quasi-2D but unordered".
    Statistic: averaged R^2 of the labels on the UMAP, mean over the evaluations with the behavior of B, under 0.5; the
    intrinsic dimension of the cloud there, between 1.5 and 3 (surfaces measure 2.0 to 2.8). An R^2 just under 0.5 is
    some order: "unordered" is tested as less than half ordered.
    Baseline: the untrained network's R^2 at step 0 (a control: the label is an input and may order it from the start).
    Refuted by: an R^2 over 0.5 in B, or another dimension.
    """
    r2 = analyzed(results, "r2").sel(tensor=LAYER, drop=True)
    right, one = _outcomes(results)
    in_b = (right <= 0.5) & (one > 0.5)
    comparisons = [
        compare("averaged R^2 in phase B", mean_over_axes(r2.where(in_b).mean("step")), upper=order),
        compare("averaged R^2 of the untrained network", mean_over_axes(r2.isel(step=0)), role=CONTROL),
    ]
    name, description = "intrinsic_dimension", "intrinsic dimension in phase B"
    if not has(results, name):
        return [*comparisons, unmeasured(description, name)]
    dimension = analyzed(results, name).sel(tensor=LAYER, drop=True)
    inside = mean_over_axes(dimension.where(in_b).mean("step"))
    return [*comparisons, compare(description, inside, lower=1.5, upper=3.0)]


def claim_b_accuracy_and_r2_rise_together(
    results: xr.Dataset, tensor: str = LAYER, factor: float = 2.0
) -> list[Comparison]:
    """(b) Averaged R^2 and accuracy reach one half within a factor of 2 [2402.03305, section 3, Fig. 4].

    Quote: "learning a high-quality representation is key to achieving better accuracies in image generation".
    Statistic: log T50 of the averaged R^2 less log T50 of accuracy, mean over increments up to 1, within a factor of 2
    (equivalence). That the two come together is what is tested, not that one is "key" to the other.
    Baseline: the images that the model generates: pictures at the right places are ordered themselves. The
    representation must reach one half before their pixels do.
    Refuted by: one of the two reaching one half at less than half the steps of the other.
    """
    found = _fine(results)
    accuracy, r2 = scores(found)["accuracy"], analyzed(found, "r2")
    accuracy_time, r2_time = speed.half_times(accuracy), speed.half_times(r2.sel(tensor=tensor, drop=True))
    apart = _difference(r2_time, accuracy_time)
    limit = math.log(factor)
    description = f"log T50 of R^2 ({tensor}) less that of accuracy"
    comparisons = [
        learned(found, "last accuracy"),
        compare(description, apart.values, lower=-limit, upper=limit, bounds=apart.bounds),
    ]
    name, description = "R^2 of generated pixels", f"log T50 of R^2 of generated pixels less that of {tensor}"
    if GENERATED_PIXELS not in r2["tensor"].values:
        return [*comparisons, unmeasured(description, name, BASELINE)]
    pixels = _difference(speed.half_times(r2.sel(tensor=GENERATED_PIXELS, drop=True)), r2_time)
    ahead = compare(description, pixels.values, lower=0.0, role=BASELINE, bounds=pixels.bounds)
    return [*comparisons, ahead._replace(note="the order of the generated images themselves")]


def claim_c_smaller_increment_is_faster(
    results: xr.Dataset, axis: str = "increment", least: float = 0.1
) -> list[Comparison]:
    """(c) Accuracy reaches one half a quarter sooner at a tenth of the increment [2402.03305, section 3, Fig. 4].

    Quote: "datasets with smaller increments lead to faster learning of the desired representation".
    Statistic: slope of log T50 on log increment, up to an increment of 1, over 0.1, which is a T50 over a quarter
    longer at ten times the increment, the paper's range: of accuracy on labels common to all members (drawing
    anywhere), by the sub-pixel read-out. On the training labels (memory) it is a control. The quote is on the
    representation; what is tested is the drawing.
    Baseline: the same drawing error scores the same at every increment (sub-pixel read-out, common labels); the papers'
    read-outs score it higher at small increments.
    Refuted by: a slope under 0.1: no effect, one too small to be of interest, or the opposite one.
    """
    found = _fine(results)
    own = scores(found)["accuracy"]
    weights = speed.slope_weights(found[axis].values, axis)
    description = f"slope of log T50 on log {axis}"
    memory = _mean_contrast(speed.half_times(own), weights)
    comparisons = [
        learned(found.sel({axis: [found[axis].values.min()]}), f"last accuracy at the smallest {axis}"),
        compare(f"{description}, training labels", memory.values, role=CONTROL, bounds=memory.bounds),
    ]
    common = common_scores(found)
    if common is None:
        return [*comparisons, unmeasured(f"{description}, common labels", COMMON_LABELS)]
    anywhere = _mean_contrast(speed.half_times(common["accuracy"]), weights)
    return [*comparisons, compare(f"{description}, common labels", anywhere.values, least, bounds=anywhere.bounds)]


def claim_c_as_read(results: xr.Dataset, axis: str = "increment", least: float = 0.1) -> list[Comparison]:
    """(c, as read) The same by a run's own labels and read-out [2402.03305, section 3, Fig. 4].

    Quote: "datasets with smaller increments lead to faster learning of the desired representation".
    Statistic: slope of log T50 on log increment, up to an increment of 1, over 0.1: of accuracy on each model's own
    training labels, by the read-out of the settings, to whole or half pixels.
    Baseline: the read-out. One error of drawing scores higher where labels are dense: the same slope of the same
    samples, read below a pixel, must be over 0.1 as well.
    Refuted by: a slope under 0.1.
    """
    found = _fine(results)
    weights = speed.slope_weights(found[axis].values, axis)
    read = _mean_contrast(speed.half_times(as_read(found)["accuracy"]), weights)
    description = f"slope of log T50 on log {axis}, training labels"
    primary = compare(f"{description}, the run's read-out", read.values, lower=least, bounds=read.bounds)
    if not is_subpixel(found):
        return [primary, unmeasured(f"{description}, sub-pixel read-out", "the sub-pixel read-out", BASELINE)]
    finer = _mean_contrast(speed.half_times(scores(found)["accuracy"]), weights)
    told = compare(f"{description}, sub-pixel read-out", finer.values, lower=least, role=BASELINE, bounds=finer.bounds)
    added = compare(
        f"{description}, the run's read-out less the sub-pixel one",
        read.values - finer.values,
        role=CONTROL,
        bounds=(read.bounds[0] or finer.bounds[1], read.bounds[1] or finer.bounds[0]),
    )
    return [primary, told._replace(note="a read-out that favors dense labels"), added]


def claim_d_coordinates_are_coupled(
    results: xr.Dataset, tolerance: float = 0.05, spread: float = 0.1
) -> list[Comparison]:
    """(d) With dx < dy, x leads y by less than 0.05, their R^2 differ by under 0.1 [2402.03305, section 3, Fig. 5].

    Quote: "despite having more data with finer-grained information of the x-positions, the accuracy of generating
    Gaussian bumps at the correct y locations is generally higher"; "the R-squared values in fitting to the x- and the
    y-positions are strongly coupled".
    Statistic: mean over training of x less y: of the linear probe's R^2, which no read-out touches (the paper's R^2 are
    on the UMAP), and of accuracy on common labels, by the sub-pixel read-out; both under 0.05. Mean absolute difference
    of the probe's R^2 under 0.1. Where both spacings are swept, the mirrored pairs cancel what else tells x from y.
    Baseline: none is computed. Two coordinates learned each at the speed of its own spacing would have x ahead, by (c),
    but both differences are also small where both coordinates are learned early in training.
    Refuted by: x ahead of y by more than 0.05, or R^2 that differ by more than 0.1.
    """
    results = _imbalanced(results)
    probe = {name: analyzed(results, f"probe_r2_{name}").sel(tensor=LAYER, drop=True) for name in ("x", "y")}
    apart = mean_over_axes(mean_over_training(abs(probe["x"] - probe["y"])))
    comparisons = [
        learned(results, "last accuracy"),
        compare("mean probe R^2 over training, x less y", _ahead(probe["x"], probe["y"]), upper=tolerance),
        compare("mean difference of the probe's R^2 of x and of y", apart, upper=spread),
    ]
    description = "mean accuracy over training on common labels, x less y"
    common = common_scores(results)
    if common is None:
        return [*comparisons, unmeasured(description, COMMON_LABELS)]
    ahead = _ahead(common["accuracy_x"], common["accuracy_y"])
    return [*comparisons, compare(description, ahead, upper=tolerance)]


def claim_d_y_is_ahead(results: xr.Dataset, least: float = 0.02) -> list[Comparison]:
    """(d, y ahead) With dx < dy, y is right in over 0.02 more of the samples than x [2402.03305, section 3, Fig. 5].

    Quote: "the accuracy of generating Gaussian bumps at the correct y locations is generally higher than that at
    generating at the correct x locations".
    Statistic: mean over training of accuracy of y less that of x, on common labels by the sub-pixel read-out, over
    0.02. Where both spacings are swept, the mirrored pairs cancel what else tells x from y.
    Baseline: 0, coordinates that are equally hard.
    Refuted by: y ahead by less than 0.02, or x ahead.
    """
    common = common_scores(_imbalanced(results))
    description = "mean accuracy over training on common labels, y less x"
    if common is None:
        return [unmeasured(description, COMMON_LABELS)]
    return [compare(description, _ahead(common["accuracy_y"], common["accuracy_x"]), lower=least)]


def claim_e_sigma_has_little_effect(
    results: xr.Dataset, axis: str = "sigma", tolerance: float = 0.1
) -> list[Comparison]:
    """(e) Smallest and largest sigma are learned within a tenth of the paper's steps [2402.03305, C.1, Fig. 8].

    Quote: "There is, however, no strong correlation between model performance and increasing sigma".
    Statistic: T50 of accuracy at the smallest sigma less that at the largest, over the paper's 320,000 steps: about
    what it takes off the mean accuracy over its training. Within 0.1 (equivalence), mean over increments up to 1; the
    sigmas between are not compared.
    Baseline: 0. A run of under 32,000 steps in which both are learned cannot differ by more, and as a rule holds.
    Refuted by: a difference over 0.1.
    """
    times = speed.half_times(scores(_fine(results))["accuracy"])
    ordered = times.sortby(axis)
    steps, censored = xr.apply_ufunc(np.exp, ordered["log_step"]), ordered["censored"]
    apart = mean_over_axes(steps.isel({axis: 0}, drop=True) - steps.isel({axis: -1}, drop=True)) / PAPERS_STEPS
    first, last = censored.isel({axis: 0}), censored.isel({axis: -1})
    bounds = bool(((first < 0) | (last > 0)).any()), bool(((first > 0) | (last < 0)).any())
    low, high = (ordered[axis].values[end] for end in (0, -1))
    description = f"T50 at {axis} = {low:g} less that at {high:g}, over {PAPERS_STEPS:,} steps"
    return [compare(description, apart, lower=-tolerance, upper=tolerance, bounds=bounds)]


def claim_e_speed(results: xr.Dataset, axis: str = "sigma", tolerance: float = 0.5) -> list[Comparison]:
    """(e, in speed) Ten times the sigma changes T50 by less than a factor of 3.2 [2402.03305, B.5, C.1, Fig. 8].

    Quote: "there is no strong correlation between performance or the rate at which semantically meaningful
    representations emerges and the spread of the Gaussian bumps". The paper's evaluations, 6,400 steps apart, could not
    see a difference of a few thousand steps.
    Statistic: slope of log T50 of accuracy on log sigma, mean over increments up to 1, within 0.5 (equivalence): ten
    times the sigma, T50 changes by less than a factor of 3.2.
    Baseline: 0.
    Refuted by: a steeper slope.
    """
    times = speed.half_times(scores(_fine(results))["accuracy"])
    slope = _mean_contrast(times, speed.slope_weights(times[axis].values, axis))
    return [
        compare(f"slope of log T50 on log {axis}", slope.values, lower=-tolerance, upper=tolerance, bounds=slope.bounds)
    ]


def claim_e_seeds_fail_at_large_increments(results: xr.Dataset) -> list[Comparison]:
    """(e, seeds) More of the sigmas are not learned at the largest increment than at the smallest [2402.03305, C.1].

    Quote: "for some seeds, some of the sigmas that we have tested do not learn a semantically meaningful manifold. This
    seed dependence issue is exacerbated with models trained using datasets of bigger increments".
    Statistic: share of sigmas at which a seed's last accuracy is under 0.5, at the largest increment up to 1 less at
    the smallest, over 0. Accuracy is tested, not the manifold; whether the failures differ from seed to seed is not.
    Baseline: 0.
    Refuted by: fewer failures at the larger increment.
    """
    last = scores(_fine(results))["accuracy"].isel(step=-1).sortby("increment")
    failed = mean_over_axes((last < LEARNED).astype(float), "increment")
    more = failed.isel(increment=-1, drop=True) - failed.isel(increment=0, drop=True)
    resolution = share_resolution(results.sizes["sigma"])
    return [compare("sigmas not learned, largest increment less smallest", more, lower=0.0, resolution=resolution)]


def claim_f_hole_is_slightly_worse(
    results: xr.Dataset, axis: str = "hole_area_fraction", tolerance: float = 0.15
) -> list[Comparison]:
    """(f) Accuracy in the hole of 10 % is less than 0.15 below that in the hole of 3.5 % [2402.03305, C.2, Fig. 9].

    Quote: "the accuracy of the OOD only slightly worse off in the case where ~10% of the data is skipped as compared to
    that where only ~3.5% is skipped".
    Statistic: last accuracy in the smallest hole less that in the largest, under 0.15.
    Baseline: copying the nearest seen label, right near the edges of a hole: on labels of the largest hole where it
    never is, accuracy must be over it, that is over 0.
    Refuted by: a difference over 0.15.
    """
    found, inside = samples.last_samples(results), samples.in_region(results, "ood")
    whole, far = samples.held_out(found, inside), samples.held_out(found, inside, far=samples.BOTH)
    smallest, largest = ({axis: float(end)} for end in (results[axis].min(), results[axis].max()))
    # where all is right in the smallest hole it cannot be better still: its few labels leave only the other side open
    top = bool((whole.share.sel(smallest) == 1).all())
    drop = whole.share.sel(smallest, drop=True) - whole.share.sel(largest, drop=True)
    resolution = whole.sel(**largest).resolution if top else whole.resolution
    told = compare(
        "accuracy in the largest hole, labels where copying is never right, less copying",
        far.sel(**largest).excess,
        lower=0.0,
        role=BASELINE,
        resolution=far.sel(**largest).resolution,
    )
    return [
        learned(results, "last accuracy outside the hole", "id"),
        compare("accuracy in the smallest hole less the largest", drop, upper=tolerance, resolution=resolution),
        told._replace(note="copying the nearest seen label"),
        *[
            compare(f"copying the nearest seen label, {axis} = {value:g}", copied, role=CONTROL)
            for value, copied in ((value, whole.copied.sel({axis: value})) for value in results[axis].values)
        ],
    ]


def _outcomes(results: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray]:
    """Return the shares of right samples, and of samples with exactly one bump."""
    found = own_scores(results)
    right, wrong = (found[name].astype(float) for name in ("correct", "wrong_place"))
    if "region" in right.dims:
        right, wrong = (values.sel(region="all", drop=True) for values in (right, wrong))
    return right, right + wrong


def _in_order(behavior: np.ndarray) -> float:
    """Return 1 if A, B and C first occur in that order, else 0."""
    firsts = [np.flatnonzero(behavior == phase) for phase in range(len(PHASES))]
    return float(all(f.size for f in firsts) and firsts[0][0] < firsts[1][0] < firsts[2][0])


def _concordance(behavior: np.ndarray) -> float:
    """Return the share of pairs of evaluations in different phases that are in the order of their phases."""
    earlier, later = np.triu_indices(len(behavior), 1)
    step = behavior[later].astype(int) - behavior[earlier].astype(int)
    return float((step > 0).sum() / max(1, (step != 0).sum()))


def _every(share: xr.DataArray) -> xr.DataArray:
    return (mean_over_axes(share) == 1).astype(float)


def _fine(results: xr.Dataset) -> xr.Dataset:
    """Return the results at increments of at most `COARSEST`."""
    if "increment" not in results.dims:
        return results
    return results.sel(increment=results["increment"].values[results["increment"].values <= COARSEST])


def _imbalanced(results: xr.Dataset) -> xr.Dataset:
    """Return the results without the balanced control, whose y is spaced as its x."""
    if "increment_y" not in results.dims or "increment_x" in results.dims:
        return results
    dx, _ = settings_of(results).data.spacing
    return results.sel(increment_y=results["increment_y"].values[~np.isclose(results["increment_y"].values, dx)])


def _mean_contrast(times: xr.Dataset, weights: xr.DataArray) -> speed.Contrast:
    """Return a contrast over the weights' axes, mean over the other axes but the seed."""
    others = {str(dim): times.sizes[dim] for dim in times["log_step"].dims if dim not in (*weights.dims, "seed")}
    even = xr.DataArray(np.full(list(others.values()), 1 / math.prod(others.values())), dims=list(others))
    return speed.contrast(times, weights * even)


def _difference(later: xr.Dataset, sooner: xr.Dataset) -> speed.Contrast:
    """Return log T50 of one score less that of another, mean over the axes but the seed."""
    pair = xr.concat([later, sooner], xr.DataArray([0, 1], dims="which", name="which"))
    return _mean_contrast(pair, xr.DataArray([1.0, -1.0], {"which": [0, 1]}, ["which"]))


def _ahead(dense: xr.DataArray, sparse: xr.DataArray) -> xr.DataArray:
    """Return the mean over training of one coordinate's score less the other's, per seed.

    With both spacings swept over the same values, half of the difference between mirrored members.
    """
    ahead = mean_over_training(dense - sparse)
    if {"increment_x", "increment_y"} <= set(ahead.dims):
        x, y = ahead["increment_x"], ahead["increment_y"]
        sign = xr.where(x < y, 1.0, xr.where(x > y, -1.0, np.nan))  # x is the denser one, or y
        ahead = ahead * sign
    return mean_over_axes(ahead)
