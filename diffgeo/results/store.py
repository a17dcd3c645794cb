"""The results of a run: one labelled xarray Dataset on disk (zarr), filled in while training runs.

Dims are the grid's axes, then `step` (training steps of the evaluations), `sample`, `coordinate` ("x", "y"), `kept`,
`row`, `column`; the scores have a last dim `region` ("all", "id", "ood", parts of the hole) if any member's data has a
hole, NaN in the regions that a member lacks. All arrays exist from the start, NaN where nothing has been evaluated yet,
so a notebook can open the store at any time. Process 0 alone writes; a chunk is replaced by one rename.
"""

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import xarray
import zarr

from diffgeo import processes, regions
from diffgeo.errors import UserError
from diffgeo.grid import Grid, Member
from diffgeo.limits import NEVER
from diffgeo.settings import Data, Settings

SCORES = ("accuracy", "accuracy_x", "accuracy_y")
LARGE = 2**18  # bytes
FRACTIONS = ("correct", "no_bump", "wrong_place", "several_bumps")

DESCRIPTIONS = {
    "loss": "mean training loss since the previous evaluation",
    "accuracy": "share of samples within 1 pixel in x and y",
    "accuracy_x": "share of samples within 1 pixel in x",
    "accuracy_y": "share of samples within 1 pixel in y",
    "correct": "share of samples with exactly one bump, at the right place",
    "no_bump": "share of samples without a bump",
    "wrong_place": "share of samples with one bump at a wrong place",
    "several_bumps": "share of samples with more than one bump",
    "prediction": "centres read out of the samples (pixels)",
    "label": "true centres of the samples (pixels)",
    "samples": "generated images, grey values 0 (dark) to 255",
    "origin": "label of the image's pixel (0, 0) (pixels): the margin of an extended frame",
    "ceiling": "accuracy that the read-out reaches on perfect images of the same labels",
    "frozen_step": f"step at which the member's loss was no longer finite and it was frozen ({NEVER}: never)",
}


def template(
    grid: Grid, labels: int, attributes: Mapping[str, str], analysed: tuple[Mapping, Mapping, Mapping] = ({}, {}, {})
) -> xarray.Dataset:
    """An empty Dataset of a run, in memory; see `DESCRIPTIONS` for the variables.

    Args:
      grid: whose axes become dims.
      labels: S, the largest number of samples of any member.
      attributes: strings about the run: experiment, command, commit, ...
      analysed: variables, lengths and coordinates of the analyses, from `diffgeo.analysis.variables`.
    """
    axes = {name: np.asarray(values) for name, values in grid.axes.items()}
    lengths = dict(zip(axes, grid.shape, strict=True))
    steps = grid.settings.evaluation_steps
    size = max(member.settings.data.size for member in grid.members)
    lengths |= {"step": len(steps), "sample": labels, "coordinate": 2}
    lengths |= {"kept": min(grid.settings.evaluation.keep, labels), "row": size, "column": size}
    by_step = (*axes, "step")

    def empty(name, dims, dtype=np.float32, fill=np.nan):
        filled = np.full([lengths[d] for d in dims], fill, dtype)
        return xarray.Variable(dims, filled, {"description": DESCRIPTIONS[name]})

    scored = regions.names([member.settings.data for member in grid.members])
    lengths["region"] = len(scored)
    by_region = by_step if len(scored) == 1 else (*by_step, "region")
    variables = {"loss": empty("loss", by_step)}
    variables |= {name: empty(name, by_region) for name in (*SCORES, *FRACTIONS)}
    variables["prediction"] = empty("prediction", (*by_step, "sample", "coordinate"))
    variables["label"] = empty("label", (*axes, "sample", "coordinate"))
    variables["samples"] = empty("samples", (*by_step, "kept", "row", "column"), np.uint8, 255)
    variables["origin"] = empty("origin", (*axes, "coordinate"))
    variables["ceiling"] = empty("ceiling", tuple(axes))
    variables["frozen_step"] = empty("frozen_step", tuple(axes), np.int64, NEVER)
    more, more_lengths, more_coordinates = analysed
    lengths |= more_lengths
    for name, (dims, description, dtype, fill) in more.items():
        shape = [lengths[d] for d in (*by_step, *dims)]
        # not filled in memory: snapshots of a large grid take gigabytes
        unfilled = np.broadcast_to(np.asarray(fill, dtype), shape)
        variables[name] = xarray.Variable((*by_step, *dims), unfilled, {"description": description})
    coordinates = axes | {"step": np.array(steps), "coordinate": ["x", "y"]} | dict(more_coordinates)
    if len(scored) > 1:
        coordinates["region"] = list(scored)
    return xarray.Dataset(variables, coordinates, dict(attributes))


class Results:
    """The store DIR/results.zarr, open for writing on process 0; on others of the same run writing does nothing."""

    def __init__(self, path: Path, grid: Grid):
        self.path = Path(path)
        self._grid = grid
        self._store = zarr.open_group(str(path), mode="r+") if processes.first() else None

    @staticmethod
    def create(path: Path, dataset: xarray.Dataset) -> None:
        """Writes an empty Dataset, one chunk a step, by one rename once it is complete."""
        unfinished = Path(path).with_suffix(".tmp")
        dataset.to_zarr(str(unfinished), mode="w", zarr_format=2, consolidated=True, encoding=_chunks(dataset))
        unfinished.rename(path)

    @staticmethod
    def extend(path: Path, dataset: xarray.Dataset) -> None:
        """Adds those variables of an empty Dataset that a stored one lacks: a run of before they were thought of."""
        stored = zarr.open_group(str(path), mode="r")
        lacking = dataset.drop_vars([name for name in dataset.data_vars if name in stored])
        if lacking.data_vars:
            lacking.attrs = dict(stored.attrs)  # they would be replaced
            lacking.to_zarr(str(path), mode="a", zarr_format=2, consolidated=True, encoding=_chunks(lacking))

    def write(
        self, members: Sequence[Member], values: Mapping[str, Sequence | np.ndarray], step: int | None = None
    ) -> None:
        """Writes values of some members, at one evaluation step or of variables without steps.

        Args:
          members: M of them.
          values: variable name -> M arrays; shorter than the variable's other dims where a member has
            fewer samples or smaller images.
          step: evaluation step, None for variables that have no `step`.
        """
        if self._store is None:
            return
        for name, given in values.items():
            array = self._store[name]
            axes = len(self._grid.shape)
            place = () if step is None else (self._grid.settings.evaluation_steps.index(step),)
            if all(length == 1 for length in array.chunks[:axes]):
                for member, value in zip(members, given, strict=True):
                    self._write_one(array, member, np.asarray(value), *place)
                continue
            every = (slice(None),) * axes + place
            held = array[every]
            flat = held.reshape(-1, *held.shape[axes:])  # a view: rows are members
            for member, value in zip(members, given, strict=True):
                value = np.asarray(value)
                flat[(member.index, *(slice(0, n) for n in value.shape))] = value
            array[every] = held

    def _write_one(self, array, member: Member, value: np.ndarray, *places: int) -> None:
        """Writes what one member has of a variable, at these places of the dims behind the axes."""
        at = (*np.unravel_index(member.index, self._grid.shape), *places)
        array[(*at, *(slice(0, n) for n in value.shape))] = value

    def write_cloud(self, member: Member, step: int, tensor: int, values: Mapping[str, np.ndarray]) -> None:
        """Writes what was measured of one cloud of one member: variables with the dims axes, step, tensor, ..."""
        place = self._grid.settings.evaluation_steps.index(step)
        for name, value in values.items():
            self._write_one(self._store[name], member, np.asarray(value), place, tensor)

    def missing(self, members: Sequence[Member], name: str = "accuracy") -> list[int]:
        """Evaluation steps at which some of these members have no value yet; all processes ask together."""
        return processes.decide(lambda: self._missing(members, name))

    def _missing(self, members: Sequence[Member], name: str) -> list[int]:
        held = np.asarray(self._store[name][...])
        held = held.reshape(len(self._grid.members), len(self._grid.settings.evaluation_steps), -1)
        empty = np.isnan(held[[member.index for member in members]]).all(axis=-1).any(axis=0)
        return [step for step, none in zip(self._grid.settings.evaluation_steps, empty, strict=True) if none]


def _chunks(dataset: xarray.Dataset) -> dict[str, dict]:
    """One chunk a step; of variables that take over `LARGE` bytes of a member, one a step and member."""

    def chunks(variable: xarray.DataArray) -> tuple[int, ...]:
        axes = variable.dims.index("step") if "step" in variable.dims else 0
        own = math.prod(variable.shape[axes + 1 :]) * variable.dtype.itemsize
        alone = axes + 1 if own > LARGE else 0
        return tuple(1 if i < alone or dim == "step" else n for i, (dim, n) in enumerate(variable.sizes.items()))

    return {name: {"chunks": chunks(variable)} for name, variable in dataset.data_vars.items()}


def open_results(workdir: str | Path) -> xarray.Dataset:
    """The Dataset of a work folder, read lazily; safe while the run is still writing.

    Raises:
      UserError: if the folder has no results.
    """
    path = Path(workdir) / "results.zarr"
    if not path.exists():
        raise UserError(f"no results in {str(workdir)!r}: start a run there with launch.train first")
    return xarray.open_zarr(str(path), chunks=None)


def load_results(workdir: str | Path) -> xarray.Dataset:
    """As `open_results`, in memory, but for snapshots: they are the largest part, and read when they are used."""
    found = open_results(workdir)
    for name, variable in found.variables.items():
        if name != "scores":
            variable.load()
    return found


def settings_tree(dataset: xarray.Dataset) -> dict:
    """The run's settings as plain dicts, from the Dataset's attributes."""
    return json.loads(dataset.attrs["settings"])


def data_at(found: xarray.Dataset, /, **coordinates) -> Data:
    """The data settings of the members at these coordinates; axes of length 1 need none."""
    settings = Settings.from_json(settings_tree(found))
    known = {name: found[name].values.reshape(-1)[0] for name in settings.axes if name != "seed"} | coordinates
    return settings.at(**{name: np.asarray(value).item() for name, value in known.items()}).data
