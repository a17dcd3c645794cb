"""How many members at once, and where they stand when they do not divide over the devices."""

import dataclasses
from types import SimpleNamespace

import jax
import numpy as np
import pytest

from diffgeo import training
from diffgeo.errors import UserError
from diffgeo.host.platform import GIB
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.training import Placement
from tests.support.settings import members_of, placed, tiny

THREE = {"seed": (5, 6, 7)}


def figures(arguments, temporaries, outputs, alias):
    """Return a compiler's analysis of a program, from GiB."""
    numbers = zip(
        ("argument_size", "temp_size", "output_size", "alias_size"),
        (arguments, temporaries, outputs, alias),
        strict=True,
    )
    return SimpleNamespace(**{f"{name}_in_bytes": int(n * GIB) for name, n in numbers})


TRAINING = figures(1, 2, 1, 1)  # the new state reuses the old one's memory


@pytest.mark.parametrize(
    ("sampling", "needed"),
    [(figures(0.3, 1, 0.5, 0), 3), (figures(0.3, 2, 0.5, 0), 3.5), (figures(0.3, 9, 1, 0), 11)],
    ids=["training is larger", "by its outputs", "sampling is larger"],
)
def test_members_fit_both_of_their_programs(monkeypatch, sampling, needed):
    assert training.bytes_per_member(TRAINING, sampling) == needed * GIB
    asked = []

    def lowered(memory):
        return SimpleNamespace(compile=lambda: SimpleNamespace(memory_analysis=lambda: memory))

    def lower_sampler(labels, record):
        asked.append((labels, record))
        return lowered(sampling)

    def place(self, members, tables, devices=None):
        assert len(members) == len(tables.count) == 8
        assert tables.centers.shape[1] == 1024
        return SimpleNamespace(lower=lambda steps: lowered(TRAINING), lower_sampler=lower_sampler)

    monkeypatch.setattr(Placement, "place", place)
    monkeypatch.setattr("diffgeo.training.placement.device_memory", lambda: 40 * GIB)
    at_once = training.members_at_once(Placement(mapping="sharded"), members_of(tiny(**THREE)), 1024, 250, True)
    assert at_once == 8 * int(36 / needed)
    assert asked == [(250, True)]


def test_devices_that_do_not_tell_their_memory_take_all_members():
    members = members_of(tiny(**THREE))
    assert training.members_at_once(Placement(mapping="sharded"), members, 1024, 6, False) == 3
    assert training.members_at_once(Placement(mapping="loop"), members, 1024, 6, False) == 3
    assert training.members_at_once(Placement(mapping="sharded", members_per_device=2), members, 1024, 6, False) == 16


def test_members_that_fit():
    assert training.members_that_fit(GIB, 16 * GIB) == 14
    with pytest.raises(UserError, match=r"17\.00 GiB and the device has 16\.00.*train\.batch_size"):
        training.members_that_fit(17 * GIB, 16 * GIB)


def sharded(devices: int):
    return placed(members_of(tiny(**THREE)), Placement(mapping="sharded"), jax.devices()[:devices])


@pytest.mark.parametrize(("devices", "rows"), [(1, 3), (2, 4), (3, 3), (8, 8)])
def test_places_that_are_left_repeat_members(devices, rows):
    own = sharded(devices)
    assert len(own.members) == 3
    assert own.seeds.tolist() == [5, 6, 7, 5, 6, 7, 5, 6][:rows]
    assert {x.shape[0] for x in jax.tree.leaves((own.abstract_state, own.tables))} == {rows}
    np.testing.assert_array_equal(own.tables.centers[3:], own.tables.centers[: rows - 3])


def test_losses_are_those_of_the_members():
    own = sharded(2)
    handle = np.array([[4, 8.0], [4, 10.0], [4, 12.0], [4, np.nan]], np.float32)  # steps, sum of losses
    np.testing.assert_allclose(own.losses(own._put(handle)), [2.0, 2.5, 3.0])
    short = members_of(dataclasses.replace(tiny(**THREE), train=dataclasses.replace(tiny().train, log_every=3)))
    own = placed(short, Placement(mapping="sharded"), jax.devices()[:2])
    np.testing.assert_allclose(own.losses(own._put(handle)), [8.0, 10.0, 12.0])


@pytest.mark.parametrize("saved", [1, 2, 8])
def test_a_checkpoint_fits_other_devices(tmp_path, saved):
    weights = np.arange(3 * 4, dtype=np.float32).reshape(3, 4)
    tree = {"w": sharded(saved)._put(weights)}
    with Checkpoints(tmp_path) as store:
        store.save_params(7, tree)
    for devices in (1, 2, 8):
        own = sharded(devices)
        target = {"w": jax.ShapeDtypeStruct((len(own.rows), 4), np.float32, sharding=own.by_member)}
        with Checkpoints(tmp_path) as store:
            restored = store.restore_params(target, 7)["w"]
        assert restored.sharding.is_equivalent_to(own.by_member, 2)
        np.testing.assert_array_equal(np.asarray(restored)[:3], weights)
    with Checkpoints(tmp_path) as store:
        restored = store.restore_params({"w": jax.ShapeDtypeStruct((3, 4), np.float32)}, 7)["w"]
        np.testing.assert_array_equal(restored, weights)
        assert isinstance(restored, np.ndarray)
        assert restored.flags.writeable
        with pytest.raises(UserError, match=r"cannot be read .*shape \(4,\), not \(5,\)"):
            store.restore_params({"w": jax.ShapeDtypeStruct((3, 5), np.float32, sharding=own.by_member)}, 7)


def test_arrays_that_are_saved_are_free_after_release(tmp_path):
    weights = np.ones((3, 1000, 1000), np.float32)
    with Checkpoints(tmp_path) as store:
        store.save_params(7, {"w": weights})
        store.release()
        weights[:] = 2.0
    with Checkpoints(tmp_path) as store:
        assert (store.restore_params({"w": weights}, 7)["w"] == 1.0).all()
