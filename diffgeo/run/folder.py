"""A run's folder: what it must agree on, its results store, and the size of its waves."""

import contextlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from diffgeo import training
from diffgeo.costs import by_hand
from diffgeo.costs.storage import ALL, KEPT_STATES, LAST, Storage, finished_bytes, gigabytes
from diffgeo.data import label_tables
from diffgeo.data.evaluation_labels import labels_drawn
from diffgeo.data.label_tables import LabelTable
from diffgeo.errors import UserError
from diffgeo.experiment import check_source
from diffgeo.host import disk, distributed
from diffgeo.results import Results, Workdir, template
from diffgeo.results.workdir import first_difference
from diffgeo.run import measure
from diffgeo.run.evaluation import empty_results
from diffgeo.run.progress import Progress
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.run.waves import Wave


def settle(run: Run, workdir: Workdir) -> dict[str, Any] | None:
    """Return the folder's configuration if it holds this very run, None if it holds none.

    Raises:
      UserError: if it belongs to another configuration; quotes the first difference. If another version of the user's
        file made it.
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
    check_source(config, run.source, str(workdir.path), run.allow_changed)
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


def new_config(run: Run, members_at_once: int) -> dict[str, Any]:
    """Return the configuration of a new run: its identity, and what of its storage is settled at its start."""
    return run.record | run.grid.described(members_at_once) | {"keep": storage_of(run).keep}


def storage_of(run: Run, members_at_once: int | None = None) -> Storage:
    """Return the bytes that a run takes on disk.

    Args:
      run: the run; without `keep` by the default.
      members_at_once: of its waves; None for all of a program.
    """
    sizes = by_hand.describe(run.settings)
    steps, state = sizes["evaluation_steps"], sizes["state_checkpoint_bytes"]
    keep = run.keep or sizes["keep"]
    finished = finished_bytes(keep, steps, sizes["params_checkpoint_bytes"], state)
    part = max(map(len, run.grid.waves(members_at_once))) / sizes["members"]
    # beside what stays: with all checkpoints a state that is being written, otherwise all of the wave's, and parameters
    passing = state if keep == ALL else (KEPT_STATES + 1) * state + sizes["params_checkpoint_bytes"]
    labels = sizes["samples"] - run.settings.evaluation.num_common
    empty = template(run.grid, labels, {}, measure.schema(run.analyses, labels))
    return Storage(keep, finished, finished + round(part * passing), empty.nbytes)


def check_room(needed: Storage, workdir: Workdir, say: Callable[[str], None]) -> None:
    """Say how many bytes a new run takes, and how many are free.

    Raises:
      UserError: if its checkpoints do not fit.
    """
    free = disk.free_bytes(workdir.path)
    say(f"{needed}; the disk has {gigabytes(free)} free")
    if needed.training > free:
        fix = "choose another --workdir" if needed.keep == LAST else "pass --keep=last, or choose another --workdir"
        raise UserError(
            f"checkpoints take up to {gigabytes(needed.training)} by --keep={needed.keep}, and the disk of "
            f"{str(workdir.path)!r} has {gigabytes(free)} free: {fix}"
        )


def prepare(
    run: Run,
    workdir: Workdir,
    waves: Sequence[Wave],
    config: Mapping[str, Any] | None,
    provenance: Mapping[str, str],
) -> None:
    """Make the results of a locked folder, or add the variables that an earlier version did not know.

    A configuration that is given is written first, if the folder has another or no results. On process 0 alone.
    """
    stored = settle(run, workdir)  # again, now that the folder is held
    empty = empty_results(run, waves, provenance)  # before the configuration: a refused axis leaves no run behind
    if config is not None and not (
        workdir.results.exists() and stored and stored.get("keep", ALL) == config.get("keep", ALL)
    ):
        workdir.write_config(dict(config))
    if workdir.results.exists():
        Results.grow(workdir.results, empty, list(run.grid.axes))
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
      config: configuration that the folder is to have; None for that which it has.
      provenance: strings stored with new results.
      say: where one-line messages go.

    Raises:
      UserError: if another process holds the folder, it belongs to another configuration, or its results are damaged.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(workdir)
        distributed.broadcast(lambda: prepare(run, workdir, waves, config, provenance or {}))
        store = Results(workdir.results, run.grid)
        progress = Progress(run.logs, f"{run.experiment} {run.preset}", workdir.path)
        say = progress.beside(say)
        return Session(run, workdir, tuple(waves), store, progress=progress, say=say, _stack=stack.pop_all())
