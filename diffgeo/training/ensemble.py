"""Members trained at once: the interface of an ensemble, and what its implementations share."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol, TypeVar, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from diffgeo.data.label_tables import LabelTable
from diffgeo.settings import Member, Program
from diffgeo.training.optimizer import Hyperparameters, hyperparameters
from diffgeo.training.step import PROGRAMS, MemberState, initial_state
from diffgeo.training.true_images import MeasureFn

FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}

Tree = TypeVar("Tree")


class Sampled(NamedTuple):
    """Samples of one member; numpy.

    Attributes:
      images: float32[S, N, N, C].
      recorded: name -> float32[S, ...], tensors recorded at the last denoising step, if asked for.
      encoded: name -> float32[S, ...], the same tensors for true images, if those were given.
    """

    images: np.ndarray
    recorded: dict[str, np.ndarray]
    encoded: dict[str, np.ndarray]


@runtime_checkable
class Ensemble(Protocol):
    """Members that train together, mapped over this run's devices.

    All of them share one compiled program; their states are one stacked tree with a leading M. Of several processes,
    all call every method together.

    Attributes:
      members: M members, in the order of the stacked arrays.
      abstract_state: shapes, types and shardings of the stacked state.
      max_pending: members whose samples may wait for the read-out before the next are drawn.
    """

    members: tuple[Member, ...]
    max_pending: int

    @property
    def abstract_state(self) -> MemberState:
        """Shapes, types and shardings of the stacked state."""
        ...

    def compile_ahead(self) -> None:
        """Start to compile the training step behind what follows, where a host's own cores compile and compute."""
        ...

    def initialize(self) -> None:
        """Set every member to step 0."""
        ...

    def load(self, state: MemberState) -> None:
        """Set every member from a stacked state, as restored; numpy arrays are taken over and written to."""
        ...

    def stop(self, index: int, step: int) -> None:
        """Let a member stay as it is from a step on that it has not passed."""
        ...

    def train_steps(self, steps: int) -> Any:
        """Start training all members for this many steps, each at most to its last one.

        Returns at once, with a handle for `losses`.
        """
        ...

    def losses(self, handle: Any) -> np.ndarray:
        """Wait for a `train_steps` and return float[M'], the mean loss since the last multiple of `train.log_every`.

        Of several processes each gets its own members' and waits for no other.
        """
        ...

    def loss_and_nonfinite(self) -> tuple[np.ndarray, np.ndarray]:
        """Return float32[M] mean losses as `losses`, NaN at step 0, and int32[M] `nonfinite_step`, of all members."""
        ...

    def state(self) -> MemberState:
        """Return the stacked state once all training asked for is done; the next `train_steps` may write to it."""
        ...

    def params(self, ema: bool = False) -> Any:
        """Return the members' current parameters, or their moving average, in the form that `sample` takes."""
        ...

    def device_put(self, params: Any) -> Any:
        """Return stacked parameters, as restored, in the form that `sample` takes."""
        ...

    def sample(
        self,
        params: Any,
        step: int,
        labels: np.ndarray,
        record: bool = False,
        images: Callable[[int], np.ndarray] | None = None,
        indices: Sequence[int] | None = None,
    ) -> Iterator[Sampled]:
        """Draw samples of the members, yielded in their order; see `diffgeo.training.sampling`.

        Args:
          params: from `params` or `device_put`.
          step: training step, which names the noise.
          labels: float32[M, S, K] in frame coordinates.
          record: also return the recorded tensors.
          images: function of a member's index to its true images, float32[S, N, N, C], to encode them too.
          indices: of the members that are wanted, in this order; None for all.
        """
        ...

    def measure(self, build: Callable[[Program], MeasureFn], params: Any, tables: LabelTable) -> np.ndarray:
        """Return a measure of each member on its table of labels, float32[M, ...], on this host.

        Args:
          build: a function of `training.true_images`, by which the compiled program is known again.
          params: from `params` or `device_put`.
          tables: stacked, of M members.
        """
        ...

    def lower(self, steps: int = 1) -> jax.stages.Lowered:
        """Lower the training program for shapes alone."""
        ...

    def lower_sampler(self, labels: int, record: bool = False) -> jax.stages.Lowered:
        """Lower the sampling program for this many labels a member, for shapes alone."""
        ...


class StackedMembers:
    """Seeds, label tables and hyperparameters of an ensemble's members, stacked.

    Stacked arrays have a multiple of `multiple` rows: after the members' own come rows that repeat members, and their
    results are dropped.

    Images that a data set has stored are none of these arrays: they have no M, and a device holds them once.
    """

    def __init__(self, members: Sequence[Member], tables: LabelTable, multiple: int = 1):
        self.members = tuple(members)
        self.program = members[0].settings.program
        self.stored = stored_images(self.program)
        self.rows = np.arange(-(-len(members) // multiple) * multiple) % len(members)
        self.seeds = np.array([m.seed for m in members], np.uint32)[self.rows]
        self.tables: LabelTable = jax.tree.map(lambda x: x[self.rows], tables)
        given = stack_trees([hyperparameters(m.settings.train) for m in members])
        self.given: Hyperparameters = jax.tree.map(lambda x: x[self.rows], given)

    def stop(self, index: int, step: int) -> None:
        """See `Ensemble`."""
        self.given.last_step[self.rows == index] = step

    @property
    def abstract_state(self) -> MemberState:
        """Shapes and types of the stacked state."""
        member = abstract_member(self.program)
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((len(self.rows), *x.shape), x.dtype), member)

    def fetch_losses(self, state: MemberState) -> tuple[np.ndarray, np.ndarray]:
        """Return `Ensemble.loss_and_nonfinite` of a stacked state."""
        names = (state.step, state.loss_sum, state.nonfinite_step)
        step, loss_sum, nonfinite_step = (np.array(fetch(x))[: len(self.members)] for x in names)
        mean = mean_losses(np.stack([step, loss_sum], axis=-1).astype(np.float32), self.program.log_every)
        return np.where(step > 0, mean, np.float32(np.nan)), nonfinite_step


@functools.lru_cache(PROGRAMS)
def abstract_member(program: Program) -> MemberState:
    """Return shapes and types of one member's state."""
    return jax.eval_shape(functools.partial(initial_state, program), jnp.uint32(0))


def stored_images(program: Program) -> np.ndarray | None:
    """Return the images that all members of a program draw rows of; None if they are rendered.

    uint8[L, N * N * C]: a TPU pads short last dims, and would copy images in another layout at every step.
    """
    images = None if program.dataset is None else program.dataset.images
    return None if images is None else images.reshape(len(images), -1)


def stored_bytes(program: Program) -> int:
    """Return the bytes of `stored_images`, which a device holds beside its members, however many they are."""
    images = stored_images(program)
    return 0 if images is None else images.nbytes


def stack_trees(trees: Sequence[Tree]) -> Tree:
    """Return one tree of numpy arrays with a leading M from M trees."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *trees)


def member_row(tree: Tree, index: int) -> Tree:
    """Return one member's part of a stacked tree."""
    return jax.tree.map(lambda x: x[index], tree)


def jit_once(function: Callable) -> Callable:
    """Jit a function that runs once: on CPU, compiled fast rather than fast when run."""
    return jax.jit(function, compiler_options=FAST_COMPILE if jax.default_backend() == "cpu" else None)


def fetch(array: Any) -> np.ndarray:
    """Return a sharded array whole on this host, from whichever processes hold its parts."""
    if getattr(array, "is_fully_addressable", True):
        return np.asarray(array)
    from jax.experimental import multihost_utils

    return np.asarray(multihost_utils.process_allgather(array, tiled=True))


def mean_losses(fetched: np.ndarray, window: int) -> np.ndarray:
    """Return float[M] mean losses since the last multiple of `window` from float[M, 2]: steps done, sum of losses."""
    steps, total = fetched[:, 0], fetched[:, 1]
    return total / ((steps - 1) % window + 1)
