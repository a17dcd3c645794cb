"""Devices that plans are made for: published rates, and compile-only descriptions of absent TPUs."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import jax

from diffgeo.costs import timing
from diffgeo.errors import UserError, one_line
from diffgeo.host.platform import GIB
from diffgeo.training import Placement

COPIED = 2**28  # bytes copied to measure the host's memory bandwidth


@dataclass(frozen=True)
class Chip:
    """Published rates of a device.

    Attributes:
      name: as in `--topology`, or "host".
      flops: peak FLOP/s of bfloat16 matrix products; float32 ones run as single bfloat16 passes by default.
      bandwidth: HBM bytes/s.
      hbm: bytes available to a program, slightly below the published figure.
      one_host: shape of a single host, the default topology.
      source: of the rates.
    """

    name: str
    flops: float
    bandwidth: float
    hbm: float
    one_host: str
    source: str


# Read in November 2026. The pages give rates in units of 1e9 and memory as 32 GiB (v4), 16, 95 and 32 GB; the compiler,
# which rejects programs that exceed the numbers here, shows that those are GiB, too. An edition of v5e's page says
# 800 GiB/s, which is 859 GB/s: plans use the smaller.
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
# A v4 or v5p chip's two cores form a single device, as on the real chip; by default v4's are described as two.
MEGACORE = ("v4", "v5p")
COMPILE_ONLY = {
    "TPU_SKIP_MDS_QUERY": "1",
    "TPU_WORKER_HOSTNAMES": "localhost",
    "TPU_ACCELERATOR_TYPE": "v5litepod-8",
    "ALLOW_MULTIPLE_LIBTPU_LOAD": "1",
}
"""libtpu's environment variables to compile without searching for this machine's TPU, which warns, and to let several
processes compile at once."""


@dataclass(frozen=True)
class Target:
    """Devices to plan for.

    Attributes:
      chip: their rates.
      topology: as given, "v5e:2x4".
      devices: descriptions, or this machine's devices.
      placement: how they are used.
    """

    chip: Chip
    topology: str
    devices: Sequence = field(repr=False)
    placement: Placement

    @property
    def loops(self) -> bool:
        """True if members run as a `SequentialEnsemble`, as on a CPU."""
        return self.placement.chosen == "loop"

    @property
    def groups(self) -> int:
        """Number of devices, or of groups that share a member's batch, that hold different members; 1 for a CPU."""
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
        """Platform of the devices: "tpu", or the host's."""
        return self.devices[0].platform


def host_chip() -> Chip:
    """Measure this machine's first device: the rates of a float32 matrix product and of a copy."""
    array = jax.numpy.zeros(COPIED // 4, jax.numpy.float32)
    copy = jax.jit(lambda x: x + 1.0)
    jax.block_until_ready(copy(array))
    bandwidth = 2 * COPIED / min(timing.seconds(lambda: copy(array)) for _ in range(5))
    limit = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    memory = limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    kind = jax.devices()[0].device_kind
    return Chip(kind, timing.matrix_product(), bandwidth, memory, "", "measured here")


def target(topology: str, placement: Placement) -> Target:
    """Return the devices of a topology.

    Args:
      topology: "v5e:2x4", "v4" (a single host), or "host", this machine, whose rates are measured.
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
        import libtpu  # noqa: F401 (loaded by JAX; imported for a clear error if it is missing)
    except ImportError as error:
        raise UserError(
            "the package 'libtpu' is missing, which compiles for TPUs: pip install 'diffgeo[plan]'"
        ) from error
    from jax.experimental import topologies

    for variable, value in COMPILE_ONLY.items():
        os.environ.setdefault(variable, value)
    options: dict[str, Any] = {"chips_per_host_bounds": (1, 1, 1)} if set(shape) <= set("1x") else {}
    if name in MEGACORE:
        options["chip_config_name"] = "megacore"
    try:
        described = topologies.get_topology_desc(platform="tpu", topology_name=f"{name}:{shape}", **options)
    except Exception as error:  # the plugin raises several types
        raise UserError(
            f"unknown topology {topology!r} ({one_line(error, 200)}): choose a shape as v5e:2x4 or v4:2x2x1"
        ) from error
    return Target(CHIPS[name], f"{name}:{shape}", described.devices, placement)
