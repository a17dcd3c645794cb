"""Declaration of an experiment: a figure, its claim, settings per preset, and its plots."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from diffgeo.claims import Claim
from diffgeo.errors import UserError, require, suggestion
from diffgeo.settings import Dataset, Settings
from diffgeo.settings.conditionings import Conditioner


@dataclass(frozen=True)
class Plot:
    """A picture of an experiment.

    Attributes:
      name: file name without its ending, under DIR/figures.
      draw: function from the results' Dataset to a matplotlib Figure.

    >>> from functools import partial
    >>> from diffgeo import plots
    >>> Plot("curves", partial(plots.learning_curves, metrics=("accuracy", "loss"), axis=None)).name
    'curves'
    """

    name: str
    draw: Callable


class SourceFile(NamedTuple):
    """File of a user's own that declares an experiment.

    Attributes:
      file: its name without folders, for the record.
      sha256: digest of its bytes, in hexadecimal; what it imports is not part of it.
    """

    file: str
    sha256: str

    @property
    def record(self) -> dict[str, str]:
        """Entries of a run's configuration and of its results' attributes."""
        return {"experiment_file": self.file, "experiment_sha256": self.sha256}


@dataclass(frozen=True)
class Metric:
    """A measure of a model, or of its samples, stored with the results as `metric_NAME`.

    Attributes:
      name: an identifier.
      measure: function (images uint8[S, N, N] or [S, N, N, C], labels float[S, K], settings) to a float or an array of
        `shape`, on host, of one member's samples at its own labels; `settings` are the member's `Settings`. If
        `of_model`, a function of the member itself, a `diffgeo.TrainedMember`.
      shape: of the result, () for a number.
      description: stored with the variable.
      of_model: measure the model, from its checkpoint, once all is trained.
      only_last: measure it at its last training step alone; of models.
      coordinates: in place of `shape`, name of each dim -> its values, stored as dims `NAME_dim`.

    Raises:
      UserError: for a name that is no identifier, a shape beside coordinates, or `only_last` without `of_model`.

    >>> Metric("brightness", lambda images, labels, settings: images.mean()).variable
    'metric_brightness'
    >>> Metric("share", lambda model: ..., of_model=True, coordinates={"layer": ("layer1", "layer4")}).dims
    ('share_layer',)
    """

    name: str
    measure: Callable[..., Any]
    shape: tuple[int, ...] = ()
    description: str = ""
    of_model: bool = False
    only_last: bool = False
    coordinates: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def __post_init__(self):
        require(self.name.isidentifier(), f"metric {self.name!r} is not a Python identifier: rename it")
        require(
            self.of_model or not self.only_last, f"metric {self.name!r} is of samples: only_last is for one of models"
        )
        if self.coordinates:
            require(not self.shape, f"metric {self.name!r} has a shape beside coordinates: leave it out")
            object.__setattr__(self, "shape", tuple(map(len, self.coordinates.values())))

    @property
    def variable(self) -> str:
        """Name in the results, of its variable and of its group in `group_complete`."""
        return f"metric_{self.name}"

    @property
    def dims(self) -> tuple[str, ...]:
        """Dims of the variable behind the grid's axes and the steps."""
        if self.coordinates:
            return tuple(f"{self.name}_{dim}" for dim in self.coordinates)
        return tuple(f"{self.variable}_{axis}" for axis in range(len(self.shape)))

    def of(self, *measured: Any) -> np.ndarray:
        """Measure a member's samples (images, labels, settings), or the member.

        Raises:
          UserError: if the measure has another shape.
        """
        value = np.asarray(self.measure(*measured), np.float32)
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
      source: the user's file that declares it, see `experiments.resolve`; None for a built-in one.

    Raises:
      UserError: for presets of different data sets or conditionings.

    >>> from diffgeo.settings import LAPTOP, adapt
    >>> presets = {"laptop": adapt(LAPTOP, {"learning_rate": (1e-3, 2e-3)})}
    >>> rates = Experiment("rates", "accuracy over learning rates", "half is enough", presets, plots=())
    >>> rates.settings("laptop").axes["learning_rate"]
    (0.001, 0.002)
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
    source: SourceFile | None = None

    def __post_init__(self):
        if len({settings.dataset for settings in self.presets.values()}) > 1:
            raise UserError(f"presets of {self.name!r} have different data sets: declare an experiment for each")
        if any(settings.conditionings != self.conditionings for settings in self.presets.values()):
            raise UserError(f"presets of {self.name!r} have different conditionings: give the same to all of them")

    @property
    def dataset(self) -> Dataset | None:
        """The user's data set, that of the presets; None for the papers'."""
        return next((settings.dataset for settings in self.presets.values()), None)

    @property
    def conditionings(self) -> Mapping[str, Conditioner]:
        """The user's own modules that condition the network, those of the presets."""
        return next((settings.conditionings for settings in self.presets.values()), {})

    @property
    def trained(self) -> bool:
        """True if models are trained, False for results that follow from the settings alone."""
        return self.compute is None

    def settings(self, preset: str) -> Settings:
        """Return the settings of a preset; raise `UserError` for an unknown one."""
        if preset not in self.presets:
            raise UserError(f"unknown preset {preset!r} of {self.name}{suggestion(preset, self.presets)}")
        return self.presets[preset]


def check_source(stored: Mapping[str, Any], source: SourceFile | None, where: str, allow_changed: bool = False) -> None:
    """Check that a stored run was made by the file that is given now.

    Args:
      stored: configuration or attributes with the entries of `SourceFile.record`, if a user's file made the run.
      source: of the experiment at hand.
      where: the run's folder or file, for messages.
      allow_changed: accept another digest.

    Raises:
      UserError: if it was made by a user's file and none is given, or by another version of it.
    """
    digest = stored.get("experiment_sha256")
    if digest is None:
        return
    file = stored.get("experiment_file")
    if source is None:
        raise UserError(f"the run in {where!r} was made by a file of the user's, {file!r}: name it by --experiment")
    if digest != source.sha256 and not allow_changed:
        raise UserError(
            f"{source.file!r} has changed since the run in {where!r} was made (sha256 {str(digest)[:12]} there, "
            f"{source.sha256[:12]} here): give that version, or go on by --allow_changed_experiment, "
            "allow_changed=True in Python"
        )
