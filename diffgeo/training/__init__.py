"""One step, many members: how a program is mapped over members and devices, chosen in one place.

* `Loop`, the default on CPU: members one after another, each with buffers of its own, on every core. XLA:CPU turns
  a vmap over convolution kernels into grouped convolutions, 4 to 7 times slower than the members one by one.
* `Sharded`, the default on accelerators: `jax.shard_map` over a (member, data) mesh, `vmap` over the members of a
  device, `lax.scan` over the steps of a call. Sharding annotations alone would not do: XLA's partitioner gives up on
  the grouped convolution and computes every member on every device.
"""

from diffgeo.mapping.base import Sampled, fetch, stack
from diffgeo.mapping.layout import Layout, bytes_per_member, members_at_once, members_that_fit
from diffgeo.mapping.loop import Loop
from diffgeo.mapping.sharded import Sharded

__all__ = [
    "Layout",
    "Loop",
    "Sampled",
    "Sharded",
    "bytes_per_member",
    "fetch",
    "members_at_once",
    "members_that_fit",
    "stack",
]
