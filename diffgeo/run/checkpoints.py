"""Checkpoints of a wave of members, by orbax: the full state to resume from, parameters to analyse.

    FOLDER/state/STEP/     everything that training carries; the newest two are kept
    FOLDER/params/STEP/    parameters (and their average, if any) at every evaluation step

One stacked tree for all members of a wave. Trees are stored as nested dicts of arrays, so they can be restored as
plain numpy, without optax's types, and onto any number of devices. Of several processes each saves and restores its
own members; all of them call every function here together. This is the only file that imports orbax.
"""

import dataclasses
import re
from pathlib import Path

import flax.serialization
import jax
import numpy as np
import orbax.checkpoint as ocp
import tensorstore

from diffgeo import processes
from diffgeo.errors import UserError

KEPT_STATES = 2
FILE_BYTES = 2**24
"""Size of a checkpoint's files; what is compressed waits in memory until a file is full."""


class Checkpoints:
    """The checkpoints of one wave; a context manager, closed after waiting for saves under way.

    A save becomes visible by one rename once it is complete; a process killed while saving leaves the newest complete
    one in force.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder).absolute()
        self._lent = False
        newest = ocp.checkpoint_managers.LatestN(KEPT_STATES)
        self._state = self._manager("state", preservation_policy=newest)
        self._params = self._manager("params")

    def _manager(self, name: str, **options) -> ocp.CheckpointManager:
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
                cleanup_tmp_directories=True,
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

    def save_state(self, step: int, state) -> None:
        """Stores the full stacked state; returns once it is copied off the devices. See `release` for numpy arrays."""
        self._save(self._state, step, flax.serialization.to_state_dict(state))

    def save_params(self, step: int, params, ema=None) -> None:
        """Stores stacked parameters, and their average if there is one; as `save_state`."""
        self._save(self._params, step, {"params": params} | ({} if ema is None else {"ema": ema}))

    def _save(self, manager, step, tree) -> None:
        if step in manager.all_steps():
            return  # trained again after a kill between two saves; the numbers are the same
        if processes.shared():
            self.wait()  # orbax names the barriers of two saves of one step alike
        kept = _without_none(tree)
        self._lent |= any(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(kept))
        manager.save(step, args=ocp.args.PyTreeSave(kept, ocdbt_target_data_file_size=FILE_BYTES), force=True)

    def release(self) -> None:
        """Waits until arrays that are being saved may be written to: numpy's only when the save is done."""
        if self._lent:
            self.wait()

    def restore_state(self, target, step: int | None = None):
        """The full state in the structure of `target` (arrays or shapes); see `verify_state`.

        Arrays are numpy's, or sharded as the target's shapes say.

        Raises:
          UserError: if the checkpoint is damaged.
        """
        step = self.state_step if step is None else step
        stored = self._restore(self._state, step, flax.serialization.to_state_dict(target))
        return flax.serialization.from_state_dict(target, stored)

    def restore_params(self, target, step: int, name: str = "params"):
        """Stacked parameters ("params" or "ema") at an evaluation step, as `restore_state`'s.

        Raises:
          UserError: if the checkpoint is damaged or missing.
        """
        self._verify(self._params, step)
        metadata = self._params.item_metadata(step)
        names = ("params",) if metadata is None or metadata.tree is None else tuple(metadata.tree)
        return self._restore(self._params, step, dict.fromkeys(names, target))[name]

    def verify_state(self) -> None:
        """Reads the newest full state's every stored value once; raises `UserError` if one cannot be read.

        Orbax restores many arrays at a time and, when one fails, leaves the others' threads to print tracebacks.
        """
        if self.state_step is not None:
            self._verify(self._state, self.state_step)

    def _verify(self, manager, step):
        processes.decide(lambda: self._read_through(Path(manager.directory) / str(step)))

    def _read_through(self, folder: Path) -> None:
        try:
            store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{folder / 'default'}/"}).result()
            for name in store.list().result():
                store.read(name).result()
        except Exception as error:  # tensorstore raises many kinds for a file cut short
            raise damaged(folder, error) from error

    def _restore(self, manager, step, target):
        def wanted(x):
            return np.zeros(x.shape, x.dtype) if getattr(x, "sharding", None) is None else x

        def any_length(how):
            return dataclasses.replace(how, strict=False) if isinstance(how, ocp.ArrayRestoreArgs) else how

        def fitted(x, like):
            return x[: len(like)] if isinstance(x, np.ndarray) else x

        item = jax.tree.map(wanted, _without_none(target))
        how = jax.tree.map(any_length, ocp.checkpoint_utils.construct_restore_args(item))

        def checked(like, stored):
            if tuple(stored.shape[1:]) != like.shape[1:]:
                raise ValueError(f"it holds an array of a member of shape {stored.shape[1:]}, not {like.shape[1:]}")

        try:
            jax.tree.map(checked, item, manager.item_metadata(step).tree)
            found = manager.restore(step, args=ocp.args.PyTreeRestore(item, restore_args=how))
            return _with_none(jax.tree.map(fitted, found, item), target)
        except Exception as error:  # orbax raises many kinds for files cut short or missing
            if processes.lost(error):
                raise
            raise damaged(manager.directory / str(step), error) from error

    def wait(self) -> None:
        """Waits for saves under way; raises if one of them failed."""
        self._state.wait_until_finished()
        self._params.wait_until_finished()
        self._lent = False

    def close(self) -> None:
        """Waits and closes."""
        self.wait()
        self._state.close()
        self._params.close()


def _without_none(tree):
    """The dict without entries that are None: orbax stores arrays only."""
    if not isinstance(tree, dict):
        return tree
    return {name: _without_none(value) for name, value in tree.items() if value is not None}


def _with_none(tree, target):
    """The inverse of `_without_none`, by the structure of `target`."""
    if not isinstance(target, dict):
        return tree
    return {n: None if value is None else _with_none(tree.get(n, {}), value) for n, value in target.items()}


def damaged(folder, error: Exception) -> UserError:
    """The error for a checkpoint that cannot be read."""
    return UserError(
        f"checkpoint {str(folder)!r} cannot be read ({first_line(error)}): "
        "delete that folder and start again, the run continues from the checkpoint before it"
    )


def first_line(error: Exception, length: int = 160) -> str:
    """The beginning of an error's message, on one line."""
    return re.sub(r"\s+", " ", str(error)).strip()[:length] or type(error).__name__
