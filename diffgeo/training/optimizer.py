"""AdamW of one member with its numbers given at run time, so that a sweep over them is a single compiled program."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from diffgeo.settings import Train
from diffgeo.settings.allowed import WARMUP_END, WARMUP_START


class Hyperparameters(NamedTuple):
    """Numbers of a member's optimizer, scalars of JAX or numpy; stacked over M members, each gains a leading M.

    Attributes:
      learning_rate: float32, peak of the schedule.
      weight_decay, beta1, beta2: float32, of AdamW.
      ema_decay: float32, of the moving average of parameters.
      warmup_steps: int32, steps up to the peak.
      steps: int32, length of the schedule.
      last_step: int32, after which the member stays as it is.
    """

    learning_rate: jax.Array
    weight_decay: jax.Array
    beta1: jax.Array
    beta2: jax.Array
    ema_decay: jax.Array
    warmup_steps: jax.Array
    steps: jax.Array
    last_step: jax.Array


def hyperparameters(train: Train) -> Hyperparameters:
    """Return a member's numbers, numpy scalars, from its settings."""
    warmup = train.warmup_fraction * train.steps
    real = (train.learning_rate, train.weight_decay, train.beta1, train.beta2, train.ema_decay)
    whole = (max(1, round(warmup)) if train.schedule == "constant" else int(warmup), train.steps, train.steps)
    numbers: list[Any] = [*map(np.float32, real), *map(np.int32, whole)]
    return Hyperparameters(*numbers)


def learning_rate(schedule: str, given: Hyperparameters) -> optax.Schedule:
    """Return the learning rate over steps; both schedules rise from peak/25 over `warmup_steps`.

    "one_cycle": cosine up, then cosine down to peak/250,000 at the end, and constant after that, as PyTorch's;
    "constant": linear up, then the peak.
    """
    peak, warmup, steps = given.learning_rate, given.warmup_steps, given.steps
    start, end = peak * WARMUP_START, peak * WARMUP_END

    def share(count: jax.typing.ArrayLike, of: jax.typing.ArrayLike) -> jax.Array:
        return jnp.clip(jnp.asarray(count) / jnp.maximum(of, 1), 0.0, 1.0)

    def rate(count: jax.typing.ArrayLike) -> jax.Array:
        with jax.numpy_dtype_promotion("standard"):  # counts are whole numbers
            warm = share(count, warmup)
            if schedule == "constant":
                return start + (peak - start) * warm
            up = start + (peak - start) * (1.0 - jnp.cos(jnp.pi * warm)) / 2.0
            down = end + (peak - end) * (1.0 + jnp.cos(jnp.pi * share(count - warmup, steps - warmup))) / 2.0
            return jnp.where(count < warmup, up, down)

    return rate


def adamw(schedule: str, given: Hyperparameters) -> optax.GradientTransformation:
    """Return AdamW [2408.13256, A.6] with PyTorch's other defaults; the decay acts on every parameter, as there."""
    rate = learning_rate(schedule, given)
    return optax.adamw(rate, b1=given.beta1, b2=given.beta2, weight_decay=given.weight_decay)
