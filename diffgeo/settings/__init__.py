"""Settings of a run: what they are, which values are allowed, how they are overridden, the grid they span."""

from diffgeo.settings.datasets import Dataset, Factor
from diffgeo.settings.grid import Grid, Member
from diffgeo.settings.mapping import Axes
from diffgeo.settings.overrides import override, parse
from diffgeo.settings.presets import (
    COMPARABLE_SPEED,
    FIVE_SEEDS,
    LAPTOP,
    LAPTOP_SPEED,
    P2_PAPER,
    PAPER,
    TENTHS,
    TINY,
    adapt,
)
from diffgeo.settings.schema import Program, Settings
from diffgeo.settings.sections import (
    SECTIONS,
    STATIC_DATA,
    Data,
    Diffusion,
    Evaluation,
    Model,
    Train,
    field_of,
    is_static,
)

__all__ = [
    "COMPARABLE_SPEED",
    "FIVE_SEEDS",
    "LAPTOP",
    "LAPTOP_SPEED",
    "P2_PAPER",
    "PAPER",
    "SECTIONS",
    "STATIC_DATA",
    "TENTHS",
    "TINY",
    "Axes",
    "Data",
    "Dataset",
    "Diffusion",
    "Evaluation",
    "Factor",
    "Grid",
    "Member",
    "Model",
    "Program",
    "Settings",
    "Train",
    "adapt",
    "field_of",
    "is_static",
    "override",
    "parse",
]
