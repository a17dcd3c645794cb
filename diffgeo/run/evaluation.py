"""Evaluation of a wave: its members' samples drawn, read out, scored and written."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr

from diffgeo import images, readout
from diffgeo.data import regions
from diffgeo.host import distributed
from diffgeo.results import template
from diffgeo.results.schema import EVALUATION, LOSS, SNAPSHOT
from diffgeo.run import measure
from diffgeo.run.run import Run
from diffgeo.run.session import Session
from diffgeo.run.waves import Wave, true_images
from diffgeo.settings import Member
from diffgeo.training import Ensemble, Sampled


def evaluate(
    session: Session, wave: Wave, ensemble: Ensemble, params: Any, step: int, loss: np.ndarray | None = None
) -> None:
    """Sample a wave's members at their labels; behind that, read the samples out, score them and write the scores.

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
    readings = _Readings(session, wave, step)
    snapshots = bool(session.run.analyses)
    true = wave.true_images if snapshots else None
    sampled = ensemble.sample(params, step, wave.stacked_labels, record=snapshots, images=true)
    for index, samples in enumerate(sampled):
        if distributed.is_coordinator():
            clouds = _clouds(wave, index, samples) if snapshots else {}
            session.writer.submit(functools.partial(readings.read, index, samples.images, clouds), ensemble.max_pending)
    if distributed.is_coordinator():
        session.writer.submit(functools.partial(readings.write, loss), ensemble.max_pending)


@dataclass(frozen=True)
class _Readings:
    """Scores of a wave's members at one step, collected member by member, then written at once."""

    session: Session
    wave: Wave
    step: int
    columns: dict[str, list] = field(default_factory=dict)

    def read(self, index: int, drawn: np.ndarray, clouds: Mapping[str, np.ndarray]) -> None:
        """Read out and score a member's samples; write its snapshot, the largest result, at once."""
        member, labels, origin = self.wave.members[index], self.wave.labels[index], self.wave.origin(index)
        gray = images.to_uint8(drawn[: len(labels)])
        read = _read(member, gray, labels - origin)
        values = _scores(read, regions.masks(member.settings.data, labels, self.wave.regions)) | {
            "prediction": read.predicted + origin,
            "samples": gray[: member.settings.evaluation.stored_images],
        }
        for name, value in values.items():
            self.columns.setdefault(name, []).append(value)
        if clouds:
            self.session.store.write([member], {"pca_scores": [measure.snapshot(clouds)]}, self.step, SNAPSHOT)

    def write(self, loss: np.ndarray | None) -> None:
        """Write the scores of all members, and record them as complete."""
        store, members = self.session.store, self.wave.members
        if loss is not None:
            store.write(members, {"loss": list(loss)}, self.step, LOSS)
        store.write(members, self.columns, self.step, EVALUATION)
        accuracy = float(np.mean([np.ravel(values)[0] for values in self.columns["accuracy"]]))
        self.session.progress.note(accuracy=f"{accuracy:.2f}")


def _clouds(wave: Wave, index: int, samples: Sampled) -> dict[str, np.ndarray]:
    """Return `measure.TENSORS` of a member, each float32[S, ...]."""
    clouds = {
        **samples.recorded,
        measure.PROXY: samples.encoded[measure.LAYER],
        measure.PIXELS: wave.true_images(index),
        measure.GENERATED: samples.images,
    }
    return {name: tensor[: len(wave.labels[index])] for name, tensor in clouds.items()}


def _scores(read: readout.Readout, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return each score of `readout.summarize` in every region; no dim for a single one."""
    columns = [readout.summarize(read, mask) for mask in masks.values()]
    return {name: np.squeeze([column[name] for column in columns]) for name in columns[0]}


def readout_ceiling(member: Member, labels: np.ndarray, origin: np.ndarray) -> float:
    """Return the accuracy that the member's read-out reaches on true images of float32[S, 2] labels.

    Under 1 where the read-out itself fails: Alg. 1 of 2402.03305 cuts its rectangle at the border, so at N = 32 and
    sigma = 1 it is about 0.94 for d = 0.1 and 0.89 for d = 1, which looks like slower learning of sparse data.
    """
    return accuracy(member, true_images(member, labels, origin), labels, origin)


def accuracy(member: Member, drawn: np.ndarray, labels: np.ndarray, origin: np.ndarray) -> float:
    """Return the fraction of images float32[S, N, N, 1] read out as right at float32[S, 2] labels of the frame."""
    return readout.summarize(_read(member, images.to_uint8(drawn), labels - origin[None]))["accuracy"]


def _read(member: Member, gray: np.ndarray, at: np.ndarray) -> readout.Readout:
    """Read out a member's samples by its settings; `at` are the true centers in image coordinates."""
    data = member.settings.data
    method = member.settings.evaluation.readout
    return readout.score(gray, at, method, kind=data.kind, sigma=data.sigma, periodic=data.periodic)


def empty_results(run: Run, waves: Sequence[Wave], provenance: Mapping[str, str]) -> xr.Dataset:
    """Return a run's Dataset before it starts: `results.template` with the members' labels filled in."""
    longest = max(len(labels) for wave in waves for labels in wave.labels)
    empty = template(run.grid, longest, run.attributes | dict(provenance), measure.schema(run.analyses, longest))
    flat = empty["label"].values.reshape(-1, longest, 2)
    ceilings, origins = empty["readout_ceiling"].values.reshape(-1), empty["origin"].values.reshape(-1, 2)
    for wave in waves:
        for index, (member, labels) in enumerate(zip(wave.members, wave.labels, strict=True)):
            origins[member.index] = wave.origin(index)
            flat[member.index, : len(labels)] = labels
            ceilings[member.index] = readout_ceiling(member, labels, wave.origin(index))
    return empty
