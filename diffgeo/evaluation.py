"""Evaluation of a wave of members: what they are sampled at, their samples read out and scored, their snapshots."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray

from diffgeo import analysis, batches, datasets, images, processes, readout, regions, results
from diffgeo.grid import Grid, Member, member_key, stream


@dataclass(frozen=True)
class Wave:
    """Members that train together, their labels, the regions of all the grid's scores, and where checkpoints lie."""

    index: int
    members: tuple[Member, ...]
    rows: int
    labels: tuple[np.ndarray, ...]
    origins: tuple[np.ndarray, ...]
    regions: tuple[str, ...]

    @property
    def stacked_labels(self) -> np.ndarray:
        """float32[M, S, 2]; members with fewer labels repeat their first one."""
        longest = max(len(own) for own in self.labels)
        return np.stack([_filled(own, longest) for own in self.labels])

    @property
    def perfect_images(self) -> np.ndarray:
        """float32[M, S, N, N, 1], what the members should draw at `stacked_labels`."""
        perfect = [true_images(*one) for one in zip(self.members, self.stacked_labels, self.origins, strict=True)]
        return np.stack(perfect)


def _filled(rows: np.ndarray, length: int) -> np.ndarray:
    """Rows up to a length, the first one repeated."""
    return np.concatenate([rows, np.repeat(rows[:1], length - len(rows), 0)])


def waves(grid: Grid, members_at_once: int | None) -> list[Wave]:
    """The grid's waves; builds every member's table on host."""
    built = {member.index: datasets.build(member.settings.data) for member in grid.members}
    rows = datasets.padded(max(int(table.count) for table in built.values()))
    scored = regions.names([member.settings.data for member in grid.members])
    found = []
    for index, members in enumerate(grid.waves(members_at_once)):
        labels = []
        for member in members:
            evaluation, data = member.settings.evaluation, member.settings.data
            key = stream(member_key(member.seed), "labels")
            labels.append(
                batches.evaluation_labels(
                    built[member.index], key, evaluation.labels, evaluation.count, data.size
                ).astype(np.float32)
            )
        origins = tuple(built[member.index].origin for member in members)
        found.append(Wave(index, tuple(members), rows, tuple(labels), origins, scored))
    return found


def evaluate(wave: Wave, mapped, params, step: int, snapshots: bool = False) -> dict[str, list]:
    """Samples of a wave's members at their labels, read out and scored: variable name -> one array per member.

    Args:
      wave: the members and their labels.
      mapped: the members mapped over devices.
      params: from `mapped.parameters` or `mapped.place`.
      step: training steps done.
      snapshots: also give `scores`, see `diffgeo.analysis.snapshot`.

    Returns:
      Of several processes, all sample and process 0 reads out; nothing on the others.
    """
    drawn, recorded = mapped.sample(params, step, wave.stacked_labels, record=snapshots)
    if snapshots:
        perfect = wave.perfect_images
        recorded = recorded | {
            analysis.PROXY: mapped.encode(params, step, perfect, wave.stacked_labels)["layer4"],
            analysis.PIXELS: perfect,
        }
    if not processes.first():
        return {}
    pictures = images.to_uint8(drawn)
    columns: dict[str, list] = {}
    for member, own, origin, grey in zip(wave.members, wave.labels, wave.origins, pictures, strict=True):
        grey = grey[: len(own)]
        read = _read(member, grey, own - origin)
        values = _scores(read, regions.masks(member.settings.data, own, wave.regions)) | {
            "prediction": read.predicted + origin,
            "samples": grey[: member.settings.evaluation.keep],
        }
        for name, value in values.items():
            columns.setdefault(name, []).append(value)
    if snapshots:
        columns["scores"] = [
            analysis.snapshot({name: tensor[i][: len(own)] for name, tensor in recorded.items()})
            for i, own in enumerate(wave.labels)
        ]
    return columns


def _scores(read: readout.Readout, masks: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Each score of `readout.summarise` in every region; no dim for a single one."""
    columns = [readout.summarise(read, mask) for mask in masks.values()]
    return {name: np.squeeze([column[name] for column in columns]) for name in columns[0]}


def true_images(member: Member, labels: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """float32[S, N, N, 1], what a member should draw at float32[S, 2] labels in frame coordinates."""
    data = member.settings.data
    return np.asarray(images.render(labels - origin[None], data.sigma, data.kind, data.size, data.periodic))


def ceiling(member: Member, labels: np.ndarray, origin: np.ndarray) -> float:
    """Accuracy that the member's read-out reaches on perfect images of float32[S, 2] labels in frame coordinates.

    Under 1 where the read-out itself fails: Alg. 1 of 2402.03305 cuts its rectangle at the border, so at N = 32 and
    sigma = 1 it is about 0.94 for d = 0.1 and 0.89 for d = 1, which looks like slower learning of sparse data.
    """
    perfect = images.to_uint8(true_images(member, labels, origin))
    return readout.summarise(_read(member, perfect, labels - origin[None]))["accuracy"]


def _read(member: Member, grey: np.ndarray, at: np.ndarray) -> readout.Readout:
    """A member's samples read out by its settings; `at` are the true centres in image coordinates."""
    data = member.settings.data
    return readout.score(grey, at, member.settings.evaluation.readout, kind=data.kind, periodic=data.periodic)


def empty_results(
    grid: Grid, planned: Sequence[Wave], analyses: Sequence[str], attributes: Mapping[str, str]
) -> xarray.Dataset:
    """A run's Dataset before it starts: `results.template` with the members' labels filled in."""
    longest = max(len(own) for wave in planned for own in wave.labels)
    empty = results.template(grid, longest, attributes, analysis.variables(analyses, longest))
    flat = empty["label"].values.reshape(-1, longest, 2)
    ceilings, origins = empty["ceiling"].values.reshape(-1), empty["origin"].values.reshape(-1, 2)
    for wave in planned:
        for member, own, origin in zip(wave.members, wave.labels, wave.origins, strict=True):
            flat[member.index, : len(own)] = own
            ceilings[member.index] = ceiling(member, own, origin)
            origins[member.index] = origin
    return empty
