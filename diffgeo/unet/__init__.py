"""The conditional UNet of both papers and its kernels [2402.03305 Fig. 6; 2408.13256 Fig. 7]."""

from diffgeo.unet.probe import Block, activations, describe
from diffgeo.unet.unet import UNet, from_program, initial_parameters, parameter_count

__all__ = ["Block", "UNet", "activations", "describe", "from_program", "initial_parameters", "parameter_count"]
