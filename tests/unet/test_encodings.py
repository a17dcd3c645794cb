"""Encodings of labels against their formulas in numpy, entry by entry."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import unet
from diffgeo.settings import TINY, Dataset, Factor, Settings, adapt, override
from diffgeo.settings.allowed import CONDITIONINGS, ENCODINGS
from diffgeo.unet import encodings
from tests.support.settings import refused


def of(values):
    return jnp.asarray(values, jnp.float32)


def test_sinusoid():
    u, width = np.array([0.0, 0.3, 17.9, 1000.0]), 6
    phase = u[:, None] * 10_000.0 ** (-2 * np.arange(width // 2) / width)
    expected = np.concatenate([np.sin(phase), np.cos(phase)], axis=1)
    np.testing.assert_allclose(encodings.sinusoid(of(u), width), expected, atol=1e-4)


def test_literal_sinusoid():
    """PE(2i) = sin(u / 10000^(2i/d)), PE(2i+1) = cos(u / 10000^((2i+1)/d)) [2408.13256, Fig. 7]."""
    for width in (6, 8):
        expected = np.zeros((4, width))
        u = np.array([0.0, 3.7, 17.9, 1000.0])
        for i in range(width // 2):
            expected[:, 2 * i] = np.sin(u / 10_000 ** (2 * i / width))
            expected[:, 2 * i + 1] = np.cos(u / 10_000 ** ((2 * i + 1) / width))
        np.testing.assert_allclose(encodings.sinusoid_literal(of(u), width), expected, atol=2e-4)


def test_the_two_sinusoids_differ_in_their_cosines():
    same, literal = (f(of([3.7]), 8)[0] for f in (encodings.sinusoid, encodings.sinusoid_literal))
    np.testing.assert_allclose(same[4:], [-0.85, 0.93, 1, 1], atol=0.005)
    np.testing.assert_allclose(literal[1::2], [0.39, 0.99, 1, 1], atol=0.01)
    np.testing.assert_allclose(same[:4], literal[::2], atol=1e-6)


def test_one_hot_interpolates_between_whole_labels():
    code = np.asarray(encodings.one_hot(of([0, 3, 2.25, 4.5]), 5))
    expected = [[1, 0, 0, 0, 0], [0, 0, 0, 1, 0], [0, 0, 0.75, 0.25, 0], [0, 0, 0, 0, 0.5]]
    np.testing.assert_allclose(code, expected, atol=1e-6)


def test_joint_one_hot_has_a_place_for_each_pair():
    width = 18  # 4 x 4 places, two entries left over
    x, y = (v.ravel() for v in np.meshgrid(np.arange(4), np.arange(4), indexing="ij"))
    np.testing.assert_array_equal(encodings.joint_one_hot([of(x), of(y)], width), np.eye(16, width))
    code = np.asarray(encodings.joint_one_hot([of([1.25]), of([2.5])], width))[0]
    expected = {(1, 2): 0.375, (1, 3): 0.375, (2, 2): 0.125, (2, 3): 0.125}
    assert {divmod(int(i), 4): code[i] for i in np.flatnonzero(code)} == pytest.approx(expected)


def test_periodic_code_is_a_closed_curve():
    size, width = 8, 12
    u = np.array([0.0, 1.3, 5.0])
    waves = np.arange(1, 5)  # up to N / 2
    phase = 2 * np.pi * waves[None, :] * u[:, None] / size
    code = np.asarray(encodings.periodic(of(u), width, size))
    np.testing.assert_allclose(code[:, :8], np.concatenate([np.sin(phase), np.cos(phase)], axis=1), atol=1e-5)
    np.testing.assert_array_equal(code[:, 8:], 0)
    np.testing.assert_allclose(encodings.periodic(of(u + size), width, size), code, atol=1e-5)
    assert encodings.periodic(of(u), 4, size).shape == (3, 4)


CIRCLES = (Factor("x", 0, 7), Factor("angle", 0, 360, 10, "deg", 360), Factor("hour", 0, 24, 0.5, "h", 24))


def test_each_factor_has_its_own_period():
    labels, widths = np.array([[3.0, 40.0, 5.25]]), 24
    codes = functools.partial(encodings.codes, of([7]), embedding=4 * widths, encoding="periodic", size=8)

    def coded(labels):
        return [np.asarray(code)[0] for code in codes(of(labels), factors=CIRCLES)[1:]]

    own = coded(labels)
    np.testing.assert_array_equal(own[0], encodings.sinusoid(of([3]), widths)[0], "a plain factor has its sinusoid")
    for index, factor in ((1, CIRCLES[1]), (2, CIRCLES[2])):
        waves = np.arange(1, min(widths, round(factor.period / factor.tolerance)) // 2 + 1)
        phase = 2 * np.pi * waves * labels[0, index] / factor.period
        np.testing.assert_allclose(own[index][: 2 * len(waves)], [*np.sin(phase), *np.cos(phase)], atol=1e-5)
        np.testing.assert_array_equal(own[index][2 * len(waves) :], 0)
        zero, around = labels.copy(), labels.copy()
        zero[0, index], around[0, index] = 0, factor.period
        np.testing.assert_allclose(coded(zero)[index], coded(around)[index], atol=1e-5)
        assert np.abs(coded(zero)[index] - own[index]).max() > 0.1
    assert np.abs(coded([[0, 0, 0]])[0] - coded([[8, 0, 0]])[0]).max() > 0.1, "of the image, which a user's data lack"


def test_the_network_takes_the_factors_of_its_data_set():
    """A model of one circular factor gives label 0 and its period the same noise."""
    dataset = Dataset("clock", [Factor("hour", 0, 24, 1, "h", 24)])
    program = adapt(TINY, None, dataset, model={"encoding": "periodic"}).program
    network = unet.from_program(program)
    options = {"xla_backend_optimization_level": 0}  # what runs once
    params = jax.jit(lambda key: unet.initial_parameters(network, key, (8, 8, 1), 1), compiler_options=options)(
        jax.random.key(0)
    )
    images = jnp.broadcast_to(jax.random.normal(jax.random.key(1), (1, 8, 8, 1)), (3, 8, 8, 1))
    apply = jax.jit(network.apply, compiler_options=options)
    noise, _ = apply({"params": params}, images, jnp.full(3, 5), of([[0], [24], [8]]))
    np.testing.assert_allclose(noise[0], noise[1], atol=1e-5)
    assert jnp.abs(noise[0] - noise[2]).max() > 1e-3, "8 pixels are no period"
    with refused("encoding='periodic' is of circular factors", "u, v have no period"):
        adapt(TINY, None, Dataset("plain", [Factor("u", 0, 8), Factor("v", 0, 8)]), model={"encoding": "periodic"})


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_conditioning_is_the_codes_of_step_x_and_y(encoding):
    t, centers, width, size = of([1, 600]), of([[3, 5], [2.5, 0]]), 20, 8
    code = np.asarray(np.concatenate(encodings.codes(t, centers, 3 * width, encoding, size), axis=-1))
    of_step = encodings.sinusoid_literal if encoding == "sinusoid_literal" else encodings.sinusoid
    assert code.shape == (2, 3 * width)
    np.testing.assert_array_equal(code[:, :width], of_step(t, width))
    if encoding == "joint_one_hot":
        expected = encodings.joint_one_hot([centers[:, 0], centers[:, 1]], 2 * width)
    else:
        single = getattr(encodings, encoding)
        extra = (size,) if encoding == "periodic" else ()
        expected = np.concatenate([single(centers[:, i], width, *extra) for i in (0, 1)], axis=1)
    np.testing.assert_array_equal(code[:, width:], expected)


@pytest.mark.parametrize(
    ("assignments", "quoted"),
    [
        (("model.encoding=onehot",), ("'onehot'", "'one_hot'")),
        (("model.encoding=periodic", "data.margin=6", "data.dataset=2d"), ("'periodic'", "margin=0")),
        (("model.encoding=one_hot", "model.embedding=93"), ("'one_hot'", "29", "31")),
        (("model.encoding=one_hot", "model.embedding=96", "data.increment=0.5"), ("31", "32")),
        (("model.encoding=joint_one_hot",), ("'joint_one_hot'", "21", "31")),
        (("model.encoding=joint_one_hot", "model.embedding=1536", "data.increment_x=0.5"), ("31", "32")),
    ],
)
def test_an_encoding_that_cannot_tell_labels_apart_is_refused(assignments, quoted):
    with refused(*quoted):
        override(Settings(), *assignments)


@pytest.mark.parametrize(
    "assignments",
    [
        ("model.encoding=one_hot", "model.embedding=96"),
        ("model.encoding=one_hot", "model.embedding=198", "data.margin=6", "data.dataset=2d", "data.increment=0.1"),
        ("model.encoding=joint_one_hot", "model.embedding=1536"),
        ("model.encoding=joint_one_hot", "model.embedding=1536", "data.increment=2"),
    ],
)
def test_the_last_label_has_a_place(assignments):
    assert override(Settings(), *assignments).model.encoding in ENCODINGS


@pytest.mark.parametrize("conditioning", CONDITIONINGS)
def test_the_network_is_conditioned_as_its_settings_say(conditioning):
    """layer4 of layer4_pre_embedding by the formulas of `UNet`; see `test_unet` for the default encoding."""
    assignments = ("model.base_channels=4", "model.embedding=64", "model.encoding=periodic")
    program = override(Settings(), *assignments, f"model.conditioning={conditioning}").program
    module, size = unet.from_program(program), 8
    images, t, centers = jnp.zeros((2, size, size, 1)), jnp.asarray([5, 900]), of([[1, 6.5], [3, 0]])
    options = {"xla_backend_optimization_level": 0}  # what runs once
    params = jax.jit(lambda key: unet.initial_parameters(module, key, (size, size, 1)), compiler_options=options)(
        jax.random.key(0)
    )
    _, recorded = jax.jit(module.apply, compiler_options=options)({"params": params}, images, t, centers)

    def linear(x, *path):
        weights = functools.reduce(lambda tree, name: tree[name], path, params)["dense"]
        return x @ np.asarray(weights["kernel"]) + np.asarray(weights["bias"])

    codes = [np.asarray(code) for code in encodings.codes(t.astype(jnp.float32), centers, 64, "periodic", size)]
    assert [code.shape for code in codes] == [(2, 20)] * 3
    if conditioning == "sum":
        code = sum(linear(code, f"code{k}") for k, code in enumerate(codes))
    else:
        code = np.pad(np.concatenate(codes, axis=-1), ((0, 0), (0, 4)))
    added = linear(code / (1 + np.exp(-code)), "up2", "emb")[:, None, None]
    before = np.asarray(recorded["layer4_pre_embedding"])
    expected = before * (1 + added[..., :4]) + added[..., 4:] if conditioning == "film" else before + added
    np.testing.assert_allclose(recorded["layer4"], expected, atol=1e-4)
