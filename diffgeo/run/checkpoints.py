"""Checkpoints of a wave of members, by orbax: the full state to resume from, parameters to analyze.

    FOLDER/state/STEP/     everything that training carries; the newest two are kept
    FOLDER/params/STEP/    parameters (and their average, if any) at every evaluation step, as far as `--keep` says

One stacked tree for all members of a wave. Trees are stored as nested dicts of arrays, so they can be restored as
plain numpy, without optax's types, and onto any number of devices. Of several processes each saves and restores its
own members; all of them call every method of `Checkpoints` together. `stored_steps` and `read_member` read a folder
alone: they write nothing, so that a run may be looked at while it trains. This is the only file that imports orbax.
"""

import dataclasses
import shutil
from collections.abc import Collection
from pathlib import Path
from typing import Any

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from diffgeo.costs.storage import KEPT_STATES
from diffgeo.errors import UserError, one_line
from diffgeo.host import distributed
from diffgeo.settings import migration

FILE_BYTES = 2**24
"""Size of a checkpoint's files; what is compressed waits in memory until a file is full."""
UNDIVIDED_BYTES = 2**16
"""Size of a stacked array from which each member's part is stored on its own, so that one is read without the others;
smaller ones are not worth a chunk for each member."""

HIDDEN = ".orbax-checkpoint-tmp"
"""Ending of a step's folder that orbax does not see, and removes when the checkpoints are opened next."""


class Checkpoints:
    """Checkpoints of one wave; a context manager, closed after waiting for saves in progress.

    A save becomes visible by one rename once it is complete; a process killed while saving leaves the newest complete
    one in force.

    Attributes:
      folder: of the wave.
      borrowed: whether it is a link to another run's, which is read and never changed.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder).absolute()
        self.borrowed = self.folder.is_symlink()
        self._lent = False
        newest = ocp.checkpoint_managers.LatestN(KEPT_STATES)
        self._state = self._manager("state", preservation_policy=newest)
        self._params = self._manager("params")

    def _manager(self, name: str, **options: Any) -> ocp.CheckpointManager:
        if not self.borrowed:
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        # numpy arrays are written from where they lie, see `release`; of jax arrays orbax takes a copy on host
        uncopied = ocp.type_handlers.NumpyHandler(deepcopy_host_arrays=False)
        sharded = ocp.type_handlers.get_type_handler(jax.Array)
        handlers = ocp.type_handlers.create_type_handler_registry((np.ndarray, uncopied), (jax.Array, sharded))
        together = ocp.options.MultiprocessingOptions(barrier_sync_key_prefix=name)
        return ocp.CheckpointManager(
            self.folder / name,
            item_handlers=ocp.PyTreeCheckpointHandler(type_handler_registry=handlers, multiprocessing_options=together),
            options=ocp.CheckpointManagerOptions(
                cleanup_tmp_directories=not self.borrowed,
                read_only=self.borrowed,
                multiprocessing_options=together,
                **options,
            ),
        )

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
        if step in manager.all_steps():
            return  # trained again after a kill between two saves; the numbers are the same
        if distributed.is_multiprocess():
            self.wait()  # orbax names the barriers of two saves of one step alike
        kept = _without_none(tree)
        self._lent |= any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(kept))
        how = jax.tree.map(_divided, kept) if manager is self._params else None
        arguments = ocp.args.PyTreeSave(kept, save_args=how, ocdbt_target_data_file_size=FILE_BYTES)
        manager.save(step, args=arguments, force=True)

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
                folder = Path(manager.directory) / str(step)
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
        """Return the full state in the structure of `target` (arrays or shapes); see `verify_state`.

        Arrays are numpy's, or sharded as the target's shapes say.

        Raises:
          UserError: if the checkpoint is damaged.
        """
        step = self.state_step if step is None else step
        assert step is not None, "no state is stored"
        stored = self._restore(self._state, step, flax.serialization.to_state_dict(target))
        return flax.serialization.from_state_dict(target, stored)

    def restore_params(self, target: Any, step: int, name: str = "params") -> Any:
        """Return stacked parameters ("params" or "ema") at an evaluation step, as `restore_state`.

        Raises:
          UserError: if the checkpoint is damaged or missing.
        """
        self._verify(self._params, step)
        metadata = self._params.item_metadata(step)
        names = ("params",) if metadata is None or metadata.tree is None else tuple(metadata.tree)
        return self._restore(self._params, step, dict.fromkeys(names, target))[name]

    def verify_state(self) -> None:
        """Read every stored value of the newest full state once; raise `UserError` if one cannot be read.

        Orbax restores many arrays at a time and, when one fails, leaves the others' threads to print tracebacks.
        """
        if self.state_step is not None:
            self._verify(self._state, self.state_step)

    def _verify(self, manager: ocp.CheckpointManager, step: int) -> None:
        distributed.broadcast(lambda: self._read_through(Path(manager.directory) / str(step)))

    def _read_through(self, folder: Path) -> None:
        try:
            store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{folder / 'default'}/"}).result()
            for name in store.list().result():
                store.read(name).result()
        except Exception as error:  # tensorstore raises many kinds for a file cut short
            raise damaged(folder, error) from error

    def _restore(self, manager: ocp.CheckpointManager, step: int, target: Any) -> Any:
        def wanted(x):
            return np.zeros(x.shape, x.dtype) if getattr(x, "sharding", None) is None else x

        def any_length(how):
            return dataclasses.replace(how, strict=False) if isinstance(how, ocp.ArrayRestoreArgs) else how

        def fitted(x, like):
            return x[: len(like)] if isinstance(x, np.ndarray) else x

        def check(like, stored):
            if tuple(stored.shape[1:]) != like.shape[1:]:
                raise ValueError(f"it holds an array of a member of shape {stored.shape[1:]}, not {like.shape[1:]}")

        try:
            stored = manager.item_metadata(step).tree
            names = {new: old for old, new in migration.CHECKPOINT_LEAVES.items() if old in stored and new in target}
            item = migration.rename(jax.tree.map(wanted, _without_none(target)), names)
            how = jax.tree.map(any_length, ocp.checkpoint_utils.construct_restore_args(item))
            jax.tree.map(check, item, stored)
            restored = manager.restore(step, args=ocp.args.PyTreeRestore(item, restore_args=how))
            tree = migration.rename(jax.tree.map(fitted, restored, item), migration.CHECKPOINT_LEAVES)
            return _with_none(tree, target)
        except Exception as error:  # orbax raises many kinds for files cut short or missing
            if distributed.lost(error):
                raise
            raise damaged(Path(manager.directory) / str(step), error) from error

    def wait(self) -> None:
        """Wait for saves in progress; raise the error of one that failed."""
        self._state.wait_until_finished()
        self._params.wait_until_finished()
        self._lent = False

    def close(self) -> None:
        """Wait and close."""
        self.wait()
        self._state.close()
        self._params.close()


def stored_steps(folder: Path) -> list[int]:
    """Return the steps at which the parameters of the wave in this folder are stored, ascending."""
    params = folder / "params"  # a save in progress has another name until it is complete
    return sorted(int(path.name) for path in params.iterdir() if path.name.isdigit()) if params.is_dir() else []


def read_member(folder: Path, index: int, step: int, name: str = "params") -> dict[str, Any]:
    """Read one member's parameters ("params" or "ema") at an evaluation step, as nested dicts of numpy arrays.

    No other member's are read, but for small arrays (`UNDIVIDED_BYTES`) and checkpoints of earlier versions, which
    hold several members in a chunk of up to `FILE_BYTES`. No device is used.

    Args:
      folder: of the wave's checkpoints, DIR/checkpoints/wave_000.
      index: of the member in its wave.
      step: training step of the checkpoint.
      name: which parameters.

    Raises:
      UserError: if the checkpoint is damaged or missing, or lacks the member or the parameters.
    """
    stored = Path(folder).absolute() / "params" / str(step)
    if not stored.is_dir():
        steps = ", ".join(map(str, stored_steps(folder))) or "none is stored"
        raise UserError(f"no checkpoint {str(stored)!r}: choose another step ({steps})")
    store = {"driver": "ocdbt", "base": f"file://{stored / 'default'}/"}
    tree: dict[str, Any] = {}
    try:
        keys = [key.decode() for key in tensorstore.KvStore.open(store).result().list().result()]
        leaves = [key.removesuffix("/.zarray") for key in keys if key.endswith("/.zarray")]
        for leaf in (path for path in leaves if path.startswith(f"{name}.")):
            array = tensorstore.open({"driver": "zarr", "kvstore": {**store, "path": f"{leaf}/"}}).result()
            *parents, last = leaf.split(".")[1:]
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            branch[last] = array[index].read().result()
    except Exception as error:  # tensorstore raises many kinds for files cut short or missing
        raise damaged(stored, error) from error
    if not tree:
        raise UserError(f"checkpoint {str(stored)!r} holds no {name!r}: choose params, or ema if the run keeps one")
    return tree


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


def damaged(folder: Path, error: Exception) -> UserError:
    """Return the error for a checkpoint that cannot be read."""
    return UserError(
        f"checkpoint {str(folder)!r} cannot be read ({one_line(error)}): "
        "delete that folder and start again, the run continues from the checkpoint before it"
    )
