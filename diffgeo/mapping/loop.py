"""Members one after another on each thread, each with buffers of its own: for CPUs."""

import functools
import os
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import jax.numpy as jnp
import numpy as np

from diffgeo import sampling, train
from diffgeo.mapping.base import Mapped, jit_once, settings_of, stack, unstack


@functools.cache
def _step(program: str):
    # the one jit site of training on CPU: one member's step; its state's buffers are reused for the new state
    return jax.jit(train.make_step(settings_of(program)), donate_argnums=0)


@functools.cache
def _init(program: str):
    return jit_once(functools.partial(train.initial_state, settings_of(program)))


@functools.cache
def _sampler(program: str, record: bool):
    return jax.jit(sampling.make_sampler(settings_of(program), record))


@functools.cache
def _encoder(program: str):
    return jax.jit(sampling.make_encoder(settings_of(program)))


def _one_shape(x) -> jax.ShapeDtypeStruct:
    """Shape and type of one member's part of a stacked array."""
    return jax.ShapeDtypeStruct(x.shape[1:], x.dtype)


class Loop(Mapped):
    """Members one after another on each thread; member i on device i mod D."""

    def __init__(self, members, rows, devices):
        super().__init__(members, rows)
        self._devices = [devices[i % len(devices)] for i in range(len(members))]
        self._step = _step(self.settings.program)
        self._seeds = [jax.device_put(s, d) for s, d in zip(self.seeds, self._devices, strict=True)]
        tables = unstack(self.tables, len(members))
        self._tables = [jax.device_put(t, d) for t, d in zip(tables, self._devices, strict=True)]
        self._states: list[train.MemberState] = []
        self._running: list[Future] = []
        self._threads = ThreadPoolExecutor(min(len(members), os.cpu_count() or 1))

    def initialise(self) -> None:
        """Every member at step 0."""
        init = _init(self.settings.program)
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
        return _sampler(self.settings.program, record).lower(params, seed, np.int32(0), drawn)

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
        return self._each(_sampler(self.settings.program, record), params, step, labels)

    def encode(self, params, step: int, images, labels):
        """Recorded tensors of all members for true images; see `diffgeo.sampling.make_encoder`.

        Args:
          params, step, labels: as `sample`'s.
          images: float32[M, S, N, N, 1].

        Returns:
          dict of float32[M, S, ...], numpy.
        """
        return self._each(_encoder(self.settings.program), params, step, images, labels)

    def _each(self, function, params, step: int, *arrays):
        """`function` of each member's parameters, seed, the step and its rows of the arrays; stacked on host."""

        def one(i: int):
            own = (jax.device_put(x[i], self._devices[i]) for x in arrays)
            return jax.block_until_ready(function(params[i], self._seeds[i], np.int32(step), *own))

        return stack(list(self._threads.map(one, range(len(params)))))
