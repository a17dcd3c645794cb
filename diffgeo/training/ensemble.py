"""What both mappings share: the members' seeds and label tables, stacked trees, arrays brought to this host."""

import functools
import json
from collections.abc import Callable, Sequence
from typing import NamedTuple

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


def row(tree, i: int):
    """One member's part of a stacked tree."""
    return jax.tree.map(lambda x: x[i], tree)


def settings_of(program: str) -> Settings:
    """The settings that a program's name holds; see `Settings.program`."""
    return Settings.from_json(json.loads(program))


def jit_once(function: Callable):
    """Jits what runs once: on CPU, compiled fast rather than fast when run."""
    return jax.jit(function, compiler_options=FAST_COMPILE if jax.default_backend() == "cpu" else None)


class Sampled(NamedTuple):
    """What one member drew; numpy.

    Attributes:
      images: float32[S, N, N, 1].
      recorded: name -> float32[S, ...], tensors recorded at the last denoising step, if asked for.
      encoded: name -> float32[S, ...], the same tensors for true images, if those were given.
    """

    images: np.ndarray
    recorded: dict[str, np.ndarray]
    encoded: dict[str, np.ndarray]


class Mapped:
    """What both mappings share: the members' seeds and label tables.

    Stacked arrays have a multiple of `multiple` rows: after the members' own come rows that repeat members, and what
    becomes of those is dropped.
    """

    def __init__(self, members: Sequence[Member], rows: int, multiple: int = 1):
        self.members = tuple(members)
        self.settings = members[0].settings
        self.places = np.arange(-(-len(members) // multiple) * multiple) % len(members)
        self.seeds = np.array([m.seed for m in members], np.uint32)[self.places]
        tables = datasets.stack([datasets.build(m.settings.data) for m in members], rows)
        self.tables = jax.tree.map(lambda x: x[self.places], tables)

    @functools.cached_property
    def abstract_state(self) -> train.MemberState:
        """Shapes and types of the stacked state."""
        count = len(self.places)
        one = jax.eval_shape(functools.partial(train.initial_state, self.settings), jnp.uint32(0))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), one)

    def totals(self) -> tuple[np.ndarray, np.ndarray]:
        """The members' sums of losses, float32[M], and `frozen_step`, int32[M]; on every process those of all."""
        state = self.state()
        loss_sum, frozen_step = (np.array(fetch(x))[: len(self.members)] for x in (state.loss_sum, state.frozen_step))
        return loss_sum, frozen_step


def fetch(array) -> np.ndarray:
    """A sharded array whole on this host, from whichever processes hold its parts."""
    if getattr(array, "is_fully_addressable", True):
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def mean_losses(fetched: np.ndarray, every: int) -> np.ndarray:
    """float[M] mean losses since the last evaluation step, from float[M, 2]: steps done, sum of losses since then."""
    steps, total = fetched[:, 0], fetched[:, 1]
    return total / ((steps - 1) % every + 1)
