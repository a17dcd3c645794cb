"""What a run takes on devices that are not here: its real programs compiled for a TPU topology, and a roofline.

The compiler tells memory, operations and bytes of each device's program; what follows from them is arithmetic.
"""

import functools
import hashlib
import json
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import jax

from diffgeo.costs import by_hand, hlo_traffic
from diffgeo.costs.chips import Chip, Target
from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.errors import UserError, one_line
from diffgeo.host.platform import GIB, compiling_for
from diffgeo.host.runtime import usable_cores
from diffgeo.settings import Grid, Member, Settings
from diffgeo.training import Ensemble, sampling, step

ROWS = 2**17  # that tables of labels are padded to, 1 MB a member: grids that differ in theirs alone share a program
COLLECTIVE = re.compile(
    r"\b(all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|collective-broadcast)(?:-start)?\("
)
FORMULA = "seconds of a program = max(FLOPs / peak FLOP/s, bytes accessed / HBM bytes/s), per device"
LOOPS = "the compiler counts a loop's body once: a sampling program's cost is that of one network call times its calls"


class ProgramCost(NamedTuple):
    """What the compiler says of one device's program.

    Attributes:
      flops: operations of a call; bodies of loops count once.
      bytes: accessed by a call as the compiler counts them, in HBM and on the chip.
      arguments, temporaries, outputs: bytes of HBM; outputs without those that reuse arguments.
      collectives: name -> number of them.
      moved, touched: bytes between HBM and the chip in a call, and of its operations; see `diffgeo.traffic.Traffic`.
    """

    flops: float
    bytes: float
    arguments: int
    temporaries: int
    outputs: int
    collectives: dict[str, int]
    moved: float = 0.0
    touched: float = 0.0

    @property
    def hbm(self) -> int:
        """Bytes of HBM that a call holds."""
        return self.arguments + self.temporaries + self.outputs

    def seconds(self, chip: Chip) -> float:
        """`FORMULA`."""
        return max(self.flops / chip.flops, self.bytes / chip.bandwidth)


class TooLarge(Exception):
    """A program does not fit the devices, in the compiler's words."""


@dataclass(frozen=True)
class _Lowered:
    """A program to be compiled for a topology, known by its text."""

    topology: str
    digest: str
    lowered: jax.stages.Lowered = field(compare=False)


def compiled(lower, target: Target) -> ProgramCost:
    """Compiles what `lower()` gives, equal programs once; raises `TooLarge` if the compiler refuses it."""
    with compiling_for(target.platform):
        program = lower()
    text = program.as_text()
    figures = _figures(_Lowered(target.topology, hashlib.sha256(text.encode()).hexdigest(), program))
    if isinstance(figures, str):
        raise TooLarge(figures)
    return figures


@functools.cache
def _figures(lowered: _Lowered) -> ProgramCost | str:
    """The compiler's figures, or why the program is too large for it."""
    try:
        done = lowered.lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return one_line(error, 300)
    costs, memory = done.cost_analysis(), done.memory_analysis()
    found: dict[str, int] = {}
    text = done.as_text()
    for name in COLLECTIVE.findall(text):
        found[name] = found.get(name, 0) + 1
    return ProgramCost(
        costs["flops"],
        costs["bytes accessed"],
        memory.argument_size_in_bytes,
        memory.temp_size_in_bytes,
        memory.output_size_in_bytes - memory.alias_size_in_bytes,
        found,
        *map(float, hlo_traffic.read(text)),
    )


def checked(program: ProgramCost, target: Target) -> ProgramCost:
    """The program; raises `TooLarge` if it exceeds the memory."""
    if program.hbm > target.chip.hbm:
        raise TooLarge(
            f"arguments {program.arguments / GIB:.2f} GiB, temporaries {program.temporaries / GIB:.2f} GiB, "
            f"outputs {program.outputs / GIB:.2f} GiB"
        )
    return program


def placed(members: Sequence[Member], per_device: int, rows: int, target: Target) -> Ensemble:
    """Return this many members on each device of the target; the program's members over and over if it has fewer."""
    wanted = 1 if target.loops else per_device * target.groups
    repeated = (list(members) * -(-wanted // len(members)))[:wanted]
    distinct = {member.settings.data: label_tables.build_label_table(member.settings.data) for member in repeated}
    tables = label_tables.stack([distinct[member.settings.data] for member in repeated], rows)
    return target.placement.place(repeated, tables, target.devices)


def in_turn(program: ProgramCost, members: int) -> ProgramCost:
    """One member's program run for each of them, on as many threads as there are cores."""
    beside = min(members, usable_cores())
    return ProgramCost(
        members * program.flops,
        members * program.bytes,
        members * program.arguments,
        beside * program.temporaries,
        members * program.outputs,
        program.collectives,
        members * program.moved,
        members * program.touched,
    )


def training_step(members: Sequence[Member], per_device: int, rows: int, target: Target) -> ProgramCost:
    """One step of so many members on every device; raises `TooLarge`."""
    program = compiled(lambda: placed(members, per_device, rows, target).lower(1), target)
    return checked(in_turn(program, per_device) if target.loops else program, target)


def sampler(
    members: Sequence[Member], per_device: int, rows: int, target: Target, labels: int, record: bool
) -> ProgramCost:
    """Sampling of so many members on every device; raises `TooLarge`."""
    program = compiled(lambda: placed(members, per_device, rows, target).lower_sampler(labels, record), target)
    return checked(in_turn(program, per_device) if target.loops else program, target)


def fitting(members: Sequence[Member], rows: int, target: Target) -> tuple[int, ProgramCost]:
    """Members per device, as many as fit up to what one wave needs or the layout allows, and their training step.

    Raises:
      UserError: if the number allowed by the layout does not fit, or not even one; says how many do.
    """
    asked = target.placement.members_per_device
    wanted = -(-len(members) // target.groups)
    if asked:
        wanted = min(asked, wanted)

    def step(count: int) -> ProgramCost:
        return training_step(members, count, rows, target)

    try:
        return wanted, step(wanted)
    except TooLarge as refused:
        least, told = wanted, str(refused)
    if wanted > 1:
        try:
            one = step(1)
        except TooLarge as refused:
            least, told = 1, str(refused)
        else:
            # what the members of a device take grows in proportion to their number
            for count in range(min(int(target.chip.hbm // one.hbm), wanted - 1), 0, -1):
                try:
                    program = one if count == 1 else step(count)
                except TooLarge:
                    continue
                if asked:
                    raise UserError(
                        f"{wanted} members a device do not fit {target.topology} with {target.chip.hbm / GIB:.2f} GiB "
                        f"({told}): {count} do, pass --members_per_device={count}"
                    )
                return count, program
    raise UserError(
        f"{least} member a device does not fit {target.topology} with {target.chip.hbm / GIB:.2f} GiB ({told}), 0 do: "
        "lower train.batch_size or pass --data_parallel"
    )


def plan(settings: Settings, target: Target, analyses: bool = False) -> dict:
    """What a grid takes on a target; compiles every program once or a few times.

    Args:
      settings: of the grid.
      target: devices and layout.
      analyses: whether the run records the network's tensors at every evaluation.

    Returns:
      Plain JSON: "topology", "chip", "devices", "formula", "programs" (one dict a compiled program: members, waves,
      memory, cost, seconds), "seconds" of the whole run, "checkpoints_bytes", "host_ram_bytes" (of the process that
      holds most).

    Raises:
      UserError: if a program does not fit.
    """
    grid = Grid(settings)
    described = by_hand.describe(settings)
    programs = [_one_program(members, target, analyses) for members in grid.programs]
    return {
        "topology": target.topology,
        "chip": {name: getattr(target.chip, name) for name in ("name", "flops", "bandwidth", "hbm", "source")},
        "devices": len(target.devices),
        "processes": len({device.process_index for device in target.devices}),
        "members": described["members"],
        "formula": f"{FORMULA}; {LOOPS}",
        "programs": programs,
        "seconds": sum(one["seconds"] for one in programs),
        "checkpoints_bytes": described["checkpoints_bytes"],
        "host_ram_bytes": max(one["host_ram_bytes"] for one in programs),
    }


def _one_program(members: Sequence[Member], target: Target, analyses: bool) -> dict:
    settings = members[0].settings
    counts = [int(label_tables.build_label_table(member.settings.data).count) for member in members]
    rows = max(ROWS, *counts)
    evaluation = settings.evaluation
    labels = labels_drawn(evaluation.label_source, evaluation.num_samples, settings.data.size, max(counts))
    per_device, step = fitting(members, rows, target)
    at_once = per_device * target.groups
    try:
        samples = sampler(members, per_device, rows, target, labels, analyses)
    except TooLarge as refused:
        fewer = (
            f"pass --members_per_device={max(1, per_device // 2)}" if per_device > 1 else "lower evaluation.num_samples"
        )
        raise UserError(
            f"sampling {labels} labels of {per_device} members a device does not fit {target.topology} "
            f"with {target.chip.hbm / GIB:.2f} GiB ({refused}): {fewer}"
        ) from refused
    waves = -(-len(members) // at_once)
    with compiling_for(target.platform):
        chunks = sampling.network_calls(labels)
    calls = by_hand.network_calls(settings) * chunks
    evaluations = len(settings.evaluation_steps)
    step_seconds, call_seconds = step.seconds(target.chip), samples.seconds(target.chip)
    forward = 2 * by_hand.forward_macs(settings)
    part = settings.train.batch_size // target.placement.data_parallel
    model_steps = per_device / target.placement.data_parallel  # of a device in one step
    return {
        "coordinates": {} if len(members) == 1 else dict(members[0].coordinates),
        "members": len(members),
        "members_per_device": per_device,
        "members_at_once": min(at_once, len(members)),
        "waves": waves,
        "members_repeated": -len(members) % target.groups,
        "training": _told(step, target.chip)
        | {
            "flops_per_model_step": step.flops / model_steps,
            "flops_per_model_step_by_hand": by_hand.TRAIN_PASSES * forward * settings.train.batch_size,
            "bytes_per_model_step": step.bytes / model_steps,
            "moved_per_model_step": step.moved / model_steps,
            "touched_per_model_step": step.touched / model_steps,
            "batch_per_device": part,
            "seconds_per_step": step_seconds,
        },
        "sampling": _told(samples, target.chip)
        | {
            "labels": labels,
            "network_calls": calls,
            "flops_per_call_by_hand": forward * -(-labels // chunks) * per_device,
            "seconds_per_evaluation": calls * call_seconds,
        },
        "training_seconds": waves * settings.train.steps * step_seconds,
        "sampling_seconds": waves * evaluations * calls * call_seconds,
        "seconds": waves * (settings.train.steps * step_seconds + evaluations * calls * call_seconds),
        "host_ram_bytes": _host_ram(settings, target, per_device, min(at_once, len(members)), labels, analyses),
    }


def _told(program: ProgramCost, chip: Chip) -> dict:
    bound = "compute" if program.flops / chip.flops > program.bytes / chip.bandwidth else "memory"
    return {**program._asdict(), "hbm": program.hbm, "bound": bound}


def _host_ram(settings: Settings, target: Target, per_device: int, members: int, labels: int, analyses: bool) -> int:
    """Bytes of numbers on the fullest host: its members' states while saved, samples and recorded tensors.

    Those of all members of a wave; of a loop those of the members that are drawn, wait and are read out.
    """
    state = jax.eval_shape(lambda: step.initial_state(settings.program, 0))
    own = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    by_process: dict[int, int] = {}
    for device in target.devices:
        by_process[device.process_index] = by_process.get(device.process_index, 0) + 1
    held = max(by_process.values()) * per_device / target.placement.data_parallel
    pixels = settings.data.size**2
    recorded = 4 * math.prod(
        by_hand.layer4(settings)
    )  # three tensors and the proxy; the true images beside the samples
    if target.loops:
        members = min(members, (usable_cores()) + 3)
    numbers = 2 * pixels + recorded if analyses else pixels
    return int(own * held + 4 * members * labels * numbers)


def as_text(told: dict) -> str:
    """The plan in words."""
    chip = told["chip"]
    lines = [
        f"{told['topology']}: {told['devices']} devices in {told['processes']} processes; {chip['flops'] / 1e12:.0f} "
        f"TFLOP/s, {chip['bandwidth'] / 1e9:.0f} GB/s, {chip['hbm'] / GIB:.0f} GiB each ({chip['source']})",
        told["formula"],
    ]
    for one in told["programs"]:
        training, drawing = one["training"], one["sampling"]
        lines += [
            f"{one['members']} members, {one['members_per_device']} a device, {one['waves']} waves of "
            f"{one['members_at_once']}",
            f"  training step: {training['hbm'] / GIB:.2f} GiB a device, per model "
            f"{training['flops_per_model_step'] / 1e9:.1f} GFLOP ({training['flops_per_model_step_by_hand'] / 1e9:.1f} "
            f"by hand) and {training['bytes_per_model_step'] / 1e9:.2f} GB "
            f"accessed ({training['touched_per_model_step'] / 1e9:.2f} by its operations, "
            f"{training['moved_per_model_step'] / 1e9:.2f} to and from HBM), collectives "
            f"{json.dumps(training['collectives'])}, {1e3 * training['seconds_per_step']:.2f} ms ({training['bound']})",
            f"  sampling {drawing['labels']} labels: {drawing['hbm'] / GIB:.2f} GiB a device, collectives "
            f"{json.dumps(drawing['collectives'])}, {drawing['seconds_per_evaluation']:.1f} s an evaluation "
            f"({drawing['bound']})",
            f"  training {one['training_seconds'] / 3600:.2f} h, sampling {one['sampling_seconds'] / 3600:.2f} h",
        ]
        if one["members_repeated"]:
            lines.append(
                f"  {one['members']} members do not divide over the devices: the last wave's places that are left "
                f"({one['members_repeated']}) repeat members, whose results are dropped"
            )
    lines.append(
        f"in all {told['seconds'] / 3600:.2f} h, {told['checkpoints_bytes'] / 1e9:.3g} GB of checkpoints, "
        f"{told['host_ram_bytes'] / 1e9:.3g} GB of memory on the fullest host"
    )
    return "\n".join(lines)
