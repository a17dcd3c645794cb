"""Cost of a run, computed without running it: shapes by `jax.eval_shape`, operations by hand count."""

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from diffgeo.costs.storage import ALL, default_keep, finished_bytes
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.data.sources import source_of
from diffgeo.settings import Diffusion, Grid, Member, Program, Settings
from diffgeo.settings.allowed import POOLINGS
from diffgeo.training import step
from diffgeo.unet import parameter_count

TRAIN_RATE = 38e9
SAMPLE_RATE = 27e9
"""FLOP/s of two cores at the laptop presets' sizes: 40 ms a step of 32 images and 3 s for 256 samples in 20 calls at
N = 16 and b = 8, members in parallel."""

CLOUD_SECONDS = {"spectrum": 0.05, "manifold": 0.3, "topology": 3.5, "rings": 0.2}
"""Single-thread CPU seconds to analyze a cloud of 256 points; they grow with the square of the number of points."""
CLOUDS = 4  # analyzed per evaluation of a member

V5E_TRAIN_RATE = 16e12
V5E_SAMPLE_RATE = 21e12
"""FLOP/s of a TPU v5e chip in the papers' network, by `plan` of p1_fig4: 10.9 ms a step of 16 images and 4.4 s for 500
samples in 50 calls, both memory bound. Other image sides reach other rates: p2_fig5's sizes take 213 chip hours by
their plans, 246 by these rates."""

TRAIN_PASSES = 3  # a step is a forward pass and a backward pass of twice its operations


def forward_macs(settings: Settings) -> int:
    """Return the multiply-accumulates of a network call per image: convolutions, attention, linear layers.

    1.85 GMAC for the papers' network at N = 32. Norms and activations are not counted.
    """
    b, size, embedding = settings.model.base_channels, settings.data.size, settings.model.embedding

    def double_conv(side: int, channels: int, features: int, middle: int | None = None) -> int:
        middle = middle or features
        return 9 * side**2 * (channels * middle + middle * features)

    def attention(side: int, channels: int) -> int:
        tokens = side**2 if settings.model.attention else 0
        return tokens * 6 * channels**2 + 2 * tokens**2 * channels

    def down(side: int, channels: int, features: int) -> int:
        convolutions = double_conv(side, channels, channels) + double_conv(side, channels, features)
        return convolutions + embedding * features + attention(side, features)

    def up(side: int, channels: int, features: int) -> int:
        convolutions = double_conv(side, channels, channels) + double_conv(side, channels, features, channels // 2)
        return convolutions + embedding * features + attention(side, features)

    n1, n2, n4, n8 = (-(-size // k) for k in (1, 2, 4, 8))
    total = double_conv(n1, 1, b)
    total += down(n2, b, 2 * b) + down(n4, 2 * b, 4 * b) + down(n8, 4 * b, 4 * b)
    total += double_conv(n8, 4 * b, 8 * b) + double_conv(n8, 8 * b, 8 * b) + double_conv(n8, 8 * b, 4 * b)
    total += up(n4, 8 * b, 2 * b) + up(n2, 4 * b, b) + up(n1, 2 * b, b)
    return total + n1**2 * b


def layer4(settings: Settings) -> list[int]:
    """Return the shape of a sample's recorded tensors: [N / 2, N / 2, b], halves rounded up."""
    side = -(-settings.data.size // 2)
    return [side, side, settings.model.base_channels]


def network_calls(settings: Settings) -> int:
    """Return the number of network calls per sample."""
    evaluation = settings.evaluation
    return settings.diffusion.timesteps if evaluation.sampler == "ancestral" else evaluation.sampler_steps


class ProgramTotals(NamedTuple):
    """Sizes and cost of all members of a compiled program.

    Attributes:
      samples, label_rows, parameters: largest of any member; samples of an evaluation, those at common labels too.
      params_bytes, state_bytes: of one checkpoint of all members.
      training, sampling, common: FLOP; measures on true images count as sampling. The last is the part of it that is
        spent on common labels.
      two_core_seconds, v5e_seconds: at the rates above.
    """

    samples: int
    label_rows: int
    parameters: int
    params_bytes: int
    state_bytes: int
    training: float
    sampling: float
    common: float
    two_core_seconds: float
    v5e_seconds: float


def program_totals(members: Sequence[Member], analyses: Sequence[str] = ()) -> ProgramTotals:
    """Return sizes and cost of the members of a program; `analyses` as of `describe`."""
    settings = members[0].settings
    evaluation, train = settings.evaluation, settings.train
    small = {"size": 2**POOLINGS, "diffusion": Diffusion(), "batch_size": 1, "log_every": 1, "schedule": "constant"}
    state = _state(dataclasses.replace(settings.program, **small))  # what does not change the shapes is as in others
    settled = {member.settings.data: member.settings for member in members}
    rows = {data: int(source_of(one).table().count) for data, one in settled.items()}
    drawn = [
        labels_drawn(evaluation.label_source, evaluation.num_samples, settings.data.size, rows[member.settings.data])
        for member in members
    ]
    flop, evaluations = 2 * forward_macs(settings), [len(member.settings.evaluation_steps) for member in members]
    steps = sum(member.settings.train.steps for member in members)
    training = float(TRAIN_PASSES * flop * steps * train.batch_size)
    per_sample = float(flop * network_calls(settings))
    sampled = np.dot(evaluations, drawn)  # labels over all evaluations of all members
    common = per_sample * sum(evaluations) * evaluation.num_common
    # a forward pass each, beside the samples': see `training.true_images`
    passes = len(settings.diffusion.field_timesteps) * evaluation.layer_fields
    true_images = passes * sampled + evaluation.num_validation * sum(evaluations)
    sampling = per_sample * sampled + common + float(flop * true_images)
    cloud = CLOUDS * sum(CLOUD_SECONDS[group] for group in analyses)
    analysis = cloud * np.dot(evaluations, [(labels / 256) ** 2 for labels in drawn])
    return ProgramTotals(
        max(drawn) + evaluation.num_common,
        max(rows.values()),
        parameter_count(state.params),
        len(members) * (_bytes(state.params) + _bytes(state.ema)),
        len(members) * _bytes(state),
        training,
        sampling,
        common,
        training / TRAIN_RATE + sampling / SAMPLE_RATE + analysis / 2,
        training / V5E_TRAIN_RATE + sampling / V5E_SAMPLE_RATE,
    )


def describe(settings: Settings, trained: bool = True, analyses: Sequence[str] = ()) -> dict[str, Any]:
    """Return sizes and cost of a whole grid, without allocating any of it.

    Args:
      settings: of the grid.
      trained: whether it is trained; an experiment computed without training has no members and no cost.
      analyses: groups of `representation.GROUPS` that analyze every checkpoint.

    Returns:
      "members", "axes" (name -> number of values), "programs" (compiled one after another), "steps", "batch",
      "evaluations", "evaluation_steps", "samples" (per member and evaluation),
      "parameters" (per member), "label_rows" (largest table), "layer4" (shape of a sample's representation),
      "params_checkpoint_bytes" and "state_checkpoint_bytes" (a save of all members), "keep" (the default of
      `storage.KEEPS`), "checkpoints_bytes" (of a finished run by it), "training_pflop" and "sampling_pflop" (hand
      count, all members), "common_pflop" (the part of sampling that common labels take), "two_core_minutes" (of a
      small preset on two CPU cores, at the rates above; larger networks reach other rates), "v5e_chip_hours" (of the
      papers' network on a TPU v5e chip; `plan` predicts that of a grid on many).
    """
    grid = Grid(settings)
    programs = grid.programs if trained else []
    totals = [program_totals(members, analyses) for members in programs]
    evaluations = grid.evaluation_steps if trained else ()

    def total(name: str) -> float:
        return sum(getattr(program, name) for program in totals)

    def largest(name: str) -> int:
        return max((getattr(program, name) for program in totals), default=0)

    params_bytes, state_bytes = round(total("params_bytes")), round(total("state_bytes"))
    keep = default_keep(evaluations, params_bytes, state_bytes) if trained else ALL
    return {
        "members": sum(map(len, programs)),
        "axes": {name: len(values) for name, values in grid.axes.items()},
        "programs": len(programs),
        "steps": grid.evaluation_steps[-1],
        "batch": settings.train.batch_size,
        "evaluations": len(evaluations),
        "evaluation_steps": list(evaluations),
        "samples": largest("samples"),
        "parameters": largest("parameters"),
        "label_rows": largest("label_rows"),
        "layer4": layer4(settings),
        "params_checkpoint_bytes": params_bytes,
        "state_checkpoint_bytes": state_bytes,
        "keep": keep,
        "checkpoints_bytes": finished_bytes(keep, evaluations, params_bytes, state_bytes) if trained else 0,
        "training_pflop": total("training") / 1e15,
        "sampling_pflop": total("sampling") / 1e15,
        "common_pflop": total("common") / 1e15,
        "two_core_minutes": total("two_core_seconds") / 60,
        "v5e_chip_hours": total("v5e_seconds") / 3600,
    }


def _bytes(tree: Any) -> int:
    return sum(math.prod(leaf.shape) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


@functools.cache
def _state(program: Program) -> step.MemberState:
    """Return the shapes of a member's state."""
    return jax.eval_shape(functools.partial(step.initial_state, program), jnp.uint32(0))
