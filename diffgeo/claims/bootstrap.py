"""Accuracies of a run with bootstrap resamplings of their samples, from which intervals are computed."""

import numpy as np
import xarray as xr

from diffgeo.claims.intervals import RESAMPLE
from diffgeo.data import regions
from diffgeo.errors import UserError
from diffgeo.results import SCORES, data_at

NUM_RESAMPLINGS = 500
"""Bootstrap resamplings of the samples."""


def scores(results: xr.Dataset, region: str = regions.ALL) -> xr.Dataset:
    """Return accuracies (of both, x, y) with dims `RESAMPLE` (measured values first), the grid's axes and step.

    Samples are resampled by their four outcomes (both right, x only, y only, neither) at every evaluation.

    Raises:
      UserError: if the region is not scored, or the run is not finished.
    """
    measured = {name: results[name] for name in SCORES}
    if "region" in measured["accuracy"].dims:
        if region not in results["region"].values:
            raise UserError(f"there is no region {region!r} in these results")
        measured = {name: array.sel(region=region, drop=True) for name, array in measured.items()}
    elif region != regions.ALL:
        raise UserError(f"there is no region {region!r} in these results: no member has a hole")
    both, x, y = (array.astype(float) for array in measured.values())
    missing = int((~np.isfinite(both)).sum())
    if missing:
        raise UserError(f"{missing} of {both.size} evaluations are missing: finish the run first")
    count = sample_counts(results, region).broadcast_like(both).transpose(*both.dims).values
    probabilities = np.stack([both, x - both, y - both, 1 - x - y + both], axis=-1).clip(0, 1)
    probabilities /= probabilities.sum(axis=-1, keepdims=True)
    outcomes = np.random.default_rng(0).multinomial(count, probabilities, size=(NUM_RESAMPLINGS, *count.shape))
    drawn = outcomes / count[..., None]
    columns = (drawn[..., 0], drawn[..., 0] + drawn[..., 1], drawn[..., 0] + drawn[..., 2])
    resampled: dict[str, np.ndarray] = dict(zip(SCORES, columns, strict=True))
    return xr.Dataset(
        {
            name: (
                (RESAMPLE, *both.dims),
                np.concatenate([array.values[None].astype(float), resampled[name]]),
            )
            for name, array in measured.items()
        },
        both.coords,
    )


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
