"""How a run uses its devices: which mapping, and how many members at once."""

from collections.abc import Sequence
from dataclasses import dataclass

import jax

from diffgeo.errors import UserError
from diffgeo.grid import Member
from diffgeo.limits import check_remat
from diffgeo.mapping.loop import Loop
from diffgeo.mapping.sharded import Sharded

MAPPINGS = ("auto", "loop", "sharded")
STEPS_PER_CALL = {"loop": 10, "sharded": 100}


@dataclass(frozen=True)
class Layout:
    """How a run uses its devices; changes no number beyond rounding.

    Attributes:
      mapping: one of `MAPPINGS`.
      steps_per_call: training steps between two looks at the loss (for "sharded": of one compiled scan).
      data_parallel: devices that share one member's batch ("sharded" only).
      members_per_device: at most so many members at once on a device; None takes all that fit its memory.
      remat: one of `limits.REMAT`; "blocks" trains in less memory and a third more work.
    """

    mapping: str = "auto"
    steps_per_call: int | None = None
    data_parallel: int = 1
    members_per_device: int | None = None
    remat: str = "none"

    def __post_init__(self):
        if self.mapping not in MAPPINGS:
            raise UserError(f"unknown mapping {self.mapping!r}: choose one of {', '.join(MAPPINGS)}")
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
        """Steps of one call of `advance`."""
        return self.steps_per_call or STEPS_PER_CALL[self.chosen]

    @property
    def member_devices(self) -> int:
        """Devices, or groups of `data_parallel` devices, that members are spread over."""
        devices = jax.device_count()
        if devices % self.data_parallel:
            raise UserError(f"data_parallel={self.data_parallel} does not divide the {devices} devices")
        return devices // self.data_parallel

    def over(self, members: Sequence[Member], rows: int, devices=None) -> Loop | Sharded:
        """The members of one wave, mapped; `rows` is the length that every label table is padded to."""
        devices = jax.devices() if devices is None else devices
        if self.chosen == "loop":
            return Loop(members, rows, devices, self.remat)
        return Sharded(members, rows, devices, self.data_parallel, self.remat)


def members_that_fit(bytes_per_member: int, bytes_limit: int) -> int:
    """How many members' programs fit a device's memory, a tenth kept free; raises `UserError` if none does."""
    fit = int(0.9 * bytes_limit // max(bytes_per_member, 1))
    if fit < 1:
        raise UserError(
            f"one member needs {bytes_per_member / 2**30:.2f} GiB and the device has {bytes_limit / 2**30:.2f}: "
            "lower train.batch or pass --data_parallel"
        )
    return fit


def bytes_per_member(training, sampling) -> int:
    """Bytes of a device that a member takes, from the compiler's analyses of its two programs.

    A member's state stays while it is sampled, so it counts beside the temporaries of either program.
    """

    def beside(memory) -> int:
        return memory.temp_size_in_bytes + memory.output_size_in_bytes - memory.alias_size_in_bytes

    return training.argument_size_in_bytes + max(beside(training), beside(sampling))


def device_memory() -> int | None:
    """Bytes of a device, or None if it does not tell."""
    return (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")


def members_at_once(layout: Layout, program: Sequence[Member], rows: int, labels: int, record: bool) -> int:
    """Members of one wave of a program: what the layout says, or what the devices' memory holds.

    Args:
      layout: how the devices are used.
      program: members that share a compiled program.
      rows: length of their label tables.
      labels: at which each is sampled.
      record: whether their tensors are recorded then.
    """
    groups = layout.member_devices
    if layout.members_per_device is not None:
        return layout.members_per_device * groups
    limit = device_memory()
    if layout.chosen == "loop" or limit is None:
        return len(program)  # states are small beside the activations, of which a thread holds one member's
    one_each = layout.over([program[0]] * groups, rows)
    training, sampling = one_each.lower(1), one_each.lower_sampler(labels, record)
    needed = bytes_per_member(*(lowered.compile().memory_analysis() for lowered in (training, sampling)))
    return members_that_fit(needed, limit) * groups
