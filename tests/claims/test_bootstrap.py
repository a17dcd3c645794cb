"""Resampled accuracies against the moments of samples; R^2 of a region."""

import math

import numpy as np
import pytest
import xarray as xr

from diffgeo.claims import bootstrap
from diffgeo.data import label_tables
from tests.support.claims import rising
from tests.support.results import made_up


def test_resampled_scores_have_the_moments_of_samples():
    found = bootstrap.scores(made_up("p1_fig9", lambda at, t, region: (0.2, 0.5, 0.4)), "id")
    np.testing.assert_allclose(found["accuracy_y"].isel(resample=0), 0.4, atol=1e-6)
    drawn = found.isel(resample=slice(1, None))
    labels = label_tables.lattice(16, 1.0, 1.0)
    outside = np.abs(labels - 8).max(axis=1) > 8 * math.sqrt(0.1) + 1e-6
    at = {"hole_area_fraction": 0.1}
    for name, share in (("accuracy", 0.2), ("accuracy_x", 0.5), ("accuracy_y", 0.4)):
        values = drawn[name].sel(at)
        assert float(values.mean()) == pytest.approx(share, abs=0.003)
        assert float(values.std()) == pytest.approx(math.sqrt(share * (1 - share) / outside.sum()), rel=0.05)
    together = drawn["accuracy"].sel(at).values - 0.2, drawn["accuracy_x"].sel(at).values - 0.5
    covariance = (together[0] * together[1]).mean() * outside.sum()
    assert covariance == pytest.approx(0.2 - 0.2 * 0.5, abs=0.01)


def test_mean_over_training_weighs_a_short_last_interval():
    values = xr.DataArray([0.0, 1.0, 1.0], {"step": [0, 10, 14]}, ["step"])
    assert float(bootstrap.mean_over_training(values)) == pytest.approx((5 + 4) / 14)


def test_r2_of_a_region_by_hand():
    found = made_up("p1_fig9", rising)
    labels = found["label"].values
    rng = np.random.default_rng(0)
    noise = np.where(np.abs(labels - 8).max(axis=-1, keepdims=True) < 8 * math.sqrt(0.1), 1.0, 0.01)
    cloud = np.concatenate([labels + noise * rng.normal(size=labels.shape), rng.normal(size=labels[..., :1].shape)], -1)
    found["umap"].values[..., 0, :, :] = cloud[:, :, None]  # tensor 0 is layer4
    inside, outside = (
        bootstrap.region_r2(found, region).sel(hole_area_fraction=0.1, seed=0, step=0) for region in ("ood", "id")
    )
    assert float(outside) > 0.995
    assert float(inside) == pytest.approx(1 - 1.0 / labels[0, 0].var(axis=0).mean(), abs=0.03)
