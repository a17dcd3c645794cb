"""Conditional diffusion models on Gaussian bumps: data, training of whole grids, analysis of what they learned."""
