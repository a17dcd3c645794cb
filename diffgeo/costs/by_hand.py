"""What a run costs, computed without running it: shapes by `jax.eval_shape`, operations by hand count."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.settings import Grid, Model, Settings, Train
from diffgeo.training import step
from diffgeo.unet import parameter_count

TRAIN_RATE = 38e9
SAMPLE_RATE = 27e9
"""Operations a second of two cores at the laptop presets' sizes: 40 ms a step of 32 images and 3 s for 256 samples by
20 calls at N = 16 and b = 8, members side by side."""

CLOUD_SECONDS = {"spectrum": 0.05, "manifold": 0.3, "topology": 3.5, "rings": 0.2}
"""CPU seconds of one thread to measure a cloud of 256 points; they grow with the square of the points."""
CLOUDS = 4  # measured at an evaluation of a member, of those that an experiment asks everything of

V5E_TRAIN_RATE = 16e12
V5E_SAMPLE_RATE = 21e12
"""Operations a second of one TPU v5e chip in the papers' network, by `plan` of p1_fig4: 10.9 ms a step of 16 images and
4.4 s for 500 samples by 50 calls, both bound by memory. Images of another side reach others: p2_fig5's sizes take 213
hours of a chip by their own plans, 246 by these rates."""

TRAIN_PASSES = 3  # a step is one forward pass and a backward pass of twice its operations


def forward_macs(settings: Settings) -> int:
    """Multiply-accumulates of one network call on one image: convolutions, attention, linear layers.

    1.85 GMAC for the papers' network at N = 32. Norms and activations are not counted.
    """
    b, size, embedding = settings.model.base_channels, settings.data.size, settings.model.embedding

    def double_conv(side, channels, features, middle=None):
        middle = middle or features
        return 9 * side**2 * (channels * middle + middle * features)

    def attention(side, channels):
        tokens = side**2
        return tokens * 6 * channels**2 + 2 * tokens**2 * channels

    def down(side, channels, features):
        convolutions = double_conv(side, channels, channels) + double_conv(side, channels, features)
        return convolutions + embedding * features + attention(side, features)

    def up(side, channels, features):
        convolutions = double_conv(side, channels, channels) + double_conv(side, channels, features, channels // 2)
        return convolutions + embedding * features + attention(side, features)

    n1, n2, n4, n8 = (-(-size // k) for k in (1, 2, 4, 8))
    total = double_conv(n1, 1, b)
    total += down(n2, b, 2 * b) + down(n4, 2 * b, 4 * b) + down(n8, 4 * b, 4 * b)
    total += double_conv(n8, 4 * b, 8 * b) + double_conv(n8, 8 * b, 8 * b) + double_conv(n8, 8 * b, 4 * b)
    total += up(n4, 8 * b, 2 * b) + up(n2, 4 * b, b) + up(n1, 2 * b, b)
    return total + n1**2 * b


def layer4(settings: Settings) -> list[int]:
    """Shape of what the network records of one sample: [N / 2, N / 2, b], halves rounded up."""
    side = -(-settings.data.size // 2)
    return [side, side, settings.model.base_channels]


def network_calls(settings: Settings) -> int:
    """Network calls that one sample takes."""
    evaluation = settings.evaluation
    return settings.diffusion.timesteps if evaluation.sampler == "ancestral" else evaluation.sampler_steps


def describe(settings: Settings, trained: bool = True, analyses: Sequence[str] = ()) -> dict:
    """Sizes and cost of a whole grid, without allocating any of it.

    Args:
      settings: of the grid.
      trained: whether it is trained; an experiment that is computed without training has no members and no cost.
      analyses: groups of `representation.GROUPS` that every checkpoint is measured by.

    Returns:
      "members", "axes" (name -> number of values), "programs" (compiled one after another), "steps", "batch",
      "evaluations", "evaluation_steps", "samples" (per member and evaluation),
      "parameters" (per member), "label_rows" (largest table), "layer4" (shape of a sample's representation),
      "params_checkpoint_bytes" and "state_checkpoint_bytes" (one save of all members), "checkpoints_bytes" (all that a
      finished run holds), "training_pflop" and "sampling_pflop" (hand count, all members), "two_core_minutes" (of a
      small preset on two CPU cores, at the rates above; larger networks reach other rates), "v5e_chip_hours" (of the
      papers' network on one TPU v5e chip; `plan` tells it of a grid on many).
    """
    grid = Grid(settings)
    programs = grid.programs if trained else []
    one = {"members": sum(map(len, programs)), "axes": {name: len(values) for name, values in grid.axes.items()}}
    one["programs"] = len(programs)
    params_bytes = state_bytes = 0
    training = sampling = 0.0
    samples, rows, parameters, minutes, chip_seconds = 0, 0, 0, 0.0, 0.0
    cloud = CLOUDS * sum(CLOUD_SECONDS[group] for group in analyses)
    for group in programs:
        own = group[0].settings
        evaluation = own.evaluation
        state = _state(own.model, bool(own.train.ema_decay))
        params_bytes += len(group) * (_bytes(state.params) + _bytes(state.ema))
        state_bytes += len(group) * _bytes(state)
        parameters = max(parameters, parameter_count(state.params))
        flop = 2 * forward_macs(own)
        counts = {
            data: int(label_tables.build_label_table(data).count) for data in {member.settings.data for member in group}
        }
        rows = max(rows, *counts.values())
        for member in group:
            count = counts[member.settings.data]
            drawn = labels_drawn(evaluation.label_source, evaluation.num_samples, own.data.size, count)

            samples = max(samples, drawn)
            own_training = TRAIN_PASSES * flop * own.train.steps * own.train.batch_size
            own_sampling = flop * len(own.evaluation_steps) * drawn * network_calls(own)
            analysis = len(own.evaluation_steps) * cloud * (drawn / 256) ** 2
            training, sampling = training + own_training, sampling + own_sampling
            minutes += (own_training / TRAIN_RATE + own_sampling / SAMPLE_RATE + analysis / 2) / 60
            chip_seconds += own_training / V5E_TRAIN_RATE + own_sampling / V5E_SAMPLE_RATE
    evaluations = settings.evaluation_steps if trained else ()
    return one | {
        "steps": settings.train.steps,
        "batch": settings.train.batch_size,
        "evaluations": len(evaluations),
        "evaluation_steps": list(evaluations),
        "samples": samples,
        "parameters": parameters,
        "label_rows": rows,
        "layer4": layer4(settings),
        "params_checkpoint_bytes": params_bytes,
        "state_checkpoint_bytes": state_bytes,
        "checkpoints_bytes": len(evaluations) * params_bytes + min(2, len(evaluations)) * state_bytes,
        "training_pflop": training / 1e15,
        "sampling_pflop": sampling / 1e15,
        "two_core_minutes": minutes,
        "v5e_chip_hours": chip_seconds / 3600,
    }


def _bytes(tree) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


@functools.cache
def _state(model: Model, average: bool):
    """Shapes of a member's state, which nothing else in the settings changes."""
    settings = Settings(model=model, train=Train(ema_decay=0.5 if average else 0.0))
    return jax.eval_shape(functools.partial(step.initial_state, settings.program), jnp.uint32(0))
