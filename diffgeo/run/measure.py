"""Analyses of a run's representations: snapshots into the results, and every measure of them from there.

A snapshot is the cloud of a tensor's activations, one point a sample, as `representation.gram_scores`: n x n numbers
hold every distance and angle of n x 16,384. They lie in the results, so that analysing anew needs no device, no
checkpoint and no JAX. The untrained network is each run's own step 0.
"""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray

from diffgeo import readout, representation, workers
from diffgeo.errors import UserError
from diffgeo.grid import Member
from diffgeo.limits import RECORDED

PROXY, PIXELS = "layer4_proxy", "pixels"
TENSORS = (*RECORDED, PROXY, PIXELS)
"""The clouds of a member at an evaluation: what the UNet records at the last denoising step of each sample (see
`UNet.__call__`), "layer4" of one forward pass on the true images noised to t = 1, and the true images themselves, a
control that no training touches."""

GROUPS = dict.fromkeys(TENSORS, representation.GROUPS) | {
    PROXY: ("spectrum", "manifold"),
    "layer4_attention": ("spectrum",),
}
"""What is measured of each cloud, as far as an experiment asks for it; topology and rings cost seconds to a minute."""

WORTH_PROCESSES = 10_000  # points of clouds of which more than the spectrum is measured

PHASES = "ABC"
UNKNOWN = -1  # phase of a checkpoint that is not analysed


class Variable(NamedTuple):
    """A variable of the results that has the grid's axes and steps in front of these dims."""

    dims: tuple[str, ...]
    description: str
    dtype: type = np.float32
    fill: float | int = np.nan


def variables(groups: Sequence[str], samples: int) -> tuple[dict[str, Variable], dict[str, int], dict]:
    """What analyses add to the results.

    Args:
      groups: some of `representation.GROUPS`; none adds nothing.
      samples: S.

    Returns:
      The variables by name, the lengths of their dims, and the coordinate values of those dims that have any.

    Raises:
      UserError: for an unknown group.
    """
    for group in groups:
        if group not in representation.GROUPS:
            raise UserError(f"unknown analysis {group!r}: choose some of {', '.join(representation.GROUPS)}")
    if not groups:
        return {}, {}, {}
    found = {
        "scores": Variable(
            ("tensor", "sample", "component"), "activations in the basis of their principal components; inf: not finite"
        ),
        "joint_accuracy": Variable((), "accuracy of x and y together, from the samples"),
        "product_accuracy": Variable((), "accuracy of x times accuracy of y"),
        "excess": Variable((), "joint_accuracy - product_accuracy: 0 if x and y are right independently"),
        "excess_low": Variable((), "lower end of the 95 % bootstrap interval of excess, over samples"),
        "excess_high": Variable((), "upper end of that interval"),
    }
    if "manifold" in groups:
        words = "phase of learning by `representation.phase`: 0 = A, 1 = B, 2 = C, -1 = not analysed"
        found["phase"] = Variable((), words, np.int8, UNKNOWN)
    for name, field in representation.FIELDS.items():
        if field.group in groups:
            found[name] = Variable(("tensor", *field.dims), field.description)
    lengths = {**representation.LENGTHS, "tensor": len(TENSORS), "component": samples}
    used = {dim for variable in found.values() for dim in variable.dims}
    known = {"tensor": list(TENSORS), **representation.coordinates()}
    coordinates = {dim: values for dim, values in known.items() if dim in used}
    return found, {dim: length for dim, length in lengths.items() if dim in used}, coordinates


def snapshot(clouds: Mapping[str, np.ndarray]) -> np.ndarray:
    """float32[tensor, S, S]: `gram_scores` of every cloud of `TENSORS`, filled up with zeros beyond its rank.

    Args:
      clouds: name -> float[S, ...], maps are flattened.

    Returns:
      inf throughout a cloud that has no geometry: activations that are not finite, or all equal.
    """
    count = len(clouds[TENSORS[0]])
    found = np.zeros((len(TENSORS), count, count), np.float32)
    for place, name in enumerate(TENSORS):
        try:
            scores = representation.gram_scores(np.reshape(clouds[name], (count, -1)))
        except UserError:  # said, with the member and step, when this snapshot is analysed
            found[place] = np.inf
        else:
            found[place, :, : scores.shape[1]] = scores
    return found


class Task(NamedTuple):
    """One cloud to be measured in one way."""

    member: Member
    step: int
    tensor: str
    group: str

    def __str__(self):
        return f"{self.group} of member {self.member}, step {self.step}, {self.tensor}"


def pending(found: xarray.Dataset, members: Sequence[Member], groups: Sequence[str]) -> list[Task]:
    """Clouds of which there is a snapshot and whose measures are missing, by member and step."""
    if not groups:
        return []
    tasks = []
    for member in members:
        own = found.sel(dict(member.coordinates))
        for step in found["step"].values:
            at = own.sel(step=step)
            if np.isnan(at["scores"].values[0, 0, 0]):
                continue
            for tensor in TENSORS:
                asked = [group for group in groups if group in GROUPS[tensor]]
                lacking = [group for group in asked if _missing(at.sel(tensor=tensor), group)]
                tasks += [Task(member, int(step), tensor, group) for group in lacking]
    return tasks


def _missing(at: xarray.Dataset, group: str) -> bool:
    fields = [name for name, field in representation.FIELDS.items() if field.group == group]
    return all(np.isnan(at[name].values).all() for name in fields)


def _measured_once(task: Task) -> tuple:
    """Equal for tasks whose measures are: the true images of a member are the same at every step."""
    step = None if task.tensor == PIXELS else task.step
    return task.member.index, step, task.tensor, task.group


def _arguments(task: Task, found: xarray.Dataset) -> tuple:
    """Of `representation.analyse`, for one group of measures of one cloud."""
    at = found.sel(dict(task.member.coordinates)).sel(step=task.step, tensor=task.tensor)
    labels = at["label"].values
    count = int(np.isfinite(labels).all(axis=1).sum())
    data = task.member.settings.data
    period = float(data.size) if data.periodic else None
    return at["scores"].values[:count, :count], labels[:count], period, (task.group,), task.member.seed


def behaviour(member: Member, step: int, found: xarray.Dataset) -> dict[str, np.ndarray]:
    """Factorisation of the accuracies, and the phase of learning if the manifold is measured."""
    at = found.sel(dict(member.coordinates)).sel(step=step)
    data, labels = member.settings.data, at["label"].values
    real = np.isfinite(labels).all(axis=1)
    hits = readout.hits(at["prediction"].values[real], labels[real], period=float(data.size) if data.periodic else None)
    factors = representation.factorisation(hits, member.seed)
    values = {
        "joint_accuracy": factors.joint,
        "product_accuracy": factors.product,
        "excess": factors.difference,
        "excess_low": factors.low,
        "excess_high": factors.high,
    }
    if "phase" in found:
        order = float(at["r2"].sel(tensor="layer4"))
        if np.isfinite(order):
            shares = [float(np.ravel(at[name].values)[0]) for name in readout.OUTCOMES]
            values["phase"] = PHASES.index(representation.phase(*shares, order))
    return {name: np.asarray(value) for name, value in values.items()}


def unjudged(found: xarray.Dataset, members: Sequence[Member]) -> list[tuple[Member, int]]:
    """Members and steps of which `behaviour` would tell something new."""
    todo = []
    for member in members:
        own = found.sel(dict(member.coordinates))
        lacking = np.isfinite(own["prediction"].values[:, 0, 0]) & np.isnan(own["joint_accuracy"].values)
        if "phase" in found:
            ordered = np.isfinite(own["r2"].sel(tensor="layer4").values)
            lacking |= ordered & (own["phase"].values == UNKNOWN)
        todo += [(member, int(step)) for step in found["step"].values[lacking]]
    return todo


def complete(
    store, read: Callable[[], xarray.Dataset], members: Sequence[Member], groups: Sequence[str], watched, say=print
) -> None:
    """Measures every snapshot whose measures are missing and writes them as they come.

    Args:
      store: the open `results.Results`.
      read: reads the results anew.
      members: of the whole grid.
      groups: what the experiment asks for.
      watched: wraps the list of tasks to show progress and to stop, like tqdm.
      say: where a cloud that cannot be analysed is told; the others go on.
    """
    found = read()
    tasks = pending(found, members, groups)
    new: dict[tuple, Task] = {}
    for task in tasks:
        new.setdefault(_measured_once(task), task)
    calls = (_arguments(task, found) for task in new.values())
    dear = sum(task.group != "spectrum" for task in new.values())
    processes = workers.most_processes() if dear * found.sizes["sample"] >= WORTH_PROCESSES else 1
    pixels: dict[tuple, Callable] = {}
    with contextlib.closing(workers.in_order(representation.analyse, calls, processes)) as outcomes:
        for task in watched(tasks):
            known = _measured_once(task)
            outcome = pixels[known] if known in pixels else next(outcomes)
            if task.tensor == PIXELS:
                pixels[known] = outcome
            try:
                values = outcome()
            except UserError as error:
                say(f"{task}: {error}")
                continue
            store.write_cloud(task.member, task.step, TENSORS.index(task.tensor), values)
    found = read()
    for member, step in unjudged(found, members) if groups else ():
        values = behaviour(member, step, found)
        store.write([member], {name: value[None] for name, value in values.items()}, step)
