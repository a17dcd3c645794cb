"""The results of a run open for writing: one labeled xarray Dataset on disk (zarr), filled in while training runs.

Process 0 alone writes; a chunk is replaced by one rename, with its checksum. A part of an evaluation counts as present
when it is recorded as complete (`group_complete`), after its values are written: a kill between two writes leaves it
missing as a whole.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.storage import LocalStore

from diffgeo.host import distributed
from diffgeo.host.files import atomic_path
from diffgeo.results import checked, metadata
from diffgeo.results.metadata import GROUP_ATTRIBUTE, ArrayInfo
from diffgeo.results.read import checked_store, old_names, open_store
from diffgeo.results.schema import (
    COMPLETE,
    EVALUATION,
    IMPOSSIBLE,
    MISSING,
    SNAPSHOT,
    chunk_encoding,
    complete_by_value,
)
from diffgeo.settings import Grid, Member
from diffgeo.settings.allowed import NEVER, OWN

BY_LABEL_SET = ("label_set", "readout", "common")
"""Dims of scores and samples that stores before format 3 lack."""

Values = Mapping[str, Sequence | np.ndarray]


class Results:
    """The store DIR/results.zarr, open for writing on process 0; on others of the same run writing does nothing.

    A store of an earlier version keeps its names on disk and is written by those of this one.
    """

    def __init__(self, path: Path, grid: Grid):
        self.path = Path(path)
        self._grid = grid
        self._steps = grid.evaluation_steps
        self._store = open_arrays(self.path, write=True) if distributed.is_coordinator() else None
        self._names = {} if self._store is None else old_names(self._store.attrs)
        self._groups = [] if self._store is None else [str(name) for name in self._array("group")[:]]

    def _array(self, name: str) -> Any:
        assert self._store is not None
        return writable(self._store, self._names.get(name, name))

    @staticmethod
    def create(path: Path, dataset: xr.Dataset) -> None:
        """Write a Dataset, one chunk a step, by one rename once it is complete; of a new run without empty chunks."""
        begun = "group_complete" not in dataset or bool((dataset["group_complete"] == COMPLETE).any())
        with atomic_path(path) as part:
            how: Any = {"zarr_format": 2, "consolidated": False, "encoding": chunk_encoding(dataset)}
            dataset.to_zarr(LocalStore(part), mode="w", write_empty_chunks=begun, **how)
            store: Any = zarr.open_group(LocalStore(part), mode="r+", zarr_format=2, use_consolidated=False)
            for name, variable in dataset.variables.items():
                if GROUP_ATTRIBUTE not in variable.attrs:  # zarr leaves out chunks of the fill alone
                    one = variable.ndim and not any(variable.values.strides)
                    writable(store, str(name))[...] = variable.values.flat[0] if one else variable.values
            metadata.consolidate(part)

    @staticmethod
    def grow(path: Path, dataset: xr.Dataset, axes: Sequence[str]) -> None:
        """Add to a store the members that it lacks, from an empty Dataset: values behind those that its axes have.

        What is there is not written to. Readers go by the consolidated metadata, replaced last; after a kill before
        that the same is done again.
        """
        stored = open_store(path)
        for axis in axes:
            known, length = stored.sizes[axis], dataset.sizes[axis]
            if known == length:
                continue
            store = _restored(path)
            new = dataset.isel({axis: slice(known, None)})
            for name, array in store.arrays():
                dims = array.attrs["_ARRAY_DIMENSIONS"]
                if axis in dims:
                    at = dims.index(axis)
                    array.resize((*array.shape[:at], length, *array.shape[at + 1 :]))
                    _write_new(writable(store, name), new[name].values, at, known)
            store.attrs.update(settings=dataset.attrs["settings"])
            metadata.consolidate(path)

    @staticmethod
    def extend(path: Path, dataset: xr.Dataset, fields: Mapping[str, Sequence[str]]) -> None:
        """Add to a store written by an earlier version the variables of an empty Dataset that it lacks.

        Args:
          path: of the store.
          dataset: the empty Dataset.
          fields: group -> its variables, by which results of format 1 count as complete.

        Tensors that it lacks are added behind its own: they cannot be measured at steps whose snapshot is there.
        """
        grown = _extend_tensors(path, [str(name) for name in dataset["tensor"].values] if "tensor" in dataset else [])
        stored = open_store(path)
        if "label_set" not in stored.dims:
            # it keeps the form in which it was started, see `write`: its scores cannot gain dims
            dataset = dataset.drop_dims([dim for dim in BY_LABEL_SET if dim in dataset.dims])
        if "group_complete" in stored:
            _extend_groups(path, [str(name) for name in dataset["group"].values])
            _refuse(path, grown)
            dataset = dataset.drop_vars("group")
        lacking = dataset.drop_vars([name for name in dataset.data_vars if name in stored])
        if not lacking.data_vars:
            return
        if "group_complete" in lacking:
            groups = [str(name) for name in dataset["group"].values]
            lacking["group_complete"] = lacking["group_complete"].copy(data=complete_by_value(stored, groups, fields))
        attributes = dict(open_arrays(path).attrs)
        names = old_names(attributes)
        lacking = lacking.rename(
            {new: old for new, old in names.items() if new in lacking.variables or new in lacking.dims}
        )
        lacking.attrs = attributes  # they would be replaced
        store = _restored(path)
        lacking = lacking.drop_vars([name for name in lacking.variables if name in store])
        encoding = chunk_encoding(lacking)
        lacking.to_zarr(LocalStore(path), mode="a", zarr_format=2, consolidated=False, encoding=encoding)
        groups = set(stored["group"].values) if "group" in stored else set()
        for name, variable in lacking.variables.items():
            # of a group that is recorded already, values are missing where it was complete before they were known
            if variable.attrs.get(GROUP_ATTRIBUTE) in {None, *groups}:
                writable(store, str(name))[...] = variable.values
        metadata.consolidate(path)
        if "group_complete" not in stored:
            _refuse(path, grown)

    def write(
        self, members: Sequence[Member], values: Values, step: int | None = None, group: str | None = None
    ) -> None:
        """Write values of some members, at one evaluation step or of variables without steps.

        Args:
          members: M of them.
          values: variable name -> M arrays; shorter than the variable's other dims where a member has
            fewer samples or smaller images. An xarray Variable names its dims: one that the store's variable lacks is
            dropped at its first entry (a single region; in a store before format 3 the papers' own labels and
            read-out), and such a store leaves out the variables that it does not have.
          step: evaluation step, None for variables that have no `step`.
          group: recorded as complete once all values are written.
        """
        if self._store is None:
            return
        for name, given in values.items():
            if name not in self._store and BY_LABEL_SET[0] not in self._store and isinstance(given[0], xr.Variable):
                continue
            array = self._array(name)
            given = [_fitted(value, array) for value in given]
            axes = len(self._grid.shape)
            at_step = () if step is None else (self._steps.index(step),)
            if all(length == 1 for length in array.chunks[:axes]):
                for member, value in zip(members, given, strict=True):
                    self._write_one(array, member, np.asarray(value), *at_step)
                continue
            everything = (slice(None),) * axes + at_step
            held = array[everything]
            flat = held.reshape(-1, *held.shape[axes:])  # a view: rows are members
            for member, value in zip(members, given, strict=True):
                value = np.asarray(value)
                flat[(member.index, *(slice(0, n) for n in value.shape))] = value
            array[everything] = held
        if group is not None and step is not None:
            self.record(members, step, group)

    def label_sets(self) -> list[str]:
        """Return the sets of labels that the store has scores of; all processes call together."""
        return distributed.broadcast(self._label_sets)

    def _label_sets(self) -> list[str]:
        assert self._store is not None
        return [str(name) for name in self._array("label_set")[:]] if "label_set" in self._store else [OWN]

    def _write_one(self, array: Any, member: Member, value: np.ndarray, *index: int) -> None:
        """Write one member's part of a variable, at this index of the dims behind the axes."""
        at = (*np.unravel_index(member.index, self._grid.shape), *index)
        array[(*at, *(slice(0, n) for n in value.shape))] = value

    def write_cloud(self, member: Member, step: int, tensor: int, values: Mapping[str, np.ndarray], group: str) -> None:
        """Write the measures of one cloud of one member, with dims axes, step, tensor, ..., and record their group."""
        for name, value in values.items():
            self._write_one(self._array(name), member, np.asarray(value), self._steps.index(step), tensor)
        self.record([member], step, group)

    def record(self, members: Sequence[Member], step: int, group: str, value: int = COMPLETE) -> None:
        """Record a group of these members as complete, or `schema.IMPOSSIBLE`, at an evaluation step."""
        if self._store is None:
            return
        if value == COMPLETE:
            self._fill_up(members, self._steps.index(step), group)
        array = self._array("group_complete")
        index = (slice(None),) * len(self._grid.shape) + (self._steps.index(step), self._groups.index(group))
        held = array[index]
        held.reshape(-1)[[member.index for member in members]] = value
        array[index] = held

    def due(self, members: Sequence[Member], step: int) -> list[int]:
        """Return positions of the members that are evaluated at a step; all processes call together."""
        return distributed.broadcast(lambda: self._due(members, step))

    def _due(self, members: Sequence[Member], step: int) -> list[int]:
        held = self._completeness(EVALUATION)[:, self._steps.index(step)]
        return [i for i, member in enumerate(members) if held[member.index] != IMPOSSIBLE]

    def stop(self, members: Sequence[Member]) -> dict[int, int]:
        """Record members that have reached their `train.stop_when`: nothing of them is evaluated any more.

        Returns:
          Position of each stopped member, of this call or before -> the step; all processes call together.
        """
        return distributed.broadcast(lambda: self._stop(members))

    def _stop(self, members: Sequence[Member]) -> dict[int, int]:
        asked = {i: m for i, m in enumerate(members) if m.settings.train.stop_when is not None}
        if not asked:
            return {}
        accuracy, stopped = np.asarray(self._array("accuracy")[:]), self._array("stopped_step")
        # of own labels, by the settings' read-out, in all regions
        accuracy = accuracy.reshape(len(self._grid.members), len(self._steps), -1)[..., 0]
        complete, held = self._completeness(EVALUATION) == COMPLETE, np.asarray(stopped[...]).reshape(-1)
        for member in asked.values():
            reached = complete[member.index] & (accuracy[member.index] >= member.settings.train.stop_when)
            if held[member.index] == NEVER and reached.any():
                held[member.index] = self._steps[int(np.argmax(reached))]
                for step in (step for step in self._steps if step > held[member.index]):
                    for group in self._groups:
                        self.record([member], step, group, IMPOSSIBLE)
                self._write_one(stopped, member, held[member.index])  # last: after a kill before it, all is done again
        return {i: int(held[member.index]) for i, member in asked.items() if held[member.index] != NEVER}

    def _completeness(self, group: str) -> np.ndarray:
        """Return `group_complete` of a group by member and step."""
        held = np.asarray(self._array("group_complete")[..., self._groups.index(group)])
        return held.reshape(len(self._grid.members), len(self._steps))

    def _fill_up(self, members: Sequence[Member], step: int, group: str) -> None:
        """Write the missing values of variables of a group that were not given: a chunk that is absent is damage."""
        store: Any = self._store
        known = store.store.metadata
        for member in members:
            place = np.unravel_index(member.index, self._grid.shape)
            at = {axis: int(index) for axis, index in zip(self._grid.axes, place, strict=True)} | {"step": step}
            for chunk in checked.chunks_at(known, group, at):
                if not (self.path / chunk.file).exists():
                    array, region = writable(store, chunk.array), chunk.ranges(known.arrays[chunk.array])
                    array[tuple(region.values())] = array[tuple(region.values())]

    @property
    def steps(self) -> tuple[int, ...]:
        """The evaluation steps."""
        return self._steps

    def current_name(self, stored: str) -> str:
        """Return this version's name of a variable of the store."""
        return next((new for new, old in self._names.items() if old == stored), stored)

    @property
    def members(self) -> list[Member]:
        """All members of the grid."""
        return self._grid.members

    def at(self, name: str, step: int) -> np.ndarray:
        """Return the values of a variable of all members at an evaluation step."""
        return np.asarray(self._array(name)[(slice(None),) * len(self._grid.shape) + (self._steps.index(step),)])

    def overwrite(self, stored: str, ranges: Mapping[str, slice], values: Any) -> None:
        """Write a part of a variable, by its name in the store, whatever was there."""
        writable(self._store, stored)[tuple(ranges.values())] = values

    def forget(self, info: ArrayInfo, ranges: Mapping[str, slice]) -> None:
        """Record the groups that an array is written with as missing, of the members and steps in these ranges."""
        array: Any = self._array("group_complete")
        dims = array.attrs["_ARRAY_DIMENSIONS"]
        region = tuple(ranges.get(dim, slice(None)) for dim in dims)
        held = array[region]
        own = [index for index, name in enumerate(self._groups) if checked.is_of_group(info, name)]
        held[..., own] = np.where(held[..., own] == COMPLETE, MISSING, held[..., own])
        array[region] = held

    def missing(self, members: Sequence[Member], group: str = EVALUATION) -> list[int]:
        """Return evaluation steps of some of these members at which they lack a group; all processes call together."""
        return distributed.broadcast(lambda: self._missing(members, group))

    def _missing(self, members: Sequence[Member], group: str) -> list[int]:
        lacking = (self._completeness(group)[[member.index for member in members]] == MISSING).any(axis=0)
        return [step for step, lacks in zip(self._steps, lacking, strict=True) if lacks]


def open_arrays(path: Path, write: bool = False) -> Any:
    """Open a store's arrays by its consolidated metadata, validated; their chunks are compared with their checksums.

    Raises:
      UserError: for metadata that is damaged, or none of this library's; later, for a damaged chunk.
    """
    return zarr.open_group(checked_store(path, write), mode="r+" if write else "r", zarr_format=2)


def writable(store: Any, name: str) -> Any:
    """Return an array of an open store; what is written to it has a chunk, be it the fill throughout."""
    return store[name].with_config({"write_empty_chunks": True})


def _restored(path: Path) -> Any:
    """Open a store to change its metadata, beginning with what the consolidated file says."""
    metadata.restore(path, checked.read_folder(path))
    return zarr.open_group(LocalStore(path), mode="r+", zarr_format=2, use_consolidated=False)


def _write_new(array: Any, values: np.ndarray, axis: int, start: int) -> None:
    """Write values at the end of an axis; one that fills all of a variable of a group needs no chunk."""
    place = [slice(0, size) for size in values.shape]
    place[axis] = slice(start, array.shape[axis])
    if (
        GROUP_ATTRIBUTE in array.attrs and values.ndim and not any(values.strides)
    ):  # one value throughout, of which a large grid has gigabytes
        value = values.flat[0]
        if not np.array_equal(value, array.fill_value, equal_nan=values.dtype.kind == "f"):
            array[tuple(place)] = value
    else:
        array[tuple(place)] = values


def _fitted(value: Any, array: Any) -> np.ndarray:
    """Return a value without the dims that an array of the store lacks; of one without names, all of it."""
    if not isinstance(value, xr.Variable):
        return np.asarray(value)
    held = array.attrs["_ARRAY_DIMENSIONS"]
    return value.isel({dim: 0 for dim in value.dims if dim not in held}).values


def _extend_groups(path: Path, groups: Sequence[str]) -> None:
    """Add to a store the groups that it lacks, missing everywhere.

    Readers go by the consolidated metadata, replaced last; after a kill before that the same is done again.
    """
    stored = open_arrays(path)
    known = [str(name) for name in stored["group"][:]]
    lacking = [name for name in groups if name not in known]
    if not lacking:
        return
    store = _restored(path)
    complete, names = writable(store, "group_complete"), writable(store, "group")
    complete.resize((*complete.shape[:-1], len(known) + len(lacking)))
    complete[..., len(known) :] = MISSING
    names.resize((len(known) + len(lacking),))
    names[:] = np.array([*known, *lacking], names.dtype)
    held = complete[:]
    held[..., len(known) :][held[..., known.index(EVALUATION)] == IMPOSSIBLE] = IMPOSSIBLE
    complete[:] = held
    metadata.consolidate(path)


def _extend_tensors(path: Path, tensors: Sequence[str]) -> list[str]:
    """Add to a store the tensors that it lacks, NaN everywhere, behind its own; return them."""
    stored = open_arrays(path)
    if "tensor" not in stored:
        return []
    known = [str(name) for name in stored["tensor"][:]]
    lacking = [name for name in tensors if name not in known]
    if not lacking:
        return []
    store = _restored(path)
    for name, _ in store.arrays():
        array = writable(store, name)
        dims = array.attrs["_ARRAY_DIMENSIONS"]
        if "tensor" in dims:
            axis = dims.index("tensor")
            array.resize((*array.shape[:axis], len(known) + len(lacking), *array.shape[axis + 1 :]))
            if GROUP_ATTRIBUTE in array.attrs:  # their group may be complete of the other tensors
                array[(slice(None),) * axis + (slice(len(known), None),)] = array.fill_value
    writable(store, "tensor")[:] = np.array([*known, *lacking], store["tensor"].dtype)
    metadata.consolidate(path)
    return lacking


def _refuse(path: Path, tensors: Sequence[str]) -> None:
    """Record measures of tensors as impossible at steps whose snapshot was taken without them."""
    if not tensors:
        return
    store = open_arrays(path, write=True)
    names = [str(name) for name in store["group"][:]]
    held = store["group_complete"][:]
    taken = held[..., names.index(SNAPSHOT)] == COMPLETE
    for index, name in enumerate(names):
        if name.partition("/")[0] in tensors:
            held[..., index][taken] = IMPOSSIBLE
    writable(store, "group_complete")[:] = held
