"""Activations of any block: each is its module applied by hand to the layers before it."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.settings.allowed import LAYERS, RECORDED
from diffgeo.unet import UNet, activations, describe, encodings, initial_parameters, parameter_count
from diffgeo.unet.layers import DoubleConv, Down, Linear, SelfAttention, Up
from tests.support.settings import refused

SIZE, B, EMBEDDING = 8, 4, 12
NETWORK = UNet(B, EMBEDDING)
jit_once = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


@pytest.fixture(scope="module")
def params():
    return jit_once(functools.partial(initial_parameters, NETWORK, shape=(SIZE, SIZE, 1)))(jax.random.key(3))


def inputs(n=3):
    images = jax.random.normal(jax.random.key(1), (n, SIZE, SIZE, 1))
    return images, jnp.arange(1, n + 1) * 300, jax.random.uniform(jax.random.key(2), (n, 2), maxval=float(SIZE))


@pytest.fixture(scope="module")
def layers(params):
    return activations(NETWORK, params, *inputs())


def test_every_layer_follows_from_those_before_it(params, layers):
    """The forward pass of the papers' figure written out, each block applied to the captured layers before it."""
    images, t, centers = inputs()
    codes = encodings.codes(t.astype(jnp.float32), centers, EMBEDDING, "sinusoid", SIZE)
    conditioning = jnp.concatenate(codes, axis=-1)

    def apply(module, name, *arguments):
        return module.apply({"params": params[name]}, *arguments)

    up = {
        "layer3": apply(Up(2 * B), "up1", layers["bottleneck2"], layers["layer1_attention"], conditioning),
        "layer4": apply(Up(B), "up2", layers["layer3_attention"], layers["layer0_attention"], conditioning),
        "layer5": apply(Up(B), "up3", layers["layer4_attention"], layers["inc"], conditioning),
    }
    expected = {
        "inc": apply(DoubleConv(B), "inc", images),
        "layer0": apply(Down(2 * B), "down1", layers["inc"], conditioning),
        "layer1": apply(Down(4 * B), "down2", layers["layer0_attention"], conditioning),
        "layer2": apply(Down(4 * B), "down3", layers["layer1_attention"], conditioning),
        "bottleneck0": apply(DoubleConv(8 * B), "bot1", layers["layer2_attention"]),
        "bottleneck1": apply(DoubleConv(8 * B), "bot2", layers["bottleneck0"]),
        "bottleneck2": apply(DoubleConv(4 * B), "bot3", layers["bottleneck1"]),
        **{name: both[0] for name, both in up.items()},
        "layer4_pre_embedding": up["layer4"][1],
    }
    for index in range(6):
        expected[f"layer{index}_attention"] = apply(SelfAttention(4), f"sa{index + 1}", layers[f"layer{index}"])
    assert set(expected) == set(layers) == set(LAYERS)
    for name, tensor in expected.items():
        np.testing.assert_allclose(layers[name], tensor, atol=1e-5, err_msg=name)
    noise = apply(Linear(1), "outc", layers["layer5_attention"])
    np.testing.assert_allclose(noise, NETWORK.apply({"params": params}, *inputs())[0], atol=1e-5)


def test_layers_differ_from_each_other(layers):
    tensors = list(layers.items())
    for i, (name, tensor) in enumerate(tensors):
        same = [other for other, one in tensors[i + 1 :] if one.shape == tensor.shape and jnp.allclose(one, tensor)]
        assert not same, f"{name} equals {same}"


def test_recorded_tensors_have_the_values_that_the_network_records(params, layers):
    _, recorded = NETWORK.apply({"params": params}, *inputs())
    for name in RECORDED:
        np.testing.assert_array_equal(layers[name], recorded[name])


def test_selected_layers_come_in_the_order_asked_for(params, layers):
    chosen = ("layer4", "bottleneck1", "inc")
    some = activations(NETWORK, params, *inputs(), layers=chosen)
    assert tuple(some) == chosen
    for name in chosen:
        np.testing.assert_array_equal(some[name], layers[name])


def test_of_bfloat16_and_rematerialized_networks_layers_are_float32():
    network = UNet(B, EMBEDDING, dtype="bfloat16", remat="blocks")
    shapes = jax.eval_shape(functools.partial(initial_parameters, network, shape=(SIZE, SIZE, 1)), jax.random.key(0))
    found = jax.eval_shape(functools.partial(activations, network), shapes, *inputs())
    assert {tensor.dtype for tensor in found.values()} == {jnp.dtype("float32")}
    assert found["bottleneck0"].shape == (3, 1, 1, 8 * B)


def test_blocks_are_described_as_they_are(params, layers):
    found = {block.layer: block for block in describe(NETWORK, SIZE)}
    assert set(found) == set(LAYERS) - {"layer4_pre_embedding"}
    assert {name: (block.side, block.channels) for name, block in found.items()} == {
        name: layers[name].shape[2:] for name in found
    }
    rest = parameter_count(params["outc"])
    assert sum(block.parameters for block in found.values()) + rest == parameter_count(params)
    assert {name for name, block in found.items() if block.conditioned} == {f"layer{i}" for i in range(6)}
    skips = {name: block.skip for name, block in found.items() if block.skip}
    assert skips == {"layer3": "layer1_attention", "layer4": "layer0_attention", "layer5": "inc"}
    kinds = [block.kind for block in found.values()]
    sides = ["Down", "SelfAttention"] * 3, ["Up", "SelfAttention"] * 3
    assert kinds == ["DoubleConv", *sides[0], *["DoubleConv"] * 3, *sides[1]]


def test_an_unknown_layer_is_named_with_the_nearest(params):
    with refused("'layr4'", "'layer4'"):
        activations(NETWORK, params, *inputs(), layers=("layr4",))


def test_without_attention_layers_after_it_are_those_before_it():
    plain = UNet(4, 12, attention=False)
    params = initial_parameters(plain, jax.random.key(0), (8, 8, 1))
    assert not [name for name in params if name.startswith("sa")]
    images, t, centers = jnp.ones((2, 8, 8, 1)), jnp.array([1, 5]), jnp.array([[1.0, 2.0], [3.0, 4.0]])
    found = activations(plain, params, images, t, centers)
    for layer in range(6):
        np.testing.assert_array_equal(found[f"layer{layer}_attention"], found[f"layer{layer}"])
    assert {block.kind for block in describe(plain, 8)} == {"DoubleConv", "Down", "Up"}
    whole = jax.eval_shape(lambda key: initial_parameters(UNet(4, 12), key, (8, 8, 1)), jax.random.key(0))
    assert set(whole) - set(params) == {f"sa{k}" for k in range(1, 7)}
