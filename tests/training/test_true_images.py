"""Measures on true images: against the host's geometry, against a loss computed by hand, however they are mapped."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import images, representation, unet
from diffgeo.data import label_tables
from diffgeo.settings import Diffusion
from diffgeo.settings.allowed import LAYERS
from diffgeo.training import Placement, make_layer_geometry, make_validation_loss, stack_trees
from diffgeo.training.sampling import label_keys
from diffgeo.training.true_images import cloud_geometry
from tests.support.settings import members_of, placed, tiny

SIDE = 8
LABELS = label_tables.lattice(SIDE, 1.0, 1.0)
geometry = jax.jit(cloud_geometry, static_argnums=2)
initialized = functools.partial(jax.jit, compiler_options={"xla_backend_optimization_level": 0})


def of(points, present=None):
    present = np.ones(len(points), bool) if present is None else present
    return np.asarray(geometry(jnp.asarray(points, jnp.float32), jnp.asarray(present), SIDE))


def host(points):
    points = np.asarray(points)
    return representation.additive_share(points, (SIDE, SIDE)), representation.participation_ratio(points)


def bumps(kind):
    return np.asarray(images.render(LABELS, 1.0, kind, SIDE)).reshape(SIDE**2, -1)


@pytest.mark.parametrize(
    "cloud",
    [
        representation.clifford_torus(SIDE, SIDE),
        representation.torus_3d(SIDE, SIDE),
        bumps("bump"),
        1e6 * bumps("sos") + 3e6,
        np.random.default_rng(0).normal(size=(SIDE**2, 300)),
    ],
    ids=["clifford", "torus_3d", "bump", "sos", "noise"],
)
def test_geometry_on_the_device_is_that_of_the_host(cloud):
    np.testing.assert_allclose(of(cloud), host(cloud), rtol=1e-4)


def test_geometry_of_known_codes():
    np.testing.assert_allclose(of(representation.clifford_torus(SIDE, SIDE)), [1, 4], rtol=1e-5)
    assert of(bumps("sos"))[0] == pytest.approx(1)
    x, y = (LABELS - LABELS.mean(axis=0)).T
    # axes of variances 9, 9 and 1 in units of one coordinate's; the product is all interaction
    ratio = (9 + 9 + 1) ** 2 / (81 + 81 + 1)
    product = x * y / np.sqrt((x**2).mean())
    np.testing.assert_allclose(of(np.stack([3 * x, 3 * y, product], axis=1)), [18 / 19, ratio], rtol=1e-5)


def test_rows_that_fill_a_table_up_do_not_count():
    cloud = np.random.default_rng(0).normal(size=(40, 30))
    filled = np.concatenate([cloud, np.full((10, 30), 1e3)])
    share, ratio = of(filled, np.arange(50) < 40)
    assert np.isnan(share), "no grid"
    assert ratio == pytest.approx(representation.participation_ratio(cloud), rel=1e-5)


def test_clouds_without_geometry_have_none():
    assert np.isnan(of(np.ones((SIDE**2, 5)))).all()
    assert np.isnan(of(np.where(np.arange(SIDE**2)[:, None] == 3, np.nan, bumps("bump")))).all()


def test_fields_are_recorded_at_the_steps_that_a_schedule_has():
    assert Diffusion().field_timesteps == (1, 100, 300, 600)
    assert Diffusion(timesteps=300).field_timesteps == (1, 100, 300)


@pytest.fixture(scope="module")
def ensemble():
    """Three members of two spreads, after no step, one after another."""
    own = placed(members_of(tiny(sigma=(0.5, 1.0), seed=(0, 5)))[:3])
    own.initialize()
    return own


def tables(members, labels=LABELS):
    return label_tables.stack([label_tables.make_table(labels, "bump", m.settings.data.sigma) for m in members])


def member_parameters(ensemble, index):
    return jax.tree.map(lambda x: jnp.asarray(x[index]), ensemble.state().params)


def noise_of(seed, role, count):
    keys = label_keys(jnp.uint32(seed), role, 0, count)
    keys = keys if role == "layers" else jax.vmap(jax.random.split)(keys)
    return keys, lambda keys: jax.vmap(lambda key: jax.random.normal(key, (SIDE, SIDE, 1)))(keys)


def test_every_layer_is_measured_as_on_the_host(ensemble):
    found = ensemble.measure(make_layer_geometry, ensemble.params(), tables(ensemble.members))
    assert found.shape == (3, len(LAYERS), 1, 2)  # the tiny schedule has t = 1 alone
    program = ensemble.program
    alpha_bar = 1 - program.diffusion.beta_start
    for index in (0, 2):
        member = ensemble.members[index]
        keys, draw = noise_of(member.seed, "layers", len(LABELS))
        clean = images.render(LABELS, member.settings.data.sigma, size=SIDE)
        noised = np.sqrt(alpha_bar) * clean + np.sqrt(1 - alpha_bar) * draw(keys)
        probe = functools.partial(unet.activations, unet.from_program(program))
        layers = initialized(probe)(member_parameters(ensemble, index), noised, jnp.ones(64, int), jnp.asarray(LABELS))
        expected = [host(np.reshape(layers[name], (len(LABELS), -1))) for name in LAYERS]
        np.testing.assert_allclose(found[index, :, 0], expected, rtol=2e-3)
    assert np.ptp(found[..., 1], axis=1).min() > 1, "layers differ"


def test_validation_loss_is_the_loss_of_one_draw_a_label(ensemble):
    labels = np.random.default_rng(3).uniform(1, 6, (40, 2)).astype(np.float32)
    found = ensemble.measure(make_validation_loss, ensemble.params(), tables(ensemble.members, labels))
    assert found.shape == (3,)
    program, index = ensemble.program, 1
    member, total = ensemble.members[index], program.diffusion.timesteps
    keys, draw = noise_of(member.seed, "validation", 40)
    uniform = np.array([jax.random.uniform(key) for key in keys[:, 0]])
    t = 1 + np.floor((np.arange(40) + uniform) / 40 * total).astype(int)
    assert np.bincount(t)[1:].tolist() == [2] * total, "two of 40 draws at each of 20 steps"
    betas = np.linspace(program.diffusion.beta_start, program.diffusion.beta_end, total)
    alpha_bar = np.cumprod(1 - betas)[t - 1].astype(np.float32)[:, None, None, None]
    noise = np.asarray(draw(keys[:, 1]))
    clean = np.asarray(images.render(labels, member.settings.data.sigma, size=SIDE))
    noised = np.sqrt(alpha_bar) * clean + np.sqrt(1 - alpha_bar) * noise
    apply = initialized(unet.from_program(program).apply)
    given = member_parameters(ensemble, index), jnp.asarray(noised), jnp.asarray(t), jnp.asarray(labels)
    predicted, _ = apply({"params": given[0]}, *given[1:])
    assert found[index] == pytest.approx(float(np.mean((np.asarray(predicted) - noise) ** 2)), rel=1e-4)


def test_measures_do_not_depend_on_the_mapping(ensemble):
    parameters = jax.tree.map(np.array, ensemble.params())
    sharded = placed(ensemble.members, Placement(mapping="sharded"), jax.devices()[:2])
    own = tables(ensemble.members)
    for build in (make_layer_geometry, make_validation_loss):
        alone = ensemble.measure(build, parameters, own)
        together = sharded.measure(build, sharded.device_put(parameters), own)
        np.testing.assert_allclose(together, alone, rtol=2e-3)
        for index, member in enumerate(ensemble.members):
            row = stack_trees([member_parameters(ensemble, index)])
            np.testing.assert_array_equal(placed([member]).measure(build, row, tables([member]))[0], alone[index])
