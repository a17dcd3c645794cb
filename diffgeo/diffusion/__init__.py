"""Denoising diffusion: the forward process and its loss, and the reverse-process samplers."""

from diffgeo.diffusion.process import (
    DenoiseFn,
    Schedule,
    denoising_loss,
    from_settings,
    predicting_noise,
    q_sample,
)
from diffgeo.diffusion.samplers import (
    ReverseSteps,
    ancestral_coefficients,
    coefficients,
    ddim_coefficients,
    ddim_steps,
    initial_noise,
    run_reverse,
)

__all__ = [
    "DenoiseFn",
    "ReverseSteps",
    "Schedule",
    "ancestral_coefficients",
    "coefficients",
    "ddim_coefficients",
    "ddim_steps",
    "denoising_loss",
    "from_settings",
    "initial_noise",
    "predicting_noise",
    "q_sample",
    "run_reverse",
]
