"""Module of `encodings`: label codes of one length. In a file of its own, since declarations import no JAX."""

import flax.linen as nn
import jax
import jax.numpy as jnp


class EqualNorm(nn.Module):
    """Return PE(t) beside the codes of the label, scaled to the length that sinusoids of this width have."""

    @nn.compact
    def __call__(self, codes: list[jax.Array]) -> jax.Array:
        step, *of_label = codes
        label = jnp.concatenate(of_label, axis=-1)
        length = jnp.sqrt(jnp.sum(label**2, axis=-1, keepdims=True) + 1e-12)
        wanted = (label.shape[-1] / 2) ** 0.5  # half of a sinusoid's entries are sines, each beside its cosine
        return jnp.concatenate([step, label * (wanted / length)], axis=-1)
