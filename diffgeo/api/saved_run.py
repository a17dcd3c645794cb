# pyright: strict
"""A run's folder or summary opened for reading; a model's parameters, and JAX, are loaded when one is asked for."""

import functools
import html
import math
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import xarray as xr

from diffgeo import claims, report
from diffgeo.api.verdicts import Verdicts
from diffgeo.declared import experiments
from diffgeo.errors import UserError, require, require_choice, suggestion
from diffgeo.experiment import Experiment, check_source
from diffgeo.host.disk import local_path
from diffgeo.host.files import atomic_write
from diffgeo.model.trained_member import TrainedMember
from diffgeo.report import figures, sections, summary
from diffgeo.results import load_results, open_results, open_workdir, select_scores, settings_of
from diffgeo.results.workdir import CONFIG, read_run
from diffgeo.settings import Grid, Settings

LISTED = 12
"""Members that a run's table shows, and steps that a message names; the others are counted."""
PARAMETERS = ("auto", "params", "ema")
ROUNDING = 1e-6
"""Relative difference up to which a coordinate is an axis's value."""


def load(source: str | Path, experiment: str | Experiment | None = None, *, allow_changed: bool = False) -> "SavedRun":
    """Open a run for reading. Nothing large is read, nothing is written, and the run may still be training.

    Args:
      source: a work folder, or a summary file (.zip), which holds results and no models.
      experiment: what was run: a name, `path/to/file.py` or `package.module:NAME` of one's own, or the declaration
        itself. By default the built-in experiment that the run names; code is never taken from the folder.
      allow_changed: accept a file of one's own that has changed since it made the run.

    Raises:
      UserError: if there is no run, no such experiment, or its file has changed.

    >>> run = load("runs/quickstart")
    >>> run.settings.axes
    {'increment': (0.5, 1.0), 'seed': (0, 1)}
    """
    path = local_path(source)
    declared = experiments.resolve(experiment) if isinstance(experiment, str) else experiment
    config: Mapping[str, Any] | None = None
    if not summary.is_summary(path):
        workdir = open_workdir(path)
        if (path / CONFIG).exists() or not workdir.results.exists():
            config = read_run(path)[1]
    run = SavedRun(path, config, declared)
    if declared is not None and declared.source is not None:
        check_source(run.about, declared.source, str(path), allow_changed)
    return run


@dataclass(frozen=True, repr=False, eq=False)
class SavedRun:
    """A run opened by `load`: its results, settings and experiment, its models, its verdicts.

    In a notebook it shows its table and its picture.

    Attributes:
      path: the work folder, or the summary's file.

    >>> run = load("runs/quickstart")
    >>> run.results.accuracy.dims
    ('increment', 'seed', 'step')
    >>> print(run)  # doctest: +ELLIPSIS
    quickstart, preset tiny: 4 models (2 increment x 2 seed), in runs/quickstart
      increment=0.5, seed=0: accuracy 0... at step 6
      increment=0.5, seed=1: accuracy 0... at step 6
      increment=1.0, seed=0: accuracy 0... at step 6
      increment=1.0, seed=1: accuracy 0... at step 6
    """

    path: Path
    _config: Mapping[str, Any] | None
    _declared: Experiment | None

    @functools.cached_property
    def _is_summary(self) -> bool:
        return summary.is_summary(self.path)

    @functools.cached_property
    def stored(self) -> xr.Dataset:
        """All results, read lazily: scores have dims `label_set` and `readout`. Open the run again for newer ones.

        Raises:
          UserError: if the run has no results yet.
        """
        return summary.read(self.path) if self._is_summary else open_results(self.path)

    @functools.cached_property
    def results(self) -> xr.Dataset:
        """Results at the papers' own labels and read-out, read lazily: one accuracy for each member and step.

        `diffgeo.results.select_scores` selects others of `stored`: the sub-pixel read-out, or labels common to all.

        Raises:
          UserError: as `stored`.
        """
        return select_scores(self.stored)

    @functools.cached_property
    def settings(self) -> Settings:
        """Everything that determined the run's numbers, its grid's axes among it.

        Raises:
          UserError: if the folder's configuration is damaged.
        """
        if self._config is None:
            return settings_of(self.stored)
        try:
            if self._declared is None:
                return Settings.from_json(self._config["settings"])
            return Settings.from_json(self._config["settings"], self._declared.dataset, self._declared.conditionings)
        except (KeyError, TypeError) as error:
            raise UserError(f"{str(self.path / CONFIG)!r} is not a run's configuration: restore the file") from error

    @property
    def name(self) -> str:
        """Name of the experiment that was run."""
        return str(self._about("experiment"))

    @property
    def preset(self) -> str:
        """Its size: tiny, laptop or paper."""
        return str(self._about("preset"))

    @property
    def about(self) -> Mapping[str, Any]:
        """Stored description of the run: the configuration of its folder, or the attributes of a summary."""
        return self.stored.attrs if self._config is None else self._config

    def _about(self, key: str) -> Any:
        return self.about.get(key, "unknown")

    @property
    def experiment(self) -> Experiment:
        """Declaration of what was run: its figure, claims and plots.

        Raises:
          UserError: if it is not one of diffgeo's, and was not given to `load`.
        """
        if self._declared is not None:
            return self._declared
        if self.name not in experiments.names() or "experiment_sha256" in self.about:
            raise UserError(
                f"the run in {str(self.path)!r} is of {self.name!r}, which is none of diffgeo's experiments: "
                "give its file or declaration, dg.load(..., experiment=)"
            )
        return experiments.find(self.name)

    def member(self, *, step: int = -1, params: str = "auto", **coordinates: Any) -> TrainedMember:
        """Read the parameters of one model, and of no other.

        Args:
          step: training step of its checkpoint, -1 for the newest.
          params: "params", "ema" for their moving average, or "auto" for those that the run's evaluations sample.
          **coordinates: axis=value; axes with a single value need none.

        Raises:
          UserError: for an unknown axis, value, or step, if several models fit, or if no checkpoint is there: a
            summary holds none.

        >>> load("runs/quickstart").member(increment=0.5, seed=1)
        TrainedMember(increment=0.5, seed=1, step=6)
        >>> load("runs/quickstart").member(increment=0.5)
        Traceback (most recent call last):
        diffgeo.errors.UserError: several members fit: give seed (0, 1)
        >>> load("runs/quickstart").member(increment=0.4, seed=1)
        Traceback (most recent call last):
        diffgeo.errors.UserError: no member at increment=0.4: the nearest is at 0.5
        """
        require_choice("params", params, PARAMETERS)
        if self._config is None:
            raise UserError(f"{str(self.path)!r} holds results and no models: load the work folder of the run")
        point = _point(self.settings, coordinates)
        from diffgeo.results.checkpoint_files import read_member, stored_steps

        waves = Grid(self.settings).waves_of(self._config)
        (found,) = [
            (wave, row, member)
            for wave, members in enumerate(waves)
            for row, member in enumerate(members)
            if member.coordinates == point
        ]
        wave, row, member = found
        folder = open_workdir(self.path).checkpoints(wave)
        steps = stored_steps(folder)
        if not steps:
            raise UserError(f"no checkpoint of {member} in {str(self.path)!r}: train the run by launch.train first")
        if step != -1 and step not in steps:
            near = sorted(sorted(steps, key=lambda stored: abs(stored - step))[:LISTED])
            raise UserError(f"no checkpoint of {member} at step {step}: choose one of {', '.join(map(str, near))}")
        step = steps[-1] if step == -1 else step
        if params == "auto":
            params = "ema" if member.settings.evaluation.use_ema else "params"
        return TrainedMember(member.settings, member.coordinates, step, read_member(folder, row, step, params))

    def claims(self) -> Verdicts:
        """Test the papers' claims on the results.

        Returns:
          A tuple of verdicts, in the order of the experiment's claims; it prints as launch.report does.

        Raises:
          UserError: as `stored` and `experiment`.

        >>> load("runs/quickstart").claims()
        no claim to check: noise, then bumps at wrong places, then right ones
        """
        declared, results = self.experiment, self._loaded()
        return Verdicts(declared.claim, tuple(claims.judge(claim, results) for claim in declared.claims))

    def report(self, out: str | Path | None = None) -> Path:
        """Write a page with verdicts, figures and settings that can be explored, as launch.report does.

        Args:
          out: file of the page, NAME.html; None for report.html in the work folder, with figures and verdicts beside it
            (for a summary NAME.zip, in a folder NAME).

        Returns:
          The page's path.

        Raises:
          UserError: as `stored` and `experiment`.

        >>> load("runs/quickstart").report("report.html")
        PosixPath('report.html')
        """
        declared, results = self.experiment, self._loaded()

        def write(folder: Path) -> Path:
            return report.report(declared, results, folder, say=_quiet).folder / report.PAGE

        if out is None:
            return write(self._folder)
        with tempfile.TemporaryDirectory() as folder:
            return atomic_write(out, write(Path(folder)).read_bytes())

    @property
    def _folder(self) -> Path:
        """Folder of the run's report."""
        return self.path.with_suffix("") if self._is_summary else self.path

    def _loaded(self) -> xr.Dataset:
        """Return all results in memory, but for the activations that analyses start from."""
        return self.stored if self._is_summary else load_results(self.path)

    def _rows(self) -> list[str]:
        """Return a line for each member: coordinates, accuracy and step of its newest evaluation."""
        grid = Grid(self.settings)
        if "accuracy" not in self.results:
            return []
        accuracy = self.results["accuracy"]
        accuracy = accuracy.isel(region=0) if "region" in accuracy.dims else accuracy
        values = accuracy.transpose(*grid.axes, "step").values.reshape(len(grid.members), -1)
        rows: list[str] = []
        for member, scores in zip(grid.members[:LISTED], values, strict=False):
            known = np.flatnonzero(np.isfinite(scores))
            state = "not evaluated yet"
            if known.size:
                state = f"accuracy {scores[known[-1]]:.2f} at step {accuracy['step'].values[known[-1]]}"
            rows.append(f"{member}: {state}")
        left = len(grid.members) - len(rows)
        return [*rows, *([f"and {left} more"] if left else [])]

    def _title(self) -> str:
        axes = " x ".join(f"{len(values)} {name}" for name, values in self.settings.axes.items())
        count = math.prod(len(values) for values in self.settings.axes.values())
        size = f"{count} model{'s' if count > 1 else ''} ({axes})" if "accuracy" in self.results else "nothing trained"
        return f"{self.name}, preset {self.preset}: {size}, in {self.path}"

    def __repr__(self) -> str:
        return "\n  ".join([self._title(), *self._rows()])

    def _repr_html_(self) -> str:
        rows = "".join(f"<li>{html.escape(row)}</li>" for row in self._rows())
        return f"<p><b>{html.escape(self._title())}</b></p><ul>{rows}</ul>{self._picture()}"

    def _picture(self) -> str:
        """Return the first of the experiment's pictures as HTML: the run's own file, or drawn; "" if there is none."""
        try:
            plots = self.experiment.plots[:1]
        except UserError:
            return ""
        with tempfile.TemporaryDirectory() as folder:
            files = [self._folder / report.FIGURES / f"{plot.name}.png" for plot in plots]
            if not all(file.exists() for file in files):
                files = list(figures.draw(self._loaded(), plots, folder, _quiet).values())
            return "".join(sections.picture(plot.name, file) for plot, file in zip(plots, files, strict=True))


def _quiet(_: str) -> None:
    """Take a message and say nothing."""


def _point(settings: Settings, coordinates: Mapping[str, Any]) -> dict[str, object]:
    """Return axis -> value of the one member that has these coordinates, in the order of the axes."""
    for name, value in coordinates.items():
        require(name in settings.axes, f"unknown axis {name!r}{suggestion(name, settings.axes)}")
        require(np.size(value) == 1, f"{name}={value} is not one value: give one of {_listed(settings.axes[name])}")
    wanted = {name: cast(object, np.asarray(value).item()) for name, value in coordinates.items()}
    open_axes = {name: v for name, v in settings.axes.items() if name not in wanted and len(v) > 1}
    if open_axes:
        listed = " and ".join(f"{name} ({_listed(values)})" for name, values in open_axes.items())
        raise UserError(f"several members fit: give {listed}")
    return {
        name: _value(name, wanted[name], values) if name in wanted else values[0]
        for name, values in settings.axes.items()
    }


def _value(name: str, wanted: object, values: tuple[Any, ...]) -> object:
    """Return the value of an axis that is the wanted one, up to rounding."""
    for value in values:
        if value == wanted or (
            _number(value) and _number(wanted) and math.isclose(value, cast(float, wanted), rel_tol=ROUNDING)
        ):
            return value
    if _number(wanted) and all(map(_number, values)):
        nearest = min(values, key=lambda value: abs(value - wanted))
        raise UserError(f"no member at {name}={wanted}: the nearest is at {nearest}")
    raise UserError(f"no member at {name}={wanted!r}{suggestion(str(wanted), map(str, values))}")


def _listed(values: tuple[Any, ...]) -> str:
    return ", ".join(map(str, values))


def _number(value: object) -> bool:
    return isinstance(value, int | float)
