# pyright: strict
"""A run trained from a notebook or script, as launch.train does."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from diffgeo import growth, run
from diffgeo.api.saved_run import SavedRun, load
from diffgeo.declared import experiments
from diffgeo.experiment import Experiment
from diffgeo.host import runtime
from diffgeo.results.workdir import read_run
from diffgeo.settings import Settings, override


def train(
    experiment: str | Experiment,
    *,
    workdir: str | Path,
    preset: str = "laptop",
    axes: Mapping[str, Iterable[object]] | None = None,
    settings: Mapping[str, object] | None = None,
    allow_changed: bool = False,
) -> SavedRun:
    """Train an experiment's grid of models in a work folder to its end, evaluate it, and draw its figures.

    The same as launch.train: a folder that holds a part of this run is continued, and interrupting the kernel saves the
    state and raises `Interrupted`. Compiled programs are kept in the user's cache folder.

    Args:
      experiment: name (see `python -m launch.list`), `path/to/file.py` of one's own, or declaration.
      workdir: folder of the run, made if need be.
      preset: its size: tiny, laptop or paper.
      axes: values of axes of the grid, in place of the preset's or beside them, as {"seed": [0, 1, 2]}.
      settings: settings in place of the preset's, as {"train.steps": 2000}.
      allow_changed: as of `load`.

    Returns:
      The run, opened for reading.

    Raises:
      UserError: for an unknown experiment, preset or setting, a value that is refused, or a folder that is in use or
        holds another run.
      Interrupted: after SIGTERM, SIGHUP or SIGINT, with the state saved.

    >>> run = train("quickstart", workdir="runs/quickstart", preset="tiny")  # doctest: +ELLIPSIS
    the run in runs/quickstart is complete: nothing left to train
    wrote runs/quickstart/figures/overview.png...
    >>> run.settings.train.steps
    6
    """
    declared = experiments.resolve(experiment) if isinstance(experiment, str) else experiment
    changed = [f"{name}={value}" for name, value in (settings or {}).items()]
    chosen = override(declared.settings(preset), *_assignments(axes or {}), *changed)
    runtime.start()  # before a placement asks for devices
    planned = run.Run.of(declared, preset, chosen, allow_changed=allow_changed)
    run.execute(planned, workdir, runtime.provenance())
    return load(workdir, declared, allow_changed=allow_changed)


def extend(
    workdir: str | Path,
    added: Mapping[str, Iterable[object]],
    *,
    experiment: str | Experiment | None = None,
    allow_changed: bool = False,
) -> SavedRun:
    """Add members to a finished run, as launch.train --extend does; those that it has stay as they are, bit for bit.

    Stopped on the way, the same call goes on.

    Args:
      workdir: folder of the run.
      added: one axis -> values to add behind its own, as {"seed": [3, 4, 5]}.
      experiment: as of `load`.
      allow_changed: as of `load`.

    Returns:
      The run with all of its members, opened for reading.

    Raises:
      UserError: if the run is unfinished, has one of the values, or `added` is not of exactly one axis of it.
      Interrupted: after SIGTERM, SIGHUP or SIGINT, with the state saved.

    >>> both = merge(["runs/quickstart", "runs/seed2"], "runs/grown")
    >>> extend("runs/grown", {"seed": [3]}).settings.axes  # doctest: +ELLIPSIS
    about 6.11 MB of checkpoints...
    {'increment': (0.5, 1.0), 'seed': (0, 1, 2, 3)}
    """
    saved = load(workdir, experiment, allow_changed=allow_changed)
    declared = saved.experiment
    values = growth.added_values(saved.settings, _assignments(added))
    runtime.start()  # before a placement asks for devices
    planned = run.Run.of(declared, saved.preset, saved.settings, allow_changed=allow_changed)
    growth.extend(planned, workdir, values, runtime.provenance())
    return load(workdir, declared, allow_changed=allow_changed)


def merge(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    experiment: str | Experiment | None = None,
    copy: bool = False,
    allow_changed: bool = False,
) -> SavedRun:
    """Join finished runs, as those of array jobs, into a new work folder; the runs themselves stay as they are.

    Args:
      folders: work folders of one experiment and preset whose settings differ in values of axes alone. All members
        together must be a full grid, and members that several runs have must be equal.
      out: the new folder.
      experiment: as of `load`.
      copy: copy checkpoints; otherwise they are linked.
      allow_changed: as of `load`.

    Returns:
      The joined run, whose claims are judged from all members.

    Raises:
      UserError: for a run that is unfinished or of other settings, members that differ or are in none, or an `out`
        that exists.

    >>> merge(["runs/quickstart", "runs/seed2"], "runs/both").settings.axes
    {'increment': (0.5, 1.0), 'seed': (0, 1, 2)}
    """
    growth.merge(folders, out, copy, runtime.provenance())
    return load(out, experiment, allow_changed=allow_changed)


def measure(
    trained: str | Path,
    experiment: str | Experiment,
    *,
    workdir: str | Path,
    copy: bool = False,
    allow_changed: bool = False,
) -> SavedRun:
    """Measure the models of a finished run by another experiment, as launch.analyze --models does.

    Nothing is trained. The experiment's metrics, analyses, claims and figures are of the finished run's models, at its
    settings; what its results have already is copied, and the run itself stays as it is.

    Args:
      trained: work folder of the finished run.
      experiment: name, `path/to/file.py` of one's own, or declaration.
      workdir: a new folder; one in which this was begun is gone on with.
      copy: copy checkpoints; otherwise they are linked.
      allow_changed: as of `load`.

    Returns:
      The new run, opened for reading.

    Raises:
      UserError: for an unfinished run, an experiment that trains nothing or is of another data set, or a `workdir` that
        holds another run.
      Interrupted: after SIGTERM, SIGHUP or SIGINT.

    >>> count = Metric("modules", lambda model: len(model.params), of_model=True, only_last=True)
    >>> question = Experiment("sizes", "no figure", "a question of one's own", presets={}, plots=(), metrics=(count,))
    >>> measured = measure("runs/quickstart", question, workdir="runs/sizes")
    >>> measured.results.metric_modules.isel(step=-1).values.tolist()
    [[17.0, 17.0], [17.0, 17.0]]
    """
    declared = experiments.resolve(experiment) if isinstance(experiment, str) else experiment
    _, config = read_run(trained)
    chosen = Settings.from_json(config["settings"], declared.dataset, declared.conditionings)
    runtime.start()  # before a placement asks for devices
    planned = run.Run.of(declared, config["preset"], chosen, allow_changed=allow_changed)
    growth.borrow(planned, trained, workdir, copy, runtime.provenance())
    run.analyze(planned, workdir)
    return load(workdir, declared, allow_changed=allow_changed)


def _assignments(axes: Mapping[str, Iterable[object]]) -> list[str]:
    """Return values of axes as the flag --set takes them."""
    return [f"axes.{name}={','.join(map(str, values))}" for name, values in axes.items()]
