"""What `experiments/kernels.py` and `experiments/trajectories.py` ask of models that are known."""

from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import xarray as xr

from diffgeo.model.activations import Activations
from diffgeo.model.trained_member import TrainedMember
from experiments import kernels, p1_fig9, trajectories
from experiments._held_out import ASKED, asked_labels
from tests.support.settings import refused

SIZE = 16
LABELS = np.array([(x, y) for x in range(SIZE) for y in range(SIZE)], np.float32)
HOLE = (np.abs(LABELS - 7.5) < 2.6).all(axis=1)


class Known:
    """A model with a hole in its data, whose kernel and pictures are Gaussian, and who is right where it is told to be.

    Pictures have no pixels: their two numbers are the label, so that reading is exact.
    """

    settings = SimpleNamespace(
        data=SimpleNamespace(size=SIZE), diffusion=SimpleNamespace(timesteps=500), train=SimpleNamespace(steps=10)
    )

    def __init__(self, step=10, hole=HOLE, width=2.0):
        self.step, self.training_labels, self.width = step, LABELS[~hole], width
        self.added = None

    def tangent_kernel(self, x, y, t, draws):
        assert t <= 500
        labels = np.stack([x, y], axis=1)
        squares = ((labels[:, None] - labels[None]) ** 2).sum(axis=-1)
        return np.exp(-squares / (2 * self.width**2)).astype(np.float32)

    def true_images(self, x, y):
        return np.stack([x, y], axis=1)[:, None].astype(np.float32)

    def read(self, images, x, y):
        return self._hits(images[:, 0], np.stack([x, y], axis=1))

    def sample(self, x, y, draws=1):
        labels = np.tile(np.stack([x, y], axis=1), (draws, 1))
        return self._hits(labels + np.array([0.0, 5.0]), labels)

    def edited(self, edits):
        (self.added,) = edits.values()
        return self

    def activations(self, x, y, layer):
        assert layer == "conditioning"
        x, y = (grid.ravel() for grid in np.broadcast_arrays(x, y))
        labels = np.stack([x, y], axis=1).astype(np.float32)
        return Activations(np.concatenate([labels, np.ones_like(labels)], axis=1)[:, None, None], labels, layer, 1)

    @staticmethod
    def _hits(drawn, labels):
        return xr.Dataset({"hit": (("sample", "factor"), np.abs(drawn - labels) < 1)})


def test_asked_labels_are_over_a_pixel_from_the_data_or_at_it():
    held_out, seen = asked_labels(Known())
    assert held_out.shape == seen.shape == (ASKED, 2)
    known = Known().training_labels

    def away(labels):
        return np.abs(labels[:, None] - known[None]).max(axis=-1).min(axis=1)

    assert away(held_out).min() > 1
    assert away(seen).max() <= 0.5
    np.testing.assert_array_equal(asked_labels(Known()), [held_out, seen])  # the same for all models
    with refused("no label is held out", "over two pixels wide"):
        asked_labels(Known(hole=np.zeros(len(LABELS), bool)))


def test_a_kernel_that_is_smooth_fills_the_hole_and_a_narrow_one_does_not():
    at = dict(zip(("way", "region", "number"), range(3), strict=True))
    assert list(at) == list(kernels.EXPERIMENT.metrics[0].coordinates)
    smooth, narrow = (kernels.predicted(Known(width=width)) for width in (2.0, 0.3))
    by_kernel, by_model = smooth
    np.testing.assert_array_equal(by_kernel, 1.0)
    np.testing.assert_array_equal(by_model, [[1, 0, 0], [1, 0, 0]])  # its samples are wrong in y
    # far from the data the mean of all labels is drawn, which is near the hole's middle
    assert narrow[0, 0, 2] < 1


def test_kernels_are_asked_at_the_first_and_the_last_step_alone():
    for step, measured in ((0, True), (5, False), (10, True)):
        assert np.isfinite(kernels.predicted(Known(step))).all() == measured


def test_images_of_a_kernel_are_those_of_ridge_regression():
    from sklearn.kernel_ridge import KernelRidge

    model, labels = Known(), asked_labels(Known())[0]
    found = kernels.kernel_images(model, labels)
    seen = np.random.default_rng(kernels.CHOICE).permutation(model.training_labels)[: kernels.LABELS]
    together = np.concatenate([seen, labels])
    kernel = model.tangent_kernel(*together.T, 1, 1).astype(np.float64)
    reference = KernelRidge(alpha=kernels.RIDGE, kernel="precomputed").fit(
        kernel[: len(seen), : len(seen)], seen - seen.mean(axis=0)
    )
    expected = reference.predict(kernel[len(seen) :, : len(seen)]) + seen.mean(axis=0)
    np.testing.assert_allclose(found[:, 0], expected, atol=1e-3)


class OfLabels(TrainedMember):
    """A model of Fig. 9 whose kernel knows no network: Gaussian in the labels, this many pixels wide."""

    width: ClassVar[float]

    def tangent_kernel(self, *, x, y, t, draws):
        labels = np.stack([x, y], axis=1)
        return np.exp(-((labels[:, None] - labels[None]) ** 2).sum(axis=-1) / (2 * self.width**2)).astype(np.float32)


@pytest.mark.parametrize(("width", "held_out"), [(0.5, (0.0, 0.1)), (1.5, (0.95, 1.0))])
def test_a_smooth_kernel_of_labels_fills_the_hole_without_any_network(width, held_out):
    """The null of (kernel, trained): it holds for such a kernel too, and fails for a narrow one."""
    settings = p1_fig9.EXPERIMENT.presets["laptop"].at(hole_area_fraction=0.1, seed=0)
    model = type("Gaussian", (OfLabels,), {"width": width})(settings, {}, settings.train.steps, {})
    labels = asked_labels(model).reshape(-1, 2)
    drawn = kernels.kernel_images(model, labels)
    hits = model.read(drawn, x=labels[:, 0], y=labels[:, 1])["hit"].values.reshape(2, ASKED, 2).all(axis=2).mean(axis=1)
    assert held_out[0] <= hits[0] <= held_out[1]
    assert hits[1] > 0.9


def test_scaled_labels_move_the_conditioning_away_from_its_mean():
    labels = asked_labels(Known()).reshape(-1, 2)
    asked, scaled, twice, random = trajectories.scaled_conditioning(Known(), labels)[:, :, 0, 0]
    np.testing.assert_array_equal(asked, 0.0)
    away = np.concatenate([labels - 7.5, np.zeros_like(labels)], axis=1)  # the rest of the code is the same everywhere
    np.testing.assert_allclose(scaled, 0.5 * away, atol=1e-5)
    np.testing.assert_allclose(twice, away, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(random, axis=1), np.linalg.norm(away, axis=1), rtol=1e-4)
    assert abs(np.corrcoef(random.ravel(), away.ravel())[0, 1]) < 0.3


def test_concepts_are_shares_of_right_samples():
    model = Known()
    found = trajectories.concepts(model)
    assert found.shape == tuple(map(len, trajectories.EXPERIMENT.metrics[0].coordinates.values()))
    np.testing.assert_array_equal(found, np.broadcast_to([1, 0, 0], found.shape))
    assert model.added.shape == (len(trajectories.WAYS) * 2 * ASKED, 1, 1, 4)


@pytest.mark.parametrize("declared", [kernels.EXPERIMENT, trajectories.EXPERIMENT], ids=lambda one: one.name)
def test_the_models_are_those_of_fig9(declared):
    assert declared.presets["laptop"] is p1_fig9.EXPERIMENT.presets["laptop"]
