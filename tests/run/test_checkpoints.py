"""Checkpoints written by a real ensemble: one member read alone, averages, and errors that name the folder."""

import asyncio
import errno
import os
import shutil
import threading

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest

from diffgeo.errors import UserError
from diffgeo.results.checkpoint_files import read_member, stored_steps
from diffgeo.run.checkpoints import Checkpoints
from diffgeo.training.ensemble import member_row
from tests.support.settings import members_of, placed, tiny

SEEDS = (0, 1, 7)
STEP = 4


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Folder with the state and parameters of three members, and the ensemble."""
    folder = tmp_path_factory.mktemp("checkpoints")
    ensemble = placed(members_of(tiny(seed=SEEDS)))
    ensemble.initialize()
    # in place of training, which takes long to compile: averages that differ from the parameters
    ensemble.load(ensemble.state()._replace(ema=jax.tree.map(lambda x: 0.5 * x + 1.0, ensemble.params())))
    state = ensemble.state()
    with Checkpoints(folder) as checkpoints:
        checkpoints.save_params(STEP, state.params, state.ema)
        checkpoints.save_state(STEP, state)
    return folder, ensemble


def assert_equal(one, other):
    """Assert that two trees have the same structure and bit-equal numbers."""
    assert jax.tree.structure(one) == jax.tree.structure(other)
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("name", ["params", "ema"])
@pytest.mark.parametrize("index", range(len(SEEDS)))
def test_a_member_read_alone_is_its_row_of_all(written, name, index):
    folder, ensemble = written
    alone = read_member(folder, index, STEP, name)
    with Checkpoints(folder) as checkpoints:
        together = checkpoints.restore_params(getattr(ensemble.abstract_state, name), STEP, name)
    assert_equal(alone, member_row(together, index))
    assert_equal(alone, member_row(getattr(ensemble.state(), name), index))
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(alone))


def test_a_path_may_lead_up_again(written, tmp_path):
    """As that of a notebook beside its runs, ../runs/NAME."""
    folder, _ = written
    again = folder.parent / "sub" / ".." / folder.name
    (folder.parent / "sub").mkdir()
    (tmp_path / "sub").mkdir()
    assert_equal(read_member(again, 0, STEP), read_member(folder, 0, STEP))
    with Checkpoints(tmp_path / "sub" / ".." / "run") as checkpoints:
        checkpoints.save_params(2, {"a": np.arange(6.0)})
    assert (tmp_path / "run/params/2").is_dir()


def test_members_and_their_averages_differ(written):
    trees = [read_member(written[0], i, STEP, name) for name in ("params", "ema") for i in range(len(SEEDS))]
    kernels = [tree["inc"]["conv1"]["kernel"] for tree in trees]
    for i, kernel in enumerate(kernels):
        assert not any(np.array_equal(kernel, other) for other in kernels[:i])


def test_the_full_state_is_restored_bit_for_bit(written):
    folder, ensemble = written
    with Checkpoints(folder) as checkpoints:
        assert checkpoints.state_step == STEP
        assert checkpoints.params_steps == [STEP]
        checkpoints.settle_state()
        assert_equal(checkpoints.restore_state(ensemble.abstract_state), ensemble.state())


def test_parameters_without_an_average(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_params(2, {"a": {"b": np.arange(6.0).reshape(2, 3)}})
    np.testing.assert_array_equal(read_member(tmp_path, 1, 2)["a"]["b"], [3.0, 4.0, 5.0])
    with pytest.raises(UserError, match=r"params/2' holds no 'ema': choose params, or ema if the run keeps one"):
        read_member(tmp_path, 0, 2, "ema")


def test_what_is_not_there_is_named(written):
    folder = written[0]
    assert stored_steps(folder) == [STEP]
    with pytest.raises(UserError, match=rf"no checkpoint .*params/5': choose another step \({STEP}\)"):
        read_member(folder, 0, STEP + 1)
    with pytest.raises(UserError, match=rf"params/{STEP}' cannot be read .*3"):
        read_member(folder, len(SEEDS), STEP)
    with pytest.raises(UserError, match="holds no 'optimizer'"):
        read_member(folder, 0, STEP, "optimizer")


def test_a_checkpoint_cut_short_is_named(written, tmp_path):
    shutil.copytree(written[0], tmp_path / "cut")
    files = [path for path in (tmp_path / "cut/params" / str(STEP)).rglob("*") if path.is_file()]
    largest = max(files, key=lambda path: path.stat().st_size)
    largest.write_bytes(largest.read_bytes()[: largest.stat().st_size // 2])
    target = written[1].abstract_state.params
    for index in range(len(SEEDS)):
        with pytest.raises(UserError, match=rf"params/{STEP}' cannot be read"):
            read_member(tmp_path / "cut", index, STEP)
    with (
        Checkpoints(tmp_path / "cut") as checkpoints,
        pytest.raises(UserError, match=rf"params/{STEP}' cannot be read"),
    ):
        checkpoints.restore_params(target, STEP)


def test_a_state_written_with_the_names_of_an_earlier_version_is_restored(tmp_path):
    old = {"params": {"w": np.ones((2, 3), np.float32)}, "frozen_step": np.array([-1, 5], np.int32)}
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_state(3, old)
    target = {"params": {"w": np.zeros((2, 3), np.float32)}, "nonfinite_step": np.zeros(2, np.int32)}
    with Checkpoints(tmp_path) as checkpoints:
        restored = checkpoints.restore_state(target)
    assert restored["nonfinite_step"].tolist() == [-1, 5]
    np.testing.assert_array_equal(restored["params"]["w"], old["params"]["w"])


def test_what_a_kill_left_is_gone_as_soon_as_they_are_open(tmp_path):
    with Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_params(2, {"a": np.arange(6.0)})
    for name in ("params/0.orbax-checkpoint-tmp", "state/4.orbax-checkpoint-tmp-1718"):
        shutil.copytree(tmp_path / "params/2", tmp_path / name)
    with Checkpoints(tmp_path) as checkpoints:
        assert [path.name for path in sorted(tmp_path.glob("*/*"))] == ["2"]
        assert checkpoints.params_steps == [2]


def test_a_save_that_fails_ends_when_all_of_its_arrays_have_ended(tmp_path, monkeypatch):
    arrays, ended = {name: np.full(3, number) for number, name in enumerate("abcd")}, []

    async def write(self, value, *how):
        if value[0] == 0:
            raise OSError(errno.ENOSPC, "full")
        await asyncio.sleep(0.1)
        ended.append(int(value[0]))

    monkeypatch.setattr(ocp.type_handlers.NumpyHandler, "_open_and_write", write)
    with pytest.raises(OSError, match="full"), Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_params(STEP, arrays)
    assert sorted(ended) == [1, 2, 3], "none is left to an event loop that is closed"


def test_no_thread_waits_for_a_folder_that_cannot_be_made(tmp_path, monkeypatch):
    mkdir = os.mkdir

    def refuse(path, *how, **more):
        if "default" in os.fspath(path):
            raise OSError(errno.ENOSPC, "full")
        return mkdir(path, *how, **more)

    monkeypatch.setattr(os, "mkdir", refuse)
    with pytest.raises(OSError, match="full"), Checkpoints(tmp_path) as checkpoints:
        checkpoints.save_params(STEP, {"a": np.arange(3)})
    for thread in threading.enumerate():
        if thread.name == "np_type_handler":
            threading.Thread.join(thread, 5)
            assert not thread.is_alive(), "a program would wait for it"
