"""How a run uses its devices: which ensemble, and how many members at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import jax

from diffgeo.data import label_tables
from diffgeo.data.label_tables import LabelTable
from diffgeo.data.sources import source_of
from diffgeo.errors import UserError, require_choice
from diffgeo.host.platform import GIB
from diffgeo.settings import Member
from diffgeo.settings.allowed import check_remat
from diffgeo.training.ensemble import Ensemble, stored_bytes
from diffgeo.training.loop import SequentialEnsemble
from diffgeo.training.sharded import ShardedEnsemble

MAPPINGS = ("auto", "loop", "sharded")
STEPS_PER_CALL = {"loop": 10, "sharded": 100}


@dataclass(frozen=True)
class Placement:
    """How a run uses its devices; changes no number beyond rounding.

    Attributes:
      mapping: "loop" for a `SequentialEnsemble`, "sharded" for a `ShardedEnsemble`, "auto" for the first on CPU and the
        second elsewhere.
      steps_per_call: training steps between two looks at the loss (for "sharded": of one compiled scan).
      data_parallel: devices that share one member's batch ("sharded" only).
      members_per_device: at most this many members at once on a device; None takes all that fit its memory.
      remat: one of `allowed.REMAT`; "blocks" trains in less memory and with a third more work.

    Raises:
      UserError: for an unknown mapping or remat, a number under 1, or `data_parallel` with "loop".
    """

    mapping: str = "auto"
    steps_per_call: int | None = None
    data_parallel: int = 1
    members_per_device: int | None = None
    remat: str = "none"

    def __post_init__(self):
        require_choice("mapping", self.mapping, MAPPINGS)
        check_remat(self.remat)
        for name in ("steps_per_call", "data_parallel", "members_per_device"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise UserError(f"{name}={value} must be at least 1")
        if self.chosen == "loop" and self.data_parallel > 1:
            raise UserError(f"data_parallel={self.data_parallel} needs the mapping 'sharded': pass --mapping=sharded")

    @property
    def chosen(self) -> str:
        """ "loop" or "sharded"."""
        if self.mapping != "auto":
            return self.mapping
        alone_on_cpu = jax.default_backend() == "cpu" and jax.process_count() == 1
        return "loop" if alone_on_cpu and self.data_parallel == 1 else "sharded"

    @property
    def chunk(self) -> int:
        """Steps of one call of `Ensemble.train_steps`."""
        return self.steps_per_call or STEPS_PER_CALL[self.chosen]

    @property
    def member_devices(self) -> int:
        """Devices, or groups of `data_parallel` devices, that members are spread over."""
        devices = jax.device_count()
        if devices % self.data_parallel:
            raise UserError(f"data_parallel={self.data_parallel} does not divide the {devices} devices")
        return devices // self.data_parallel

    def place(self, members: Sequence[Member], tables: LabelTable, devices: Sequence[Any] | None = None) -> Ensemble:
        """Return the ensemble of one wave's members and their stacked tables, on all devices unless some are given."""
        devices = jax.devices() if devices is None else devices
        if self.chosen == "loop":
            return SequentialEnsemble(members, tables, devices, self.remat)
        return ShardedEnsemble(members, tables, devices, self.data_parallel, self.remat)


def members_that_fit(bytes_per_member: int, bytes_limit: int, shared: int = 0) -> int:
    """Return how many members' programs fit a device's memory, a tenth kept free; raise `UserError` if none does.

    Args:
      bytes_per_member: of one member alone.
      bytes_limit: of a device.
      shared: bytes that it holds once for all its members, part of both.
    """
    fit = int((0.9 * bytes_limit - shared) // max(bytes_per_member - shared, 1))
    if fit < 1:
        raise UserError(
            f"one member needs {bytes_per_member / GIB:.2f} GiB and the device has {bytes_limit / GIB:.2f}: "
            "lower train.batch_size or pass --data_parallel"
        )
    return fit


def bytes_per_member(training, sampling) -> int:
    """Return the bytes of a device that a member takes, from the compiler's memory analyses of its two programs.

    A member's state stays while it is sampled, so it counts beside the temporaries of either program.
    """

    def beside(memory) -> int:
        return memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes

    return training.argument_size_in_bytes + max(beside(training), beside(sampling))


def device_memory() -> int | None:
    """Return the bytes of a device, or None if it does not tell."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def members_at_once(placement: Placement, program: Sequence[Member], rows: int, labels: int, record: bool) -> int:
    """Return the members of one wave of a program: what the placement says, or what the devices' memory holds.

    Args:
      placement: how the devices are used.
      program: members that share a compiled program.
      rows: length of their label tables.
      labels: S, at which each is sampled.
      record: whether their tensors are recorded then.
    """
    groups = placement.member_devices
    if placement.members_per_device is not None:
        return placement.members_per_device * groups
    limit = device_memory()
    if placement.chosen == "loop" or limit is None:
        return len(program)  # states are small beside the activations, of which a thread holds one member's
    table = source_of(program[0].settings).table()
    one_each = placement.place([program[0]] * groups, label_tables.stack([table] * groups, rows))
    training, sampling = one_each.lower(1), one_each.lower_sampler(labels, record)
    needed = bytes_per_member(*(lowered.compile().memory_analysis() for lowered in (training, sampling)))
    shared = stored_bytes(program[0].settings.program)
    return members_that_fit(needed, limit, shared) * groups
