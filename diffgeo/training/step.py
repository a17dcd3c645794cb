"""Training of one member: its state and one pure step [2402.03305 B.4, B.6; 2408.13256 A.4, A.6].

An `Ensemble` maps the step over members and devices; `diffgeo.run` is the loop around it.
"""

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from diffgeo import diffusion, unet
from diffgeo.data import batches
from diffgeo.data.label_tables import LabelTable
from diffgeo.settings import Program, Train
from diffgeo.settings.allowed import NEVER
from diffgeo.training.flat import Layout
from diffgeo.training.keys import member_key, stream
from diffgeo.training.optimizer import Hyperparameters, adamw, hyperparameters

Stored = jax.Array | None
PROGRAMS = 8  # compiled programs of a kind that a process keeps


class MemberState(NamedTuple):
    """State carried from step to step; stacked, every leaf gains a leading M.

    Attributes:
      step: int32, steps done.
      params: of the network, a tree; in training one vector, as are the moments and the average.
      optimizer: optax state.
      ema: exponential moving average of `params`, or None if the settings keep none.
      loss_sum: float32, sum of the losses since the last multiple of `train.log_every`.
      nonfinite_step: int32, the step at which loss or gradient was no longer finite, or `NEVER`.
    """

    step: jax.Array
    params: Any
    optimizer: Any
    ema: Any
    loss_sum: jax.Array
    nonfinite_step: jax.Array


@runtime_checkable
class UpdateFn(Protocol):
    """Optimizer update of one member."""

    def __call__(self, state: MemberState, loss: jax.Array, gradient: jax.Array, given: Hyperparameters) -> MemberState:
        """Return the state after a step of this loss and gradient, float32[P]."""
        ...


@runtime_checkable
class StepFn(Protocol):
    """Train step of one member."""

    def __call__(
        self, state: MemberState, seed: jax.Array, table: LabelTable, given: Hyperparameters, stored: Stored = None
    ) -> MemberState:
        """Return the state after one step of the member with this seed on this table.

        Parameters, their average and the optimizer's moments are vectors, see `layout`. `stored` are the images of a
        data set that has them, uint8[L, N * N * C], the same for all members.
        """
        ...


@functools.lru_cache(PROGRAMS)
def layout(program: Program) -> Layout:
    """Return where each parameter of a program's network lies in the vector that is trained."""
    return Layout(jax.eval_shape(functools.partial(_initial_parameters, program), jnp.uint32(0)))


def _initial_parameters(program: Program, seed: jax.Array | int) -> Any:
    key = stream(member_key(seed), "init")
    return unet.initial_parameters(unet.from_program(program), key, program.image_shape, program.num_factors)


def initial_state(program: Program, seed: jax.Array | int) -> MemberState:
    """Return a member before its first step, from its seed (may be traced); its parameters are a tree."""
    params = _initial_parameters(program, seed)
    return MemberState(
        step=jnp.int32(0),
        params=params,
        optimizer=adamw(program.schedule, hyperparameters(Train())).init(params),  # zeros, whatever the numbers are
        # a copy: the state is donated, and one buffer cannot be donated twice
        ema=jax.tree.map(jnp.copy, params) if program.ema else None,
        loss_sum=jnp.float32(0.0),
        nonfinite_step=jnp.int32(NEVER),
    )


def make_update(program: Program) -> UpdateFn:
    """Build the optimizer update: AdamW, moving average, and a stop at the first non-finite loss or gradient.

    A member whose loss or gradient is not finite keeps the parameters it had, and the step at which it stopped. After
    its last step nothing of it changes.
    """

    def update(state: MemberState, loss: jax.Array, gradient: jax.Array, given: Hyperparameters) -> MemberState:
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to an int count; our own code is strict
            optimizer = adamw(program.schedule, given)
            updates, opt_state = optimizer.update(gradient, state.optimizer, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema is not None:
            ema = given.ema_decay * ema + (1.0 - given.ema_decay) * params
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradient))
        stopped = state.nonfinite_step != NEVER
        so_far = jnp.where(state.step % program.log_every == 0, jnp.float32(0.0), state.loss_sum)
        at_work = state.step < given.last_step
        keep = finite & ~stopped & at_work

        def select(condition, new, old):
            return jax.tree.map(lambda n, o: jnp.where(condition, n, o), new, old)

        counted = MemberState(
            step=state.step + 1,
            params=params,
            optimizer=opt_state,
            ema=ema,
            loss_sum=so_far + jnp.where(finite & ~stopped, loss, jnp.nan),
            nonfinite_step=jnp.where(finite | stopped, state.nonfinite_step, state.step),
        )
        trained = ("params", "optimizer", "ema")
        kept = {
            name: select(keep if name in trained else at_work, new, getattr(state, name))
            for name, new in counted._asdict().items()
        }
        return MemberState(**kept)

    return update


def bind(
    network: unet.UNet, params: Any, labels: jax.Array, edits: Mapping[str, jax.Array] | None = None, within: Any = None
) -> diffusion.DenoiseFn:
    """Return the network with parameters and labels bound.

    Args:
      network: the module.
      params: its parameters.
      labels: float32[n, K].
      edits: layer -> float32[n, h, w, c], added to its activations.
      within: int32[2], the first and the last diffusion step t at which they are.
    """

    def denoise(x: jax.Array, t: jax.Array, /) -> Any:
        if not edits:
            return network.apply({"params": params}, x, t, labels)
        edited = ((t >= within[0]) & (t <= within[1]))[:, None, None, None]

        def adding(shift: jax.Array) -> Callable[[jax.Array], jax.Array]:
            return lambda h: h + jnp.where(edited, shift, 0.0).astype(h.dtype)

        added = {layer: adding(shift) for layer, shift in edits.items()}
        return network.apply({"params": params}, x, t, labels, added)

    return denoise


def make_step(program: Program, data_parts: int = 1, data_axis: str = "data", remat: str = "none") -> StepFn:
    """Build the pure train step of one member.

    Args:
      program: static settings; what differs between its members comes in by seed and table.
      data_parts: over how many devices of the mesh axis `data_axis` the batch is split; 1 makes no collective.
      data_axis: name of that axis.
      remat: rematerialization, see `diffgeo.unet.UNet`.
    """
    network = unet.from_program(program, remat)
    schedule = diffusion.from_settings(program.diffusion)
    update = make_update(program)
    arrays = layout(program)
    batch = program.batch_size
    part = batch // data_parts

    def draw(key, step, table, stored):
        """Draw images, labels, diffusion steps and noise of this device's part of the batch."""
        rows = batches.batch_indices(stream(key, "order"), step, batch, table.count)
        indices = jnp.arange(batch)
        if data_parts > 1:
            first = jax.lax.axis_index(data_axis) * part
            rows, indices = (jax.lax.dynamic_slice_in_dim(x, first, part) for x in (rows, indices))
        x0, centers = batches.render_rows(table, rows, program.size, program.periodic, program.dataset, stored)
        step_key = jax.random.fold_in(stream(key, "noise"), step)
        # one key a row: a row's noise does not depend on how the batch is split
        keys = jax.vmap(lambda index: jax.random.split(jax.random.fold_in(step_key, index)))(indices)
        t = jax.vmap(lambda k: jax.random.randint(k, (), 1, schedule.timesteps + 1))(keys[:, 0])
        noise = jax.vmap(lambda k: jax.random.normal(k, program.image_shape))(keys[:, 1])
        return x0, centers, t, noise

    def batch_loss(params, key, step, table, stored):
        x0, centers, t, noise = draw(key, step, table, stored)

        denoise = bind(network, params, centers)
        return jnp.mean(diffusion.denoising_loss(schedule, denoise, x0, t, noise))

    def step(
        state: MemberState, seed: jax.Array, table: LabelTable, given: Hyperparameters, stored: Stored = None
    ) -> MemberState:
        params = arrays.unravel(state.params)
        loss, gradient = jax.value_and_grad(batch_loss)(params, member_key(seed), state.step, table, stored)
        gradient = arrays.ravel(gradient)
        if data_parts > 1:
            loss, gradient = jax.lax.pmean((loss, gradient), data_axis)
        return update(state, loss, gradient, given)

    return step
