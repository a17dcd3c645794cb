"""Clouds of labels with other than two factors: what is of points alone works, what relates them to two is refused."""

import numpy as np
import pytest

from diffgeo.model.activations import Activations
from tests.support.settings import refused


@pytest.mark.parametrize("count", [1, 3, 4])
def test_other_than_two_factors(count):
    rng = np.random.default_rng(0)
    cloud = Activations(rng.normal(size=(20, 2, 2, 3)).astype(np.float32), rng.normal(size=(20, count)), "layer4", 1)
    assert cloud.pca().projections.shape == (20, 3)
    assert cloud.participation_ratio() > 1
    assert len(cloud.persistence(1).diagrams) == 2
    assert len(cloud.probe_r2().each) == count
    for measure in (cloud.rings, cloud.additive_share):
        with refused(f"labels have {count} factors, and {measure.__name__} relates activations to two"):
            measure()
