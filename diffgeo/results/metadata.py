"""Metadata of a stored Dataset (zarr format 2, consolidated), validated before any of its values is decoded.

A store may be a stranger's: its metadata names the types and codecs by which values are decoded, and their sizes. Only
those that this library writes are allowed, whatever zarr and numcodecs would do with others. The consolidated file is
the one truth about a store; it is replaced by one rename, and holds a digest of its content.
"""

import hashlib
import json
import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diffgeo.errors import DamagedError
from diffgeo.host.files import atomic_write

CONSOLIDATED = ".zmetadata"
FILES = (".zgroup", ".zattrs", ".zarray")
DIGEST = "sha256"
"""Entry of the consolidated metadata beside zarr's own: the digest of these."""

GROUP_ATTRIBUTE = "group"
"""Attribute of a variable that is written with a group of `group_complete`; all others are there from the start."""

MOST_BYTES = 2**26  # of metadata: settings of the largest grids take under a megabyte
LAZY = ("pca_scores",)
"""Variables that are read in parts, and may be larger than memory."""

NAME = re.compile(r"\w[\w .-]{0,99}")
DTYPE = re.compile(r"[<|][iuf][1248]|\|b1|<U[1-9]\d{0,3}")
BLOSC = {"id", "cname", "clevel", "shuffle", "blocksize", "typesize"}
CHECKSUM = {"id": "crc32", "location": "end"}
"""Last filter of arrays whose chunks have a checksum: of the compressed bytes, compared before these are decoded."""


@dataclass(frozen=True)
class ArrayInfo:
    """What the metadata says of one array, all of it allowed.

    Attributes:
      shape, chunks: of the array, and of a chunk.
      dims: their names.
      itemsize: bytes of a value.
      compressed: whether chunks are compressed, by blosc.
      checked: whether chunks end in a checksum.
      group: of `group_complete`, that it is written with; None if it is there from the start.
    """

    shape: tuple[int, ...]
    chunks: tuple[int, ...]
    dims: tuple[str, ...]
    itemsize: int
    compressed: bool
    checked: bool
    group: str | None

    @property
    def nbytes(self) -> int:
        """Bytes of all values."""
        return math.prod(self.shape) * self.itemsize

    @property
    def chunk_nbytes(self) -> int:
        """Bytes of the values of a chunk."""
        return math.prod(self.chunks) * self.itemsize


@dataclass(frozen=True)
class Metadata:
    """Validated metadata of a store.

    Attributes:
      tree: file name in the store -> its JSON.
      arrays: name -> what it says.
      digested: whether a digest was there, and is right.
    """

    tree: Mapping[str, Any]
    arrays: Mapping[str, ArrayInfo]
    digested: bool

    @property
    def attributes(self) -> Mapping[str, Any]:
        """Attributes of the Dataset."""
        return self.tree.get(".zattrs", {})

    def encoded(self, name: str) -> bytes | None:
        """Return the content of a metadata file, None if the store has none of that name."""
        if name == CONSOLIDATED:
            return _encode({"metadata": self.tree, "zarr_consolidated_format": 1})
        return _encode(self.tree[name]) if name in self.tree else None


def parse(content: bytes) -> Metadata:
    """Return the metadata in the bytes of a consolidated file.

    Raises:
      DamagedError: if it differs from its digest, or says anything that no version of this library writes.
    """
    _need(len(content) <= MOST_BYTES, "its metadata is larger than that of any results")
    try:
        whole = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise DamagedError(f"{CONSOLIDATED} is not JSON") from error
    _need(isinstance(whole, dict) and isinstance(whole.get("metadata"), dict), f"{CONSOLIDATED} is not zarr's")
    tree, digest = whole["metadata"], whole.get(DIGEST)
    _need(digest is None or digest == _digest(tree), f"{CONSOLIDATED} differs from its digest")
    _need(tree.get(".zgroup") == {"zarr_format": 2}, "it is not of zarr format 2")
    arrays: dict[str, ArrayInfo] = {}
    for name, entry in tree.items():
        array, _, file = name.rpartition("/")
        _need(file in FILES and isinstance(entry, dict), f"{name!r} is no metadata of an array")
        _need(
            not array or (NAME.fullmatch(array) is not None and file != ".zgroup"), f"{array!r} is no variable's name"
        )
        if file == ".zarray":
            arrays[array] = _array(array, entry, tree.get(f"{array}/.zattrs", {}))
    _check_sizes(arrays)
    return Metadata(tree, arrays, digest is not None)


def _array(name: str, entry: Mapping[str, Any], attributes: Any) -> ArrayInfo:
    """Return what an array's metadata says; raise `DamagedError` for what is not allowed."""
    shape: Any = entry.get("shape")
    chunks: Any = entry.get("chunks")
    dims: Any = attributes.get("_ARRAY_DIMENSIONS") if isinstance(attributes, dict) else None
    dtype = entry.get("dtype")
    _need(isinstance(dtype, str) and DTYPE.fullmatch(dtype) is not None, f"{name!r} is of type {dtype!r}")
    filters, compressor = entry.get("filters") or [], entry.get("compressor")
    codecs = [*filters, compressor] if isinstance(filters, list) else [filters]
    checked = codecs[-2:] == [CHECKSUM, None]
    packed = [codec for codec in (codecs[:-2] if checked else codecs) if codec is not None]
    allowed = len(packed) <= 1 and all(_is_blosc(codec) for codec in packed)
    _need(allowed, f"{name!r} is encoded by {json.dumps(codecs)[:200]}")
    _need(
        entry.get("order", "C") == "C" and entry.get("dimension_separator", ".") == ".",
        f"{name!r} is laid out otherwise",
    )
    plain = entry.get("zarr_format") == 2 and isinstance(entry.get("fill_value"), int | float | str | None)
    sized = _sizes(shape, 0) and _sizes(chunks, 1) and isinstance(dims, list)
    _need(plain and sized and len(shape) == len(chunks) == len(dims), f"{name!r} has no sound shape")
    _need(all(isinstance(dim, str) for dim in dims), f"{name!r} has dims that are no names")
    group = attributes.get(GROUP_ATTRIBUTE)
    _need(group is None or isinstance(group, str), f"{name!r} is of no group")
    itemsize = np.dtype(dtype).itemsize
    return ArrayInfo(tuple(shape), tuple(chunks), tuple(dims), itemsize, bool(packed), checked, group)


def _is_blosc(codec: Any) -> bool:
    return (
        isinstance(codec, dict)
        and codec.get("id") == "blosc"
        and codec.keys() <= BLOSC
        and codec.get("cname", "lz4") in ("lz4", "lz4hc", "zstd", "blosclz", "zlib")
        and all(isinstance(value, int) for key, value in codec.items() if key not in ("id", "cname"))
    )


def _sizes(values: Any, least: int) -> bool:
    return isinstance(values, list) and all(type(value) is int and value >= least for value in values)


def _check_sizes(arrays: Mapping[str, ArrayInfo]) -> None:
    """Raise `DamagedError` unless arrays agree on the lengths of their dims, and can be loaded into this machine."""
    lengths: dict[str, int] = {}
    for name, array in arrays.items():
        for dim, length in zip(array.dims, array.shape, strict=True):
            _need(
                lengths.setdefault(dim, length) == length, f"{name!r} has {length} along {dim}, others {lengths[dim]}"
            )
        _need(array.chunk_nbytes <= 2**31, f"{name!r} has chunks of {array.chunk_nbytes:,} bytes")
    needed = sum(array.nbytes for name, array in arrays.items() if name not in LAZY)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    _need(needed <= memory, f"it takes {needed:,} bytes of memory, and this machine has {memory:,}")


def check_grid(arrays: Mapping[str, ArrayInfo], axes: Mapping[str, int], steps: int) -> None:
    """Raise `DamagedError` unless arrays of a run that trains have the lengths of its grid's axes and evaluations."""
    if "loss" not in arrays:
        return
    wanted = {**axes, "step": steps}
    for name, array in arrays.items():
        for dim, length in zip(array.dims, array.shape, strict=True):
            _need(
                wanted.get(dim, length) == length, f"{name!r} has {length} along {dim}, its settings {wanted.get(dim)}"
            )


def consolidate(folder: Path) -> None:
    """Write the consolidated metadata of a store in a folder from that of its arrays, with a digest, by one rename."""
    files = sorted(path for path in folder.rglob(".z*") if path.name in FILES)
    tree = {path.relative_to(folder).as_posix(): json.loads(path.read_bytes()) for path in files}
    whole = {"metadata": tree, "zarr_consolidated_format": 1, DIGEST: _digest(tree)}
    atomic_write(folder / CONSOLIDATED, json.dumps(whole, indent=2))


def restore(folder: Path, metadata: Metadata) -> None:
    """Give the arrays of a store the metadata that the consolidated file has of them, before it is changed.

    Theirs may be ahead of it after a kill, or damaged: no reader looks at them.
    """
    for name in metadata.tree:
        path, content = folder / name, metadata.encoded(name)
        assert content is not None
        try:
            same = json.loads(path.read_bytes()) == metadata.tree[name]
        except (OSError, ValueError):
            same = False
        if not same:
            atomic_write(path, content)


def _encode(tree: Any) -> bytes:
    return json.dumps(tree).encode()


def _digest(tree: Any) -> str:
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()


def _need(condition: bool, message: str) -> None:
    if not condition:
        raise DamagedError(message)
