"""Measures of a run's representations: snapshots into the results, and every measure of them from there.

A snapshot is the cloud of a tensor's activations, one point a sample, as `representation.gram_scores`: n x n numbers
hold every distance and angle of n x 16,384. They lie in the results, so that analyzing again needs no device and no
checkpoint. The untrained network is each run's of_member step 0.
"""

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import xarray as xr

from diffgeo import readout, representation
from diffgeo.errors import Interrupted, UserError, require_choice
from diffgeo.host import pool
from diffgeo.results import Analyses, Variable, open_results, select_scores
from diffgeo.results.schema import COMPLETE, EVALUATION, IMPOSSIBLE, LOSS, MISSING, SNAPSHOT, cloud_group
from diffgeo.run.progress import ANALYSIS
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.settings import Member
from diffgeo.settings.allowed import LAYER, OUTCOMES, PHASES, RECORDED

PROXY, PIXELS, GENERATED = "layer4_proxy", "pixels", "generated_pixels"
TENSORS = (*RECORDED, PROXY, PIXELS, GENERATED)
"""Clouds of a member at an evaluation: what the UNet records at the last denoising step of each sample (see
`UNet.__call__`), "layer4" of one forward pass on the true images noised to t = 1, the true images themselves, a
control that no training touches, and the generated images, a control for "activations are ordered because the pictures
are". New ones are appended: stores of earlier versions have the first of them."""

MEASURED = dict.fromkeys(TENSORS, representation.GROUPS) | {
    PROXY: ("spectrum", "manifold"),
    "layer4_attention": ("spectrum",),
}
"""Tensor -> groups that are measured of it, as far as an experiment asks for them; topology and rings cost seconds to a
minute."""

FACTORIZATION, PHASE = "factorization", "phase"
"""Groups: accuracies of x and y together against their product; the phase of learning."""

WORTH_PROCESSES = 10_000  # points of clouds of which more than the spectrum is measured
UNKNOWN = -1  # phase of a checkpoint that is not analyzed

JUDGED = {
    name: Variable((), description, group=FACTORIZATION)
    for name, description in {
        "joint_accuracy": "accuracy of x and y together, from the samples",
        "product_accuracy": "accuracy of x times accuracy of y",
        "joint_minus_product": "joint_accuracy - product_accuracy: 0 if x and y are right independently",
        "joint_minus_product_low": "lower end of its 95 % bootstrap interval, over samples",
        "joint_minus_product_high": "upper end of that interval",
    }.items()
}
"""Variables of the group `FACTORIZATION`."""


def groups_of(analyses: Sequence[str], judged: bool = True) -> tuple[str, ...]:
    """Return the groups of `group_complete` that these analyses fill, in their order; `judged` as for `schema`."""
    if not analyses:
        return ()
    clouds = [cloud_group(tensor, kind) for tensor in TENSORS for kind in MEASURED[tensor] if kind in analyses]
    of_samples = [FACTORIZATION, *([PHASE] if "manifold" in analyses else [])] if judged else []
    return (SNAPSHOT, *clouds, *of_samples)


def fields_of_groups(analyses: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Return group -> variables whose values show that results of format 1 have it."""
    fields = {EVALUATION: ("accuracy",), LOSS: ("loss",), SNAPSHOT: ("pca_scores",)}
    fields |= {FACTORIZATION: tuple(JUDGED), PHASE: ("phase",)}
    for group in groups_of(analyses):
        tensor, _, kind = group.partition("/")
        if tensor in TENSORS:
            fields[group] = tuple(name for name, field in representation.FIELDS.items() if field.group == kind)
    return fields


def check(run: Run) -> None:
    """Raise `UserError` unless a run's data set can be measured by its analyses."""
    dataset = run.settings.dataset
    if "rings" in run.analyses and dataset is not None and len(dataset.factors) != 2:
        raise UserError(
            "the analysis 'rings' compares rings along one factor with rings along a second, and the factors of "
            f"{dataset.name!r} are {', '.join(factor.name for factor in dataset.factors)}: leave it out of analyses"
        )


def schema_of(run: Run, samples: int) -> Analyses:
    """Return what the analyses and metrics of a run add to the results of `samples` = S labels.

    Raises:
      UserError: for an unknown analysis, one that the data set cannot be measured by, or a metric that occurs twice.
    """
    check(run)
    names = [metric.name for metric in run.metrics]
    if twice := {name for name in names if names.count(name) > 1}:
        raise UserError(f"two metrics are named {min(twice)!r}: rename one")
    factors = tuple(factor.name for factor in run.settings.factors)
    added = schema(run.analyses, samples, judged=run.settings.dataset is None, factors=factors)
    variables = {one.variable: Variable(one.dims, one.description, group=one.variable) for one in run.metrics}
    lengths = {dim: length for one in run.metrics for dim, length in zip(one.dims, one.shape, strict=True)}
    named = {f"{one.name}_{dim}": list(values) for one in run.metrics for dim, values in one.coordinates.items()}
    return Analyses(
        {**added.variables, **variables},
        {**added.lengths, **lengths},
        {**added.coordinates, **named},
        (*added.groups, *(metric.variable for metric in run.metrics)),
    )


def schema(
    analyses: Sequence[str], samples: int, judged: bool = True, factors: Sequence[str] = representation.XY
) -> Analyses:
    """Return what analyses add to the results.

    Args:
      analyses: some of `representation.GROUPS`; none adds nothing.
      samples: S.
      judged: measure `FACTORIZATION` and `PHASE` too, which are of the papers' images.
      factors: names of the labels' factors.

    Raises:
      UserError: for an unknown group.
    """
    for kind in analyses:
        require_choice("analysis", kind, representation.GROUPS)
    if not analyses:
        return Analyses()
    about = "activations in the basis of their principal components; inf: not finite"
    snapshots = Variable(("tensor", "sample", "component"), about, group=SNAPSHOT)
    variables = {"pca_scores": snapshots, **(JUDGED if judged else {})}
    if "manifold" in analyses and judged:
        about = "phase of learning by `representation.phase`: 0 = A, 1 = B, 2 = C, -1 = not analyzed"
        variables["phase"] = Variable((), about, np.int8, UNKNOWN, PHASE)
    for name, field in representation.fields_of(factors).items():
        if field.group in analyses:
            variables[name] = Variable(("tensor", *field.dims), field.description, group=field.group)
    used = {dim for variable in variables.values() for dim in variable.dims}
    lengths = {**representation.LENGTHS, "tensor": len(TENSORS), "component": samples}
    coordinates = {"tensor": list(TENSORS), **representation.coordinates()}
    return Analyses(
        variables,
        {dim: length for dim, length in lengths.items() if dim in used},
        {dim: values for dim, values in coordinates.items() if dim in used},
        groups_of(analyses, judged),
    )


def snapshot(clouds: Mapping[str, np.ndarray]) -> np.ndarray:
    """Return float32[tensor, S, S]: `gram_scores` of every cloud of `TENSORS`, filled up with zeros beyond its rank.

    Args:
      clouds: name -> float[S, ...], maps are flattened.

    Returns:
      inf throughout a cloud that has no geometry: activations that are not finite, or all equal.
    """
    count = len(clouds[TENSORS[0]])
    out = np.zeros((len(TENSORS), count, count), np.float32)
    for index, name in enumerate(TENSORS):
        try:
            scores = representation.gram_scores(np.reshape(clouds[name], (count, -1)))
        except UserError:  # reported, with the member and step, when this snapshot is analyzed
            out[index] = np.inf
        else:
            out[index, :, : scores.shape[1]] = scores
    return out


class Task(NamedTuple):
    """One kind of measure of one cloud."""

    member: Member
    step: int
    tensor: str
    kind: str

    def __str__(self):
        return f"{self.kind} of member {self.member}, step {self.step}, {self.tensor}"

    @property
    def key(self) -> tuple:
        """Equal for tasks with equal results: the true images of a member are the same at every step."""
        step = None if self.tensor == PIXELS else self.step
        return self.member.index, step, self.tensor, self.kind


def pending(results: xr.Dataset, members: Sequence[Member], analyses: Sequence[str]) -> list[Task]:
    """Return clouds of which there is a snapshot and whose measures are missing, by member and step."""
    if not analyses:
        return []
    tasks = []
    for member in members:
        recorded = results["group_complete"].sel(member.labels).load()
        for step in results["step"].values:
            at = recorded.sel(step=step)
            if at.sel(group=SNAPSHOT) != COMPLETE:
                continue
            for tensor in TENSORS:
                kinds = [kind for kind in analyses if kind in MEASURED[tensor]]
                missing = [kind for kind in kinds if at.sel(group=cloud_group(tensor, kind)) == MISSING]
                tasks += [Task(member, int(step), tensor, kind) for kind in missing]
    return tasks


def _arguments(task: Task, results: xr.Dataset) -> tuple:
    """Return the arguments of `representation.analyze` for one task."""
    at = results.sel(task.member.labels).sel(step=task.step, tensor=task.tensor)
    labels = at["label"].values
    count = int(np.isfinite(labels).all(axis=1).sum())
    factors = task.member.settings.factors
    periods, names = [factor.period for factor in factors], [factor.name for factor in factors]
    return at["pca_scores"].values[:count, :count], labels[:count], periods, (task.kind,), task.member.seed, names


def factorization(member: Member, step: int, results: xr.Dataset) -> dict[str, np.ndarray]:
    """Return the variables of `JUDGED` for one member and step."""
    at = results.sel(member.labels).sel(step=step)
    labels = at["label"].values
    real = np.isfinite(labels).all(axis=1)
    hits = readout.hits(at["prediction"].values[real], labels[real], period=member.settings.data.period)
    return dict(zip(JUDGED, map(np.asarray, representation.factorization(hits, member.seed)), strict=True))


def phase(member: Member, step: int, results: xr.Dataset) -> int | None:
    """Return the index of the phase of learning of one member and step; None where the manifold is not measured."""
    at = results.sel(member.labels).sel(step=step)
    order = float(at["r2"].sel(tensor=LAYER))
    if not np.isfinite(order):
        return None
    fractions = {name: float(np.ravel(at[name].values)[0]) for name in OUTCOMES}
    return PHASES.index(representation.phase(**fractions, order=order))


def measure(session: Session) -> bool:
    """Measure every snapshot whose measures are missing and write them as they come.

    Returns:
      Whether there was any.

    Raises:
      Interrupted: after a signal.
    """
    run, store = session.run, session.store
    members = run.grid.members

    def read() -> xr.Dataset:
        return open_results(session.workdir.path)

    tasks = pending(read(), members, run.analyses)

    def watched(tasks: Sequence[Task]) -> Iterator[Task]:
        for task in session.progress.track(tasks, "cloud", ANALYSIS):
            yield task
            if session.stopper.signum is not None:
                raise Interrupted(session.stopper.signum, "stopped during the analysis: run again to go on")

    for task, outcome in _outcomes(watched(tasks), tasks, read()):
        group = cloud_group(task.tensor, task.kind)
        try:
            values = outcome()
        except pool.LostWorkerError:
            raise
        except UserError as error:
            session.say(f"{task}: {error}")
            store.record([task.member], task.step, group, IMPOSSIBLE)
            continue
        store.write_cloud(task.member, task.step, TENSORS.index(task.tensor), values, group)
    if run.analyses:
        _judge(session, read())
    return bool(tasks)


def _outcomes(
    watched: Iterator[Task], tasks: Sequence[Task], results: xr.Dataset
) -> Iterator[tuple[Task, Callable[[], dict[str, np.ndarray]]]]:
    """Yield every task with a callable that returns its measures; tasks of equal `key` are measured once."""
    distinct: dict[tuple, Task] = {}
    for task in tasks:
        distinct.setdefault(task.key, task)
    calls = (_arguments(task, results) for task in distinct.values())
    expensive = sum(task.kind != "spectrum" for task in distinct.values())
    worth = expensive * results.sizes["sample"] >= WORTH_PROCESSES
    known: dict[tuple, Callable[[], dict[str, np.ndarray]]] = {}
    with contextlib.closing(
        pool.map_ordered(representation.analyze, calls, pool.default_processes() if worth else 1)
    ) as outcomes:
        for task in watched:
            # the pool yields in the order in which `distinct` first saw each key, which is that of `tasks`
            outcome = known[task.key] if task.key in known else next(outcomes)
            if task.tensor == PIXELS:  # the only ones that occur again
                known[task.key] = outcome
            yield task, outcome


def _judge(session: Session, results: xr.Dataset) -> None:
    """Write factorization and phase of every evaluation that lacks them."""
    store, members = session.store, session.run.grid.members
    results = select_scores(results)
    recorded = results["group_complete"].load()
    judged = [group for group in (FACTORIZATION, PHASE) if group in recorded["group"].values]
    for member in members:
        of_member = recorded.sel(member.labels)
        for step in results["step"].values[(of_member.sel(group=EVALUATION) == COMPLETE).values]:
            for group in judged:
                if of_member.sel(step=step, group=group) != MISSING:
                    continue
                if group == FACTORIZATION:
                    values = factorization(member, int(step), results)
                else:
                    index = phase(member, int(step), results)
                    if index is None:
                        continue
                    values = {"phase": np.asarray(index)}
                store.write([member], {name: value[None] for name, value in values.items()}, int(step), group)
