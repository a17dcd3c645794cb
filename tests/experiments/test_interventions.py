"""What `experiments/interventions.py` measures of models that are known: code, drawing, and what moves."""

import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr

from diffgeo.experiment import Metric
from diffgeo.model.activations import Activations
from experiments import interventions

SIZE = 16
SHIFT = 2


@dataclasses.dataclass(frozen=True)
class Known:
    """A model that draws a bump where channels 0 and 1 of its layers say: x + weight z, y + weight z.

    Channel 2 is z = x y / 10, an interaction of the two.
    """

    weight: float = 0.0
    deaf: tuple = ()
    edits: dict = dataclasses.field(default_factory=dict)

    @property
    def settings(self):
        return SimpleNamespace(data=SimpleNamespace(size=SIZE), diffusion=SimpleNamespace(timesteps=1_000))

    def activations(self, x, y, layer, t):
        x, y = (grid.ravel() for grid in np.broadcast_arrays(x, y))
        values = np.stack([x, y, x * y / 10], axis=1).astype(np.float32)[:, None, None]
        return Activations(values, np.stack([x, y], axis=1).astype(np.float32), layer, t)

    def edited(self, edits, steps=None):
        return dataclasses.replace(self, edits=edits)

    def sample(self, x, y, draws):
        labels = np.tile(np.stack([x, y], axis=1), (draws, 1))
        moves = [
            edit[:, 0, 0, :2] + self.weight * edit[:, 0, 0, 2:]
            for layer, edit in self.edits.items()
            if layer not in self.deaf and np.ndim(edit)
        ]
        drawn = labels + sum(moves, np.zeros_like(labels))
        return SimpleNamespace(prediction=xr.DataArray(drawn))


def measured(model):
    metric = next(one for one in interventions.EXPERIMENT.metrics if one.name == "moved")
    assert isinstance(metric, Metric)
    coordinates = {f"moved_{name}": list(values) for name, values in metric.coordinates.items()}
    return xr.DataArray(metric.of(model), coordinates, dims=metric.dims)


def test_labels_and_shifts_stay_in_the_grid():
    for size, shift, count in ((8, 1, 6), (16, 2, 32), (32, 4, 162)):
        values, labels, found = interventions.grid_of(SimpleNamespace(data=SimpleNamespace(size=size)))
        assert found == shift
        assert len(labels) == count
        assert set(np.concatenate([labels, labels + shift]).ravel()) <= set(values)


def test_edits_have_the_norm_of_the_main_effects():
    edits = list(interventions.edits_of(Known(), "layer4", 300))
    assert len(edits) == len(interventions.FACTORS) * len(interventions.DIRECTIONS)
    norms = [np.sqrt((edit**2).sum(axis=(1, 2, 3))) for edit in edits]
    for factor in (0, 1):
        main, _, random, principal = norms[4 * factor : 4 * factor + 4]
        np.testing.assert_allclose(random, main, rtol=1e-5)
        np.testing.assert_allclose(principal, main, rtol=1e-5)


def test_a_factorized_code_moves_by_the_shift_along_and_not_across():
    found = measured(Known(deaf=("bottleneck1",)))
    for layer in interventions.LAYERS:
        of_layer = found.sel(moved_layer=layer, moved_window=interventions.ALWAYS)
        expected = 0.0 if layer == "bottleneck1" else 1.0
        for direction in ("main effect", "whole difference"):
            along = of_layer.sel(moved_direction=direction, moved_move="along")
            np.testing.assert_allclose(along, expected, atol=1e-5)
            np.testing.assert_allclose(of_layer.sel(moved_direction=direction, moved_move="across"), 0.0, atol=1e-5)
        random = of_layer.sel(moved_direction="random", moved_move="along")
        assert np.abs(random).max() < 0.5
    np.testing.assert_array_equal(found.sel(moved_move="read"), 1.0)


def test_what_an_interaction_does_is_not_in_the_main_effects():
    """The interaction's mean over y is in x's main effect; what differs from label to label is not."""
    found = measured(Known(weight=1.0)).sel(moved_layer="layer4", moved_window=interventions.ALWAYS)
    _, labels, _ = interventions.grid_of(Known().settings)
    whole = 1 + labels[:, 1] / 10  # (x + 2) y / 10 - x y / 10, in shifts of 2
    along = found.sel(moved_move="along", moved_factor="x")
    np.testing.assert_allclose(along.sel(moved_direction="whole difference"), np.median(whole), rtol=1e-5)
    np.testing.assert_allclose(along.sel(moved_direction="main effect"), 1 + np.arange(2, 14).mean() / 10, rtol=1e-5)
    np.testing.assert_allclose(
        found.sel(moved_move="across", moved_factor="x", moved_direction="whole difference"),
        np.median(labels[:, 1] / 10),
        rtol=1e-5,
    )


def test_samples_that_show_nothing_are_counted():
    class Blind(Known):
        def sample(self, x, y, draws):
            found = super().sample(x, y, draws)
            found.prediction.values[::2] = np.nan
            return found

    found = measured(Blind())
    np.testing.assert_array_equal(found.sel(moved_move="read"), 0.5)
    np.testing.assert_allclose(
        found.sel(moved_move="along", moved_direction="main effect", moved_layer="layer4"), 1.0, atol=1e-5
    )


def test_the_additive_share_is_that_of_the_code():
    shares = interventions.additive(Known())
    assert shares.shape == (len(interventions.LAYERS), 2)
    x, y = (grid.ravel() for grid in np.meshgrid(np.arange(2, 14), np.arange(2, 14), indexing="ij"))
    both = [np.var(x), np.var(y), np.var(x * y / 10)]
    interaction = np.var((x - x.mean()) * (y - y.mean()) / 10)
    assert shares[0, 0] == pytest.approx(1 - interaction / sum(both), abs=0.02)
