"""Training of one member: its state, its optimizer, one pure step [2402.03305 B.4, B.6; 2408.13256 A.4, A.6].

An `Ensemble` maps the step over members and devices; `diffgeo.run` is the loop around it.
"""

from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
import optax

from diffgeo import diffusion, unet
from diffgeo.data import batches
from diffgeo.data.label_tables import LabelTable
from diffgeo.settings import Program, Train
from diffgeo.settings.allowed import NEVER, WARMUP_START
from diffgeo.training.keys import member_key, stream


class MemberState(NamedTuple):
    """State carried from step to step; stacked, every leaf gains a leading M.

    Attributes:
      step: int32, steps done.
      params: of the network.
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

    def __call__(self, state: MemberState, loss: jax.Array, gradient: Any) -> MemberState:
        """Return the state after a step of this loss and gradient."""
        ...


@runtime_checkable
class StepFn(Protocol):
    """Train step of one member."""

    def __call__(self, state: MemberState, seed: jax.Array, table: LabelTable) -> MemberState:
        """Return the state after one step of the member with this seed on this table."""
        ...


def learning_rate(train: Train) -> optax.Schedule:
    """Return the learning rate over steps; both schedules rise from peak/25 over `warmup_fraction` of the steps.

    "one_cycle": cosine up, then cosine down to peak/250,000 at the end; "constant": linear up, then the peak.
    """
    steps = max(train.steps, 1)
    if train.schedule == "constant":
        start, warmup = train.learning_rate * WARMUP_START, max(1, round(train.warmup_fraction * steps))
        return optax.warmup_constant_schedule(start, train.learning_rate, warmup)
    return optax.cosine_onecycle_schedule(
        steps, train.learning_rate, pct_start=train.warmup_fraction, div_factor=1 / WARMUP_START
    )


def optimizer(train: Train) -> optax.GradientTransformation:
    """Return AdamW [2408.13256, A.6] with PyTorch's other defaults; the decay acts on every parameter, as there."""
    return optax.adamw(learning_rate(train), weight_decay=train.weight_decay)


def initial_state(program: Program, seed: jax.Array | int) -> MemberState:
    """Return a member before its first step, from its seed (may be traced)."""
    key = stream(member_key(seed), "init")
    params = unet.initial_parameters(unet.from_program(program), key, program.image_shape, program.num_factors)
    return MemberState(
        step=jnp.int32(0),
        params=params,
        optimizer=optimizer(program.train).init(params),
        # a copy: the state is donated, and one buffer cannot be donated twice
        ema=jax.tree.map(jnp.copy, params) if program.train.ema_decay else None,
        loss_sum=jnp.float32(0.0),
        nonfinite_step=jnp.int32(NEVER),
    )


def make_update(train: Train) -> UpdateFn:
    """Build the optimizer update: AdamW, moving average, and a stop at the first non-finite loss or gradient.

    A member whose loss or gradient is not finite keeps the parameters it had, and the step at which it stopped.
    """
    adamw = optimizer(train)

    def update(state: MemberState, loss: jax.Array, gradient: Any) -> MemberState:
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to an int count; our own code is strict
            updates, opt_state = adamw.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if train.ema_decay:
            ema = jax.tree.map(lambda old, new: train.ema_decay * old + (1.0 - train.ema_decay) * new, ema, params)
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradient))
        stopped = state.nonfinite_step != NEVER
        keep = finite & ~stopped

        def select(new, old):
            return jax.tree.map(lambda n, o: jnp.where(keep, n, o), new, old)

        so_far = jnp.where(state.step % train.log_every == 0, jnp.float32(0.0), state.loss_sum)
        return MemberState(
            step=state.step + 1,
            params=select(params, state.params),
            optimizer=select(opt_state, state.optimizer),
            ema=select(ema, state.ema),
            loss_sum=so_far + jnp.where(keep, loss, jnp.nan),
            nonfinite_step=jnp.where(finite | stopped, state.nonfinite_step, state.step),
        )

    return update


def bind(network: unet.UNet, params: Any, labels: jax.Array) -> diffusion.DenoiseFn:
    """Return the network with parameters and labels float32[n, K] bound."""

    def denoise(x: jax.Array, t: jax.Array, /) -> Any:
        return network.apply({"params": params}, x, t, labels)

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
    update = make_update(program.train)
    batch = program.train.batch_size
    part = batch // data_parts

    def draw(key, step, table):
        """Draw images, labels, diffusion steps and noise of this device's part of the batch."""
        rows = batches.batch_indices(stream(key, "order"), step, batch, table.count)
        indices = jnp.arange(batch)
        if data_parts > 1:
            first = jax.lax.axis_index(data_axis) * part
            rows, indices = (jax.lax.dynamic_slice_in_dim(x, first, part) for x in (rows, indices))
        x0, centers = batches.render_rows(table, rows, program.size, program.periodic, program.dataset)
        step_key = jax.random.fold_in(stream(key, "noise"), step)
        # one key a row: a row's noise does not depend on how the batch is split
        keys = jax.vmap(lambda index: jax.random.split(jax.random.fold_in(step_key, index)))(indices)
        t = jax.vmap(lambda k: jax.random.randint(k, (), 1, schedule.timesteps + 1))(keys[:, 0])
        noise = jax.vmap(lambda k: jax.random.normal(k, program.image_shape))(keys[:, 1])
        return x0, centers, t, noise

    def batch_loss(params, key, step, table):
        x0, centers, t, noise = draw(key, step, table)

        denoise = bind(network, params, centers)
        return jnp.mean(diffusion.denoising_loss(schedule, denoise, x0, t, noise))

    def step(state: MemberState, seed: jax.Array, table: LabelTable) -> MemberState:
        loss, gradient = jax.value_and_grad(batch_loss)(state.params, member_key(seed), state.step, table)
        if data_parts > 1:
            loss, gradient = jax.lax.pmean((loss, gradient), data_axis)
        return update(state, loss, gradient)

    return step
