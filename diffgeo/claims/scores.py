"""Scores of a run by region: accuracies, the number of labels behind them, and R^2 in a part of the labels."""

import numpy as np
import xarray as xr

from diffgeo.data import regions
from diffgeo.errors import UserError
from diffgeo.results import SCORES, data_at, select_scores
from diffgeo.settings.allowed import COMMON, OWN, SUBPIXEL

COMMON_LABELS = "accuracy on labels common to all members"


def scores(results: xr.Dataset, region: str = regions.ALL) -> xr.Dataset:
    """Return accuracies (of both, x, y) in a region on the members' own labels; dims are the grid's axes and step.

    By the sub-pixel read-out where it was stored, else by that of the run.

    Raises:
      UserError: if the region is not scored, or the run is not finished.
    """
    return _scores(own_scores(results), region)


def as_read(results: xr.Dataset) -> xr.Dataset:
    """Return `scores` of all of the members' own labels by the read-out of the run's settings, the papers' for one."""
    return _scores(select_scores(results, OWN), regions.ALL)


def own_scores(results: xr.Dataset) -> xr.Dataset:
    """Return results with the scores and predictions of the members' own labels, by sub-pixel read-out if stored."""
    return select_scores(results, OWN, SUBPIXEL if is_subpixel(results) else None)


def is_subpixel(results: xr.Dataset) -> bool:
    """Return whether scores by the sub-pixel read-out were stored."""
    return "readout" in results.dims and SUBPIXEL in results["readout"].values


def _scores(results: xr.Dataset, region: str) -> xr.Dataset:
    measured = {name: results[name] for name in SCORES}
    if "region" in measured["accuracy"].dims:
        if region not in results["region"].values:
            raise UserError(f"there is no region {region!r} in these results")
        measured = {name: array.sel(region=region, drop=True) for name, array in measured.items()}
    elif region != regions.ALL:
        raise UserError(f"there is no region {region!r} in these results: no member has a hole")
    both = measured["accuracy"]
    missing = int((~np.isfinite(both)).sum())
    if missing:
        raise UserError(f"{missing} of {both.size} evaluations are missing: finish the run first")
    return xr.Dataset({name: array.astype(float) for name, array in measured.items()})


def common_scores(results: xr.Dataset, region: str = regions.ALL) -> xr.Dataset | None:
    """Return `scores` on the labels common to all members, by sub-pixel read-out; None if not measured."""
    if not is_subpixel(results) or COMMON not in results["label_set"].values:
        return None
    return _scores(select_scores(results, COMMON, SUBPIXEL), region)


def mean_over_training(values: xr.DataArray) -> xr.DataArray:
    """Return the mean over steps by the trapezoidal rule, since the last interval may be shorter."""
    steps = values["step"].values
    return values.integrate("step") / float(steps[-1] - steps[0])


def sample_counts(results: xr.Dataset, region: str) -> xr.DataArray:
    """Return int, the number of samples of each member in a region; dims are the grid's axes.

    Raises:
      UserError: if a member has no sample in the region.
    """
    label = results["label"].transpose(..., "sample", "factor")
    axes = label.dims[:-2]
    counts = np.empty([results.sizes[dim] for dim in axes], int)
    for index in np.ndindex(*counts.shape):
        chosen = {str(d): results[d].values[i] for d, i in zip(axes, index, strict=True) if d != "seed"}
        labels = label.values[index]
        labels = labels[np.isfinite(labels).all(axis=1)]
        counts[index] = regions.masks(data_at(results, **chosen), labels, [region])[region].sum()
    if (counts == 0).any():
        raise UserError(f"some members have no sample in the region {region!r}")
    return xr.DataArray(counts, {dim: results[dim].values for dim in axes}, axes)


def region_r2(results: xr.Dataset, region: str, tensor: str = "layer4") -> xr.DataArray:
    r"""Return the averaged R^2 on the 3-D UMAP of one region's samples, over axes and steps [2402.03305, Fig. 9].

    The regression is on all samples, as for the papers' R^2 (B.3). Its residuals in the region are divided by the
    variance of all labels, since labels vary little within a small region:

    .. math:: 1 - \langle (\mu - \hat\mu)^2 \rangle_{region} / \operatorname{Var}(\mu)

    averaged over x and y. NaN where the representation has not been analyzed. The papers do not state how they score
    the hole.

    Raises:
      UserError: if the results have no UMAP, or no sample in the region.
    """
    if "umap" not in results:
        raise UserError("there is no 'umap' in these results: the experiment asks for no such analysis")
    label = results["label"].transpose(..., "sample", "factor")
    cloud = results["umap"].sel(tensor=tensor).transpose(*label.dims[:-2], "step", "sample", "umap_axis")
    sample_counts(results, region)  # raises for a region without samples
    scores_r2 = np.full(cloud.shape[:-2], np.nan)
    for index in np.ndindex(*label.shape[:-2]):
        chosen = {str(d): results[d].values[i] for d, i in zip(label.dims[:-2], index, strict=True) if d != "seed"}
        labels = label.values[index]
        valid = np.isfinite(labels).all(axis=1)
        mask = regions.masks(data_at(results, **chosen), labels[valid], [region])[region]
        for step, points in enumerate(cloud.values[index][:, valid]):
            if np.isfinite(points).all():
                inputs = np.column_stack([points, np.ones(len(points))]).astype(float)
                weights = np.linalg.lstsq(inputs, labels[valid], rcond=None)[0]
                squared = (labels[valid] - inputs @ weights)[mask] ** 2
                scores_r2[(*index, step)] = (1 - squared.mean(axis=0) / labels[valid].var(axis=0)).mean()
    dims = (*label.dims[:-2], "step")
    return xr.DataArray(scores_r2, {dim: results[dim].values for dim in dims}, dims)
