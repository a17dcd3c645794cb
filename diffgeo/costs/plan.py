"""Memory and time of a run on absent devices: its real programs compiled for a TPU topology, and a roofline model.

The compiler reports memory, operations and bytes of each device's program; the rest is arithmetic.
"""

import functools
import hashlib
import itertools
import json
import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax

from diffgeo.costs import by_hand, hlo_traffic
from diffgeo.costs.chips import Chip, Target
from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.data.sources import source_of
from diffgeo.errors import UserError, one_line
from diffgeo.host.platform import GIB, compiling_for
from diffgeo.host.runtime import usable_cores
from diffgeo.settings import Grid, Member, Settings
from diffgeo.training import Ensemble, sampling, step, stored_bytes

ROWS = 2**17  # label tables are padded to these, 1 MB a member: grids that differ only in tables share a program
COLLECTIVE = re.compile(
    r"\b(all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|collective-broadcast)(?:-start)?\("
)
FORMULA = "seconds of a program = max(FLOPs / peak FLOP/s, bytes accessed / HBM bytes/s), per device"
LOOPS = "the compiler counts a loop's body once: a sampling program's cost is that of one network call times its calls"


class ProgramCost(NamedTuple):
    """The compiler's figures of a device's program.

    Attributes:
      flops: operations of a call; bodies of loops count once.
      bytes: accessed by a call as counted by the compiler, in HBM and on the chip.
      arguments, temporaries, outputs: bytes of HBM; outputs without those that reuse arguments.
      collectives: name -> count.
      moved, touched: bytes between HBM and the chip in a call, and of its operations; see `hlo_traffic.Traffic`.
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
        """Bytes of HBM that a call needs."""
        return self.arguments + self.temporaries + self.outputs

    def seconds(self, chip: Chip) -> float:
        """Return the seconds of a call by `FORMULA`."""
        return max(self.flops / chip.flops, self.bytes / chip.bandwidth)


class TooLarge(Exception):
    """Raised when a program does not fit the devices; carries the compiler's message."""


@dataclass(frozen=True)
class _Lowered:
    """A program to compile for a topology, hashed by its text."""

    topology: str
    digest: str
    lowered: jax.stages.Lowered = field(compare=False)


def compiled(lower: Callable[[], jax.stages.Lowered], target: Target) -> ProgramCost:
    """Compile the result of `lower()`, equal programs once; raise `TooLarge` if the compiler rejects it."""
    with compiling_for(target.platform):
        program = lower()
    digest = hashlib.sha256(program.as_text().encode()).hexdigest()
    figures = _figures(_Lowered(target.topology, digest, program))
    if isinstance(figures, str):
        raise TooLarge(figures)
    return figures


@functools.cache
def _figures(lowered: _Lowered) -> ProgramCost | str:
    """Return the compiler's figures, or its message if the program is too large."""
    try:
        executable = lowered.lowered.compile()
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return one_line(error, 300)
    costs: Any = executable.cost_analysis()
    memory: Any = executable.memory_analysis()
    text = executable.as_text() or ""
    return ProgramCost(
        costs["flops"],
        costs["bytes accessed"],
        memory.argument_size_in_bytes,
        memory.temp_size_in_bytes,
        memory.output_size_in_bytes - memory.alias_size_in_bytes,
        dict(Counter(COLLECTIVE.findall(text))),
        *map(float, hlo_traffic.read(text)),
    )


def checked(program: ProgramCost, target: Target) -> ProgramCost:
    """Return the program; raise `TooLarge` if it exceeds the devices' memory."""
    if program.hbm > target.chip.hbm:
        raise TooLarge(
            f"arguments {program.arguments / GIB:.2f} GiB, temporaries {program.temporaries / GIB:.2f} GiB, "
            f"outputs {program.outputs / GIB:.2f} GiB"
        )
    return program


def ensemble(members: Sequence[Member], per_device: int, rows: int, target: Target) -> Ensemble:
    """Return an ensemble of this many members on each device of the target, repeating members if there are fewer."""
    count = 1 if target.loops else per_device * target.groups
    repeated = list(itertools.islice(itertools.cycle(members), count))
    distinct = {member.settings.data: source_of(member.settings).table() for member in repeated}
    tables = label_tables.stack([distinct[member.settings.data] for member in repeated], rows)
    return target.placement.place(repeated, tables, target.devices)


def sequential(program: ProgramCost, members: int, shared: int = 0) -> ProgramCost:
    """Return the cost of a member's program run for each member, on as many threads as there are cores.

    Args:
      program: of one member.
      members: how many.
      shared: bytes of its arguments that all members share.
    """
    threads = min(members, usable_cores())
    return ProgramCost(
        members * program.flops,
        members * program.bytes,
        members * (program.arguments - shared) + shared,
        threads * program.temporaries,
        members * program.outputs,
        program.collectives,
        members * program.moved,
        members * program.touched,
    )


def training_step(members: Sequence[Member], per_device: int, rows: int, target: Target) -> ProgramCost:
    """Return the cost of a training step of this many members on every device; raise `TooLarge`."""
    program = compiled(lambda: ensemble(members, per_device, rows, target).lower(1), target)
    shared = stored_bytes(members[0].settings.program)
    return checked(sequential(program, per_device, shared) if target.loops else program, target)


def sampler(
    members: Sequence[Member], per_device: int, rows: int, target: Target, labels: int, record: bool
) -> ProgramCost:
    """Return the cost of sampling this many members on every device; raise `TooLarge`."""
    program = compiled(lambda: ensemble(members, per_device, rows, target).lower_sampler(labels, record), target)
    return checked(sequential(program, per_device) if target.loops else program, target)


def largest_fit(members: Sequence[Member], rows: int, target: Target) -> tuple[int, ProgramCost]:
    """Return the members per device, as many as fit up to the placement's limit, and the cost of their training step.

    Raises:
      UserError: if the placement's `members_per_device` do not fit, or not even one; the message says how many do.
    """
    limit = target.placement.members_per_device
    wanted = -(-len(members) // target.groups)
    if limit:
        wanted = min(limit, wanted)
    memory = f"{target.topology} with {target.chip.hbm / GIB:.2f} GiB"

    def step(count: int) -> ProgramCost:
        return training_step(members, count, rows, target)

    try:
        return wanted, step(wanted)
    except TooLarge as error:
        least, message = wanted, str(error)
    if wanted > 1:
        try:
            single = step(1)
        except TooLarge as error:
            least, message = 1, str(error)
        else:
            # but for stored images, memory grows in proportion to the number of members on a device
            shared = stored_bytes(members[0].settings.program)
            most = int((target.chip.hbm - shared) // (single.hbm - shared))
            for count in range(min(most, wanted - 1), 0, -1):
                try:
                    program = single if count == 1 else step(count)
                except TooLarge:
                    continue
                if limit:
                    raise UserError(
                        f"{wanted} members a device do not fit {memory} ({message}): {count} do, "
                        f"pass --members_per_device={count}"
                    )
                return count, program
    raise UserError(
        f"{least} member a device does not fit {memory} ({message}), 0 do: "
        "lower train.batch_size or pass --data_parallel"
    )


def plan(settings: Settings, target: Target, analyses: bool = False) -> dict[str, Any]:
    """Plan a grid on a target; compiles every program once or a few times.

    Args:
      settings: of the grid.
      target: devices and their use.
      analyses: whether the run records the network's tensors at every evaluation.

    Returns:
      Plain JSON: "topology", "chip", "devices", "formula", "programs" (a dict per compiled program: members, waves,
      memory, cost, seconds), "seconds" of the whole run, "checkpoints_bytes", "host_ram_bytes" (of the fullest
      process).

    Raises:
      UserError: if a program does not fit.
    """
    grid = Grid(settings)
    sizes = by_hand.describe(settings)
    programs = [_plan_program(members, target, analyses) for members in grid.programs]
    return {
        "topology": target.topology,
        "chip": {name: getattr(target.chip, name) for name in ("name", "flops", "bandwidth", "hbm", "source")},
        "devices": len(target.devices),
        "processes": len({device.process_index for device in target.devices}),
        "members": sizes["members"],
        "formula": f"{FORMULA}; {LOOPS}",
        "programs": programs,
        "seconds": sum(program["seconds"] for program in programs),
        "checkpoints_bytes": sizes["checkpoints_bytes"],
        "host_ram_bytes": max(program["host_ram_bytes"] for program in programs),
    }


def _plan_program(members: Sequence[Member], target: Target, analyses: bool) -> dict[str, Any]:
    """Plan the members of a compiled program."""
    settings = members[0].settings
    counts = [int(source_of(member.settings).table().count) for member in members]
    rows = max(ROWS, *counts)
    evaluation = settings.evaluation
    drawn = labels_drawn(evaluation.label_source, evaluation.num_samples, settings.data.size, max(counts))
    labels = drawn + evaluation.num_common
    per_device, step = largest_fit(members, rows, target)
    at_once = per_device * target.groups
    try:
        samples = sampler(members, per_device, rows, target, labels, analyses)
    except TooLarge as error:
        fix = f"pass --members_per_device={per_device // 2}" if per_device > 1 else "lower evaluation.num_samples"
        raise UserError(
            f"sampling {labels} labels of {per_device} members a device does not fit {target.topology} "
            f"with {target.chip.hbm / GIB:.2f} GiB ({error}): {fix}"
        ) from error
    waves = -(-len(members) // at_once)
    with compiling_for(target.platform):
        chunks = sampling.network_calls(labels)
    calls = by_hand.network_calls(settings) * chunks
    steps = sorted({step for member in members for step in member.settings.evaluation_steps})
    step_seconds, call_seconds = step.seconds(target.chip), samples.seconds(target.chip)
    forward = 2 * by_hand.forward_macs(settings)
    model_steps = per_device / target.placement.data_parallel  # of a device in a step
    return {
        "coordinates": {} if len(members) == 1 else dict(members[0].coordinates),
        "members": len(members),
        "members_per_device": per_device,
        "members_at_once": min(at_once, len(members)),
        "waves": waves,
        "members_repeated": -len(members) % target.groups,
        "training": _report(step, target.chip)
        | {
            "flops_per_model_step": step.flops / model_steps,
            "flops_per_model_step_by_hand": by_hand.TRAIN_PASSES * forward * settings.train.batch_size,
            "bytes_per_model_step": step.bytes / model_steps,
            "moved_per_model_step": step.moved / model_steps,
            "touched_per_model_step": step.touched / model_steps,
            "batch_per_device": settings.train.batch_size // target.placement.data_parallel,
            "seconds_per_step": step_seconds,
        },
        "sampling": _report(samples, target.chip)
        | {
            "labels": labels,
            "common_labels": evaluation.num_common,
            "network_calls": calls,
            "flops_per_call_by_hand": forward * -(-labels // chunks) * per_device,
            "seconds_per_evaluation": calls * call_seconds,
        },
        "training_seconds": waves * steps[-1] * step_seconds,
        "sampling_seconds": waves * len(steps) * calls * call_seconds,
        "seconds": waves * (steps[-1] * step_seconds + len(steps) * calls * call_seconds),
        "host_ram_bytes": _host_ram(settings, target, per_device, min(at_once, len(members)), labels, analyses),
    }


def _report(program: ProgramCost, chip: Chip) -> dict[str, Any]:
    """Return a program's figures and its bound, compute or memory."""
    bound = "compute" if program.flops / chip.flops > program.bytes / chip.bandwidth else "memory"
    return {**program._asdict(), "hbm": program.hbm, "bound": bound}


def _host_ram(settings: Settings, target: Target, per_device: int, members: int, labels: int, analyses: bool) -> int:
    """Return the bytes of arrays on the fullest host: its members' states during a save, samples, recorded tensors.

    Samples are those of all members of a wave; in a loop, of the members being sampled, queued, and read out.
    """
    state = jax.eval_shape(lambda: step.initial_state(settings.program, 0))
    state_bytes = sum(math.prod(x.shape) * x.dtype.itemsize for x in jax.tree.leaves(state))
    local_devices = max(Counter(device.process_index for device in target.devices).values())
    local_members = local_devices * per_device / target.placement.data_parallel
    pixels = settings.data.size**2
    recorded = 4 * math.prod(by_hand.layer4(settings))  # three tensors and the proxy, added to samples and true images
    if target.loops:
        members = min(members, usable_cores() + 3)
    numbers = 2 * pixels + recorded if analyses else pixels
    return int(state_bytes * local_members + 4 * members * labels * numbers)


def as_text(report: Mapping[str, Any]) -> str:
    """Format a plan for people."""
    chip = report["chip"]
    lines = [
        f"{report['topology']}: {report['devices']} devices in {report['processes']} processes; "
        f"{chip['flops'] / 1e12:.0f} TFLOP/s, "
        f"{chip['bandwidth'] / 1e9:.0f} GB/s, {chip['hbm'] / GIB:.0f} GiB each ({chip['source']})",
        report["formula"],
    ]
    for program in report["programs"]:
        training, sampled = program["training"], program["sampling"]
        lines += [
            f"{program['members']} members, {program['members_per_device']} a device, {program['waves']} waves of "
            f"{program['members_at_once']}",
            f"  training step: {training['hbm'] / GIB:.2f} GiB a device, per model "
            f"{training['flops_per_model_step'] / 1e9:.1f} GFLOP ({training['flops_per_model_step_by_hand'] / 1e9:.1f} "
            f"by hand) and {training['bytes_per_model_step'] / 1e9:.2f} GB "
            f"accessed ({training['touched_per_model_step'] / 1e9:.2f} by its operations, "
            f"{training['moved_per_model_step'] / 1e9:.2f} to and from HBM), collectives "
            f"{json.dumps(training['collectives'])}, {1e3 * training['seconds_per_step']:.2f} ms ({training['bound']})",
            f"  sampling {sampled['labels']} labels, {sampled['common_labels']} of them common: "
            f"{sampled['hbm'] / GIB:.2f} GiB a device, collectives "
            f"{json.dumps(sampled['collectives'])}, {sampled['seconds_per_evaluation']:.1f} s an evaluation "
            f"({sampled['bound']})",
            f"  training {program['training_seconds'] / 3600:.2f} h, "
            f"sampling {program['sampling_seconds'] / 3600:.2f} h",
        ]
        if program["members_repeated"]:
            lines.append(
                f"  {program['members']} members do not divide over the devices: the spare slots of the last wave "
                f"({program['members_repeated']}) repeat members, whose results are dropped"
            )
    lines.append(
        f"in all {report['seconds'] / 3600:.2f} h, "
        f"{report['host_ram_bytes'] / 1e9:.3g} GB of memory on the fullest host"
    )
    return "\n".join(lines)
