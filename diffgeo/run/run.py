"""A run as asked for: experiment, preset, settings and placement, without a folder."""

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from diffgeo.experiment import Experiment, Metric, Plot
from diffgeo.settings import Grid, Settings
from diffgeo.training import Placement


@dataclass(frozen=True)
class Run:
    """A run of an experiment at some settings; a `Session` is a run opened in a folder.

    Attributes:
      experiment: name, for the record.
      preset: name, for the record.
      settings: everything that determines the numbers.
      placement: how devices are used; not part of a folder's identity.
      analyses: groups of `representation.GROUPS` to measure every checkpoint by; not part of it either.
      plots: pictures drawn into DIR/figures at the end.
      metrics: measured of every evaluation's samples; not part of it either.
      compute: for a run that trains nothing, the function from its settings to its results.
    """

    experiment: str
    preset: str
    settings: Settings
    placement: Placement = field(default_factory=Placement)
    analyses: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    metrics: tuple[Metric, ...] = ()
    compute: Callable[[Settings], Any] | None = None

    @staticmethod
    def of(
        experiment: Experiment, preset: str, settings: Settings | None = None, placement: Placement | None = None
    ) -> "Run":
        """Return the run of an experiment's preset, with other settings or placement if given.

        Raises:
          UserError: for an unknown preset.
        """
        return Run(
            experiment=experiment.name,
            preset=preset,
            settings=experiment.settings(preset) if settings is None else settings,
            placement=placement or Placement(),
            analyses=experiment.analyses,
            plots=experiment.plots,
            metrics=experiment.metrics,
            compute=experiment.compute,
        )

    def without_plots(self) -> "Run":
        """Return this run with no pictures to draw at its end."""
        return dataclasses.replace(self, plots=())

    @property
    def grid(self) -> Grid:
        """The run's grid."""
        return Grid(self.settings)

    @property
    def identity(self) -> dict[str, Any]:
        """Experiment, preset and settings as plain JSON, which a work folder must agree on."""
        tree = {"experiment": self.experiment, "preset": self.preset, "settings": self.settings.to_json()}
        return json.loads(json.dumps(tree))

    @property
    def attributes(self) -> dict[str, str]:
        """Strings stored with the results."""
        about = {"experiment": self.experiment, "preset": self.preset}
        return about | {"settings": json.dumps(self.settings.to_json())}
