"""A run's folder: what it must agree on, its results store, and the size of its waves."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffgeo import training
from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.data.label_tables import LabelTable
from diffgeo.errors import UserError
from diffgeo.host import distributed
from diffgeo.results import Results, Workdir
from diffgeo.results.workdir import first_difference
from diffgeo.run import measure
from diffgeo.run.evaluation import empty_results
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.run.waves import Wave


def settle(run: Run, workdir: Workdir) -> dict[str, Any] | None:
    """Return the folder's configuration if it holds this very run, None if it holds none.

    Raises:
      UserError: if it belongs to another configuration; quotes the first difference.
    """
    config = workdir.read_config()
    if config is None:
        return None
    difference = first_difference({name: config.get(name) for name in run.identity}, run.identity)
    if difference:
        setting, stored, wanted = difference
        raise UserError(
            f"work folder {str(workdir.path)!r} belongs to another configuration "
            f"({setting} is {json.dumps(stored)} there, {json.dumps(wanted)} here): choose another --workdir"
        )
    return config


def members_at_once(run: Run, tables: Mapping[int, LabelTable], waves_wanted: int | None) -> int:
    """Return the members of a wave for a new run: from the number of waves asked for, or what fits the devices.

    Args:
      run: the run.
      tables: label tables by member.
      waves_wanted: number of waves; None for as few as fit.

    Raises:
      UserError: for a number of waves that no program can be cut into.
    """
    largest = max(run.grid.programs, key=len)
    if waves_wanted is not None:
        if not 1 <= waves_wanted <= len(largest):
            raise UserError(f"--waves={waves_wanted} must be from 1 to the {len(largest)} members of a program")
        return -(-len(largest) // waves_wanted)
    count = max(int(tables[member.index].count) for member in largest)
    settings = largest[0].settings
    evaluation = settings.evaluation
    drawn = labels_drawn(evaluation.label_source, evaluation.num_samples, settings.data.size, count)
    drawn += evaluation.num_common
    rows = label_tables.padded(count)
    fit = training.members_at_once(run.placement, largest, rows, drawn, bool(run.analyses))
    return min(fit, len(largest))


def prepare(
    run: Run,
    workdir: Workdir,
    waves: Sequence[Wave],
    config: Mapping[str, Any] | None,
    provenance: Mapping[str, str],
) -> None:
    """Make the results of a locked folder, or add the variables that an earlier version did not know.

    Without results the configuration, if given, is written first. On process 0 alone.
    """
    settle(run, workdir)  # again, now that the folder is held
    empty = empty_results(run, waves, provenance)  # before the configuration: a refused axis leaves no run behind
    if config is not None and not workdir.results.exists():
        workdir.write_config(dict(config))
    if workdir.results.exists():
        Results.extend(workdir.results, empty, measure.fields_of_groups(run.analyses))
    else:
        Results.create(workdir.results, empty)


def open_session(
    run: Run,
    workdir: Workdir,
    waves: Sequence[Wave],
    config: Mapping[str, Any] | None = None,
    provenance: Mapping[str, str] | None = None,
    say: Callable[[str], None] = distributed.say,
) -> Session:
    """Lock the folder and open its results, made if there are none.

    Args:
      run: the run.
      workdir: its folder.
      waves: from `plan_waves`.
      config: configuration to write if the folder has no results yet; None for a folder that has one.
      provenance: strings stored with new results.
      say: where one-line messages go.

    Raises:
      UserError: if another process holds the folder, or it belongs to another configuration.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(workdir)
        distributed.broadcast(lambda: prepare(run, workdir, waves, config, provenance or {}))
        store = Results(workdir.results, run.grid)
        return Session(run, workdir, tuple(waves), store, say=say, _stack=stack.pop_all())
