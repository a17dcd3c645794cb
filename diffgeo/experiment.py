"""Declaration of an experiment: a figure, its claim, settings per preset, and its plots."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from diffgeo.claims import Claim
from diffgeo.errors import UserError, require, suggestion
from diffgeo.settings import Dataset, Settings


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
class Metric:
    """A measure of samples, stored with the results as `metric_NAME`.

    Attributes:
      name: an identifier.
      measure: function (images uint8[S, N, N] or [S, N, N, C], labels float[S, K], settings) to a float or an array of
        `shape`, on host, of one member's samples at its own labels; `settings` are the member's `Settings`.
      shape: of the result, () for a number.
      description: stored with the variable.

    Raises:
      UserError: for a name that is no identifier.
    """

    name: str
    measure: Callable[..., Any]
    shape: tuple[int, ...] = ()
    description: str = ""

    def __post_init__(self):
        require(self.name.isidentifier(), f"metric {self.name!r} is not a Python identifier: rename it")

    @property
    def variable(self) -> str:
        """Name in the results."""
        return f"metric_{self.name}"

    @property
    def dims(self) -> tuple[str, ...]:
        """Dims of the variable behind the grid's axes and the steps."""
        return tuple(f"{self.variable}_{axis}" for axis in range(len(self.shape)))

    def of(self, images: np.ndarray, labels: np.ndarray, settings: Settings) -> np.ndarray:
        """Measure a member's samples.

        Raises:
          UserError: if the measure has another shape.
        """
        value = np.asarray(self.measure(images, labels, settings), np.float32)
        require(
            value.shape == self.shape,
            f"metric {self.name!r} returns {list(value.shape)} and is declared as {list(self.shape)}: make them agree",
        )
        return value


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
      metrics: measures of one's own of every evaluation's samples.
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
    metrics: tuple[Metric, ...] = ()
    time: str = ""
    expect: str = ""

    def __post_init__(self):
        if len({settings.dataset for settings in self.presets.values()}) > 1:
            raise UserError(f"presets of {self.name!r} have different data sets: declare an experiment for each")

    @property
    def dataset(self) -> Dataset | None:
        """The user's data set, that of the presets; None for the papers'."""
        return next((settings.dataset for settings in self.presets.values()), None)

    @property
    def trained(self) -> bool:
        """True if models are trained, False for results that follow from the settings alone."""
        return self.compute is None

    def settings(self, preset: str) -> Settings:
        """Return the settings of a preset; raise `UserError` for an unknown one."""
        if preset not in self.presets:
            raise UserError(f"unknown preset {preset!r} of {self.name}{suggestion(preset, self.presets)}")
        return self.presets[preset]
