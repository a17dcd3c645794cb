"""A zarr store whose metadata is validated and whose chunks are compared with their checksums as they are read.

Chunks end in a checksum of their compressed bytes, so that damage is found before anything is decoded, and each is
replaced with it by one rename. A chunk that is not there would be read as missing values: of a variable that is there
from the start, or whose group of an evaluation is recorded as complete, that is damage, too.
"""

import itertools
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import zarr
import zarr.api.asynchronous
from zarr.core.buffer import default_buffer_prototype
from zarr.storage import LocalStore, MemoryStore, WrapperStore

from diffgeo.errors import DamagedError
from diffgeo.host import disk
from diffgeo.results import metadata as stored_metadata
from diffgeo.results.metadata import CONSOLIDATED, ArrayInfo, Metadata

GROUPS, COMPLETE_GROUPS = "group", "group_complete"
CHECKSUM_BYTES = 4
BLOSC_HEADER = 16  # bytes, with the number of decoded ones at 4


class Chunk(NamedTuple):
    """One chunk of an array.

    Attributes:
      array: its name.
      place: index of the chunk along each dim.
    """

    array: str
    place: tuple[int, ...]

    @property
    def file(self) -> str:
        """File in the store; an array without dims has the chunk 0."""
        return f"{self.array}/{'.'.join(map(str, self.place)) or '0'}"

    def ranges(self, info: ArrayInfo) -> dict[str, slice]:
        """Return dim -> the indices that it holds."""
        parts = zip(info.dims, self.place, info.chunks, info.shape, strict=True)
        return {dim: slice(at * size, min((at + 1) * size, length)) for dim, at, size, length in parts}


class CheckedStore(WrapperStore):
    """A store behind its validated metadata.

    Attributes:
      metadata: of the store; its files are not read again.
      fail: makes an error of a damaged chunk and what is wrong with it.
    """

    def __init__(self, store: Any, metadata: Metadata, fail: Callable[[Chunk, str], Exception]):
        super().__init__(store)
        self.metadata = metadata
        self.fail = fail
        self._known: dict[int, np.ndarray] = {}
        self._groups: list[str] = []

    def _with_store(self, store: Any) -> "CheckedStore":
        return CheckedStore(store, self.metadata, self.fail)

    async def get(self, key: str, prototype: Any = None, byte_range: Any = None) -> Any:
        """Return the content of a file: metadata as validated, a chunk as compared with its checksum.

        Raises:
          Exception: from `fail`, for a damaged chunk.
          UserError: for one that the disk refuses.
        """
        prototype = prototype or default_buffer_prototype()
        name, _, file = key.rpartition("/")
        info = self.metadata.arrays.get(name)
        if info is None or file.startswith("."):
            content = self.metadata.encoded(key)
            return None if content is None else prototype.buffer.from_bytes(content)
        place = chunk_place(info, file)
        if place is None:  # zarr.json of format 3, of which there is none
            return None
        chunk = Chunk(name, place)
        value = await self._stored(key, prototype, byte_range)
        if value is None and await self.is_expected(chunk):
            value = await self._stored(key, prototype, byte_range)  # it may have been written meanwhile
            if value is None:
                raise self.fail(chunk, "is missing")
        if value is not None and (wrong := wrong_in(info, value.as_numpy_array())):
            raise self.fail(chunk, wrong)
        return value

    async def _stored(self, key: str, prototype: Any, byte_range: Any) -> Any:
        with disk.refusals(Path(getattr(self._store, "root", ".")) / key):
            return await self._store.get(key, prototype, byte_range)

    async def is_expected(self, chunk: Chunk) -> bool:
        """Return whether a chunk has been written, by what the store records."""
        info = self.metadata.arrays[chunk.array]
        if not info.checked or info.group is None:
            return info.checked
        if COMPLETE_GROUPS not in self.metadata.arrays:
            return False
        ranges = chunk.ranges(info)
        dims = self.metadata.arrays[COMPLETE_GROUPS].dims[:-1]
        steps = ranges[dims[-1]]
        if steps.start not in self._known:  # what was incomplete when it was first looked at is read as missing
            self._known[steps.start] = await self._read(COMPLETE_GROUPS, (..., steps, slice(None)))
            self._groups = [str(name) for name in await self._read(GROUPS, (slice(None),))]
        own = [i for i, name in enumerate(self._groups) if is_of_group(info, name)]
        members = tuple(ranges.get(dim, slice(None)) for dim in dims[:-1])
        return bool((self._known[steps.start][members][..., own] == 1).any())

    async def _read(self, name: str, index: tuple[Any, ...]) -> np.ndarray:
        array: Any = await zarr.api.asynchronous.open_array(store=self, path=name, mode="r", zarr_format=2)
        return np.asarray(await array.getitem(index))


def chunk_place(info: ArrayInfo, file: str) -> tuple[int, ...] | None:
    """Return the place of a chunk by the name of its file, None if it is none of the array's."""
    parts = file.split(".")
    if not all(part.isdecimal() and part.isascii() for part in parts):
        return None
    place = tuple(map(int, parts))
    if not info.dims:
        return () if place == (0,) else None
    counts = [-(-length // size) for length, size in zip(info.shape, info.chunks, strict=True)]
    inside = len(place) == len(counts) and all(at < count for at, count in zip(place, counts, strict=True))
    return place if inside else None


def places(info: ArrayInfo) -> Iterator[tuple[int, ...]]:
    """Yield the places of all chunks of an array."""
    yield from np.ndindex(*(-(-length // size) for length, size in zip(info.shape, info.chunks, strict=True)))


def is_of_group(info: ArrayInfo, group: str) -> bool:
    """Return whether an array is written with a group of `group_complete`, or with it of one tensor."""
    return info.group is not None and info.group in (group, group.partition("/")[2])


def chunks_at(metadata: Metadata, group: str, at: Mapping[str, int]) -> Iterator[Chunk]:
    """Yield the chunks with checksums of a group's arrays that hold the values at these indices of dims."""
    for name, info in metadata.arrays.items():
        if info.checked and is_of_group(info, group):
            counts = [-(-length // size) for length, size in zip(info.shape, info.chunks, strict=True)]
            alone = [
                (at[dim] // size,) if dim in at else range(count)
                for dim, size, count in zip(info.dims, info.chunks, counts, strict=True)
            ]
            for place in itertools.product(*alone):
                yield Chunk(name, place)


def wrong_in(info: ArrayInfo, content: Any) -> str | None:
    """Return what is wrong with the bytes of a chunk, None if they may be decoded."""
    stored = memoryview(content).cast("B")
    if info.checked:
        if len(stored) <= CHECKSUM_BYTES:
            return f"has {len(stored)} bytes"
        stored, checksum = stored[:-CHECKSUM_BYTES], stored[-CHECKSUM_BYTES:]
        if zlib.crc32(stored) != int.from_bytes(checksum, "little"):
            return "differs from its checksum"
    size = len(stored)
    if info.compressed:
        if len(stored) < BLOSC_HEADER:
            return f"has {len(stored)} bytes"
        size, _, packed = struct.unpack_from("<III", stored, 4)
        if packed != len(stored):
            return f"has {len(stored)} bytes where {packed} were written"
    return None if size == info.chunk_nbytes else f"holds {size:,} bytes of values, not {info.chunk_nbytes:,}"


def read_folder(path: Path) -> Metadata:
    """Return the metadata of a store in a folder.

    Raises:
      DamagedError: as `metadata.parse`, or if it is not there.
      UserError: if the disk refuses to read it.
    """
    try:
        with disk.refusals(path):
            content = (path / CONSOLIDATED).read_bytes()
    except FileNotFoundError as error:
        raise DamagedError(f"{CONSOLIDATED} is missing, as after a copy without hidden files") from error
    return stored_metadata.parse(content)


def open_folder(path: Path, metadata: Metadata, fail: Callable[[Chunk, str], Exception], write: bool) -> CheckedStore:
    """Return the store in a folder."""
    return CheckedStore(LocalStore(path, read_only=not write), metadata, fail)


def open_memory(
    files: Mapping[str, bytes], metadata: Metadata, fail: Callable[[Chunk, str], Exception]
) -> CheckedStore:
    """Return a store of files in memory, to be read."""
    made = default_buffer_prototype().buffer.from_bytes
    return CheckedStore(
        MemoryStore({name: made(content) for name, content in files.items()}, read_only=True), metadata, fail
    )
