"""Checkpoints of a wave of members, by orbax: the full state to resume from, parameters to analyze.

    FOLDER/state/STEP/     everything that training carries; the newest two are kept
    FOLDER/params/STEP/    parameters (and their average, if any) at every evaluation step, as far as `--keep` says
    FOLDER/damaged/        what was one of these, and differs from the digests that it was written with

One stacked tree for all members of a wave. Trees are stored as nested dicts of arrays, so they can be restored as
plain numpy, without optax's types, and onto any number of devices. Of several processes each saves and restores its
own members; all of them call every method of `Checkpoints` together. This is the only file that imports orbax;
`diffgeo.results.checkpoint_files` reads what lies on disk.
"""

import asyncio
import contextlib
import dataclasses
import errno
import functools
import itertools
import os
import shutil
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint as ocp

from diffgeo.costs.storage import KEPT_STATES
from diffgeo.errors import DamagedError, require
from diffgeo.host import disk, distributed
from diffgeo.results.checkpoint_files import check, unreadable, write_digests
from diffgeo.settings import migration

FILE_BYTES = 2**24
"""Size of a checkpoint's files; what is compressed waits in memory until a file is full."""
UNDIVIDED_BYTES = 2**16
"""Size of a stacked array from which each member's part is stored on its own, so that one is read without the others;
smaller ones are not worth a chunk for each member."""

HIDDEN = ".orbax-checkpoint-tmp"
"""Ending of a step's folder that orbax does not see; what a kill left of it is removed when it is opened next."""

PADDING = 4096
"""Most rows that a stacked array has beyond its members, which are padded to a multiple of the devices."""


class _Digesting(ocp.BasePyTreeCheckpointHandler):
    """Orbax's handler, which writes digests once the files of all processes are merged, before the save is visible."""

    def finalize(self, directory: Any) -> None:
        """See `ocp.CheckpointHandler.finalize`; called before the rename."""
        super().finalize(directory)
        if distributed.is_coordinator():
            write_digests(Path(directory))


class _WritingAll(ocp.type_handlers.NumpyHandler):
    """Orbax's handler of numpy arrays; after an error it waits for the other arrays, whose writes go on.

    Each would otherwise print a traceback when it is done, for the event loop that it answers to is closed by then.
    """

    async def _background_serialize(self, values: Any, infos: Any, args: Any = None) -> None:
        try:
            await super()._background_serialize(values, infos, args)
        except Exception:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            await asyncio.gather(*others, return_exceptions=True)
            raise


class Checkpoints:
    """Checkpoints of one wave; a context manager, closed after waiting for saves in progress.

    A save becomes visible by one rename once it is complete, with the digests of its values; a process killed while
    saving leaves the newest complete one in force.

    Attributes:
      folder: of the wave.
      borrowed: whether it is a link to another run's, which is read and never changed.
      say: where it is said that a checkpoint is set aside.
    """

    def __init__(self, folder: Path, say: Callable[[str], None] = distributed.say):
        self.folder = Path(folder).absolute()
        self.say = say
        self.borrowed = self.folder.is_symlink()
        self._lent = False
        self._sound: set[Path] = set()
        newest = ocp.checkpoint_managers.LatestN(KEPT_STATES)
        self._state = self._manager("state", preservation_policy=newest)
        self._params = self._manager("params")

    def _manager(self, name: str, **options: Any) -> ocp.CheckpointManager:
        if not self.borrowed:
            distributed.broadcast(functools.partial(_make_clean, self.folder / name))
        # numpy arrays are written from where they lie, see `release`; of jax arrays orbax takes a copy on host
        uncopied = _WritingAll(deepcopy_host_arrays=False)
        sharded = ocp.type_handlers.get_type_handler(jax.Array)
        handlers = ocp.type_handlers.create_type_handler_registry((np.ndarray, uncopied), (jax.Array, sharded))
        together = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=name)
        how: Any = {"type_handler_registry": handlers, "multiprocessing_options": together}
        return ocp.CheckpointManager(
            disk.plain_path(self.folder) / name,
            item_handlers=ocp.PyTreeCheckpointHandler(**how, handler_impl=_Digesting(**how)),
            options=ocp.CheckpointManagerOptions(
                # orbax would do so in a thread until the next save, which may remove what is being deleted here
                cleanup_tmp_directories=False,
                # if one cannot be made, threads would wait for it, and a program that ends for them, five minutes
                async_options=ocp.AsyncOptions(create_directories_asynchronously=False),
                read_only=self.borrowed,
                multiprocessing_options=together,
                **options,
            ),
        )

    def _step_folder(self, manager: ocp.CheckpointManager, step: int) -> Path:
        return self.folder / Path(manager.directory).name / str(step)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    @property
    def state_step(self) -> int | None:
        """Step of the newest full state."""
        return self._state.latest_step()

    @property
    def params_steps(self) -> list[int]:
        """Steps at which parameters are stored, ascending."""
        return sorted(self._params.all_steps())

    def save_state(self, step: int, state: Any) -> None:
        """Store the full stacked state; return once it is copied off the devices. See `release` for numpy arrays."""
        self._save(self._state, step, flax.serialization.to_state_dict(state))

    def save_params(self, step: int, params: Any, ema: Any = None) -> None:
        """Store stacked parameters, and their average if there is one; as `save_state`."""
        self._save(self._params, step, {"params": params} | ({} if ema is None else {"ema": ema}))

    def _save(self, manager: ocp.CheckpointManager, step: int, tree: dict[str, Any]) -> None:
        if step in manager.all_steps() and self._settle(manager, step):
            return  # trained again after a kill between two saves; the numbers are the same
        if distributed.is_multiprocess():
            self.wait()  # orbax names the barriers of two saves of one step alike
        kept = _without_none(tree)
        self._check_room(kept)
        self._lent |= any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(kept))
        how = jax.tree.map(_divided, kept) if manager is self._params else None
        arguments = ocp.args.PyTreeSave(kept, save_args=how, ocdbt_target_data_file_size=FILE_BYTES)
        manager.save(step, args=arguments, force=True)

    def _check_room(self, tree: dict[str, Any]) -> None:
        """Raise `OSError` if a checkpoint would fill the disk: orbax reports it by a page from each of its threads."""
        nbytes = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
        if distributed.is_coordinator() and disk.free_bytes(self.folder) < nbytes:
            why = f"{os.strerror(errno.ENOSPC)} for a checkpoint of {nbytes:,} bytes"
            raise OSError(errno.ENOSPC, why, str(self.folder))

    def keep_params(self, steps: Collection[int]) -> None:
        """Delete the parameters of all other steps; all processes call together."""
        self._delete(self._params, [step for step in self.params_steps if step not in steps])

    def delete_states(self) -> None:
        """Delete every full state, the newest last; all processes call together."""
        self._delete(self._state, sorted(self._state.all_steps()))

    def _delete(self, manager: ocp.CheckpointManager, steps: list[int]) -> None:
        """Delete steps, each hidden by one rename first: a kill leaves it whole or unseen."""

        def remove():
            for step in steps:
                folder = self._step_folder(manager, step)
                hidden = folder.with_name(f"{step}{HIDDEN}")
                folder.rename(hidden)
                shutil.rmtree(hidden)

        if steps and not self.borrowed:
            self.wait()
            distributed.broadcast(remove)
            manager.reload()

    def release(self) -> None:
        """Wait until arrays that are being saved may be written to: numpy's only when the save is done."""
        if self._lent:
            self.wait()

    def restore_state(self, target: Any, step: int | None = None) -> Any:
        """Return the full state in the structure of `target` (arrays or shapes); see `settle_state`.

        Arrays are numpy's, or sharded as the target's shapes say.

        Raises:
          UserError: if the checkpoint is damaged.
        """
        step = self.state_step if step is None else step
        assert step is not None, "no state is stored"
        stored = self._restore(self._state, step, flax.serialization.to_state_dict(target))
        return flax.serialization.from_state_dict(target, stored)

    def restore_params(self, target: Any, step: int, name: str = "params") -> Any:
        """Return stacked parameters ("params" or "ema") at an evaluation step, as `restore_state`; see `settle_params`.

        Raises:
          UserError: if the checkpoint is damaged or missing.
        """
        self._verify(self._params, step)
        metadata = self._params.item_metadata(step)
        names = ("params",) if metadata is None or metadata.tree is None else tuple(metadata.tree)
        return self._restore(self._params, step, dict.fromkeys(names, target))[name]

    def settle_state(self) -> None:
        """Set full states aside until the newest one is sound, or none is left; all processes call together.

        Raises:
          UserError: if a damaged one is another run's.
        """
        while self.state_step is not None and not self._settle(self._state, self.state_step):
            pass

    def settle_params(self, step: int) -> bool:
        """Return whether parameters are sound; set them aside otherwise, as `settle_state`."""
        return self._settle(self._params, step)

    def _wrong(self, manager: ocp.CheckpointManager, step: int) -> str | None:
        """Return what is wrong with a checkpoint, None if it is sound, from reading every stored value once.

        Orbax would restore a changed value in silence; and when it cannot read one array of many, it leaves the others'
        threads to print tracebacks.
        """
        folder = self._step_folder(manager, step)
        if folder not in self._sound:
            wrong = distributed.broadcast(lambda: check(folder))
            if wrong is not None:
                return wrong
            self._sound.add(folder)
        return None

    def _verify(self, manager: ocp.CheckpointManager, step: int) -> None:
        wrong = self._wrong(manager, step)
        if wrong is not None:
            raise unreadable(self._step_folder(manager, step), wrong)

    def _settle(self, manager: ocp.CheckpointManager, step: int) -> bool:
        wrong = self._wrong(manager, step)
        if wrong is None:
            return True
        folder = self._step_folder(manager, step)
        require(
            not self.borrowed,
            f"checkpoint {str(folder)!r} is damaged ({wrong}) and another run's: repair it in that run's folder",
        )
        aside = distributed.broadcast(lambda: str(_set_aside(folder, self.folder / "damaged")))
        manager.reload()
        before = [known for known in manager.all_steps() if known < step]
        then = f"step {max(before)} is the newest before it" if before else "none is left before it"
        self.say(f"checkpoint {str(folder)!r} is damaged ({wrong}): set aside as {aside!r}, {then}")
        return False

    def _restore(self, manager: ocp.CheckpointManager, step: int, target: Any) -> Any:
        self._verify(manager, step)

        def wanted(x):
            return np.zeros(x.shape, x.dtype) if getattr(x, "sharding", None) is None else x

        def any_length(how):
            return dataclasses.replace(how, strict=False) if isinstance(how, ocp.ArrayRestoreArgs) else how

        def fitted(x, like):
            return x[: len(like)] if isinstance(x, np.ndarray) else x

        def compare(like, stored):
            if tuple(stored.shape[1:]) != like.shape[1:]:
                raise DamagedError(f"it holds an array of a member of shape {stored.shape[1:]}, not {like.shape[1:]}")
            # sharded rows are a multiple of the devices: fewer of them than these repeat members
            repeated = 0 if isinstance(like, np.ndarray) else len(like.sharding.device_set) - 1
            if not like.shape[0] - repeated <= stored.shape[0] <= like.shape[0] + PADDING:
                raise DamagedError(f"it holds {stored.shape[0]} members, not {like.shape[0]}")

        try:
            stored = manager.item_metadata(step).tree
            names = {new: old for old, new in migration.CHECKPOINT_LEAVES.items() if old in stored and new in target}
            item = migration.rename(jax.tree.map(wanted, _without_none(target)), names)
            how = jax.tree.map(any_length, ocp.checkpoint_utils.construct_restore_args(item))
            jax.tree.map(compare, item, stored)
            restored = manager.restore(step, args=ocp.args.PyTreeRestore(item, restore_args=how))
            tree = migration.rename(jax.tree.map(fitted, restored, item), migration.CHECKPOINT_LEAVES)
            return _with_none(tree, target)
        except Exception as error:  # orbax raises many kinds for files cut short or missing
            if distributed.lost(error) or disk.refused(error) is not None:
                raise
            raise unreadable(self._step_folder(manager, step), error) from error

    def wait(self) -> None:
        """Wait for saves in progress; raise the error of one that failed."""
        self._state.wait_until_finished()
        self._params.wait_until_finished()
        self._lent = False

    def close(self) -> None:
        """Wait and close; raise the error of a save that failed."""
        try:
            self.wait()
        finally:
            for manager in (self._state, self._params):
                with contextlib.suppress(Exception):  # the error that `wait` has raised, again
                    manager.close()


def _make_clean(folder: Path) -> None:
    """Make a folder of steps, or remove from it what a kill left of a save or of a deletion."""
    folder.mkdir(parents=True, exist_ok=True)
    for left in folder.glob(f"*{HIDDEN}*"):
        shutil.rmtree(left)


def _divided(stacked: Any) -> ocp.SaveArgs:
    """Return how a stacked array of parameters is stored: see `UNDIVIDED_BYTES`."""
    return ocp.SaveArgs(shard_axes=(0,) if stacked.nbytes > UNDIVIDED_BYTES else ())


def _without_none(tree: Any) -> Any:
    """Return the dict without entries that are None: orbax stores arrays only."""
    if not isinstance(tree, dict):
        return tree
    return {name: _without_none(value) for name, value in tree.items() if value is not None}


def _with_none(tree: Any, target: Any) -> Any:
    """Undo `_without_none`, by the structure of `target`."""
    if not isinstance(target, dict):
        return tree
    return {n: None if value is None else _with_none(tree.get(n, {}), value) for n, value in target.items()}


def _set_aside(step: Path, parent: Path) -> Path:
    """Move a checkpoint out of orbax's sight, to a name that is free, and return it; nothing is deleted."""
    parent.mkdir(exist_ok=True)
    name = f"{step.parent.name}_{step.name}"
    free = next(
        path for count in itertools.count() if not (path := parent / f"{name}{f'_{count}' * (count > 0)}").exists()
    )
    step.rename(free)
    return free
