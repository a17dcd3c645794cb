"""Conditional diffusion models on Gaussian bumps: data, training of whole grids, analysis of what they learned.

The packages follow the line of data: `settings`, `data`, `unet` and `diffusion`, `training`, `run`, `results`,
`claims`, `plots`, `report`; beside it `costs` predicts and `bench` measures. Importing `diffgeo` imports none of them,
and no JAX.
"""

__version__ = "0.2.0.dev0"
