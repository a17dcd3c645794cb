"""One step, many members: how a program is mapped over members and devices, chosen in one place.

* `SequentialEnsemble`, the default on CPU: members one after another, each with buffers of its own, on every core.
  XLA:CPU turns a vmap over convolution kernels into grouped convolutions, 4 to 7 times slower than the members one by
  one.
* `ShardedEnsemble`, the default on accelerators: `jax.shard_map` over a (member, data) mesh, `vmap` over the members of
  a device, `lax.scan` over the steps of a call. Sharding annotations alone would not do: XLA's partitioner gives up on
  the grouped convolution and computes every member on every device.
"""

from diffgeo.training.ensemble import Ensemble, Sampled, fetch, stack_trees, stored_bytes
from diffgeo.training.loop import SequentialEnsemble
from diffgeo.training.placement import Placement, bytes_per_member, members_at_once, members_that_fit
from diffgeo.training.sharded import ShardedEnsemble
from diffgeo.training.true_images import make_layer_geometry, make_validation_loss

__all__ = [
    "Ensemble",
    "Placement",
    "Sampled",
    "SequentialEnsemble",
    "ShardedEnsemble",
    "bytes_per_member",
    "fetch",
    "make_layer_geometry",
    "make_validation_loss",
    "members_at_once",
    "members_that_fit",
    "stack_trees",
    "stored_bytes",
]
