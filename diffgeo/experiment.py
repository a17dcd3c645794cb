"""Declaration of an experiment: a figure, its claim, settings per preset, and its plots."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from diffgeo.claims import Claim
from diffgeo.errors import UserError, suggestion
from diffgeo.settings import Settings


@dataclass(frozen=True)
class Plot:
    """A picture of an experiment.

    Attributes:
      name: file name without its ending, under DIR/figures.
      draw: function from the results' Dataset to a matplotlib Figure.
    """

    name: str
    draw: Callable


@dataclass(frozen=True)
class Experiment:
    """One figure of the papers (and what belongs to it).

    Attributes:
      name: p1_fig4 and the like.
      figure: paper and figure, in words.
      claim: the papers' claim about it, in our words.
      presets: preset name -> settings.
      plots: pictures to draw from the results.
      claims: statements of the papers about it, each tested on the results.
      time: how long it took on two CPU cores, at preset `laptop` (`paper` if nothing is trained).
      expect: outcome of that run.
      analyses: groups of `diffgeo.representation.GROUPS` that every checkpoint's representation is measured by.
      compute: for an experiment that trains nothing, the function from its settings to its results (see
        `diffgeo.data.computed`); None trains the grid.
    """

    name: str
    figure: str
    claim: str
    presets: Mapping[str, Settings]
    plots: tuple[Plot, ...]
    analyses: tuple[str, ...] = ()
    compute: Callable | None = None
    claims: tuple[Claim, ...] = ()
    time: str = ""
    expect: str = ""

    @property
    def trained(self) -> bool:
        """True if models are trained, False for results that follow from the settings alone."""
        return self.compute is None

    def settings(self, preset: str) -> Settings:
        """Return the settings of a preset; raise `UserError` for an unknown one."""
        if preset not in self.presets:
            raise UserError(f"unknown preset {preset!r} of {self.name}{suggestion(preset, self.presets)}")
        return self.presets[preset]
