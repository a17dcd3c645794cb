"""Devices that plans are made for: their published rates, and descriptions of those that are not here."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import jax

from diffgeo.costs import timing
from diffgeo.errors import UserError, one_line
from diffgeo.host.platform import GIB
from diffgeo.training import Placement

COPIED = 2**28  # bytes; what the host's memory is timed by


@dataclass(frozen=True)
class Chip:
    """Published rates of one device.

    Attributes:
      name: as in `--topology`, or "host".
      flops: peak FLOP/s of bfloat16 matrix products; float32 ones run as single bfloat16 passes by default.
      bandwidth: HBM bytes/s.
      hbm: bytes that the compiler has for a program, a little under what is published.
      one_host: the topology meant by the bare name.
      source: where the rates stand.
    """

    name: str
    flops: float
    bandwidth: float
    hbm: float
    one_host: str
    source: str


# Read in November 2026. The pages give rates in units of 1e9 and memory as 32 GiB (v4), 16, 95 and 32 GB; the compiler,
# which refuses what exceeds the numbers here, shows that those are GiB, too. An edition of v5e's page says 800 GiB/s,
# which is 859 GB/s: planned with the smaller.
_PAGE = "docs.cloud.google.com/tpu/docs/"
CHIPS = {
    chip.name: chip
    for chip in (
        Chip("v4", 275e12, 1.200e12, 30.75 * GIB, "2x2x1", _PAGE + "v4"),
        Chip("v5e", 197e12, 0.819e12, 15.75 * GIB, "2x4", _PAGE + "v5e"),
        Chip("v5p", 459e12, 2.765e12, 95.74 * GIB, "2x2x1", _PAGE + "v5p"),
        Chip("v6e", 918e12, 1.638e12, 31.25 * GIB, "2x4", _PAGE + "v6e"),
    )
}
# A v4 or v5p chip's two cores as one device, as on a real one; left alone, v4's are described as two.
MEGACORE = ("v4", "v5p")
COMPILE_ONLY = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
"""Variables of libtpu's that let it compile without looking for this machine's TPU, for which it would warn, and beside
other processes that compile."""


@dataclass(frozen=True)
class Target:
    """Devices to plan for.

    Attributes:
      chip: their rates.
      topology: as asked for, "v5e:2x4".
      devices: descriptions, or this machine's own.
      placement: how they are used.
    """

    chip: Chip
    topology: str
    devices: Sequence = field(repr=False)
    placement: Placement

    @property
    def loops(self) -> bool:
        """Whether members run one after another out of one memory, as they do on a CPU."""
        return self.placement.chosen == "loop"

    @property
    def groups(self) -> int:
        """Devices, or groups that share a member's batch, that members are spread over; a CPU's count as one."""
        if self.loops:
            return 1
        if len(self.devices) % self.placement.data_parallel:
            raise UserError(
                f"data_parallel={self.placement.data_parallel} does not divide the {len(self.devices)} devices "
                f"of {self.topology}"
            )
        return len(self.devices) // self.placement.data_parallel

    @property
    def platform(self) -> str:
        """ "tpu", or the host's."""
        return self.devices[0].platform


def host_chip() -> Chip:
    """This machine's first device: rates of a float32 matrix product and of a copy, both measured now."""
    array = jax.numpy.zeros(COPIED // 4, jax.numpy.float32)
    copy = jax.jit(lambda x: x + 1.0)
    jax.block_until_ready(copy(array))
    bandwidth = 2 * COPIED / min(timing.seconds(lambda: copy(array)) for _ in range(5))
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    memory = limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    kind = jax.devices()[0].device_kind
    return Chip(kind, timing.matrix_product(), bandwidth, memory, "", "measured here")


def target(topology: str, placement: Placement) -> Target:
    """The devices of a topology.

    Args:
      topology: "v5e:2x4", "v4" (one host of it), or "host", this machine, whose rates are measured.
      placement: how they are used; members are sharded over a TPU's.

    Raises:
      UserError: for an unknown topology, or if the package libtpu is missing.
    """
    if topology == "host":
        return Target(host_chip(), topology, jax.devices(), placement)
    placement = replace(placement, mapping="sharded")
    name, _, shape = topology.partition(":")
    if name not in CHIPS:
        raise UserError(f"unknown topology {topology!r}: choose one of {', '.join(CHIPS)}, as v5e:2x4, or host")
    shape = shape or CHIPS[name].one_host
    try:
        import libtpu  # noqa: F401 (found by JAX; said here if it is missing)
    except ImportError as error:
        raise UserError(
            "the package 'libtpu' is missing, which compiles for TPUs: pip install 'diffgeo[plan]'"
        ) from error
    from jax.experimental import topologies

    for variable, value in COMPILE_ONLY.items():
        os.environ.setdefault(variable, value)
    options = {"chips_per_host_bounds": (1, 1, 1)} if set(shape) <= set("1x") else {}
    if name in MEGACORE:
        options["chip_config_name"] = "megacore"
    try:
        described = topologies.get_topology_desc(platform="tpu", topology_name=f"{name}:{shape}", **options)
    except Exception as error:  # the plugin raises several kinds
        raise UserError(
            f"unknown topology {topology!r} ({one_line(error, 200)}): choose a shape as v5e:2x4 or v4:2x2x1"
        ) from error
    return Target(CHIPS[name], f"{name}:{shape}", described.devices, placement)
