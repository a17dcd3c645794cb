"""Training of one member: its state, its optimiser, one pure step [2402.03305 B.4, B.6; 2408.13256 A.4, A.6].

`diffgeo.mapping` maps the step over members and devices; `diffgeo.run` is the loop around it.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from diffgeo import batches, datasets, diffusion
from diffgeo.grid import member_key, stream
from diffgeo.limits import NEVER
from diffgeo.settings import Settings, Train
from diffgeo.unet import initial_parameters


class MemberState(NamedTuple):
    """All that training carries from step to step; stacked, every leaf gains a leading M.

    Attributes:
      step: int32, steps done.
      params: of the network.
      optimizer: optax state.
      ema: exponential moving average of `params`, or None if the settings keep none.
      loss_sum: float32, sum of the losses since the last evaluation step.
      frozen_step: int32, the step at which loss or gradient was no longer finite, or `NEVER`.
    """

    step: jax.Array
    params: Any
    optimizer: Any
    ema: Any
    loss_sum: jax.Array
    frozen_step: jax.Array


def learning_rate(train: Train) -> optax.Schedule:
    """One cycle: cosine up from peak/25 over `warmup` of the steps, cosine down to peak/250,000 at the end."""
    return optax.cosine_onecycle_schedule(max(train.steps, 1), train.learning_rate, pct_start=train.warmup)


def optimizer(train: Train) -> optax.GradientTransformation:
    """AdamW [2408.13256, A.6], PyTorch's other defaults; the decay acts on every parameter, as there."""
    return optax.adamw(learning_rate(train), weight_decay=train.weight_decay)


def initial_state(settings: Settings, seed) -> MemberState:
    """A member before its first step, from its seed (may be traced)."""
    key = stream(member_key(seed), "init")
    params = initial_parameters(settings.model.build(), key, settings.data.size)
    return MemberState(
        step=jnp.int32(0),
        params=params,
        optimizer=optimizer(settings.train).init(params),
        # a copy: the state is donated, and one buffer cannot be donated twice
        ema=jax.tree.map(jnp.copy, params) if settings.train.ema_decay else None,
        loss_sum=jnp.float32(0.0),
        frozen_step=jnp.int32(NEVER),
    )


def make_update(settings: Settings) -> Callable[..., MemberState]:
    """What a step does with its loss and gradient, a pure function (state, loss, gradient) -> state.

    A loss or gradient that is not finite freezes the member: it keeps what it had, and the step at which it stopped.
    """
    adamw = optimizer(settings.train)
    ema_decay, every = settings.train.ema_decay, settings.evaluation.every

    def update(state: MemberState, loss, gradient) -> MemberState:
        with jax.numpy_dtype_promotion("standard"):  # optax raises floats to an int count; our own code is strict
            updates, opt_state = adamw.update(gradient, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)
        ema = state.ema
        if ema_decay:
            ema = jax.tree.map(lambda old, new: ema_decay * old + (1.0 - ema_decay) * new, ema, params)
        finite = jnp.isfinite(loss) & jnp.isfinite(optax.tree.norm(gradient))
        frozen = state.frozen_step != NEVER
        keep = finite & ~frozen

        def freeze(new, old):
            return jax.tree.map(lambda n, o: jnp.where(keep, n, o), new, old)

        so_far = jnp.where(state.step % every == 0, jnp.float32(0.0), state.loss_sum)
        return MemberState(
            step=state.step + 1,
            params=freeze(params, state.params),
            optimizer=freeze(opt_state, state.optimizer),
            ema=freeze(ema, state.ema),
            loss_sum=so_far + jnp.where(keep, loss, jnp.nan),
            frozen_step=jnp.where(finite | frozen, state.frozen_step, state.step),
        )

    return update


def make_step(
    settings: Settings, data_parts: int = 1, data_axis: str = "data", remat: str = "none"
) -> Callable[..., MemberState]:
    """The train step of one member, a pure function (state, seed, table) -> state.

    Args:
      settings: of any member of the program; what differs between its members comes in by seed and table.
      data_parts: over how many devices of the mesh axis `data_axis` the batch is split; 1 makes no collective.
      data_axis: name of that axis.
      remat: what the backward pass computes again, see `diffgeo.unet.UNet`.
    """
    network = settings.model.build(remat)
    schedule = diffusion.Schedule(
        settings.diffusion.timesteps, settings.diffusion.beta_start, settings.diffusion.beta_end
    )
    update = make_update(settings)
    batch, size, periodic = settings.train.batch, settings.data.size, settings.data.periodic
    part = batch // data_parts

    def draw(key, step, table):
        """Images, labels, diffusion steps and noise of this device's part of the batch."""
        rows = batches.batch_rows(stream(key, "order"), step, batch, table.count)
        places = jnp.arange(batch)
        if data_parts > 1:
            first = jax.lax.axis_index(data_axis) * part
            rows, places = (jax.lax.dynamic_slice_in_dim(x, first, part) for x in (rows, places))
        x0, centers = batches.render_rows(table, rows, size, periodic)
        step_key = jax.random.fold_in(stream(key, "noise"), step)
        # one key a row: a row's noise does not depend on how the batch is split
        keys = jax.vmap(lambda place: jax.random.split(jax.random.fold_in(step_key, place)))(places)
        t = jax.vmap(lambda k: jax.random.randint(k, (), 1, schedule.timesteps + 1))(keys[:, 0])
        noise = jax.vmap(lambda k: jax.random.normal(k, (size, size, 1)))(keys[:, 1])
        return x0, centers, t, noise

    def batch_loss(params, key, step, table):
        x0, centers, t, noise = draw(key, step, table)

        def predict(x, t):
            return network.apply({"params": params}, x, t, centers)

        return jnp.mean(diffusion.loss(schedule, predict, x0, t, noise))

    def step(state: MemberState, seed, table: datasets.Table) -> MemberState:
        loss, gradient = jax.value_and_grad(batch_loss)(state.params, member_key(seed), state.step, table)
        if data_parts > 1:
            loss, gradient = jax.lax.pmean((loss, gradient), data_axis)
        return update(state, loss, gradient)

    return step
