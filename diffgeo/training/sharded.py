"""Members sharded over a mesh of devices, vmapped within a device: for accelerators."""

import functools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffgeo import sampling, train
from diffgeo.errors import UserError
from diffgeo.mapping.base import Mapped, Sampled, fetch, jit_once, mean_losses, row, settings_of


def over_members(function: Callable, mesh: Mesh, replicated: int = 0) -> Callable:
    """`function` of one member's arrays, vmapped over the members of a device and shard_mapped over the mesh.

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


@functools.cache
def _steps(program: str, mesh: Mesh, steps: int, remat: str):
    one = train.make_step(settings_of(program), mesh.shape["data"], remat=remat)

    def many(state, seed, table):
        def body(carried, _):
            return one(carried, seed, table), None

        return jax.lax.scan(body, state, length=steps)[0]

    # the one jit site of training on accelerators: shard_map over `member` (and `data`), vmap over a device's
    # members, scan over steps; the state's buffers are reused for the new state
    return jax.jit(over_members(many, mesh), donate_argnums=0)


@functools.cache
def _init(program: str, mesh: Mesh):
    return jit_once(over_members(functools.partial(train.initial_state, settings_of(program)), mesh))


@functools.cache
def _sampler(program: str, mesh: Mesh, record: bool):
    sampler = sampling.make_sampler(settings_of(program), record)

    def one(params, seed, labels, step):
        return sampler(params, seed, step, labels)

    return jax.jit(over_members(one, mesh, replicated=1))


@functools.cache
def _encoder(program: str, mesh: Mesh):
    encoder = sampling.make_encoder(settings_of(program))

    def one(params, seed, images, labels, step):
        return encoder(params, seed, step, images, labels)

    return jax.jit(over_members(one, mesh, replicated=1))


class Sharded(Mapped):
    """Members over the mesh axis `member`, one member's batch over `data`, vmap within a device.

    Where they do not divide over the devices, places that are left are filled with members again.
    """

    def __init__(self, members, rows, devices, data_parallel=1, remat="none"):
        groups = len(devices) // data_parallel
        super().__init__(members, rows, multiple=groups)
        if self.settings.train.batch % data_parallel:
            raise UserError(
                f"batch={self.settings.train.batch} does not divide over data_parallel={data_parallel} devices"
            )
        self.mesh = Mesh(np.array(devices).reshape(groups, data_parallel), ("member", "data"))
        self.by_member = NamedSharding(self.mesh, PartitionSpec("member"))
        self.waiting = len(members)  # they are drawn at once, so all of them may wait for the read-out
        self._remat = remat
        self._state: train.MemberState | None = None

    @functools.cached_property
    def _inputs(self):
        # put on the devices when first needed: lowering needs none, so they may be a description
        return self._put((self.seeds, self.tables))

    @functools.cached_property
    def abstract_state(self) -> train.MemberState:
        """Shapes, types and shardings of the stacked state."""
        return jax.tree.map(
            lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=self.by_member), super().abstract_state
        )

    def _put(self, tree):
        def one(x):
            if isinstance(x, jax.Array) and x.sharding.is_equivalent_to(self.by_member, x.ndim):
                return x  # restored where it belongs
            x = np.asarray(x)[self.places]
            return jax.make_array_from_callback(x.shape, self.by_member, lambda index: x[index])

        return jax.tree.map(one, tree)

    def initialise(self) -> None:
        """Every member at step 0."""
        self._state = _init(self.settings.program, self.mesh)(self._inputs[0])

    def load(self, state: train.MemberState) -> None:
        """Every member from a stacked state, numpy arrays or already sharded."""
        self._state = self._put(state)

    def program(self, steps: int):
        """The jitted training of all members for `steps` steps: (state, seeds, tables) -> state."""
        return _steps(self.settings.program, self.mesh, steps, self._remat)

    def lower(self, steps: int):
        """The training program lowered for shapes alone, with its shardings."""
        arguments = jax.tree.map(self._shaped, (self.abstract_state, self.seeds, self.tables))
        return self.program(steps).lower(*arguments)

    def lower_sampler(self, labels: int, record: bool = False):
        """The sampling program for so many labels a member, lowered as `lower` does."""
        drawn = np.empty((len(self.places), labels, 2), np.float32)
        arguments = jax.tree.map(self._shaped, (self.abstract_state.params, self.seeds, drawn))
        step = jax.ShapeDtypeStruct((), np.int32, sharding=NamedSharding(self.mesh, PartitionSpec()))
        return _sampler(self.settings.program, self.mesh, record).lower(*arguments, step)

    def _shaped(self, x) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=self.by_member)

    def advance(self, steps: int):
        """Trains all members for so many steps, asynchronously; returns a handle for `losses`."""
        self._state = self.program(steps)(self._state, *self._inputs)
        return jnp.stack([self._state.step.astype(jnp.float32), self._state.loss_sum], axis=-1)

    def losses(self, handle: jax.Array, every: int) -> np.ndarray:
        """As `Loop.losses`; of several processes each is told of its own members, and waits for no other."""
        parts = {shard.index[0].start or 0: shard.data for shard in handle.addressable_shards}
        own = [np.asarray(parts[start])[: max(0, len(self.members) - start)] for start in sorted(parts)]
        return mean_losses(np.concatenate(own), every)

    def state(self) -> train.MemberState:
        """The stacked state, sharded."""
        return self._state

    def parameters(self, ema: bool = False):
        """The members' current parameters, in the form that `sample` takes."""
        return self._state.ema if ema else self._state.params

    def place(self, params):
        """Stacked parameters, as restored, in the form that `sample` takes."""
        return self._put(params)

    def sample(self, params, step: int, labels, record: bool = False, images=None) -> Iterator[Sampled]:
        """As `Loop.sample`; all members are drawn at once, and on this host when it returns."""
        known, at, step = (params, self._inputs[0]), self._put(labels), jnp.int32(step)
        drawn, recorded = _sampler(self.settings.program, self.mesh, record)(*known, at, step)
        encoded = {}
        if images is not None:
            true = self._put(np.stack([images(i) for i in range(len(self.members))]))
            encoded = _encoder(self.settings.program, self.mesh)(*known, true, at, step)
        whole = jax.tree.map(fetch, Sampled(drawn, recorded, encoded))
        return (row(whole, i) for i in range(len(self.members)))
