"""Settings of a run: what they are, which values are allowed, how they are overridden, the grid they span."""

from diffgeo.settings.grid import Grid, Member
from diffgeo.settings.overrides import override, parse
from diffgeo.settings.presets import COMPARABLE_SPEED, LAPTOP, P2_PAPER, PAPER, TENTHS, TINY, adapt
from diffgeo.settings.schema import (
    SECTIONS,
    STATIC_DATA,
    Axes,
    Data,
    Diffusion,
    Evaluation,
    Model,
    Program,
    Settings,
    Train,
    field_of,
    is_static,
)

__all__ = [
    "COMPARABLE_SPEED",
    "LAPTOP",
    "P2_PAPER",
    "PAPER",
    "SECTIONS",
    "STATIC_DATA",
    "TENTHS",
    "TINY",
    "Axes",
    "Data",
    "Diffusion",
    "Evaluation",
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
