"""Edits of activations: each is the layers behind it applied to other activations, and nothing before it changes."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.settings.allowed import CONDITIONING, EDITABLE, LAYERS
from diffgeo.unet import UNet, activations, initial_parameters
from tests.support.settings import refused

NETWORK = UNet(4, 12)
jit_once = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def params():
    return jit_once(functools.partial(initial_parameters, NETWORK, shape=(8, 8, 1)))(jax.random.key(3))


IMAGES = jax.random.normal(jax.random.key(1), (3, 8, 8, 1))
T = jnp.array([1, 5, 9])
CENTERS = jax.random.uniform(jax.random.key(2), (3, 2), maxval=8.0)


def noise(params, edits=None):
    return NETWORK.apply({"params": params}, IMAGES, T, CENTERS, edits)


@pytest.mark.parametrize("layer", EDITABLE)
def test_edits_of_nothing_are_equal_to_the_last_bit_and_others_are_seen(params, layer):
    plain = noise(params)
    same = noise(params, {layer: lambda h: h + jnp.zeros_like(h)})
    jax.tree.map(np.testing.assert_array_equal, same, plain)
    moved = noise(params, {layer: lambda h: h + 1.0})
    assert np.abs(moved[0] - plain[0]).max() > 1e-4
    order = (CONDITIONING, *LAYERS)
    for name in plain[1]:
        equal = np.array_equal(moved[1][name], plain[1][name])
        assert equal == (order.index(name) < order.index(layer)), name


def test_the_conditioning_put_in_from_other_labels_is_all_that_a_label_is(params):
    other = CENTERS[::-1]
    found = activations(NETWORK, params, IMAGES, T, other, (CONDITIONING,))[CONDITIONING]
    assert found.shape == (3, 1, 1, 12)
    wanted = NETWORK.apply({"params": params}, IMAGES, T, other)[0]
    np.testing.assert_array_equal(noise(params, {CONDITIONING: lambda _: found})[0], wanted)


def test_the_last_layers_edit_is_the_last_maps_of_it(params):
    shift = jax.random.normal(jax.random.key(4), (3, 8, 8, 4))
    moved, plain = noise(params, {"layer5_attention": lambda h: h + shift})[0], noise(params)[0]
    np.testing.assert_allclose(moved - plain, shift @ params["outc"]["dense"]["kernel"], atol=1e-5)


def test_a_layer_put_in_from_another_image_carries_all_that_follows_but_the_skips(params):
    """With every path from the input cut by others' activations, the noise is the others' too."""
    other = IMAGES[::-1]
    found = activations(NETWORK, params, other, T, CENTERS)
    cut = ("inc", "layer0_attention", "layer1_attention", "bottleneck2")
    edits = {layer: functools.partial(lambda put, _: put, found[layer]) for layer in cut}
    wanted = NETWORK.apply({"params": params}, other, T, CENTERS)[0]
    np.testing.assert_allclose(noise(params, edits)[0], wanted, atol=1e-5)


@pytest.mark.parametrize("layer", ["layer4_pre_embedding", "layer6", "outc"])
def test_what_is_no_layer_is_refused(params, layer):
    with refused("layer to edit", layer):
        noise(params, {layer: lambda h: h})


def test_another_shape_is_refused(params):
    with refused("the edit of layer4 returns", "[1, 4, 4, 4]", "[3, 4, 4, 4]"):
        noise(params, {"layer4": lambda h: h[:1]})


def test_the_dtype_of_the_network_is_kept(params):
    half = UNet(4, 12, dtype="bfloat16")
    edits = {layer: lambda h: h.astype(jnp.float32) * 1.5 for layer in ("layer2", "layer4")}
    drawn, recorded = half.apply({"params": params}, IMAGES, T, CENTERS, edits)
    assert {drawn.dtype, recorded["layer4"].dtype} == {jnp.dtype("float32")}
    assert np.abs(drawn - noise(params, edits)[0]).max() < 0.1
