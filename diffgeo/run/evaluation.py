"""Evaluation of a wave of members: what they are sampled at, their samples read out and scored, their snapshots."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import xarray

from diffgeo import analysis, batches, datasets, images, processes, readout, regions, results
from diffgeo.background import Background
from diffgeo.grid import Grid, Member, member_key, stream
from diffgeo.mapping import Sampled


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

    def perfect_images(self, place: int) -> np.ndarray:
        """float32[S, N, N, 1], what the member at a place should draw at its `stacked_labels`."""
        return true_images(self.members[place], self.stacked_labels[place], self.origins[place])


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


def evaluate(
    wave: Wave,
    mapped,
    params,
    step: int,
    store,
    reader: Background,
    snapshots: bool = False,
    loss: np.ndarray | None = None,
    told: Callable[[float], object] = lambda accuracy: None,
) -> None:
    """Samples a wave's members at their labels; behind that they are read out, scored and written.

    Returns when all are sampled, with the last of them still to be read out; what is not written when the process ends
    is missing as a whole. Of several processes, all sample and process 0 reads out.

    Args:
      wave: the members and their labels.
      mapped: the members mapped over devices.
      params: from `mapped.parameters` or `mapped.place`.
      step: training steps done.
      store: the open results.
      reader: does the read-out; nothing of an earlier evaluation is left there when this one starts.
      snapshots: also write `scores`, see `diffgeo.analysis.snapshot`.
      loss: float[M], written too if given.
      told: called with the mean accuracy once it is written.
    """
    reader.settle()
    columns: dict[str, list] = {} if loss is None else {"loss": list(loss)}
    perfect = wave.perfect_images if snapshots else None
    sampled = mapped.sample(params, step, wave.stacked_labels, record=snapshots, images=perfect)
    for place, one in enumerate(sampled):
        if processes.first():
            clouds = _clouds(wave, place, one) if snapshots else {}
            read = functools.partial(_read_member, wave, place, one.images, clouds, step, store, columns)
            reader.do(read, mapped.waiting)
    if processes.first():
        reader.do(functools.partial(_write, wave, step, store, columns, told), mapped.waiting)


def _clouds(wave: Wave, place: int, one: Sampled) -> dict[str, np.ndarray]:
    """`analysis.TENSORS` of a member, each float32[S, ...]."""
    clouds = {
        **one.recorded,
        analysis.PROXY: one.encoded["layer4"],
        analysis.PIXELS: wave.perfect_images(place),
    }
    return {name: tensor[: len(wave.labels[place])] for name, tensor in clouds.items()}


def _read_member(
    wave: Wave,
    place: int,
    drawn: np.ndarray,
    clouds: Mapping[str, np.ndarray],
    step: int,
    store,
    columns: dict[str, list],
) -> None:
    """Adds a member's samples and scores to the columns; a snapshot, its largest result, is written at once."""
    member, own, origin = wave.members[place], wave.labels[place], wave.origins[place]
    grey = images.to_uint8(drawn[: len(own)])
    read = _read(member, grey, own - origin)
    values = _scores(read, regions.masks(member.settings.data, own, wave.regions)) | {
        "prediction": read.predicted + origin,
        "samples": grey[: member.settings.evaluation.keep],
    }
    for name, value in values.items():
        columns.setdefault(name, []).append(value)
    if clouds:
        store.write([member], {"scores": [analysis.snapshot(clouds)]}, step)


def _write(wave: Wave, step: int, store, columns: dict[str, list], told: Callable[[float], object]) -> None:
    accuracy = columns.pop("accuracy")
    # accuracy last: where it is, the evaluation is complete
    store.write(wave.members, columns | {"accuracy": accuracy}, step)
    told(float(np.mean([np.ravel(one)[0] for one in accuracy])))


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
    return accuracy(member, true_images(member, labels, origin), labels, origin)


def accuracy(member: Member, drawn: np.ndarray, labels: np.ndarray, origin: np.ndarray) -> float:
    """Share of images float32[S, N, N, 1] read out to be right at float32[S, 2] labels in frame coordinates."""
    return readout.summarise(_read(member, images.to_uint8(drawn), labels - origin[None]))["accuracy"]


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
