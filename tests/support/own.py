"""A user's own file that declares an experiment."""

from pathlib import Path

OWN = """
from diffgeo import plots
from diffgeo.experiment import Experiment, Plot
from diffgeo.settings import TINY, adapt

EXPERIMENT = Experiment(
    name="mine",
    figure="two sigmas",
    claim="wider bumps are easier",
    presets={"tiny": adapt(TINY, {"sigma": (0.5, 1.0)})},
    plots=(Plot("overview", plots.overview),),
)
"""


def write_own(folder: Path, code: str = OWN, name: str = "mine.py") -> Path:
    """Write a file of a user's own; return its path."""
    path = folder / name
    path.write_text(code)
    return path
