"""What both mappings share: the members' seeds and label tables, stacked trees, arrays brought to this host."""

import functools
import json
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from diffgeo import datasets, train
from diffgeo.grid import Member
from diffgeo.settings import Settings

FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


def stack(trees: Sequence):
    """One tree of numpy arrays with a leading M from M trees."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *trees)


def unstack(tree, count: int) -> list:
    """M trees from one with a leading M."""
    return [jax.tree.map(lambda x, i=i: x[i], tree) for i in range(count)]


def settings_of(program: str) -> Settings:
    """The settings that a program's name holds; see `Settings.program`."""
    return Settings.from_json(json.loads(program))


def jit_once(function: Callable):
    """Jits what runs once: on CPU, compiled fast rather than fast when run."""
    return jax.jit(function, compiler_options=FAST_COMPILE if jax.default_backend() == "cpu" else None)


class Mapped:
    """What both mappings share: the members' seeds and label tables, and host-side tables."""

    def __init__(self, members: Sequence[Member], rows: int):
        self.members = tuple(members)
        self.settings = members[0].settings
        self.seeds = np.array([m.seed for m in members], np.uint32)
        self.tables = datasets.stack([datasets.build(m.settings.data) for m in members], rows)

    @functools.cached_property
    def abstract_state(self) -> train.MemberState:
        """Shapes and types of the stacked state."""
        count = len(self.members)
        one = jax.eval_shape(functools.partial(train.initial_state, self.settings), jnp.uint32(0))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), one)


def fetch(array) -> np.ndarray:
    """A sharded array whole on this host, from whichever processes hold its parts."""
    if getattr(array, "is_fully_addressable", True):
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def _own_rows(array) -> np.ndarray:
    """The rows of an array sharded over members that lie on this process; waits for no other process."""
    parts = {shard.index[0].start or 0: shard.data for shard in array.addressable_shards}
    return np.concatenate([np.asarray(parts[start]) for start in sorted(parts)])


def losses(handle, every: int) -> np.ndarray:
    """float[M], mean loss of each member since the last evaluation step, from a handle of `advance`.

    Of several processes, each is told of its own members.
    """
    fetched = np.stack([np.asarray(x.result()) for x in handle]) if isinstance(handle, list) else _own_rows(handle)
    steps, total = fetched[:, 0], fetched[:, 1]
    return total / ((steps - 1) % every + 1)
