"""A run as asked for: experiment, preset, settings and placement, without a folder."""

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from diffgeo.claims import rules
from diffgeo.costs.storage import kept_steps
from diffgeo.experiment import Experiment, Metric, Plot, SourceFile
from diffgeo.logs import Logs
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
      keep: which checkpoints stay, one of `storage.KEEPS`; None for what the folder says, or of a new one the default.
        Not part of a folder's identity.
      source: the user's file that declares the experiment, if one does.
      allow_changed: go on in a folder that another version of that file made.
      logs: how it tells of its progress; not part of a folder's identity.
      rules: digests of the claims' rules that a new run stores, see `claims.rules`; not part of a folder's identity.
      finish: measure the representations and draw once all is trained; otherwise `analyze` does, wherever it runs.
    """

    experiment: str
    preset: str
    settings: Settings
    placement: Placement = field(default_factory=Placement)
    analyses: tuple[str, ...] = ()
    plots: tuple[Plot, ...] = ()
    metrics: tuple[Metric, ...] = ()
    compute: Callable[[Settings], Any] | None = None
    keep: str | None = None
    source: SourceFile | None = None
    allow_changed: bool = False
    logs: Logs = field(default_factory=Logs)
    rules: Mapping[str, str] = field(default_factory=dict)
    finish: bool = True

    def __post_init__(self):
        if self.keep is not None:
            kept_steps(self.keep, self.settings.evaluation_steps)  # raises for an unknown one

    @staticmethod
    def of(
        experiment: Experiment,
        preset: str,
        settings: Settings | None = None,
        placement: Placement | None = None,
        keep: str | None = None,
        allow_changed: bool = False,
    ) -> "Run":
        """Return the run of an experiment's preset, with other settings, placement and what follows if given.

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
            keep=keep,
            source=experiment.source,
            rules=rules.stored(experiment.claims),
            allow_changed=allow_changed,
        )

    def without_plots(self) -> "Run":
        """Return this run with no pictures to draw at its end."""
        return dataclasses.replace(self, plots=())

    def with_logs(self, logs: Logs) -> "Run":
        """Return this run, telling of its progress otherwise."""
        return dataclasses.replace(self, logs=logs)

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
        about = {"experiment": self.experiment, "preset": self.preset} | self._source
        return about | dict(self.rules) | {"settings": json.dumps(self.settings.to_json())}

    @property
    def record(self) -> dict[str, Any]:
        """What a new folder's configuration says about the run: its identity, and the user's file behind it."""
        return self.identity | self._source

    @property
    def _source(self) -> dict[str, str]:
        return {} if self.source is None else self.source.record
