"""Images that exist already: one array a device, whatever the number of members, and the numbers of an array each."""

import functools
import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from diffgeo import training, unet
from diffgeo.training import Placement, ensemble, make_validation_loss, step
from diffgeo.training.ensemble import StackedMembers, member_row
from tests.support import stored
from tests.support.networks import two_convolutions

STEPS = 6
MAPPINGS = [("loop", 1), ("loop", 2), ("sharded", 1), ("sharded", 2)]


@pytest.fixture(autouse=True)
def small_network(monkeypatch):
    monkeypatch.setattr(unet, "from_program", two_convolutions)
    yield
    ensemble.abstract_member.cache_clear()
    step.layout.cache_clear()


def trained(mapping, devices, *seeds):
    members = stored.members(*seeds)
    own = Placement(mapping=mapping).place(members, stored.tables(members), jax.devices()[:devices])
    own.initialize()
    own.losses(own.train_steps(STEPS))
    return own


def leaves(own, count):
    return [np.asarray(leaf)[:count] for leaf in jax.tree.leaves(own.params())]


@functools.cache
def with_images_of_their_own(*seeds):
    """Return the parameters of members each of which carries a copy of the images, as one stacked array."""
    members = stored.members(*seeds)
    stacked = StackedMembers(members, stored.tables(members))
    copies = np.stack([stacked.stored[np.asarray(rows)] for rows in stacked.tables.image_rows])
    tables = stacked.tables._replace(image_rows=np.tile(np.arange(copies.shape[1], dtype=np.int32), (len(members), 1)))
    layout, one = step.layout(stacked.program), jax.jit(jax.vmap(step.make_step(stacked.program)))
    state = jax.vmap(lambda seed: step.initial_state(stacked.program, seed))(jnp.asarray(stacked.seeds))
    state = layout.ravel_all(state)
    for _ in range(STEPS):
        state = one(state, stacked.seeds, tables, stacked.given, copies)
    return jax.tree.leaves(layout.unravel(np.asarray(state.params)))


@pytest.mark.parametrize(("mapping", "devices"), MAPPINGS)
def test_members_that_share_images_equal_each_alone_and_with_its_own(mapping, devices):
    both = leaves(trained(mapping, devices, 3, 4), 2)
    for index, seed in enumerate((3, 4)):
        for one, other in zip(leaves(trained("loop", 1, seed), 1), both, strict=True):
            np.testing.assert_allclose(one[0], other[index], rtol=0, atol=0 if mapping == "loop" else 1e-6)
    for one, other in zip(with_images_of_their_own(3, 4), both, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-6)
    assert all(np.abs(leaf[0] - leaf[1]).max() > 1e-3 for leaf in both if leaf.ndim > 2), "members differ"


@pytest.mark.parametrize(("mapping", "devices"), MAPPINGS)
def test_a_device_holds_them_once_for_any_number_of_members(mapping, devices):
    own = trained(mapping, devices, *range(5))
    gc.collect()
    pixels = stored.dataset().images
    held = [x for x in jax.live_arrays() if x.dtype == np.uint8]
    assert sum(shard.data.nbytes for x in held for shard in x.addressable_shards) == devices * pixels.nbytes
    shapes = {x.shape for x in jax.tree.leaves(own.lower().in_avals) if x.dtype == np.uint8}
    assert shapes == {(len(pixels), pixels[0].size)}, "the program's argument has no dim of members"


@pytest.mark.parametrize(("mapping", "devices"), [("loop", 1), ("sharded", 2)])
def test_measures_on_true_images_gather_the_rows_of_their_tables(mapping, devices):
    own = trained(mapping, devices, 3, 4)
    whole = stored.tables(list(own.members))
    few = whole._replace(**{name: getattr(whole, name)[:, [7, 30, 7]] for name in ("centers", "kinds", "image_rows")})
    few = few._replace(count=np.full(2, 3, np.int32))
    gathered = stored.dataset().images[[7, 30, 7]].reshape(3, -1)
    found = own.measure(make_validation_loss, own.params(), few)
    for i in range(2):
        table = member_row(few, i)._replace(image_rows=np.arange(3, dtype=np.int32))
        loss = make_validation_loss(own.program)
        alone = jax.jit(loss)(member_row(own.params(), i), own.seeds[i], table, gathered)
        np.testing.assert_allclose(found[i], alone, rtol=1e-5)


def test_they_count_once_among_the_members_that_fit(monkeypatch):
    members, pixels = stored.members(3, 4), stored.dataset().images.nbytes
    monkeypatch.setattr("diffgeo.training.placement.device_memory", lambda: int((900_500 + pixels) / 0.9))
    monkeypatch.setattr("diffgeo.training.placement.bytes_per_member", lambda *programs: 1_000 + pixels)
    at_once = training.members_at_once(Placement(mapping="sharded"), members, 64, 6, False)
    assert at_once == 900 * len(jax.devices())
