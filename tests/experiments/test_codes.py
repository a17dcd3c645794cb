"""What `experiments/codes.py` measures of layers whose code is known, and how it finds a peak."""

from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from diffgeo.model.activations import Activations
from experiments import codes


class Known:
    """A model whose layers are (x, y, x + y), and whose pixels are x and y times y."""

    settings = SimpleNamespace(data=SimpleNamespace(size=16), diffusion=SimpleNamespace(timesteps=500))

    def activations(self, x, y, layer, t):
        assert t <= 500
        x, y = (grid.ravel() for grid in np.broadcast_arrays(x, y))
        features = [x, y * y] if layer == codes.PIXELS else [x, y, x + y]
        values = np.stack(features, axis=1).astype(np.float32)[:, None, None]
        return Activations(values, np.stack([x, y], axis=1).astype(np.float32), layer, t)


def test_numbers_of_known_codes():
    (metric,) = codes.EXPERIMENT.metrics
    found = xr.DataArray(
        metric.of(Known()),
        {f"codes_{name}": list(values) for name, values in metric.coordinates.items()},
        dims=metric.dims,
    )
    sheared = found.sel(codes_layer="layer4")
    np.testing.assert_allclose(sheared.sel(codes_number=codes.SHARE), 1.0, rtol=1e-5)
    # the directions are (1, 0, 1) and (0, 1, 1)
    np.testing.assert_allclose(sheared.sel(codes_number=codes.COUPLING), 0.5, rtol=1e-4)
    np.testing.assert_allclose(sheared.sel(codes_number=codes.VARIATION), 0.0, atol=1e-4)
    # variances are 3 : 1, along (1, 1, 2) and (1, -1, 0)
    np.testing.assert_allclose(sheared.sel(codes_number=codes.DIMENSION), 4**2 / (3**2 + 1), rtol=1e-4)
    pixels = found.sel(codes_layer=codes.PIXELS)
    np.testing.assert_allclose(pixels.sel(codes_number=codes.COUPLING), 0.0, atol=1e-5)
    np.testing.assert_allclose(pixels.sel(codes_number=codes.VARIATION), 0.0, atol=1e-4)


def test_a_peak_is_where_the_other_seeds_have_theirs():
    share = xr.DataArray(
        [[0.1, 0.9, 0.2, 0.1], [0.1, 0.2, 0.8, 0.1], [0.1, 0.3, 0.7, 0.1]],
        {"seed": [0, 1, 2], "step": [0, 1, 2, 3]},
        dims=("seed", "step"),
    )
    assert codes._peak(share).values.tolist() == pytest.approx([0.2, 0.2, 0.3])
    assert codes._peak(share.isel(seed=[0])).values.tolist() == pytest.approx([0.9])
