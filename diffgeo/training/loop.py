"""Members one after another on each thread, each with buffers of its own: for CPUs."""

import functools
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import jax
import numpy as np

from diffgeo import sampling, train
from diffgeo.mapping.base import Mapped, Sampled, jit_once, mean_losses, row, settings_of


@functools.cache
def _step(program: str, remat: str):
    # the one jit site of training on CPU: one member's step; its state's buffers are reused for the new state
    return jax.jit(train.make_step(settings_of(program), remat=remat), donate_argnums=0)


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
    """Members one after another on each thread; member i on device i mod D.

    All members' states are one stacked tree of numpy arrays. A member's own is on its device only while a thread
    trains it, so that one more member costs its state and nothing else, and saving needs no copy.
    """

    waiting = 1  # members whose samples may wait for the read-out: the next ones are not drawn before

    def __init__(self, members, rows, devices, remat="none"):
        super().__init__(members, rows)
        self._devices = [devices[i % len(devices)] for i in range(len(members))]
        self._step = _step(self.settings.program, remat)
        own = [jax.device_put(row((self.seeds, self.tables), i), d) for i, d in enumerate(self._devices)]
        self._seeds, self._tables = zip(*own, strict=True)
        self._state: train.MemberState | None = None
        self._running: list[Future] = []
        self._beside = min(len(members), os.cpu_count() or 1)
        self._threads = ThreadPoolExecutor(self._beside)

    def initialise(self) -> None:
        """Every member at step 0."""
        init = _init(self.settings.program)
        self._state = jax.tree.map(lambda x: np.empty(x.shape, x.dtype), self.abstract_state)
        for i, seed in enumerate(self._seeds):
            self._keep(i, init(seed))

    def load(self, state: train.MemberState) -> None:
        """Every member from a stacked state of numpy arrays, which are taken over: training writes to them."""
        self._settled()
        self._state = state

    def _keep(self, i: int, state: train.MemberState) -> None:
        """Writes a member's state back to its place."""

        def write(held, x):
            held[i] = x

        jax.tree.map(write, self._state, state)

    def advance(self, steps: int) -> list[Future]:
        """Trains all members for so many steps, asynchronously; returns a handle for `losses`.

        Members go side by side on as many threads as there are cores: one small network's operations leave a second
        core idle, and a program that is running holds no Python lock. A member goes on as soon as a thread is free,
        whatever the others' progress: three members keep two cores busy.
        """

        def one(i: int, before: Future | None) -> np.ndarray:
            if before is not None:
                before.result()  # submitted earlier, so it is running or done
            # JAX may read numpy's memory in place but never writes to it, donated or not
            state = jax.device_put(row(self._state, i), self._devices[i])
            for _ in range(steps):
                state = self._step(state, self._seeds[i], self._tables[i])
            self._keep(i, state)
            return np.array([state.step, state.loss_sum], np.float32)

        before = self._running or [None] * len(self.members)
        self._running = [self._threads.submit(one, i, before[i]) for i in range(len(self.members))]
        return self._running

    def losses(self, handle: list[Future], every: int) -> np.ndarray:
        """float[M], mean loss of each member since the last evaluation step, from a handle of `advance`."""
        return mean_losses(np.stack([future.result() for future in handle]), every)

    def _settled(self) -> train.MemberState | None:
        """The members' states once all that was asked for is done."""
        for future in self._running:
            future.result()
        self._running = []
        return self._state

    def lower(self, steps: int = 1):
        """The program that every member runs for every step, lowered for shapes alone."""
        return self._step.lower(*jax.tree.map(_one_shape, (self.abstract_state, self.seeds, self.tables)))

    def lower_sampler(self, labels: int, record: bool = False):
        """The sampling program of one member for so many labels, lowered as `lower` does."""
        params, seed = jax.tree.map(_one_shape, (self.abstract_state.params, self.seeds))
        drawn = jax.ShapeDtypeStruct((labels, 2), np.float32)
        return _sampler(self.settings.program, record).lower(params, seed, np.int32(0), drawn)

    def state(self) -> train.MemberState:
        """The stacked state, numpy arrays on host: the very ones that the next `advance` writes to."""
        return self._settled()

    def parameters(self, ema: bool = False):
        """The members' current parameters, in the form that `sample` takes."""
        return self._settled().ema if ema else self._settled().params

    def place(self, params):
        """Stacked numpy parameters, as restored, in the form that `sample` takes."""
        return params

    def sample(self, params, step: int, labels, record: bool = False, images=None) -> Iterator[Sampled]:
        """Samples of the members, one after another in their order; see `diffgeo.sampling`.

        So many members as there are threads are drawn ahead of what is asked for, and no more are held.

        Args:
          params: from `parameters` or `place`.
          step: training step, names the noise.
          labels: float32[M, S, 2].
          record: also return the recorded tensors.
          images: function of a member's place to its true images, float32[S, N, N, 1], to encode them too.
        """
        sampler, encoder = _sampler(self.settings.program, record), _encoder(self.settings.program)

        def one(i: int) -> Sampled:
            own, at = jax.device_put((row(params, i), labels[i]), self._devices[i])
            known = own, self._seeds[i], np.int32(step)
            drawn, recorded = sampler(*known, at)
            encoded = {} if images is None else encoder(*known, jax.device_put(images(i), self._devices[i]), at)
            return jax.tree.map(np.asarray, Sampled(drawn, recorded, encoded))

        ahead: deque[Future] = deque()
        for i in range(len(self.members)):
            if len(ahead) == self._beside:
                yield ahead.popleft().result()
            ahead.append(self._threads.submit(one, i))
        while ahead:
            yield ahead.popleft().result()
