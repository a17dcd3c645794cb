"""A network in place of the UNet that compiles in a second, for tests of what does not depend on the network."""

import contextlib
import sys
from collections.abc import Iterator
from unittest import mock

import flax.linen as nn
import jax.numpy as jnp

from diffgeo import unet
from diffgeo.settings.allowed import RECORDED
from diffgeo.unet import UNet


class TwoConvolutions(UNet):
    """Conditioned as the UNet is; records its hidden layer."""

    @nn.compact
    def __call__(self, images, t, centers):
        """Return the noise and the recorded tensors."""
        conditioning = jnp.concatenate([t[:, None].astype(jnp.float32) / 20, centers / 8], axis=-1)
        hidden = nn.Conv(4, (3, 3))(images) + nn.Dense(4)(conditioning)[:, None, None]
        noise = nn.Conv(images.shape[-1], (3, 3))(nn.gelu(hidden))
        return noise, dict.fromkeys(RECORDED, hidden)


def two_convolutions(program, remat="none"):
    """Stand for `diffgeo.unet.from_program`."""
    return TwoConvolutions()


@contextlib.contextmanager
def replaced() -> Iterator[None]:
    """Let every program of this process compute `TwoConvolutions`."""
    with mock.patch.object(unet, "from_program", two_convolutions):
        _forget_programs()
        yield
    _forget_programs()


def _forget_programs() -> None:
    """Empty the library's caches: their keys are settings, which do not tell one network from the other.

    Those of the host hold folders and files.
    """
    for name, module in list(sys.modules.items()):
        if name.startswith("diffgeo.") and not name.startswith("diffgeo.host"):
            for function in vars(module).values():
                if hasattr(function, "cache_clear"):
                    function.cache_clear()
