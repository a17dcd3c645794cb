"""Tests of the claims of 2408.13256 on held-out labels, (j) to (m) and (o): composition against interpolation.

Every one has the baseline of copying the nearest seen label (`nearest_seen.copied_hits`), and is scored on labels that
copying never gets right, where there are any. docs/claims.md is made of the docstrings here.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from diffgeo.claims import samples
from diffgeo.claims.claim import (
    BASELINE,
    CONTROL,
    PRECONDITION,
    PRIMARY,
    Comparison,
    compare,
    compare_accuracy,
    unmeasured,
)
from diffgeo.claims.samples import BOTH, HeldOut, X, Y
from diffgeo.claims.select import LAYER, LEARNED, analyzed, at_peak_of_others, learned, mean_over_axes, of_role
from diffgeo.data import regions
from diffgeo.errors import UserError
from diffgeo.representation import log_gap

TWO_D, ONE_D, MIXED, RIM = "2d", "1d", "2d+1d", "1d+rim"
"""Data sets of the paper: roles of the values of the axis "dataset" of p2_fig4."""

COPYING = "copying the nearest seen label"
GENERATED = "the generated images' pixels"

UNSEEN = {"vertical": X, "horizontal": Y}
"""Part of the cross -> coordinate whose values it holds out."""


def claim_j_right_in_the_seen_coordinate(results: xr.Dataset) -> list[Comparison]:
    """(j) The 2D model is mostly right in a seen coordinate, wrong in an unseen one [2408.13256, 3.2, Fig. 4c-e].

    Quote: "the 2D model achieves high accuracy in generating [the seen coordinate] while suffers low accuracy in
    generating [the unseen one]"; "low accuracy in generating both ... in the intersection region"; "the model can
    compose but not interpolate".
    Statistic: last accuracy of the seen coordinate over 0.5; of the unseen one under 0.5, on labels at least a pixel
    from every seen label; in the intersection both under 0.5. Beside it the slope of the drawn on the asked place.
    Baseline: copying the nearest seen label, which does just this: where the model is not over it, the verdict says so.
    Refuted by: an unseen coordinate over 0.5 (interpolation), or a seen one under it.
    """
    found = _at_last(results, TWO_D)
    comparisons, beyond = [_outside(results, TWO_D)], []
    for part, unseen in UNSEEN.items():
        seen = X if unseen == Y else Y
        kept, missed = found.score(part, seen, far=unseen), found.score(part, unseen, far=unseen)
        comparisons += [
            _accuracy(f"2D model, {part} part: accuracy of {seen}, seen", kept, lower=LEARNED),
            _accuracy(f"2D model, {part} part: accuracy of {unseen}, not seen", missed, upper=LEARNED),
        ]
        slope = samples.drawn_slope(found.samples, found.inside(part), unseen)
        comparisons.append(_control(f"{part} part: slope of drawn on asked {unseen}", slope))
        beyond.append(missed)
    for part in (X, Y):
        missed = found.score("intersection", part, far=part)
        comparisons.append(_accuracy(f"2D model, intersection: accuracy of {part}", missed, upper=LEARNED))
        beyond.append(missed)
    return [*comparisons, _excess("accuracy of the unseen coordinate less copying", beyond)]


def claim_k_stripes_compose(results: xr.Dataset) -> list[Comparison]:
    """(k) The 2D + 1D model is mostly right in every part of the cross [2408.13256, section 3.2, Fig. 4c-e].

    Quote: "the 2D+1D model, has high performance in generating both ... across all of the test regions".
    Statistic: last accuracy of x and of y in each part over 0.5, on labels at least a pixel from every seen label of
    two stripes.
    Baseline: copying the nearest seen label.
    Refuted by: a coordinate under 0.5 in some part.
    """
    found = _at_last(results, MIXED)
    comparisons, beyond = [_outside(results, MIXED)], []
    for part in ("vertical", "horizontal", "intersection"):
        for name in (X, Y):
            right = found.score(part, name, far=BOTH)
            comparisons.append(_accuracy(f"2D + 1D model, {part}: accuracy of {name}", right, lower=LEARNED))
        beyond.append(found.score(part, far=BOTH))
    return [*comparisons, _excess("accuracy of both less copying", beyond)]


def claim_k_stripes_help(results: xr.Dataset) -> list[Comparison]:
    """(k, beside 2D) The 2D + 1D model is over the 2D model in every part [2408.13256, section 3.2, Fig. 4c-e].

    Quote: "given the necessary 'ingredients' (1D Gaussian stripes of all range of x and y), the model is able to
    compose them in a proper manner".
    Statistic: last accuracy of both coordinates, 2D + 1D model less 2D model, over 0 in each part, on labels that
    copying never gets right in either model's data.
    Baseline: copying scores 0 on these labels in both.
    Refuted by: a part in which stripes lower accuracy.
    """
    both, alone = _at_last(results, MIXED), _at_last(results, TWO_D)
    comparisons = [_outside(results, TWO_D)]
    for part in ("vertical", "horizontal", "intersection"):
        more, less = (each.score(part, far=BOTH) for each in (both, alone))
        gain = more.share - less.share
        comparisons.append(compare(f"{part}: accuracy of 2D + 1D less 2D", gain, lower=0.0, resolution=more.resolution))
    return comparisons


def claim_k_few_bumps_suffice(results: xr.Dataset, enough: float = 0.2, tolerance: float = 0.15) -> list[Comparison]:
    """(k, few bumps) A fifth of the bumps is within 0.15 of most in the cross [2408.13256, section 3.2, Fig. 4g].

    Quote: "models trained on datasets with varying percentages of subsampled 2D Gaussian bumps achieve similar
    performance across the test regions, even with as little as 20% of the original data".
    Statistic: last accuracy in the cross with most bumps less that with each fraction from 0.2 on, within 0.15
    (equivalence), on labels that copying never gets right. Accuracy with most bumps must be over 0.3 first.
    Baseline: accuracy with most bumps must be over copying.
    Refuted by: a difference over 0.15.
    """
    found, inside = samples.last_samples(results), samples.in_region(results, "ood")
    right = samples.held_out(found, inside, BOTH, far=BOTH)
    share = right.share.sortby("kept_fraction")
    most = share.isel(kept_fraction=-1, drop=True)
    comparisons = [
        compare("accuracy in the cross with most bumps", most, lower=0.3, role=PRECONDITION),
        _excess("accuracy with most bumps less copying", [right.sel(kept_fraction=float(share["kept_fraction"][-1]))]),
    ]
    for value in share["kept_fraction"].values[:-1]:
        less, suffices = most - share.sel(kept_fraction=value, drop=True), value >= enough
        comparisons.append(
            compare(
                f"accuracy in the cross, most bumps less fraction {value:g}",
                less,
                -tolerance if suffices else -np.inf,
                tolerance if suffices else np.inf,
                PRIMARY if suffices else CONTROL,
                right.resolution,
            )
        )
    return comparisons


def claim_l_rim_composes(results: xr.Dataset, low: float = 0.3, gain: float = 0.2) -> list[Comparison]:
    """(l) Stripes alone are rarely composed, more often with a rim of crossings [2408.13256, 3.2, C.2, Fig. 10].

    Quote: "the model fails to generate the intersection of two 1D Gaussian stripes and defaults back to generating one
    of the stripes at the correct location"; "given a small set of examples of partial overlaps, the model has
    completely gained the ability to properly compose the stripes".
    Statistic: last accuracy on all labels. 1D model: at least one of the coordinates is right (over 0.3; needed first),
    both together are not (under 0.3); the model with the rim gains over 0.2, which is less than "completely".
    Baseline: copying the nearest seen label, a stripe or a partial crossing at the border.
    Refuted by: a 1D model that draws both stripes, or a rim that helps by less than 0.2.
    """
    alone, rim = _at_last(results, ONE_D), _at_last(results, RIM)
    both, right = alone.score(regions.ALL), rim.score(regions.ALL)
    one = alone.samples["hit"].sel(part=[X, Y]).max("part").where(alone.inside(regions.ALL)).mean("sample")
    return [
        compare("1D model: at least one coordinate right", one, lower=low, role=PRECONDITION),
        _accuracy("1D model: accuracy of both", both, upper=low),
        compare("accuracy of both, 1D with rim less 1D", right.share - both.share, lower=gain),
        _excess("1D with rim: accuracy of both less copying", [right]),
    ]


def claim_l_rim_is_as_good(results: xr.Dataset, margin: float = 0.05) -> list[Comparison]:
    """(l, as good) The 1D model with the rim is less than 0.05 below the 2D + 1D model [2408.13256, C.2, Fig. 10].

    Quote: "the model trained with the 2D rim achieves the same level of accuracy, if not better accuracy, than the
    2D+1D model".
    Statistic: last accuracy of both on all labels, 1D with rim less 2D + 1D, over -0.05 (not inferior).
    Baseline: the 2D + 1D model.
    Refuted by: a loss of more than 0.05.
    """
    right, other = (_at_last(results, name).score(regions.ALL) for name in (RIM, MIXED))
    less = right.share - other.share
    description = "accuracy of both, 1D with rim less 2D + 1D"
    return [_outside(results, MIXED), compare(description, less, lower=-margin, resolution=right.resolution)]


def claim_m_falls_gradually(results: xr.Dataset, axis: str = "hole_width", largest: float = 0.75) -> list[Comparison]:
    """(m) Accuracy in a lesion falls with its width, in more than one step [2408.13256, C.3, Fig. 11].

    Quote: "the accuracy in generating images in the OOD region degrades gradually as function [of] the held-out range
    width".
    Statistic: last accuracy of x in the lesion. It falls from the narrowest to the widest; its excess over copying,
    mean over widths, is over 0; no step between neighboring widths takes more than three quarters of the fall (the
    step is the one that is largest in the other seeds, which does not favor noise).
    Baseline: copying the nearest seen column, right within a pixel of the edges: this alone falls gradually, as 2 / W.
    Accuracy must be over it; whether it falls more slowly is not tested.
    Refuted by: accuracy that rises, or falls at once. Accuracy that does not change leaves it open.
    """
    found, inside = samples.last_samples(results), samples.in_region(results, "ood")
    right = samples.held_out(found, inside, X)
    share = right.share.sortby(axis)
    drop = share.isel({axis: 0}, drop=True) - share.isel({axis: -1}, drop=True)
    falls = compare("accuracy of x, narrowest lesion less widest", drop, lower=0.0, resolution=right.resolution)
    comparisons = [
        learned(results, "accuracy outside the lesion", "id"),
        falls,
        compare(
            "accuracy of x less copying, mean over widths",
            right.excess.mean(axis),
            lower=0.0,
            role=BASELINE,
            resolution=right.resolution,
        )._replace(note=COPYING),
    ]
    slope = samples.drawn_slope(found, inside, X)
    comparisons += [
        _control(f"slope of drawn on asked x, {axis} = {value:g}", slope.sel({axis: value}))
        for value in slope[axis].values
        if slope.sel({axis: value}).notnull().all()
    ]
    description = "share of the fall in the step that is largest in the other seeds"
    if not (drop > 0).all() or share.sizes.get("seed", 1) < 2:
        return [*comparisons, unmeasured(description, "a fall in every seed, of two at least")]
    steps = -share.diff(axis) / drop
    return [*comparisons, compare(description, at_peak_of_others(steps, axis), upper=largest)]


def claim_m_disconnected(results: xr.Dataset, axis: str = "hole_width") -> list[Comparison]:
    """(m, disconnected) The gap in the representation's UMAP widens with the lesion [2408.13256, C.3, Fig. 11c].

    Quote: "the learned representations by the model become increasingly disconnected as a function of the width sizes,
    which is in agreement with the macroscopic generation behavior of the model".
    Statistic: log of the widest gap between two large parts of the last 3-D UMAP, the paper's own picture, over the
    median distance at which its points join (`representation.log_gap`); its slope on the width, over 0.
    Baseline: the generated images' pixels: a model that copies draws images that fall apart, and so does any
    representation of them. The slope must be over theirs.
    Refuted by: a gap that narrows. One that does not change leaves it open.
    """
    description = f"slope of the log gap of the UMAP on {axis} (1 / pixel)"
    outside = learned(results, "accuracy outside the lesion", "id")
    cloud = analyzed(results, "umap").isel(step=-1, drop=True).transpose(..., "sample", "umap_axis")
    slope = _slope(_gaps(cloud.sel(tensor=LAYER, drop=True)), axis)
    beyond = unmeasured(f"{description}, less that of {GENERATED}", GENERATED, BASELINE)
    if "generated_pixels" in cloud["tensor"].values:
        images = _slope(_gaps(cloud.sel(tensor="generated_pixels", drop=True)), axis)
        beyond = compare(f"{description}, less that of {GENERATED}", slope - images, lower=0.0, role=BASELINE)
        beyond = beyond._replace(note=GENERATED)
    pixels = _slope(_gaps(cloud.sel(tensor="pixels", drop=True)), axis)
    return [
        outside,
        compare(description, slope, lower=0.0),
        beyond,
        compare(f"{description}, of the true images' pixels", pixels, role=CONTROL),
    ]


def claim_o_squares(results: xr.Dataset) -> list[Comparison]:
    """(o) SOS are right more often than bumps in squares, bumps inside more than outside [2408.13256, C.4, Fig. 12].

    Quote: "for the Gaussian bump dataset, the model's ability to compositionally generalize in interior regions slowly
    decay while in exterior regions quickly decay"; "the model's performance remains relatively high for all tested OOD
    region widths in both ... when trained on the Gaussian SOS dataset".
    Statistic: last accuracy in the square, mean over widths, on labels that copying never gets right: SOS less bump,
    interior and exterior, and interior less exterior for bumps; all over 0. That SOS remain "relatively high" at all
    widths is not tested.
    Baseline: copying scores 0 on these labels; SOS must be over it.
    Refuted by: bumps better than SOS, or the exterior better than the interior.
    """
    found, inside = samples.last_samples(results), samples.in_region(results, "ood")
    right = samples.held_out(found, inside, BOTH, far=BOTH)
    share = right.share.dropna("hole_width").mean("hole_width")  # widths with such labels in every square
    bump, sos = (share.sel(kind=kind, drop=True) for kind in ("bump", "sos"))
    resolution = right.resolution
    comparisons = [learned(results, "accuracy outside the square", "id")]
    for hole, words in (("square", "interior"), ("corner", "exterior")):
        description = f"accuracy in the square, SOS less bump, {words}"
        gain = (sos - bump).sel(hole=hole, drop=True)
        comparisons.append(compare(description, gain, lower=0.0, resolution=resolution))
    easier = bump.sel(hole="square", drop=True) - bump.sel(hole="corner", drop=True)
    return [
        *comparisons,
        compare("accuracy in the square, interior less exterior, bump", easier, lower=0.0, resolution=resolution),
        _excess("accuracy of SOS less copying", [right.sel(kind="sos")]),
    ]


def claim_o_decay(results: xr.Dataset) -> list[Comparison]:
    """(o, decay) For bumps, the slope of accuracy on the width is lower in the corner than inside [2408.13256, C.4].

    Quote: "the model's ability to compositionally generalize in interior regions slowly decay while in exterior regions
    quickly decay as a function of the OOD region width".
    Statistic: slope of last accuracy on width, bumps, on labels that copying never gets right: exterior less interior,
    under 0. Neither slope is compared with 0.
    Baseline: equal slopes.
    Refuted by: a lower slope inside.
    """
    found, inside = samples.last_samples(results), samples.in_region(results, "ood")
    share = samples.held_out(found, inside, BOTH, far=BOTH).share.sel(kind="bump", drop=True)
    slope = _slope(share, "hole_width")
    steeper = slope.sel(hole="corner", drop=True) - slope.sel(hole="square", drop=True)
    return [
        learned(results.sel(kind=["bump"]), "accuracy of bumps outside the square", "id"),
        compare("slope of accuracy on width, exterior less interior (1 / pixel)", steeper, upper=0.0),
    ]


def _slope(values: xr.DataArray, axis: str) -> xr.DataArray:
    """Return the least-squares slope of values on an axis."""
    centered = values[axis].astype(float) - float(values[axis].mean())
    return (values * centered).sum(axis, skipna=False) / (centered**2).sum()


def _gaps(cloud: xr.DataArray) -> xr.DataArray:
    """Return `log_gap` of clouds with dims ..., "sample", "umap_axis", whose last samples may be missing."""

    def gap(points: np.ndarray) -> float:
        return log_gap(points[np.isfinite(points).all(axis=1)])

    return xr.apply_ufunc(gap, cloud.astype(float), input_core_dims=[["sample", "umap_axis"]], vectorize=True)


class _AtLast(NamedTuple):
    """Results and samples of the last evaluation of the models of a data set."""

    results: xr.Dataset
    samples: xr.Dataset

    def score(self, region: str, part: str = BOTH, far: str | None = None) -> HeldOut:
        """Score the samples of a region, see `samples.held_out`."""
        return samples.held_out(self.samples, self.inside(region), part, far)

    def inside(self, region: str) -> xr.DataArray:
        """Return which samples have their label in a region."""
        return samples.in_region(self.results, region).squeeze("dataset", drop=True)


def _at_last(results: xr.Dataset, role: str) -> _AtLast:
    chosen = of_role(results, role)
    return _AtLast(chosen, samples.last_samples(chosen).squeeze("dataset", drop=True))


def _accuracy(description: str, right: HeldOut, lower: float = -np.inf, upper: float = np.inf) -> Comparison:
    """Compare an accuracy on held-out labels to a range."""
    count = int(right.labels.min())
    if count == 0:
        raise UserError(f"no label is left for {description!r}: all lie within a pixel of a seen one; widen the hole")
    return compare_accuracy(description, right.share, count, lower, upper)


def _excess(description: str, scored: Sequence[HeldOut]) -> Comparison:
    """Compare the excess over copying, mean over some sets of labels, to 0."""
    excess = sum((mean_over_axes(each.excess) for each in scored[1:]), mean_over_axes(scored[0].excess)) / len(scored)
    resolution = max(each.resolution for each in scored)
    return compare(description, excess, lower=0.0, role=BASELINE, resolution=resolution)._replace(note=COPYING)


def _control(description: str, values: xr.DataArray) -> Comparison:
    if values.isnull().any():
        return unmeasured(description, "labels of two places at least", CONTROL)
    return compare(description, values, role=CONTROL)


def _outside(results: xr.Dataset, role: str) -> Comparison:
    """Return the precondition that the model of a data set has learned outside the cross."""
    return learned(of_role(results, role), f"{role} model: accuracy outside", "id")
