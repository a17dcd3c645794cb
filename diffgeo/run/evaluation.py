"""Evaluation of a wave: its members' samples drawn, read out, scored and written."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from diffgeo import images, readout
from diffgeo.data.nearest_seen import copied_hits
from diffgeo.data.sources import source_of
from diffgeo.experiment import Metric
from diffgeo.host import distributed
from diffgeo.results import template
from diffgeo.results.schema import (
    EVALUATION,
    FIELDS_OF_LAYERS,
    LAYER_FIELDS,
    LOSS,
    SNAPSHOT,
    VALIDATION,
    label_sets_of,
    on_true_images,
    readouts_of,
    scores_of,
)
from diffgeo.run import measure
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.run.waves import Wave, true_images
from diffgeo.settings import Factor, Member, Settings
from diffgeo.settings.allowed import COMMON, OWN
from diffgeo.training import Ensemble, Sampled, make_layer_geometry, make_validation_loss


def evaluate(
    session: Session, wave: Wave, ensemble: Ensemble, params: Any, step: int, loss: np.ndarray | None = None
) -> None:
    """Sample a wave's members at their labels; behind that, read the samples out, score them and write the scores.

    Members not evaluated at this step, in a grid over numbers of steps or once they have stopped, are left out.

    Returns when all are sampled, with the last of them still to be read out; what is not written when the process ends
    is missing as a whole. Of several processes, all sample and process 0 reads out.

    Args:
      session: the open run.
      wave: the members and their labels.
      ensemble: the members on devices.
      params: from `Ensemble.params` or `Ensemble.device_put`.
      step: training steps done.
      loss: float[M], written too if given.
    """
    session.writer.join()
    due = session.store.due(wave.members, step)
    if not due:
        return
    readings = _Readings(session, wave, step, due)
    snapshots = bool(session.run.analyses)
    common = COMMON in session.store.label_sets()
    labels, true = (
        (wave.sampled_labels, wave.sampled_true_images) if common else (wave.stacked_labels, wave.true_images)
    )
    sampled = ensemble.sample(params, step, labels, record=snapshots, images=true if snapshots else None, indices=due)
    for index, samples in zip(due, sampled, strict=True):
        if distributed.is_coordinator():
            clouds = _clouds(wave, index, samples) if snapshots else {}
            session.writer.submit(functools.partial(readings.read, index, samples.images, clouds), ensemble.max_pending)
    measured = _measure_true_images(session, wave, ensemble, params)
    if distributed.is_coordinator():
        session.writer.submit(functools.partial(readings.write, loss, measured), ensemble.max_pending)


def _measure_true_images(session: Session, wave: Wave, ensemble: Ensemble, params: Any) -> dict[str, dict[str, Any]]:
    """Return group -> name -> values of the wave's members, of each group that the settings ask for."""
    wanted, measured = on_true_images(session.run.settings), {}
    if VALIDATION in wanted:
        loss = ensemble.measure(make_validation_loss, params, wave.validation_tables())
        measured[VALIDATION] = {"val_loss": loss}
    if LAYER_FIELDS in wanted:
        fields = ensemble.measure(make_layer_geometry, params, wave.own_tables())
        if session.run.settings.evaluation.label_source != "grid":
            fields[..., 0] = np.nan  # analysis of variance needs each x with each y
        measured[LAYER_FIELDS] = dict(zip(FIELDS_OF_LAYERS, np.moveaxis(fields, -1, 0), strict=True))
    return measured


@dataclass(frozen=True)
class _Readings:
    """Scores of a wave's members that are due at one step, collected member by member, then written at once."""

    session: Session
    wave: Wave
    step: int
    due: Sequence[int]
    columns: dict[str, list] = field(default_factory=dict)
    measured: dict[str, list] = field(default_factory=dict)

    @property
    def _metrics(self) -> list[Metric]:
        """Metrics of samples."""
        return [metric for metric in self.session.run.metrics if not metric.of_model]

    def read(self, index: int, drawn: np.ndarray, clouds: Mapping[str, np.ndarray]) -> None:
        """Read out and score a member's samples; write its snapshot, the largest result, at once."""
        wave, member, origin = self.wave, self.wave.members[index], self.wave.origin(index)
        gray, first = images.to_uint8(drawn), wave.longest
        sets = {OWN: (wave.labels[index], gray[: len(wave.labels[index])])}
        if len(gray) > first:
            sets[COMMON] = (wave.common[index], gray[first:])
        methods = readouts_of(member.settings)
        read = {
            name: [_read(member, shown, labels - origin, method) for method in methods]
            for name, (labels, shown) in sets.items()
        }
        source, factors = source_of(member.settings), member.settings.factors
        masks = {name: list(source.masks(labels, wave.regions).values()) for name, (labels, _) in sets.items()}
        values = _scores(read, masks)
        errors = [
            [_error(read[name][-1], labels - origin, mask, factors) for mask in masks[name]]
            for name, (labels, _) in sets.items()
        ]
        values["error"] = xr.Variable(("label_set", "region"), errors)
        for name, prediction, sample in ((OWN, "prediction", "sample"), (COMMON, "common_prediction", "common")):
            if name in sets:
                predicted = np.stack([one.predicted + origin for one in read[name]])
                values[prediction] = xr.Variable(("readout", sample, "factor"), predicted)
        for metric in self._metrics:
            labels, shown = sets[OWN]
            self.measured.setdefault(metric.variable, []).append(metric.of(shown, labels, member.settings))
        values["samples"] = sets[OWN][1][: member.settings.evaluation.stored_images]
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)
        if clouds:
            self.session.store.write([member], {"pca_scores": [measure.snapshot(clouds)]}, self.step, SNAPSHOT)

    def write(self, loss: np.ndarray | None, measured: Mapping[str, Mapping[str, Any]] = {}) -> None:
        """Write the scores of all members, and record them as complete; before them measures on true images."""
        store, members = self.session.store, [self.wave.members[index] for index in self.due]
        for group, values in measured.items():
            store.write(members, {name: of_all[self.due] for name, of_all in values.items()}, self.step, group)
        if loss is not None:
            store.write(members, {"loss": list(loss[self.due])}, self.step, LOSS)
        store.write(members, self.columns, self.step, EVALUATION)
        for metric in self._metrics:
            values = {metric.variable: self.measured[metric.variable]}
            store.write(members, values, self.step, metric.variable)
        accuracy = [float(values.values.flat[0]) for values in self.columns["accuracy"]]
        numbers = {"accuracy": accuracy} | ({} if loss is None else {"loss": map(float, loss[self.due])})
        by_member = {name: dict(zip(map(str, members), values, strict=True)) for name, values in numbers.items()}
        self.session.progress.note_evaluation(self.step, **by_member)


def _clouds(wave: Wave, index: int, samples: Sampled) -> dict[str, np.ndarray]:
    """Return `measure.TENSORS` of a member, each float32[S, ...]."""
    clouds = {
        **samples.recorded,
        measure.PROXY: samples.encoded[measure.LAYER],
        measure.PIXELS: wave.true_images(index),
        measure.GENERATED: samples.images,
    }
    return {name: tensor[: len(wave.labels[index])] for name, tensor in clouds.items()}


def _scores(read: Mapping[str, Sequence[readout.Readout]], masks: Mapping[str, Sequence[np.ndarray]]) -> dict[str, Any]:
    """Return each score of `readout.summarize` by set of labels, read-out method and region."""
    columns = [[[readout.summarize(one, mask) for mask in masks[name]] for one in read[name]] for name in read]
    dims = ("label_set", "readout", "region")
    return {
        name: xr.Variable(dims, [[[column[name] for column in part] for part in of_set] for of_set in columns])
        for name in columns[0][0][0]
    }


def _error(read: readout.Readout, at: np.ndarray, mask: np.ndarray, factors: Sequence[Factor]) -> float:
    """Return the median distance in tolerances (pixels, of the papers) of a region's samples.

    NaN if the median sample cannot be read.
    """
    each = readout.distances(read.predicted, at, [factor.period for factor in factors])[mask]
    distance = functools.reduce(np.hypot, (each / [factor.tolerance for factor in factors]).T)
    median = np.median(np.where(np.isnan(distance), np.inf, distance)) if len(distance) else np.inf
    return float(median) if np.isfinite(median) else float("nan")


def copied_scores(settings: Settings, labels: np.ndarray, seen: np.ndarray, wanted: Sequence[str]) -> np.ndarray:
    """Return float[K + 1, region], the expected accuracies (all, then each factor's) of drawing the nearest seen label.

    Args:
      settings: the member's.
      labels: float[n, K], asked for.
      seen: float[m, K], of the training data.
      wanted: names of regions.
    """
    factors = settings.factors
    hits = copied_hits(labels, seen, [f.tolerance for f in factors], [f.period for f in factors])
    masks = source_of(settings).masks(labels, wanted).values()
    nothing = np.full(hits.shape[1], np.nan)
    return np.stack([hits[mask].mean(axis=0) if mask.any() else nothing for mask in masks], axis=1)


def readout_ceiling(member: Member, labels: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """Return float[readout], the accuracies that the member's read-outs reach on true images of float32[S, K] labels.

    Under 1 where a read-out itself fails: Alg. 1 of 2402.03305 cuts its rectangle at the border, so at N = 32 and
    sigma = 1 it is about 0.94 for d = 0.1 and 0.89 for d = 1, which looks like slower learning of sparse data.
    """
    true = true_images(member, labels, origin)
    return np.array([accuracy(member, true, labels, origin, method) for method in readouts_of(member.settings)])


def accuracy(
    member: Member, drawn: np.ndarray, labels: np.ndarray, origin: np.ndarray, method: str | None = None
) -> float:
    """Return the fraction of images that are read out as right.

    Args:
      member: that drew them.
      drawn: float32[S, N, N, C].
      labels: float32[S, K], asked for, in the frame.
      origin: where the image's pixel (0, 0) lies in the frame.
      method: a read-out; None for that of the settings.
    """
    method = method or member.settings.evaluation.readout
    return readout.summarize(_read(member, images.to_uint8(drawn), labels - origin[None], method))["accuracy"]


def _read(member: Member, gray: np.ndarray, at: np.ndarray, method: str) -> readout.Readout:
    """Read out a member's samples; `at` are the true labels in image coordinates."""
    return source_of(member.settings).read(gray, at, method)


def empty_results(run: Run, waves: Sequence[Wave], provenance: Mapping[str, str]) -> xr.Dataset:
    """Return a run's Dataset before it starts: `results.template` with the members' labels filled in."""
    longest = max(len(labels) for wave in waves for labels in wave.labels)
    empty = template(run.grid, longest, run.attributes | dict(provenance), measure.schema_of(run, longest))
    num_factors, count = empty.sizes["factor"], len(run.grid.members)
    flat = empty["label"].values.reshape(-1, longest, num_factors)
    sets, origins = label_sets_of(run.settings), empty["origin"].values.reshape(-1, num_factors)
    ceilings = empty["readout_ceiling"].values.reshape(count, len(sets), -1)
    names = [f"copied_{name}" for name in scores_of(run.settings)]
    copied = {name: empty[name].values.reshape(count, len(sets), -1) for name in names}
    common = empty["common_label"].values.reshape(count, -1, num_factors) if COMMON in sets else None
    for wave in waves:
        for index, (member, labels) in enumerate(zip(wave.members, wave.labels, strict=True)):
            origins[member.index] = wave.origin(index)
            flat[member.index, : len(labels)] = labels
            seen = wave.tables.centers[index][: int(np.asarray(wave.tables.count)[index])]
            if common is not None:
                common[member.index] = wave.common[index]
            for at, asked in enumerate((labels, wave.common[index])[: len(sets)]):
                ceilings[member.index, at] = readout_ceiling(member, asked, wave.origin(index))
                found = copied_scores(member.settings, asked, seen, wave.regions)
                for name, values in zip(names, found, strict=True):
                    copied[name][member.index, at] = values
    return empty
