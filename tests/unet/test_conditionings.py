"""A user's own module in the network: what it is called with, that it is trained, and what it may not return."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import unet
from diffgeo.data.sources import source_of
from diffgeo.errors import UserError
from diffgeo.settings import TINY, adapt
from diffgeo.settings.allowed import NEVER
from diffgeo.training.optimizer import hyperparameters
from diffgeo.training.step import initial_state, layout, make_step
from diffgeo.unet import encodings


class Concat(nn.Module):
    """What "concat" does."""

    @nn.compact
    def __call__(self, codes):
        return jnp.concatenate(codes, axis=-1)


class Scaled(nn.Module):
    """The sum of the codes, each times a parameter: another width than the embedding's."""

    first: float = 1.0

    @nn.compact
    def __call__(self, codes):
        scale = self.param("scale", lambda key: self.first * jnp.ones(len(codes)))
        return sum(scale[k] * code for k, code in enumerate(codes))


class Flat(nn.Module):
    """A module that forgets the features."""

    @nn.compact
    def __call__(self, codes):
        return codes[0][:, 0]


def settings_with(module):
    return adapt(TINY, conditionings={"own": module}, model={"conditioning": "own"})


FAST = {"xla_backend_optimization_level": 0}  # what runs once


HALF = settings_with(functools.partial(Scaled, first=0.5))


@pytest.fixture(scope="module")
def scaled():
    """A member's state before and after a train step."""
    program, table = HALF.program, source_of(HALF.at(seed=3)).table()
    before = jax.jit(functools.partial(initial_state, program), compiler_options=FAST)(jnp.uint32(3))
    arrays, given = layout(program), hyperparameters(HALF.train)
    trained = jax.jit(make_step(program), compiler_options=FAST)
    after = arrays.unravel_all(trained(arrays.ravel_all(before), jnp.uint32(3), table, given))
    return before, after


def test_its_parameters_are_the_networks_and_are_trained(scaled):
    before, after = scaled
    assert int(after.nonfinite_step) == NEVER
    np.testing.assert_array_equal(before.params["conditioning"]["scale"], [0.5, 0.5, 0.5])
    moment = np.asarray(after.optimizer[0].mu["conditioning"]["scale"])
    assert (moment != 0).all(), "each has a gradient"
    assert (np.asarray(after.params["conditioning"]["scale"]) != 0.5).all()
    assert before.params["up2"]["emb"]["dense"]["kernel"].shape == (8, 4), "blocks take its width"


def recorded(settings, params):
    """Return layer4 and the same before the conditioning, of two images, and the codes of their labels."""
    images, t, labels = jnp.ones((2, 8, 8, 1)), jnp.asarray([5, 19]), jnp.asarray([[1, 6.5], [3, 0]])
    apply = jax.jit(unet.from_program(settings.program).apply, compiler_options=FAST)
    _, tensors = apply({"params": params}, images, t, labels)
    codes = encodings.codes(t.astype(jnp.float32), labels, 24, "sinusoid", 8)
    return *(np.asarray(tensors[name]) for name in ("layer4", "layer4_pre_embedding")), codes


def test_what_it_returns_takes_the_codes_place(scaled):
    layer4, before, codes = recorded(HALF, scaled[1].params)
    scale = np.asarray(scaled[1].params["conditioning"]["scale"])
    code = sum(scale[k] * np.asarray(code) for k, code in enumerate(codes))
    dense = scaled[1].params["up2"]["emb"]["dense"]
    added = code / (1 + np.exp(-code)) @ np.asarray(dense["kernel"]) + np.asarray(dense["bias"])
    np.testing.assert_allclose(layer4, before + added[:, None, None], atol=1e-5)


def test_a_module_that_concatenates_is_concat():
    shape = functools.partial(unet.initial_parameters, shape=(8, 8, 1))
    networks = [unet.from_program(settings.program) for settings in (TINY, settings_with(Concat))]
    papers, own = (jax.eval_shape(functools.partial(shape, network), jax.random.key(0)) for network in networks)
    assert own == papers, "the same parameters"
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: rng.normal(0, 0.1, leaf.shape).astype(np.float32), papers)
    for one, other in zip(recorded(TINY, params), recorded(settings_with(Concat), params), strict=True):
        jax.tree.map(np.testing.assert_array_equal, one, other)


def test_another_shape_is_refused():
    with pytest.raises(UserError, match=r"the conditioning module returns \[1\]: return \[1, E\]"):
        jax.eval_shape(functools.partial(initial_state, settings_with(Flat).program), jnp.uint32(0))
