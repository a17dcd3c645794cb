"""Interventions on a trained model: what is added to a layer, at which diffusion steps, to which sample."""

import numpy as np
import pytest

import diffgeo as dg
from diffgeo import representation
from tests.support.settings import refused

X = [2.0, 5.0, 3.0]


@pytest.fixture(scope="module")
def model(trained):
    return dg.load(trained / "runs/quickstart").member(increment=0.5, seed=1)


@pytest.fixture(scope="module")
def shift(model):
    values = model.activations(x=X, y=4.0).values
    return np.random.default_rng(0).normal(size=values.shape[1:]).astype(np.float32) * np.std(values)


def test_nothing_added_is_equal_to_the_last_bit(model):
    plain = model.sample(x=X, y=4.0).images.values
    for layer in ("inc", "bottleneck1", "layer4"):
        np.testing.assert_array_equal(model.edited({layer: 0.0}).sample(x=X, y=4.0).images.values, plain)


def test_an_edit_is_the_same_again_and_alone(model, shift):
    several = np.stack([shift, 0 * shift, 3 * shift])
    together = model.edited({"layer4": several}).sample(x=X, y=4.0).images.values
    np.testing.assert_array_equal(model.edited({"layer4": several}).sample(x=X, y=4.0).images.values, together)
    plain = model.sample(x=X, y=4.0).images.values
    np.testing.assert_allclose(together[1], plain[1], atol=1e-4)
    assert np.abs(together - plain)[[0, 2]].max(axis=(1, 2)).min() > 1e-3
    # the first sample's noise is that of the first label, whatever is drawn beside it
    np.testing.assert_allclose(
        model.edited({"layer4": shift}).sample(x=X[0], y=4.0).images.values[0], together[0], atol=1e-4
    )


def test_steps_of_an_edit(model, shift):
    """TINY has 20 diffusion steps, of which the sampler calls four: 20, 15, 10 and 5 at most, 1 the last."""

    def drawn(*steps):
        return model.edited({"layer4": shift}, steps or None).sample(x=X, y=4.0).images.values

    plain, always = model.sample(x=X, y=4.0).images.values, drawn()
    np.testing.assert_array_equal(drawn(1, 20), always)
    np.testing.assert_array_equal(drawn(2, 2), plain)  # no call at this step
    early, late = drawn(11, 20), drawn(1, 10)
    for one, other in ((early, late), (early, always), (late, always), (early, plain), (late, plain)):
        assert np.abs(one - other).max() > 1e-3


def test_draws_have_edits_of_their_own(model, shift):
    both = np.concatenate([np.zeros((3, *shift.shape)), np.broadcast_to(shift, (3, *shift.shape))])
    drawn = model.edited({"layer4": both}).sample(x=X, y=4.0, draws=2).images.values
    plain = model.sample(x=X, y=4.0, draws=2).images.values
    np.testing.assert_allclose(drawn[:3], plain[:3], atol=1e-4)
    assert np.abs(drawn[3:] - plain[3:]).max(axis=(1, 2)).min() > 1e-3


@pytest.mark.parametrize(
    ("words", "edits", "steps"),
    [
        ("layer to edit", {"layer9": 0.0}, None),
        ("layer to edit", {"layer4_pre_embedding": 0.0}, None),
        ("broadcasts against", {"layer4": np.zeros((7, 4, 4, 4))}, None),
        ("neither a number", {"layer4": "much"}, None),
        ("not finite", {"layer4": np.nan}, None),
        ("steps", {"layer4": 0.0}, (3, 2)),
        ("steps", {"layer4": 0.0}, (0, 2)),
        ("steps", {"layer4": 0.0}, (1, 21)),
        ("steps", {"layer4": 0.0}, (1, 2, 3)),
        ("steps", {"layer4": 0.0}, (1, 2.5)),
    ],
)
def test_what_cannot_be_added_is_refused(model, words, edits, steps):
    with refused(words):
        model.edited(edits, steps).sample(x=X, y=4.0)


def test_activations_of_an_edited_model_are_refused(model):
    with refused("edited"):
        model.edited({"layer4": 0.0}).activations(x=X, y=4.0)


def test_main_effects_are_the_means_of_the_layer(model):
    side = np.arange(8.0)
    grid = model.activations(x=side[:, None], y=side)
    of_x, of_y = grid.main_effects()
    by_label = grid.values.reshape(8, 8, *grid.values.shape[1:])
    mean = by_label.mean(axis=(0, 1))
    np.testing.assert_allclose(of_x, by_label.mean(axis=1) - mean, atol=1e-5)
    np.testing.assert_allclose(of_y, by_label.mean(axis=0) - mean, atol=1e-5)
    parts = 8 * (of_x**2).sum() + 8 * (of_y**2).sum()
    assert grid.additive_share() == pytest.approx(parts / ((by_label - mean) ** 2).sum(), abs=1e-4)
    order = np.random.default_rng(1).permutation(64)
    shuffled = model.activations(x=np.repeat(side, 8)[order], y=np.tile(side, 8)[order])
    np.testing.assert_allclose(shuffled.main_effects()[0], of_x, atol=0.05 * np.abs(of_x).max())


def test_main_effects_of_a_sum_are_its_parts():
    rng = np.random.default_rng(2)
    f, g = rng.normal(size=(4, 1, 3)), rng.normal(size=(1, 5, 3))
    of_x, of_y = representation.main_effects((f + g).reshape(20, 3), (4, 5))
    np.testing.assert_allclose(of_x, f[:, 0] - f.mean(axis=0), atol=1e-12)
    np.testing.assert_allclose(of_y, g[0] - g.mean(axis=1), atol=1e-12)
