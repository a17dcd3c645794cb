"""Tests of the claims of 2408.13256 on how much data is needed, (n) and (p).

docs/claims.md is made of the docstrings here.
"""

import numpy as np
import xarray as xr

from diffgeo.claims import samples, scaling
from diffgeo.claims.claim import CONTROL, Comparison, compare, unmeasured
from diffgeo.claims.p2_composition import MIXED, TWO_D
from diffgeo.claims.samples import BOTH
from diffgeo.claims.select import learned, mean_over_axes
from diffgeo.data import regions
from diffgeo.errors import UserError


def claim_n_data_scaling(results: xr.Dataset, threshold: float = 0.6, margin: float = 0.5) -> list[Comparison]:
    """(n) The bumps needed grow about as N^2 alone, and more slowly beside stripes [2408.13256, section 3.2, Fig. 5c].

    Quote: "models trained on the augmented datasets only require linear number of data in N while those trained on the
    baseline datasets require quadratic number of data in N".
    Statistic: exponent over N of the labels needed for a last accuracy of 0.6: bumps alone, 2 +- 0.5; bumps *beside*
    the stripes, under 1.5, and under that of bumps alone. Stripes are not counted: their number is linear in N by
    design, and where nearly all labels are stripes an exponent of 1 is put in. So "linear" is not tested.
    Baseline: stripes that save nothing: equal exponents.
    Refuted by: an exponent beside stripes over 1.5 or over that alone, or one alone outside of 2 +- 0.5.
    """
    description = f"exponent of the bumps needed for accuracy {threshold:g}"
    comparisons, exponents = [], {}
    for role, words, limits in ((TWO_D, "alone", (2 - margin, 2 + margin)), (MIXED, "beside stripes", (-np.inf, 1.5))):
        try:
            exponents[role] = scaling.scaling_exponent(scaling.bumps_needed(results, role, threshold))
        except UserError as error:
            comparisons.append(unmeasured(f"{description}, {words}", str(error)))
        else:
            comparisons.append(compare(f"{description}, {words}", exponents[role], *limits))
    if len(exponents) < 2:
        return comparisons
    apart = exponents[TWO_D] - exponents[MIXED]
    return [*comparisons, compare(f"{description}, alone less beside stripes", apart, lower=0.0)]


def claim_p_more_data_helps(results: xr.Dataset) -> list[Comparison]:
    """(p) Accuracy is higher with more data, and at large sigma than at small [2408.13256, section 3.3, Fig. 6e].

    Quote: "smaller similarities between the samples makes it harder for the models to learn meaningful representations,
    despite the same [quantity] of data".
    Statistic: last accuracy on labels at least a pixel from every kept one, at fractions under 1: largest fraction
    less smallest, mean over sigma, over 0; mean over fractions, largest sigma less smallest, over 0. The largest sigma
    must be learned with all data, which is otherwise a question of training, not of data; that the smallest is, too, is
    a control.
    Baseline: copying the nearest seen label scores 0 on these labels at every fraction (on all labels, it rises too).
    Refuted by: accuracy that is lower with most data than with least, or higher at the smallest sigma.
    """
    found = samples.last_samples(results)
    right = samples.held_out(found, samples.in_region(results, regions.ALL), BOTH, far=BOTH)
    share = right.share.sortby(["sigma", "kept_fraction"])
    share = share.where(share["kept_fraction"] < 1, drop=True)
    if share.sizes["kept_fraction"] < 2:
        raise UserError("a rise with the kept fraction needs two fractions under 1 at least")
    rise = share.isel(kept_fraction=-1, drop=True) - share.isel(kept_fraction=0, drop=True)
    mean = share.mean("kept_fraction")
    low, high = (f"{share['sigma'].values[end]:g}" for end in (0, -1))
    wider = mean.isel(sigma=-1, drop=True) - mean.isel(sigma=0, drop=True)
    most = results.sortby(["sigma", "kept_fraction"]).isel(kept_fraction=[-1])
    narrow, wide = (
        learned(most.isel(sigma=[end]), f"last accuracy with all data, sigma = {name}")
        for end, name in ((0, low), (-1, high))
    )
    resolution = right.resolution
    return [
        wide,
        compare(
            "accuracy on unseen labels, most data less least", mean_over_axes(rise), lower=0.0, resolution=resolution
        ),
        compare(
            f"accuracy on unseen labels, sigma = {high} less {low}",
            mean_over_axes(wider),
            lower=0.0,
            resolution=resolution,
        ),
        narrow._replace(role=CONTROL, lower=-np.inf),
        *[
            compare(f"accuracy on unseen labels, most data less least, sigma = {value:g}", one, role=CONTROL)
            for value, one in ((value, rise.sel(sigma=value, drop=True)) for value in rise["sigma"].values)
        ],
    ]


def claim_p_losses_are_linear(results: xr.Dataset, linear: float = 0.9) -> list[Comparison]:
    """(p, losses) Final training and validation loss grow with the data, near a line [2408.13256, D.2, Fig. 14c].

    Quote: "training and validation loss of the model grows linearly as a function of the number of training data".
    Statistic: slope of the final loss on the kept fraction, per sigma and seed, mean over sigma, over 0; and the share
    of its variance that a line explains, over 0.9.
    Baseline: a loss that does not depend on the data.
    Refuted by: a loss that falls, or one of whose variance a line explains less than 0.9.
    """
    comparisons = []
    for name, words in (("loss", "training"), ("val_loss", "validation")):
        if name not in results or results[name].isel(step=-1).isnull().any():
            comparisons.append(unmeasured(f"slope of final {words} loss on the kept fraction", f"{words} loss"))
            continue
        last = results[name].isel(step=-1, drop=True).astype(float)
        fraction = last["kept_fraction"] - last["kept_fraction"].mean()
        centered = last - last.mean("kept_fraction")
        slope = (centered * fraction).sum("kept_fraction") / (fraction**2).sum()
        spread = (centered**2).sum("kept_fraction")
        explained = (slope**2 * (fraction**2).sum() / spread.where(spread > 0)).fillna(0.0)
        comparisons += [
            compare(f"slope of final {words} loss on the kept fraction", mean_over_axes(slope), lower=0.0),
            compare(f"variance of {words} loss that a line explains", mean_over_axes(explained), lower=linear),
        ]
    return comparisons
