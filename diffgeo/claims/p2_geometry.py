"""Tests of the claims of 2408.13256 on the geometry of the representation of periodic bumps, (g) to (i).

Two baselines learn nothing: the untrained network, and the true images, whose pixels have a torus and nearly orthogonal
rings of their own. A claim that holds must be told from both. docs/claims.md is made of the docstrings here.
"""

import numpy as np
import xarray as xr

from diffgeo.claims.claim import BASELINE, CONTROL, Comparison, compare, compare_seeds, unmeasured
from diffgeo.claims.select import LAYER, analyzed, at_peak_of_others, has, learned, log
from diffgeo.representation import rings
from diffgeo.representation.barcodes import GAPS, RATIOS, read_bars
from diffgeo.results import settings_of

TORUS = (1, 2, 1)
"""Betti numbers of a torus."""

LEAST_CHANGE = 0.1
"""Of the log of the effective dimension, that counts as a rise or a fall."""

PAPERS_IMAGES = 20_000_000
"""Images after which the paper reports the converged dimension: 200 epochs of 102,400 [2408.13256, section 3.1]."""

PIXELS, UNTRAINED = "the true images' pixels", "the untrained network"

NULLS = (
    ("ring_contrast_null", "shuffled labels"),
    ("ring_contrast_gaussian", "Gaussian points of the same spectrum"),
)
"""Variables of results with the contrast of rings that a spectrum alone gives, and what they are of."""


def claim_g_torus(results: xr.Dataset) -> list[Comparison]:
    """(g) The representation of periodic bumps has the long bars of a torus [2408.13256, section 3.1, Fig. 2b].

    Quote: "Both diagrams exhibit the similar topological features, rank-1 H0 group, rank-2 H1 group ... and rank-1 H2
    group, signaling that the model indeed learns a torus representation".
    Statistic: at the last evaluation, the numbers behind the rule for Betti numbers (`representation.barcodes`): log
    length of the second bar of H1 and of the first of H2, and the gap to the next bar, each over the rule's threshold,
    which was fixed on ideal clouds. That the cloud is in one piece (H0), and that no third hole of H1 stands out, is
    in the control alone: seeds with Betti numbers 1, 2, 1.
    Baseline: both gaps must be over the untrained network's, and differ from those of the true images' pixels, which
    have a torus of their own, so that a representation that copies the images is told from one that does not.
    Refuted by: a bar or a gap under its threshold.
    """
    analyzed(results, "bar_threshold")  # raises where diagrams are missing: bars themselves are padded with NaN
    lengths, gaps, betti = _read(results)
    last = {"tensor": LAYER, "step": results["step"].values[-1]}
    comparisons = [learned(results, "last accuracy")]
    for degree, rank, words in ((1, 2, "second bar of H1"), (2, 1, "first bar of H2")):
        of_bar = {"homology": degree, "rank": rank}
        gap = gaps.sel(of_bar, drop=True)
        least_length, least_gap = np.log(RATIOS[degree - 1]), GAPS[degree - 1]
        comparisons += [
            compare(f"log length of the {words}", lengths.sel(of_bar | last, drop=True), lower=least_length),
            compare(f"gap behind the {words}", gap.sel(last, drop=True), lower=least_gap),
            *_told(f"gap behind the {words}", gap.sel(last, drop=True), gap),
        ]
    torus = (betti.sel(last, drop=True) == xr.DataArray(list(TORUS), dims="homology")).all("homology")
    return [*comparisons, compare_seeds("seeds with Betti numbers 1, 2, 1", torus, role=CONTROL)]


def claim_h_dimension_rises_then_falls(results: xr.Dataset) -> list[Comparison]:
    """(h) The effective dimension rises, then falls, and ends over 4 [2408.13256, section 3.1, Fig. 2c].

    Quote: "the model's internal representation first undergoes a dimension increase then a decrease, eventually
    converging to around 7 dimensions after 200 epochs".
    Statistic: participation ratio from the first trained evaluation on (at step 0 the samples are noise). Log of the
    highest over the first and over the last, each over 0.1, the highest taken where it is in the mean of the other
    seeds, which does not favor noise; the last value over 4.
    Baseline: a dimension that fluctuates about a constant, whose ratios are 1. The dimensions of the untrained network
    and of the true images are controls: they are not compared.
    Refuted by: no rise; a last value under 4; no fall by the end of as many images as the paper's, 20 million. A
    shorter run in which it does not fall decides nothing.
    """
    ratio = analyzed(results, "participation_ratio")
    dimension = ratio.sel(tensor=LAYER, drop=True).isel(step=slice(1, None))
    if "seed" not in dimension.dims or dimension.sizes["seed"] < 2:
        return [learned(results, "last accuracy"), unmeasured("highest effective dimension", "two seeds at least")]
    logs = log(dimension)
    peak = at_peak_of_others(logs, "step")
    first, last = logs.isel(step=0, drop=True), logs.isel(step=-1, drop=True)
    falls = compare("log of highest over last effective dimension", peak - last, lower=LEAST_CHANGE)
    train = settings_of(results).train
    if train.steps * train.batch_size < PAPERS_IMAGES:
        falls = falls._replace(high=np.inf, p_against=1.0)  # it may still fall
    pixels = ratio.sel(tensor="pixels", drop=True).isel(step=-1)
    return [
        learned(results, "last accuracy"),
        compare("log of highest over first effective dimension", peak - first, lower=LEAST_CHANGE),
        falls,
        compare("last effective dimension", dimension.isel(step=-1), lower=4.0),
        compare("effective dimension of the true images", pixels, role=CONTROL),
        compare("effective dimension of the untrained network", _at_start(ratio), role=CONTROL),
    ]


def claim_h_top_components(results: xr.Dataset, components: int = 4) -> list[Comparison]:
    """(h, top 4) The first four components hold more of the variance at the end than midway [2408.13256, Fig. 2d].

    Quote: "the top 4 eigenvectors became notably more prominent as the training converges".
    Statistic: share of the variance in the first four components, last evaluation less the middle of training, over 0.
    Baseline: 0.
    Refuted by: a share that falls.
    """
    name = "explained_variance"
    if name not in results:
        return [unmeasured("variance in the first four components", "spectra")]
    share = results[name].sel(tensor=LAYER, mode=components, drop=True).isel(step=slice(1, None))
    share = share.dropna("step", how="any")  # summaries keep some of the steps
    steps = share["step"].values
    middle = share.isel(step=int(np.abs(steps - results["step"].values[-1] / 2).argmin()), drop=True)
    gain = share.isel(step=-1, drop=True) - middle
    return [
        learned(results, "last accuracy"),
        compare("variance in the first four components, last less middle", gain, lower=0.0),
    ]


def claim_i_orthogonal_not_parallel(results: xr.Dataset) -> list[Comparison]:
    """(i) Planes of x and of y are further from parallel than planes of different x [2408.13256, 3.1, B.2, Fig. 3, 8].

    Quote: "the model encodes x and y independently in mostly orthogonal subspaces, similar to a Clifford torus"; "the
    model is encoding different values of x in an almost orthogonal, as opposed to parallel, fashion".
    Statistic: mean principal angle of x-on-y less that of x-on-x rings, over 0; and that of x-on-x over 0 by 30 degrees
    (not parallel). Planes in 20 dimensions are 75 degrees apart by chance: only the contrast says something, and
    neither "mostly" nor "almost" orthogonal is tested.
    Baseline: the contrast must be over the untrained network's, over that of the same cloud with its labels shuffled
    and over that of Gaussian points with the same spectrum, and differ from that of the true images' pixels.
    Refuted by: a contrast under 0, or planes of different x within 30 degrees. No contrast leaves it open.
    """
    angles = analyzed(results, "ring_mean").sel(ring_statistic="angles", drop=True)
    contrast = angles.sel(ring_pair="x_on_y", drop=True) - angles.sel(ring_pair="x_on_x", drop=True)
    last = contrast.sel(tensor=LAYER, drop=True).isel(step=-1, drop=True)
    parallel = angles.sel(ring_pair="x_on_x", tensor=LAYER, drop=True).isel(step=-1, drop=True)
    return [
        learned(results, "last accuracy"),
        compare("angle of x-on-y less x-on-x rings (degrees)", last, lower=0.0),
        compare("angle of x-on-x rings (degrees)", parallel, lower=30.0),
        *_told("angle of x-on-y less x-on-x rings (degrees)", last, contrast),
        *(_over_null(results, last, *null) for null in NULLS),
    ]


def claim_i_like_coupled_torus(results: xr.Dataset, tolerance: float = 10.0) -> list[Comparison]:
    """(i, 3-D torus) Angles of rings of different x are near those of x-on-y rings of a 3-D torus [2408.13256, Fig. 3].

    Quote: "the statistics from tests 2 and 3 of the model representation closely resemble those from test 1 of the 3D
    torus".
    Statistic: mean angle between single components, as the paper takes it, of x-on-x rings less that of x-on-y rings of
    an ideal 3-D torus, within 10 degrees (equivalence). Of the paper's statistics this is one: y-on-y rings and
    reconstruction errors are not tested.
    Baseline: planes that have nothing to do with labels may be as far apart: it must differ from the untrained
    network's.
    Refuted by: a difference over 10 degrees.
    """
    name = "ring_mean_literal"
    if not has(results, name):
        return [
            learned(results, "last accuracy"),
            unmeasured("literal angle of x-on-x rings", "literal angles of rings"),
        ]
    literal = results[name].sel(ring_pair="x_on_x", tensor=LAYER, drop=True)
    side = settings_of(results).data.size
    last = literal.isel(step=-1, drop=True)
    ideal = rings.ideal_statistics("torus3d", (side, side), literal=True)["x_on_y"]["angles"].mean()
    description = "literal angle of x-on-x rings less that of x-on-y of a 3-D torus (degrees)"
    return [
        learned(results, "last accuracy"),
        compare(description, last - ideal, lower=-tolerance, upper=tolerance),
        _differs("literal angle of x-on-x rings (degrees)", last - literal.isel(step=0, drop=True), UNTRAINED),
    ]


def _read(results: xr.Dataset) -> tuple[xr.DataArray, xr.DataArray, xr.DataArray]:
    """Return log lengths and gaps of the longest bars (dims "homology", "rank" from 1), and Betti numbers."""

    def read(bars: np.ndarray, threshold: np.floating) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        reading = read_bars(bars, float(threshold))
        return reading.values, reading.gaps, reading.betti

    lengths, gaps, betti = xr.apply_ufunc(
        read,
        results["bars"],
        results["bar_threshold"],
        input_core_dims=[["homology", "bar", "end"], []],
        output_core_dims=[["homology", "rank"], ["homology", "rank"], ["homology"]],
        vectorize=True,
    )
    ranks = np.arange(1, lengths.sizes["rank"] + 1)
    return lengths.assign_coords(rank=ranks), gaps.assign_coords(rank=ranks), betti


def _over_null(results: xr.Dataset, last: xr.DataArray, name: str, words: str) -> Comparison:
    """Return whether the contrast of angles is over the mean one of a null."""
    description = f"angle of x-on-y less x-on-x rings (degrees), less that of {words}"
    if not has(results, name):
        return unmeasured(description, f"rings of {words}", BASELINE)
    null = results[name].sel(tensor=LAYER, drop=True).isel(step=-1, null_statistic=0, drop=True)
    return compare(description, last - null, lower=0.0, role=BASELINE)._replace(note=words)


def _told(description: str, last: xr.DataArray, values: xr.DataArray) -> list[Comparison]:
    """Return whether a value is over the untrained network's, and differs from that of the true images themselves.

    The images have a geometry of their own, which a representation may show more or less clearly.
    """
    more = compare(f"{description}, less that of {UNTRAINED}", last - _at_start(values), lower=0.0, role=BASELINE)
    pixels = values.sel(tensor="pixels", drop=True).isel(step=-1, drop=True)
    return [more._replace(note=UNTRAINED), _differs(description, last - pixels, PIXELS)]


def _differs(description: str, apart: xr.DataArray, words: str) -> Comparison:
    """Return whether a value differs from a baseline's on either side, at a level of 5 % for both together."""
    lower, upper = (0.0, np.inf) if float(apart.mean()) > 0 else (-np.inf, 0.0)
    return compare(f"{description}, less that of {words}", apart, lower, upper, BASELINE)._replace(note=words)


def _at_start(values: xr.DataArray) -> xr.DataArray:
    return values.sel(tensor=LAYER, drop=True).isel(step=0, drop=True)
