"""Scores of a region, their mean over training, and R^2 of a region."""

import math

import numpy as np
import pytest
import xarray as xr

from diffgeo.claims import scores
from tests.support.claims import rising
from tests.support.results import made_up


def test_scores_of_a_region_and_the_labels_behind_them():
    found = made_up("p1_fig9", lambda at, t, region: (0.2, 0.5, 0.4) if region == "id" else (0.1, 0.1, 0.1))
    chosen = scores.scores(found, "id")
    for name, value in (("accuracy", 0.2), ("accuracy_x", 0.5), ("accuracy_y", 0.4)):
        np.testing.assert_allclose(chosen[name], value, atol=1e-6)
    counts = scores.sample_counts(found, "ood").sel(seed=0)
    assert counts.sel(hole_area_fraction=[0.035, 0.1]).values.tolist() == [9, 25]


def test_mean_over_training_weighs_a_short_last_interval():
    values = xr.DataArray([0.0, 1.0, 1.0], {"step": [0, 10, 14]}, ["step"])
    assert float(scores.mean_over_training(values)) == pytest.approx((5 + 4) / 14)


def test_r2_of_a_region_by_hand():
    found = made_up("p1_fig9", rising)
    labels = found["label"].values
    rng = np.random.default_rng(0)
    noise = np.where(np.abs(labels - 8).max(axis=-1, keepdims=True) < 8 * math.sqrt(0.1), 1.0, 0.01)
    cloud = np.concatenate([labels + noise * rng.normal(size=labels.shape), rng.normal(size=labels[..., :1].shape)], -1)
    found["umap"].values[..., 0, :, :] = cloud[:, :, None]  # tensor 0 is layer4
    inside, outside = (
        scores.region_r2(found, region).sel(hole_area_fraction=0.1, seed=0, step=0) for region in ("ood", "id")
    )
    assert float(outside) > 0.995
    assert float(inside) == pytest.approx(1 - 1.0 / labels[0, 0].var(axis=0).mean(), abs=0.03)
