"""Members alone or one after another: the same numbers, whatever stands beside them."""

import jax
import numpy as np
import pytest

from diffgeo import diffusion, unet
from diffgeo.data import batches, label_tables
from diffgeo.errors import UserError
from diffgeo.training import Placement, sampling
from diffgeo.training.ensemble import member_row
from diffgeo.training.keys import member_key, stream
from tests.support.settings import EMA_DECAY, drawn, members_of, parameters, placed, tiny, trained

SIX = {"increment": (0.25, 0.5, 1.0), "seed": (0, 7)}


def copied(state):
    """Return a copy: training writes to the state that `SequentialEnsemble.state` returns."""
    return jax.tree.map(np.copy, state)


@pytest.fixture(scope="module")
def six():
    """A grid of 6 members, and their state after 20 steps."""
    members = members_of(tiny(**SIX))
    return members, trained(members, 20)[0].state()


def test_member_of_a_grid_equals_the_member_alone(six):
    members, state = six
    for i, member in enumerate(members):
        alone = trained([member], 20)[0].state()
        np.testing.assert_allclose(parameters(alone)[0], parameters(state)[i], rtol=0, atol=1e-5)
    assert np.all(np.ptp(parameters(state), axis=0).max() > 1e-3), "members must differ for this test to mean anything"


def test_permuted_axes_give_permuted_members(six):
    members, state = six
    permuted = members_of(tiny(seed=SIX["seed"][::-1], increment=SIX["increment"]))
    other = parameters(trained(permuted, 20)[0].state())
    for i, member in enumerate(permuted):
        (j,) = [k for k, m in enumerate(members) if dict(m.coordinates) == dict(member.coordinates)]
        np.testing.assert_array_equal(other[i], parameters(state)[j])


def test_seeds_and_data_both_matter(six):
    values = parameters(six[1])
    assert np.abs(values[0] - values[1]).max() > 1e-2  # another seed
    assert np.abs(values[0] - values[4]).max() > 1e-4  # other data, same initial weights


def test_a_state_loaded_again_goes_on_bit_for_bit(six):
    members, _ = six
    through, _ = trained(members[:2], 8)
    held = copied(through.state())
    again = placed(members[:2])
    again.load(held)
    again.train_steps(12)
    np.testing.assert_array_equal(parameters(again.state()), parameters(six[1])[:2])


def test_losses_are_means_of_the_last_window():
    settings = tiny()
    own = placed(members_of(settings))
    own.initialize()
    single = []
    for step in range(1, 14):
        total = own.losses(own.train_steps(1))[0]
        start = (step - 1) // settings.train.log_every * settings.train.log_every
        single.append(total * (step - start) - sum(single[start:]))
        assert np.mean(single[start:]) == pytest.approx(total, rel=1e-4)
    assert all(0 < loss < 30 for loss in single)
    assert single[0] == pytest.approx(float(_first_loss(settings)), rel=1e-4)


def _first_loss(settings):
    """Return the loss of the first step from its definition: rendered rows, noise and steps drawn as documented."""
    key, table = member_key(0), label_tables.build_label_table(settings.data)
    rows = batches.batch_indices(stream(key, "order"), jax.numpy.int32(0), settings.train.batch_size, table.count)
    x0, centers = batches.render_rows(table, rows, settings.data.size, False)
    step_key = jax.random.fold_in(stream(key, "noise"), 0)
    pairs = [jax.random.split(jax.random.fold_in(step_key, index)) for index in range(settings.train.batch_size)]
    t = jax.numpy.stack([jax.random.randint(pair[0], (), 1, 21) for pair in pairs])
    noise = jax.numpy.stack([jax.random.normal(pair[1], x0.shape[1:]) for pair in pairs])
    own = placed(members_of(settings))
    own.initialize()
    network = unet.from_program(settings.program)

    def denoise(x, t):
        return jax.jit(network.apply)({"params": member_row(own.params(), 0)}, x, t, centers)

    return diffusion.denoising_loss(diffusion.Schedule(20), denoise, x0, t, noise).mean()


def test_a_member_without_finite_loss_is_frozen_and_disturbs_no_other(six):
    members, state = six
    own = placed(members)
    own.initialize()
    own.train_steps(5)
    sick = copied(own.state())
    sick.params["outc"]["dense"]["bias"][2] = np.nan
    own.load(copied(sick))
    own.train_steps(15)
    frozen = own.state()
    assert frozen.nonfinite_step.tolist() == [-1, -1, 5, -1, -1, -1]
    others = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(parameters(frozen)[others], parameters(state)[others])
    healthy = jax.tree.map(lambda x: x[2], sick.params)
    np.testing.assert_array_equal(frozen.params["inc"]["conv1"]["kernel"][2], healthy["inc"]["conv1"]["kernel"])


def test_a_sweep_of_the_optimizer_is_one_program():
    swept = {"learning_rate": (1e-3, 2e-3), "weight_decay": (0.0, 0.5), "beta1": (0.5,), "steps": (8, 20)}
    members = members_of(tiny(**swept))
    own, _ = trained(members, 12)
    assert len({member.settings.program for member in members}) == 1
    values, state = parameters(own.state()), own.state()
    assert state.step.tolist() == [8, 12] * 4  # a member stays as it is after its last step
    for i in (1, 6):
        alone = trained([members[i]], 12)[0].state()
        np.testing.assert_array_equal(parameters(alone)[0], values[i])
    assert all(np.abs(values[i] - values[j]).max() > 1e-4 for i in range(8) for j in range(i))


def test_a_stopped_member_stays_and_disturbs_no_other(six):
    members, state = six
    own = placed(members)
    own.initialize()
    own.train_steps(5)
    held = copied(own.state())
    own.stop(2, 5)
    own.train_steps(15)
    others = [0, 1, 3, 4, 5]
    np.testing.assert_array_equal(parameters(own.state())[2], parameters(held)[2])
    np.testing.assert_array_equal(parameters(own.state())[others], parameters(state)[others])


def test_the_average_follows_the_parameters():
    own = placed(members_of(tiny()))
    own.initialize()
    expected = parameters(own.state())
    for _ in range(3):
        own.train_steps(1)
        expected = EMA_DECAY * expected + (1 - EMA_DECAY) * parameters(own.state())
    state = own.state()
    np.testing.assert_allclose(parameters(state._replace(params=state.ema)), expected, atol=1e-6)
    assert np.abs(expected - parameters(state)).max() > 1e-4


def test_many_labels_are_sampled_in_chunks(monkeypatch):
    labels = np.random.default_rng(0).uniform(0, 7, (1, 7, 2)).astype(np.float32)
    own = placed(members_of(tiny()))
    own.initialize()
    expected = drawn(own, own.params(), 3, labels, record=True)
    monkeypatch.setattr(sampling, "LABELS_PER_CALL", {"cpu": 3})
    sampler = jax.jit(sampling.make_sampler(tiny().program, record=True))
    chunked = sampler(member_row(own.params(), 0), np.uint32(0), np.int32(3), labels[0])
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b[0], atol=1e-4), chunked, tuple(expected[:2]))


def test_a_placement_refuses_what_cannot_be():
    with pytest.raises(UserError, match=r"unknown mapping 'vmap'.*loop, sharded"):
        Placement(mapping="vmap")
    with pytest.raises(UserError, match="unknown remat 'all': choose one of none, blocks"):
        Placement(remat="all")
    with pytest.raises(UserError, match="members_per_device=0"):
        Placement(members_per_device=0)
    with pytest.raises(UserError, match="data_parallel=2 needs the mapping 'sharded'"):
        Placement(mapping="loop", data_parallel=2)
    with pytest.raises(UserError, match="data_parallel=3 does not divide the 8 devices"):
        _ = Placement(mapping="sharded", data_parallel=3).member_devices
    with pytest.raises(UserError, match="batch_size=4 does not divide over data_parallel=8"):
        placed(members_of(tiny()), Placement(mapping="sharded", data_parallel=8), jax.devices())
