"""One step, many members: how a program is mapped over members and devices, chosen in one place.

* `Loop`, the default on CPU: members one after another, each with buffers of its own, on every core. XLA:CPU turns
  a vmap over convolution kernels into grouped convolutions, 4 to 7 times slower than the members one by one.
* `Sharded`, the default on accelerators: `jax.shard_map` over a (member, data) mesh, `vmap` over the members of a
  device, `lax.scan` over the steps of a call. Sharding annotations alone would not do: XLA's partitioner gives up on
  the grouped convolution and computes every member on every device.
"""

import functools
import json
import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from diffgeo import datasets, sampling, train
from diffgeo.errors import UserError
from diffgeo.grid import Member
from diffgeo.limits import check_remat
from diffgeo.settings import Settings

MAPPINGS = ("auto", "loop", "sharded")
STEPS_PER_CALL = {"loop": 10, "sharded": 100}
FAST_COMPILE = {"xla_backend_optimization_level": 0, "xla_llvm_disable_expensive_passes": True}


@dataclass(frozen=True)
class Layout:
    """How a run uses its devices; changes no number beyond rounding.

    Attributes:
      mapping: one of `MAPPINGS`.
      steps_per_call: training steps between two looks at the loss (for "sharded": of one compiled scan).
      data_parallel: devices that share one member's batch ("sharded" only).
      members_per_device: at most so many members at once on a device; None takes all that fit its memory.
      remat: one of `limits.REMAT`; "blocks" trains in less memory and a third more work.
    """

    mapping: str = "auto"
    steps_per_call: int | None = None
    data_parallel: int = 1
    members_per_device: int | None = None
    remat: str = "none"

    def __post_init__(self):
        if self.mapping not in MAPPINGS:
            raise UserError(f"unknown mapping {self.mapping!r}: choose one of {', '.join(MAPPINGS)}")
        check_remat(self.remat)
        for name in ("steps_per_call", "data_parallel", "members_per_device"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value} must be at least 1")
        if self.chosen == "loop" and self.data_parallel > 1:
            raise UserError(f"data_parallel={self.data_parallel} needs the mapping 'sharded': pass --mapping=sharded")

    @property
    def chosen(self) -> str:
        """ "loop" or "sharded"."""
        if self.mapping != "auto":
            return self.mapping
        alone_on_cpu = jax.default_backend() == "cpu" and jax.process_count() == 1
        return "loop" if alone_on_cpu and self.data_parallel == 1 else "sharded"

    @property
    def chunk(self) -> int:
        """Steps of one call of `advance`."""
        return self.steps_per_call or STEPS_PER_CALL[self.chosen]

    @property
    def member_devices(self) -> int:
        """Devices, or groups of `data_parallel` devices, that members are spread over."""
        devices = jax.device_count()
        if devices % self.data_parallel:
            raise UserError(f"data_parallel={self.data_parallel} does not divide the {devices} devices")
        return devices // self.data_parallel

    def over(self, members: Sequence[Member], rows: int, devices=None) -> "Loop | Sharded":
        """The members of one wave, mapped; `rows` is the length that every label table is padded to."""
        kind = Loop if self.chosen == "loop" else Sharded
        return kind(members, rows, self, jax.devices() if devices is None else devices)


def stack(trees: Sequence):
    """One tree of numpy arrays with a leading M from M trees."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(x) for x in leaves]), *trees)


def unstack(tree, count: int) -> list:
    """M trees from one with a leading M."""
    return [jax.tree.map(lambda x, i=i: x[i], tree) for i in range(count)]


def _one_shape(x) -> jax.ShapeDtypeStruct:
    """Shape and type of one member's part of a stacked array."""
    return jax.ShapeDtypeStruct(x.shape[1:], x.dtype)


def _settings(program: str) -> Settings:
    return Settings.from_json(json.loads(program))


@functools.cache
def _loop_step(program: str, remat: str):
    # the one jit site of training on CPU: one member's step; its state's buffers are reused for the new state
    return jax.jit(train.make_step(_settings(program), remat=remat), donate_argnums=0)


def _jit_once(function: Callable):
    """Jits what runs once: on CPU, compiled fast rather than fast when run."""
    return jax.jit(function, compiler_options=FAST_COMPILE if jax.default_backend() == "cpu" else None)


@functools.cache
def _loop_init(program: str):
    return _jit_once(functools.partial(train.initial_state, _settings(program)))


@functools.cache
def _loop_sampler(program: str, record: bool):
    return jax.jit(sampling.make_sampler(_settings(program), record))


@functools.cache
def _loop_encoder(program: str):
    return jax.jit(sampling.make_encoder(_settings(program)))


class _Mapped:
    """What both mappings share: the members' seeds and label tables, and host-side tables."""

    def __init__(self, members: Sequence[Member], rows: int, layout: Layout):
        self.members = tuple(members)
        self.settings = members[0].settings
        self.layout = layout
        self.seeds = np.array([m.seed for m in members], np.uint32)
        self.tables = datasets.stack([datasets.build(m.settings.data) for m in members], rows)
        if self.settings.train.batch % layout.data_parallel:
            raise UserError(
                f"batch={self.settings.train.batch} does not divide over data_parallel={layout.data_parallel} devices"
            )

    @functools.cached_property
    def abstract_state(self) -> train.MemberState:
        """Shapes and types of the stacked state."""
        count = len(self.members)
        one = jax.eval_shape(functools.partial(train.initial_state, self.settings), jnp.uint32(0))
        return jax.tree.map(lambda x: jax.ShapeDtypeStruct((count, *x.shape), x.dtype), one)


class Loop(_Mapped):
    """Members one after another on each thread; member i on device i mod D."""

    def __init__(self, members, rows, layout, devices):
        super().__init__(members, rows, layout)
        self._devices = [devices[i % len(devices)] for i in range(len(members))]
        self._step = _loop_step(self.settings.program, layout.remat)
        self._seeds = [jax.device_put(s, d) for s, d in zip(self.seeds, self._devices, strict=True)]
        tables = unstack(self.tables, len(members))
        self._tables = [jax.device_put(t, d) for t, d in zip(tables, self._devices, strict=True)]
        self._states: list[train.MemberState] = []
        self._running: list[Future] = []
        self._threads = ThreadPoolExecutor(min(len(members), os.cpu_count() or 1))

    def initialise(self) -> None:
        """Every member at step 0."""
        init = _loop_init(self.settings.program)
        self._states = [init(seed) for seed in self._seeds]

    def load(self, state: train.MemberState) -> None:
        """Every member from a stacked state of numpy arrays."""
        # copied to device: the step donates these buffers, and numpy's own must not be reused
        self._states = [
            jax.tree.map(lambda x, d=device: jax.device_put(jnp.array(x), d), one)
            for one, device in zip(unstack(state, len(self.members)), self._devices, strict=True)
        ]

    def advance(self, steps: int) -> list[Future]:
        """Trains all members for so many steps, asynchronously; returns a handle for `losses`.

        Members go side by side on as many threads as there are cores: one small network's operations leave a second
        core idle, and a program that is running holds no Python lock. A member goes on as soon as a thread is free,
        whatever the others' progress: three members keep two cores busy.
        """

        def one(i: int, before: Future | None) -> jax.Array:
            if before is not None:
                before.result()  # submitted earlier, so it is running or done
            state = self._states[i]
            for _ in range(steps):
                state = self._step(state, self._seeds[i], self._tables[i])
            self._states[i] = state
            # a new array: the state's own are donated to the next call
            return jax.block_until_ready(jnp.stack([state.step.astype(jnp.float32), state.loss_sum]))

        before = self._running or [None] * len(self._states)
        self._running = [self._threads.submit(one, i, before[i]) for i in range(len(self._states))]
        return self._running

    def _settled(self) -> list[train.MemberState]:
        """The members' states once all that was asked for is done."""
        for future in self._running:
            future.result()
        self._running = []
        return self._states

    def lower(self, steps: int = 1):
        """The program that every member runs for every step, lowered for shapes alone."""
        return self._step.lower(*jax.tree.map(_one_shape, (self.abstract_state, self.seeds, self.tables)))

    def lower_sampler(self, labels: int, record: bool = False):
        """The sampling program of one member for so many labels, lowered as `lower` does."""
        params, seed = jax.tree.map(_one_shape, (self.abstract_state.params, self.seeds))
        drawn = jax.ShapeDtypeStruct((labels, 2), np.float32)
        return _loop_sampler(self.settings.program, record).lower(params, seed, np.int32(0), drawn)

    def state(self) -> train.MemberState:
        """The stacked state, numpy arrays on host."""
        return stack(self._settled())

    def parameters(self, ema: bool = False) -> list:
        """The members' current parameters, in the form that `sample` takes."""
        return [s.ema if ema else s.params for s in self._settled()]

    def place(self, params) -> list:
        """Stacked numpy parameters, as restored, in the form that `sample` takes."""
        return [jax.device_put(p, d) for p, d in zip(unstack(params, len(self.members)), self._devices, strict=True)]

    def sample(self, params, step: int, labels, record: bool = False):
        """Samples of all members; see `diffgeo.sampling.make_sampler`.

        Args:
          params: from `parameters` or `place`.
          step: training step, names the noise.
          labels: float32[M, S, 2].
          record: also return the recorded tensors.

        Returns:
          float32[M, S, N, N, 1] and dict of float32[M, S, ...], numpy.
        """
        return self._each(_loop_sampler(self.settings.program, record), params, step, labels)

    def encode(self, params, step: int, images, labels):
        """Recorded tensors of all members for true images; see `diffgeo.sampling.make_encoder`.

        Args:
          params, step, labels: as `sample`'s.
          images: float32[M, S, N, N, 1].

        Returns:
          dict of float32[M, S, ...], numpy.
        """
        return self._each(_loop_encoder(self.settings.program), params, step, images, labels)

    def _each(self, function, params, step: int, *arrays):
        """`function` of each member's parameters, seed, the step and its rows of the arrays; stacked on host."""

        def one(i: int):
            own = (jax.device_put(x[i], self._devices[i]) for x in arrays)
            return jax.block_until_ready(function(params[i], self._seeds[i], np.int32(step), *own))

        return stack(list(self._threads.map(one, range(len(params)))))


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
def _sharded_steps(program: str, mesh: Mesh, steps: int, remat: str):
    one = train.make_step(_settings(program), mesh.shape["data"], remat=remat)

    def many(state, seed, table):
        def body(carried, _):
            return one(carried, seed, table), None

        return jax.lax.scan(body, state, length=steps)[0]

    # the one jit site of training on accelerators: shard_map over `member` (and `data`), vmap over a device's
    # members, scan over steps; the state's buffers are reused for the new state
    return jax.jit(over_members(many, mesh), donate_argnums=0)


@functools.cache
def _sharded_init(program: str, mesh: Mesh):
    return _jit_once(over_members(functools.partial(train.initial_state, _settings(program)), mesh))


@functools.cache
def _sharded_sampler(program: str, mesh: Mesh, record: bool):
    sampler = sampling.make_sampler(_settings(program), record)

    def one(params, seed, labels, step):
        return sampler(params, seed, step, labels)

    return jax.jit(over_members(one, mesh, replicated=1))


@functools.cache
def _sharded_encoder(program: str, mesh: Mesh):
    encoder = sampling.make_encoder(_settings(program))

    def one(params, seed, images, labels, step):
        return encoder(params, seed, step, images, labels)

    return jax.jit(over_members(one, mesh, replicated=1))


class Sharded(_Mapped):
    """Members over the mesh axis `member`, one member's batch over `data`, vmap within a device."""

    def __init__(self, members, rows, layout, devices):
        super().__init__(members, rows, layout)
        groups = len(devices) // layout.data_parallel
        if len(members) % groups:
            raise UserError(
                f"{len(members)} members do not divide over {groups} devices: "
                f"pass --waves, or seeds and axis values so that each wave has a multiple of {groups} members"
            )
        self.mesh = Mesh(np.array(devices).reshape(groups, layout.data_parallel), ("member", "data"))
        self.by_member = NamedSharding(self.mesh, PartitionSpec("member"))
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
            if isinstance(x, jax.Array) and not x.is_fully_addressable:
                return x  # restored where it belongs
            x = np.asarray(x)
            return jax.make_array_from_callback(x.shape, self.by_member, lambda index: x[index])

        return jax.tree.map(one, tree)

    def initialise(self) -> None:
        """Every member at step 0."""
        self._state = _sharded_init(self.settings.program, self.mesh)(self._inputs[0])

    def load(self, state: train.MemberState) -> None:
        """Every member from a stacked state, numpy arrays or already sharded."""
        self._state = self._put(state)

    def program(self, steps: int):
        """The jitted training of all members for `steps` steps: (state, seeds, tables) -> state."""
        return _sharded_steps(self.settings.program, self.mesh, steps, self.layout.remat)

    def lower(self, steps: int):
        """The training program lowered for shapes alone, with its shardings."""
        arguments = jax.tree.map(self._shaped, (self.abstract_state, self.seeds, self.tables))
        return self.program(steps).lower(*arguments)

    def lower_sampler(self, labels: int, record: bool = False):
        """The sampling program for so many labels a member, lowered as `lower` does."""
        drawn = np.empty((len(self.members), labels, 2), np.float32)
        arguments = jax.tree.map(self._shaped, (self.abstract_state.params, self.seeds, drawn))
        step = jax.ShapeDtypeStruct((), np.int32, sharding=NamedSharding(self.mesh, PartitionSpec()))
        return _sharded_sampler(self.settings.program, self.mesh, record).lower(*arguments, step)

    def _shaped(self, x) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(np.shape(x), x.dtype, sharding=self.by_member)

    def advance(self, steps: int):
        """Trains all members for so many steps, asynchronously; returns a handle for `losses`."""
        self._state = self.program(steps)(self._state, *self._inputs)
        return jnp.stack([self._state.step.astype(jnp.float32), self._state.loss_sum], axis=-1)

    def state(self) -> train.MemberState:
        """The stacked state, sharded."""
        return self._state

    def parameters(self, ema: bool = False):
        """The members' current parameters, in the form that `sample` takes."""
        return self._state.ema if ema else self._state.params

    def place(self, params):
        """Stacked parameters, as restored, in the form that `sample` takes."""
        return self._put(params)

    def sample(self, params, step: int, labels, record: bool = False):
        """As `Loop.sample`."""
        sampler = _sharded_sampler(self.settings.program, self.mesh, record)
        drawn = sampler(params, self._inputs[0], self._put(labels), jnp.int32(step))
        return jax.tree.map(fetch, drawn)

    def encode(self, params, step: int, images, labels):
        """As `Loop.encode`."""
        encoder = _sharded_encoder(self.settings.program, self.mesh)
        recorded = encoder(params, self._inputs[0], *self._put((images, labels)), jnp.int32(step))
        return jax.tree.map(fetch, recorded)


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


def members_that_fit(bytes_per_member: int, bytes_limit: int) -> int:
    """How many members' programs fit a device's memory, a tenth kept free; raises `UserError` if none does."""
    fit = int(0.9 * bytes_limit // max(bytes_per_member, 1))
    if fit < 1:
        raise UserError(
            f"one member needs {bytes_per_member / 2**30:.2f} GiB and the device has {bytes_limit / 2**30:.2f}: "
            "lower train.batch or pass --data_parallel"
        )
    return fit


def members_at_once(layout: Layout, program: Sequence[Member], rows: int) -> int:
    """Members of one wave of a program: what the layout says, or what the devices' memory holds."""
    groups = layout.member_devices
    if layout.members_per_device is not None:
        return layout.members_per_device * groups
    if layout.chosen == "loop":
        return len(program)  # states are small beside the activations, of which one member's are held at a time
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if limit is None:
        return len(program)
    one_each = Sharded([program[0]] * groups, rows, layout, jax.devices())
    memory = one_each.lower(1).compile().memory_analysis()
    used = memory.temp_size_in_bytes + memory.argument_size_in_bytes
    return members_that_fit(used, limit) * groups
