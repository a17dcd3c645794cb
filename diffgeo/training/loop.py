"""Members one after another on the threads of a host: for one or several CPUs."""

import functools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from diffgeo.data.label_tables import LabelTable
from diffgeo.host.runtime import usable_cores
from diffgeo.settings import Member, Program
from diffgeo.training import sampling, step
from diffgeo.training.ensemble import PROGRAMS, Sampled, StackedMembers, jit_once, mean_losses, member_row
from diffgeo.training.true_images import MeasureFn


@functools.lru_cache(PROGRAMS)
def _step(program: Program, remat: str):
    # the one jit site of training on CPU: one member's step; its state's buffers are reused for the new state
    return jax.jit(step.make_step(program, remat=remat), donate_argnums=0)


@functools.lru_cache(PROGRAMS)
def _init(program: Program):
    return jit_once(functools.partial(step.initial_state, program))


@functools.lru_cache(PROGRAMS)
def _sampler(program: Program, record: bool):
    return jax.jit(sampling.make_sampler(program, record))


@functools.lru_cache(PROGRAMS)
def _encoder(program: Program):
    return jax.jit(sampling.make_encoder(program))


@functools.lru_cache(PROGRAMS)
def _measure(program: Program, build: Callable[[Program], MeasureFn]):
    return jax.jit(build(program))


def _member_shape(x: Any) -> jax.ShapeDtypeStruct:
    """Return shape and type of one member's part of a stacked array."""
    return jax.ShapeDtypeStruct(x.shape[1:], x.dtype)


class SequentialEnsemble(StackedMembers):
    """Members one after another on each thread; member i on device i mod D. An `Ensemble`.

    All members' states are one stacked tree of numpy arrays, parameters and moments as vectors. A member's own is on
    its device only while a thread trains it, so that one more member costs its state and nothing else, and saving needs
    no copy.
    """

    max_pending = 1

    def __init__(self, members: Sequence[Member], tables: LabelTable, devices: Sequence[Any], remat: str = "none"):
        super().__init__(members, tables)
        self._devices = [devices[i % len(devices)] for i in range(len(members))]
        self._step = _step(self.program, remat)
        self._layout = step.layout(self.program)
        self._inputs = [
            jax.device_put(member_row((self.seeds, self.tables, self.given), i), d) for i, d in enumerate(self._devices)
        ]
        self._flat: Any = None
        self._running: list[Future] = []
        self._ahead: Future | None = None
        self._threads_used = min(len(members), usable_cores())
        self._threads = ThreadPoolExecutor(self._threads_used)

    def compile_ahead(self) -> None:
        """See `Ensemble`; by a step of zeros, whose result is dropped."""
        zeros = jax.tree.map(lambda x: np.zeros(x.shape[1:], x.dtype), self._flat_shapes)
        device = self._devices[0]
        arguments = jax.device_put(zeros, device), *self._inputs[0], self._stored[device]
        self._ahead = ThreadPoolExecutor(1).submit(self._step, *arguments)

    def initialize(self) -> None:
        """See `Ensemble`."""
        init = _init(self.program)
        self._flat = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), self._flat_shapes)
        for i, (seed, *_) in enumerate(self._inputs):
            self._store(i, self._layout.ravel_all(jax.device_get(init(seed))))  # numpy: nothing more to compile

    @functools.cached_property
    def _stored(self) -> dict[Any, jax.Array | None]:
        """Return the data set's images on each device, once for all its members; put there when first needed."""
        return {device: jax.device_put(self.stored, device) for device in {*self._devices}}

    @property
    def _flat_shapes(self) -> step.MemberState:
        return jax.eval_shape(self._layout.ravel_all, self.abstract_state)

    def load(self, state: step.MemberState) -> None:
        """See `Ensemble`."""
        self._wait()
        self._flat = self._layout.ravel_all(state)

    def _store(self, i: int, state: step.MemberState) -> None:
        """Write a member's state back into the stacked one."""

        def write(held, x):
            held[i] = x

        jax.tree.map(write, self._flat, state)

    def train_steps(self, steps: int) -> list[Future]:
        """See `Ensemble`.

        Members go side by side on as many threads as there are cores: one small network's operations leave a second
        core idle, and a program that is running holds no Python lock. A member goes on as soon as a thread is free,
        whatever the others' progress: three members keep two cores busy.
        """

        images = self._stored

        def train(i: int, before: Future | None) -> np.ndarray:
            if before is not None:
                before.result()  # submitted earlier, so it is running or done
            # JAX may read numpy's memory in place but never writes to it, donated or not
            state = jax.device_put(member_row(self._flat, i), self._devices[i])
            for _ in range(min(steps, self.given.last_step[i] - self._flat.step[i])):
                state = self._step(state, *self._inputs[i], images[self._devices[i]])
            self._store(i, state)
            return np.array([state.step, state.loss_sum], np.float32)

        before = self._running or [self._ahead] * len(self.members)
        self._ahead = None  # it holds a state
        self._running = [self._threads.submit(train, i, before[i]) for i in range(len(self.members))]
        return self._running

    def losses(self, handle: list[Future]) -> np.ndarray:
        """See `Ensemble`."""
        return mean_losses(np.stack([future.result() for future in handle]), self.program.log_every)

    def loss_and_nonfinite(self) -> tuple[np.ndarray, np.ndarray]:
        """See `Ensemble`."""
        return self.fetch_losses(self.state())

    def state(self) -> step.MemberState:
        """See `Ensemble`; numpy arrays on host, the very ones that the next `train_steps` writes to."""
        self._wait()
        return self._layout.unravel_all(self._flat)

    def _wait(self) -> None:
        """Wait for all training asked for; raise its errors."""
        for future in self._running:
            future.result()
        self._running = []

    def params(self, ema: bool = False) -> Any:
        """See `Ensemble`."""
        return self.state().ema if ema else self.state().params

    def device_put(self, params: Any) -> Any:
        """See `Ensemble`."""
        return params

    def sample(
        self,
        params: Any,
        step: int,
        labels: np.ndarray,
        record: bool = False,
        images: Callable[[int], np.ndarray] | None = None,
        indices: Sequence[int] | None = None,
    ) -> Iterator[Sampled]:
        """See `Ensemble`; as many members as there are threads are drawn ahead, and no more are held."""
        sampler, encoder = _sampler(self.program, record), _encoder(self.program)

        def draw(i: int) -> Sampled:
            member_params, at = jax.device_put((member_row(params, i), labels[i]), self._devices[i])
            bound = member_params, self._inputs[i][0], np.int32(step)
            drawn, recorded = sampler(*bound, at)
            encoded = {} if images is None else encoder(*bound, jax.device_put(images(i), self._devices[i]), at)
            return jax.tree.map(np.asarray, Sampled(drawn, recorded, encoded))

        ahead: deque[Future] = deque()
        for i in range(len(self.members)) if indices is None else indices:
            if len(ahead) == self._threads_used:
                yield ahead.popleft().result()
            ahead.append(self._threads.submit(draw, i))
        while ahead:
            yield ahead.popleft().result()

    def measure(self, build: Callable[[Program], MeasureFn], params: Any, tables: LabelTable) -> np.ndarray:
        """See `Ensemble`; as many members at a time as there are threads."""
        measured, images = _measure(self.program, build), self._stored

        def one(i: int) -> np.ndarray:
            member_params, table = jax.device_put(member_row((params, tables), i), self._devices[i])
            return np.asarray(measured(member_params, self._inputs[i][0], table, images[self._devices[i]]))

        return np.stack(list(self._threads.map(one, range(len(self.members)))))

    def lower(self, steps: int = 1) -> jax.stages.Lowered:
        """See `Ensemble`; the program that every member runs for every step."""
        inputs = self._flat_shapes, self.seeds, self.tables, self.given
        return self._step.lower(*jax.tree.map(_member_shape, inputs), jax.tree.map(jax.typeof, self.stored))

    def lower_sampler(self, labels: int, record: bool = False) -> jax.stages.Lowered:
        """See `Ensemble`; the program of one member."""
        params, seed = jax.tree.map(_member_shape, (self.abstract_state.params, self.seeds))
        drawn = jax.ShapeDtypeStruct((labels, self.program.num_factors), np.float32)
        return _sampler(self.program, record).lower(params, seed, np.int32(0), drawn)
