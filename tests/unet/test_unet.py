"""The UNet: sizes, what is recorded from it, what it depends on, initial weights."""

import functools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.settings.allowed import RECORDED, check_size
from diffgeo.unet import UNet, initial_parameters, parameter_count
from diffgeo.unet.layers import SelfAttention

SIZE, B, EMBEDDING = 8, 4, 16  # three encodings of width 4, four zeros
UNOPTIMISED = {"xla_backend_optimization_level": 0}  # what runs once: ten times faster to compile


def shapes(module, size):
    return jax.eval_shape(functools.partial(initial_parameters, module, shape=(size, size, 1)), jax.random.key(0))


@pytest.fixture(scope="module")
def params():
    init = functools.partial(initial_parameters, UNet(B, EMBEDDING), shape=(SIZE, SIZE, 1))
    return jax.jit(init, compiler_options=UNOPTIMISED)(jax.random.key(3))


@pytest.fixture(scope="module")
def apply(params):
    jitted = jax.jit(UNet(B, EMBEDDING).apply)
    return lambda *inputs: jitted({"params": params}, *inputs)


def inputs(n=3):
    images = jax.random.normal(jax.random.key(1), (n, SIZE, SIZE, 1))
    t = jnp.arange(1, n + 1) * 100
    centers = jax.random.uniform(jax.random.key(2), (n, 2), maxval=float(SIZE))
    return images, t, centers


@pytest.mark.parametrize(("embedding", "count"), [(768, 23_790_209), (256, 23_331_457)])
def test_parameter_count(embedding, count):
    assert parameter_count(shapes(UNet(64, embedding), 32)) == count


def test_parameters_do_not_depend_on_image_size():
    module = UNet(8, 12)
    assert shapes(module, 8) == shapes(module, 32)


def test_shapes_at_the_papers_size():
    module = UNet()
    images, t = jax.ShapeDtypeStruct((2, 32, 32, 1), jnp.float32), jax.ShapeDtypeStruct((2,), jnp.int32)
    centers = jax.ShapeDtypeStruct((2, 2), jnp.float32)
    noise, recorded = jax.eval_shape(module.apply, {"params": shapes(module, 32)}, images, t, centers)
    assert noise.shape == images.shape
    assert noise.dtype == jnp.float32
    assert set(recorded) == set(RECORDED)
    assert {tensor.shape for tensor in recorded.values()} == {(2, 16, 16, 64)}


def test_layer4_adds_the_embedding_of_t_x_y(apply, params):
    """layer4 - layer4_pre_embedding = Linear(SiLU(PE(t) | PE(x) | PE(y) | 0)), the same at every pixel."""
    images, t, centers = inputs()
    _, recorded = apply(images, t, centers)
    added = np.asarray(recorded["layer4"] - recorded["layer4_pre_embedding"])

    width = EMBEDDING // 6 * 2
    conditioning = np.zeros((3, EMBEDDING))
    for i, u in enumerate((t, centers[:, 0], centers[:, 1])):
        for k in range(width // 2):
            phase = np.asarray(u, np.float64) * 10_000.0 ** (-2 * k / width)
            conditioning[:, i * width + k] = np.sin(phase)
            conditioning[:, i * width + width // 2 + k] = np.cos(phase)
    weights = jax.tree.map(np.asarray, params["up2"]["emb"]["dense"])
    expected = conditioning / (1 + np.exp(-conditioning)) @ weights["kernel"] + weights["bias"]
    np.testing.assert_allclose(added, np.broadcast_to(expected[:, None, None], added.shape), atol=1e-4)
    assert np.ptp(expected, axis=0).min() > 1e-3, "the three labels must be told apart"


def test_layer4_attention_is_attention_of_layer4(apply, params):
    _, recorded = apply(*inputs())
    expected = SelfAttention(4).apply({"params": params["sa5"]}, recorded["layer4"])
    np.testing.assert_allclose(recorded["layer4_attention"], expected, atol=1e-5)
    assert np.abs(recorded["layer4_attention"] - recorded["layer4"]).max() > 0.1


def test_layer4_before_embedding_still_sees_the_label(apply):
    """It enters in the earlier blocks too; only its direct addition is absent from the control."""
    images, t, centers = inputs()
    _, one = apply(images, t, centers)
    _, other = apply(images, t, centers + 1.0)
    assert np.abs(one["layer4_pre_embedding"] - other["layer4_pre_embedding"]).max() > 1e-3


@pytest.mark.parametrize("changed", ["images", "t", "x", "y"])
def test_noise_depends_on_every_input(apply, changed):
    images, t, centers = inputs()
    step = {"x": jnp.array([[1.0, 0.0]]), "y": jnp.array([[0.0, 1.0]])}
    other = {
        "images": (images + 1.0, t, centers),
        "t": (images, t + 1, centers),
        "x": (images, t, centers + jnp.broadcast_to(step["x"], centers.shape)),
        "y": (images, t, centers + jnp.broadcast_to(step["y"], centers.shape)),
    }[changed]
    assert np.abs(apply(images, t, centers)[0] - apply(*other)[0]).max() > 1e-4


def test_x_and_y_are_not_interchangeable(apply):
    images, t, centers = inputs()
    assert np.abs(apply(images, t, centers)[0] - apply(images, t, centers[:, ::-1])[0]).max() > 1e-4


def test_images_do_not_see_each_other(apply):
    """Not even through the norms: what happens to the first image leaves the others as they were."""
    images, t, centers = inputs()
    noise, recorded = apply(images, t, centers)
    other = images.at[0].add(1.0), t.at[0].add(7), centers.at[0].add(2.0)
    other_noise, other_recorded = apply(*other)
    for one, changed in zip([noise, *recorded.values()], [other_noise, *other_recorded.values()], strict=True):
        np.testing.assert_allclose(one[1:], changed[1:], atol=1e-5)
        assert np.abs(one[0] - changed[0]).max() > 1e-3


@pytest.mark.parametrize(("conv", "convolutions"), [("lax", 32), ("matrix", 0)])
def test_convolution_form_reaches_every_block(conv, convolutions):
    """16 DoubleConvs of two convolutions; at N = 16 none is of side 1. (test_layers: the forms agree.)"""
    module = UNet(B, EMBEDDING, conv_impl=conv)
    images, t = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.int32)
    centers = jax.ShapeDtypeStruct((1, 2), jnp.float32)
    lowered = jax.jit(module.apply).lower({"params": shapes(module, 16)}, images, t, centers)
    assert lowered.as_text().count("stablehlo.convolution") == convolutions


@pytest.fixture(scope="module")
def in_both_types(params):
    """(noise, recorded, gradients of the mean square of the noise) in float32 and in bfloat16."""

    def computed(compute):
        module = UNet(B, EMBEDDING, dtype=compute)

        def loss(params):
            noise, recorded = module.apply({"params": params}, *inputs())
            return jnp.mean(jnp.square(noise)), (noise, recorded)

        (_, (noise, recorded)), gradients = jax.jit(
            jax.value_and_grad(loss, has_aux=True), compiler_options=UNOPTIMISED
        )(params)
        return noise, recorded, gradients

    return computed("float32"), computed("bfloat16")


def test_bfloat16_changes_no_type_outside(in_both_types):
    """Noise, recorded tensors, parameters and their gradients are float32."""
    types = jax.tree.map(lambda leaf: leaf.dtype, in_both_types[1])
    assert set(jax.tree.leaves(types)) == {jnp.dtype("float32")}
    stored = shapes(UNet(B, EMBEDDING, dtype="bfloat16"), SIZE)
    assert stored == shapes(UNet(B, EMBEDDING), SIZE)


def test_bfloat16_is_close_to_float32(in_both_types):
    """bfloat16 keeps 8 bits: one operation errs by up to 0.4 %, 32 convolutions by some per cent, gradients more."""

    def flat(tree):
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])

    for exact, rounded, error in zip(*in_both_types, (0.05, 0.05, 0.1), strict=True):
        exact, rounded = flat(exact), flat(rounded)
        assert np.isfinite(rounded).all()
        assert 1e-4 < np.linalg.norm(rounded - exact) / np.linalg.norm(exact) < error


def test_products_are_bfloat16_but_for_the_label_and_the_noise():
    """Left in float32 at N = 16: the six linear maps of the embedding, and the last layer's."""
    module = UNet(B, EMBEDDING, conv_impl="lax", dtype="bfloat16")
    images, t = jax.ShapeDtypeStruct((1, 16, 16, 1), jnp.float32), jax.ShapeDtypeStruct((1,), jnp.int32)
    centers = jax.ShapeDtypeStruct((1, 2), jnp.float32)
    text = jax.jit(module.apply).lower({"params": shapes(module, 16)}, images, t, centers).as_text()
    lines = text.splitlines()
    given = {
        name: [re.search(r": \((.*)\) ->", line)[1] for line in lines if f"stablehlo.{name}" in line]
        for name in ("convolution", "dot_general")
    }
    assert len(given["convolution"]) == 32
    assert all(types.count("bf16") == 2 for types in given["convolution"])
    assert len([types for types in given["dot_general"] if types.count("bf16") != 2]) == 7


def held_bytes(remat: str) -> int:
    """What the papers' network holds from the forward pass of 16 images for the backward pass, its parameters too.

    As traced: XLA:CPU undoes what it recognizes as computed twice, and its temporaries do not fall.
    """
    module = UNet(remat=remat)
    images, t = jax.ShapeDtypeStruct((16, 32, 32, 1), jnp.float32), jax.ShapeDtypeStruct((16,), jnp.int32)
    centers = jax.ShapeDtypeStruct((16, 2), jnp.float32)

    def pullback(params, *given):
        return jax.vjp(lambda params: module.apply({"params": params}, *given)[0], params)[1]

    held = jax.eval_shape(pullback, shapes(module, 32), images, t, centers)
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(held))


def test_rematerialised_blocks_hold_less():
    parameters = 4 * 23_790_209
    assert held_bytes("blocks") - parameters < 0.15 * (held_bytes("none") - parameters)


@pytest.mark.slow
def test_rematerialised_blocks_change_nothing(params):
    """The loss and its gradients."""
    images, t, centers = inputs()

    def computed(remat):
        module = UNet(B, EMBEDDING, remat=remat)

        def loss(params):
            return jnp.mean(jnp.square(module.apply({"params": params}, images, t, centers)[0] - images))

        return jax.jit(jax.value_and_grad(loss), compiler_options=UNOPTIMISED)(params)

    pairs = zip(*(jax.tree.leaves(computed(remat)) for remat in ("none", "blocks")), strict=True)
    for one, other in pairs:
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_rematerialised_blocks_have_the_same_parameters():
    assert shapes(UNet(B, EMBEDDING, remat="blocks"), SIZE) == shapes(UNet(B, EMBEDDING), SIZE)


def test_initial_weights(params):
    """PyTorch's defaults: +-1/sqrt(fan_in), biases too; attention: Xavier for in_proj, biases zero."""
    measured = set()
    for path, leaf in jax.tree_util.tree_leaves_with_path(params):
        *parents, kind = names = [entry.key for entry in path]
        module = functools.reduce(dict.__getitem__, parents, params)
        leaf, name = np.asarray(leaf), parents[-1]
        if kind == "scale":
            assert (leaf == 1).all(), names
            continue
        if kind == "bias" and name != "dense":
            assert (leaf == 0).all(), names
            continue
        bound = 1 / math.sqrt(math.prod(module["kernel"].shape[:-1]))
        if name == "in_proj":
            bound = math.sqrt(6 / sum(leaf.shape))
        assert 0 < np.abs(leaf).max() <= bound, names
        if leaf.size >= 250:  # enough draws to see the distribution
            assert np.abs(leaf).max() > 0.95 * bound, names
            np.testing.assert_allclose(leaf.std(), bound / math.sqrt(3), rtol=0.15, err_msg=str(names))
            measured.add(name)
    assert measured == {"conv1", "conv2", "in_proj", "out_proj", "dense"}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base_channels": 6}, r"base_channels=6 .* multiple of heads=4"),
        ({"base_channels": 0}, "base_channels=0"),
        ({"heads": 0}, "heads=0"),
        ({"conv_impl": "fft"}, "unknown conv_impl 'fft': choose one of auto, lax, matrix"),
        ({"remat": "all"}, "unknown remat 'all': choose one of none, blocks"),
        ({"dtype": "float16"}, r"unknown dtype 'float16': did you mean 'bfloat16'\?"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(UserError, match=message):
        UNet(**settings)


@pytest.mark.parametrize(("factors", "least"), [(2, 6), (4, 10)])
def test_an_embedding_holds_a_pair_for_the_step_and_each_factor(factors, least):
    def made(embedding):
        init = functools.partial(initial_parameters, UNet(B, embedding), shape=(8, 8, 1), num_factors=factors)
        return jax.eval_shape(init, jax.random.key(0))

    assert made(least)
    with pytest.raises(UserError, match=f"embedding={least - 1} must be at least {least}"):
        made(least - 1)


@pytest.mark.parametrize(
    ("size", "mend"), [(12, "16, or model.ceil_mode=true"), (4, 8), (0, 8), (33, "32, or model.ceil_mode=true")]
)
def test_refused_sizes(size, mend):
    with pytest.raises(UserError, match=rf"image size {size} is not a multiple of 8: try {mend}$"):
        check_size(size)


def test_refused_with_ceil_mode():
    with pytest.raises(UserError, match=r"image size 7 is not a multiple of 8: try 8$"):
        check_size(7, ceil_mode=True)


def test_the_network_refuses_a_size():
    with pytest.raises(UserError, match="image size 12 is not a multiple of 8: try 16"):
        shapes(UNet(B, EMBEDDING), 12)


@pytest.mark.parametrize(
    ("size", "ceil_mode"), [(8, False), (16, False), (24, True), (32, False), (12, True), (9, True)]
)
def test_accepted_sizes(size, ceil_mode):
    check_size(size, ceil_mode)


def test_ceil_mode_changes_nothing_at_a_multiple_of_8(params):
    def lowered(ceil_mode):
        return jax.jit(UNet(B, EMBEDDING, ceil_mode=ceil_mode).apply).lower({"params": params}, *inputs()).as_text()

    assert lowered(True) == lowered(False)
