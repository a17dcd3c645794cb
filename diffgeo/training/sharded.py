"""Members sharded over a mesh of devices, vmapped within a device: for accelerators."""

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffgeo.data.label_tables import LabelTable
from diffgeo.errors import UserError
from diffgeo.settings import Member, Program
from diffgeo.training import sampling, step
from diffgeo.training.ensemble import PROGRAMS, Sampled, StackedMembers, fetch, jit_once, mean_losses, member_row
from diffgeo.training.true_images import MeasureFn


def over_members(function: Callable, mesh: Mesh, replicated: int = 0) -> Callable:
    """Map `function` of one member's arrays: vmap over the members of a device, shard_map over the mesh.

    The last `replicated` arguments are the same for all members.
    """

    def mapped(*arguments):
        split = len(arguments) - replicated
        in_axes = (0,) * split + (None,) * replicated
        specs = (PartitionSpec("member"),) * split + (PartitionSpec(),) * replicated
        return jax.shard_map(
            jax.vmap(function, in_axes=in_axes),
            mesh=mesh,
            in_specs=specs,
            out_specs=PartitionSpec("member"),
            check_vma=False,
        )(*arguments)

    return mapped


@functools.lru_cache(PROGRAMS)
def _steps(program: Program, mesh: Mesh, steps: int, remat: str):
    one, layout = step.make_step(program, mesh.shape["data"], remat=remat), step.layout(program)

    def many(state, *inputs):
        def body(carried, _):
            return one(carried, *inputs), None

        return layout.unravel_all(jax.lax.scan(body, layout.ravel_all(state), length=steps)[0])

    # the one jit site of training on accelerators: shard_map over `member` (and `data`), vmap over a device's
    # members, scan over steps; the state's buffers are reused for the new state
    return jax.jit(over_members(many, mesh, replicated=1), donate_argnums=0)


@functools.lru_cache(PROGRAMS)
def _init(program: Program, mesh: Mesh):
    return jit_once(over_members(functools.partial(step.initial_state, program), mesh))


@functools.lru_cache(PROGRAMS)
def _sampler(program: Program, mesh: Mesh, record: bool):
    sampler = sampling.make_sampler(program, record)

    def one(params, seed, labels, step):
        return sampler(params, seed, step, labels)

    return jax.jit(over_members(one, mesh, replicated=1))


@functools.lru_cache(PROGRAMS)
def _encoder(program: Program, mesh: Mesh):
    encoder = sampling.make_encoder(program)

    def one(params, seed, images, labels, step):
        return encoder(params, seed, step, images, labels)

    return jax.jit(over_members(one, mesh, replicated=1))


@functools.lru_cache(PROGRAMS)
def _measure(program: Program, mesh: Mesh, build: Callable[[Program], MeasureFn]):
    one = build(program)

    def in_turn(params, seeds, tables, stored):
        return jax.lax.map(lambda given: one(given[0], given[1], given[2], stored), (params, seeds, tables))

    # a device's members in turn: all layers of one member's images take gigabytes
    split = PartitionSpec("member")
    specs = (split, split, split, PartitionSpec())
    return jax.jit(jax.shard_map(in_turn, mesh=mesh, in_specs=specs, out_specs=split, check_vma=False))


class ShardedEnsemble(StackedMembers):
    """Members over the mesh axis `member`, one member's batch over `data`, vmap within a device. An `Ensemble`.

    Where members do not divide over the devices, the rows that are left repeat members.
    """

    def __init__(
        self,
        members: Sequence[Member],
        tables: LabelTable,
        devices: Sequence[Any],
        data_parallel: int = 1,
        remat: str = "none",
    ):
        groups = len(devices) // data_parallel
        super().__init__(members, tables, multiple=groups)
        batch = self.program.batch_size
        if batch % data_parallel:
            raise UserError(f"batch_size={batch} does not divide over data_parallel={data_parallel} devices")
        self.mesh = Mesh(np.array(devices).reshape(groups, data_parallel), ("member", "data"))
        self.by_member = NamedSharding(self.mesh, PartitionSpec("member"))
        self.replicated = NamedSharding(self.mesh, PartitionSpec())
        self.max_pending = len(members)  # they are drawn at once, so all of them may wait for the read-out
        self._remat = remat
        self._state: Any = None

    @functools.cached_property
    def _inputs(self) -> tuple:
        # put on the devices when first needed: lowering needs none, so they may be a description
        return self._put((self.seeds, self.tables))

    @functools.cached_property
    def _stored(self) -> jax.Array | None:
        images = self.stored
        if images is None:
            return None
        return jax.make_array_from_callback(images.shape, self.replicated, lambda index: images[index])

    @property
    def abstract_state(self) -> step.MemberState:
        """See `Ensemble`."""
        return jax.tree.map(self._shaped, super().abstract_state)

    def _put(self, tree: Any) -> Any:
        def put(x):
            if isinstance(x, jax.Array) and x.sharding.is_equivalent_to(self.by_member, x.ndim):
                return x  # restored where it belongs
            x = np.asarray(x)[self.rows]
            return jax.make_array_from_callback(x.shape, self.by_member, lambda index: x[index])

        return jax.tree.map(put, tree)

    def compile_ahead(self) -> None:
        """See `Ensemble`; does nothing: how many steps a call has is not known yet."""

    def initialize(self) -> None:
        """See `Ensemble`."""
        self._state = _init(self.program, self.mesh)(self._inputs[0])

    def load(self, state: step.MemberState) -> None:
        """See `Ensemble`."""
        self._state = self._put(state)

    def jitted_steps(self, steps: int) -> Any:
        """Return the jitted training of all members: (state, seeds, tables, hyperparameters, images) -> state."""
        return _steps(self.program, self.mesh, steps, self._remat)

    def train_steps(self, steps: int) -> jax.Array:
        """See `Ensemble`."""
        given = self._put(self.given)  # anew each time: a member may have been stopped
        self._state = self.jitted_steps(steps)(self._state, *self._inputs, given, self._stored)
        return jnp.stack([self._state.step.astype(jnp.float32), self._state.loss_sum], axis=-1)

    def losses(self, handle: jax.Array) -> np.ndarray:
        """See `Ensemble`."""
        parts = {shard.index[0].start or 0: shard.data for shard in handle.addressable_shards}
        fetched = [np.asarray(parts[start])[: max(0, len(self.members) - start)] for start in sorted(parts)]
        return mean_losses(np.concatenate(fetched), self.program.log_every)

    def loss_and_nonfinite(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Ensemble`."""
        return self.fetch_losses(self._state)

    def state(self) -> step.MemberState:
        """See `Ensemble`; sharded."""
        return self._state

    def params(self, ema: bool = False) -> Any:
        """See `Ensemble`."""
        return self._state.ema if ema else self._state.params

    def device_put(self, params: Any) -> Any:
        """See `Ensemble`."""
        return self._put(params)

    def sample(
        self,
        params: Any,
        step: int,
        labels: np.ndarray,
        record: bool = False,
        images: Callable[[int], np.ndarray] | None = None,
        indices: Sequence[int] | None = None,
    ) -> Iterator[Sampled]:
        """See `Ensemble`; all members are drawn at once, and on this host when it returns."""
        bound, at, at_step = (params, self._inputs[0]), self._put(labels), jnp.int32(step)
        drawn, recorded = _sampler(self.program, self.mesh, record)(*bound, at, at_step)
        encoded = {}
        if images is not None:
            true = self._put(np.stack([images(i) for i in range(len(self.members))]))
            encoded = _encoder(self.program, self.mesh)(*bound, true, at, at_step)
        whole = jax.tree.map(fetch, Sampled(drawn, recorded, encoded))
        return (member_row(whole, i) for i in (range(len(self.members)) if indices is None else indices))

    def measure(self, build: Callable[[Program], MeasureFn], params: Any, tables: LabelTable) -> np.ndarray:
        """See `Ensemble`; the members of a device one after another."""
        measured = _measure(self.program, self.mesh, build)(params, self._inputs[0], self._put(tables), self._stored)
        return fetch(measured)[: len(self.members)]

    def lower(self, steps: int = 1) -> jax.stages.Lowered:
        """See `Ensemble`; with shardings."""
        arguments = jax.tree.map(self._shaped, (self.abstract_state, self.seeds, self.tables, self.given))
        stored = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.replicated), self.stored)
        return self.jitted_steps(steps).lower(*arguments, stored)

    def lower_sampler(self, labels: int, record: bool = False) -> jax.stages.Lowered:
        """See `Ensemble`; with shardings."""
        drawn = np.empty((len(self.rows), labels, self.program.num_factors), np.float32)
        arguments = jax.tree.map(self._shaped, (self.abstract_state.params, self.seeds, drawn))
        step = jax.ShapeDtypeStruct((), np.int32, sharding=self.replicated)
        return _sampler(self.program, self.mesh, record).lower(*arguments, step)

    def _shaped(self, x: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=self.by_member)
