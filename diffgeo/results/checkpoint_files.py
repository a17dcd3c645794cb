"""Files of a checkpoint, read without orbax and without a device: digests of its values, one member's parameters.

A checkpoint is a folder STEP with orbax's STEP/default in it: a database (OCDBT) of values, one for the metadata of
each array and one for each of its chunks, and JSON beside it. `write_digests` adds `DIGESTS` before orbax makes the
folder visible by its rename, so a checkpoint that is seen has them. Digests are of values rather than of files, as
those of one member are spread over all files: what is read is checked, and nothing else is read.
"""

import hashlib
import itertools
import json
import math
import re
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorstore

from diffgeo.errors import DamagedError, UserError, one_line
from diffgeo.host import disk

DIGESTS = "digests.json"
ALGORITHM = "sha256"
ITEM = "default"
"""Folder of a checkpoint in which orbax keeps its arrays."""

READ_AHEAD = 4  # values that are fetched while one is hashed; a state's largest takes a tenth of a gigabyte
ROWS = 65_536
"""Most rows of a stacked array: more than any wave has members, on however many devices it was padded to fit."""

_UNDIGESTED = re.compile(r"d|manifest\.ocdbt|ocdbt\.process_\d+|commit_success\.txt|" + re.escape(DIGESTS))
"""Entries of STEP/default that hold the values, or that are never read."""
_VALUE_TYPES = {"np.ndarray", "jax.Array", "Dict"}
_DTYPES = {"<f4", "<f8", "<i4", "<i8", "<u4", "<u8", "|u1", "|i1", "|b1", "bfloat16"}
_COMPRESSORS = {"zstd", "blosc"}
_STEP_FIELDS = {
    *("item_handlers", "metrics", "performance_metrics", "init_timestamp_nsecs", "commit_timestamp_nsecs"),
    "custom_metadata",
}


class StoredCheckpoint:
    """Values of a checkpoint, each compared with its digest as it is read.

    Attributes:
      item: STEP/default.
      keys: of all values.
      digests: "values" and "files", name -> digest; None of a checkpoint written without.
    """

    def __init__(self, item: Path):
        self.item = item
        base = {"driver": "file", "path": f"{disk.plain_path(item.absolute())}/"}
        self._store = tensorstore.KvStore.open({"driver": "ocdbt", "base": base}).result()
        self.keys = [key.decode() for key in self._store.list().result()]
        path = item / DIGESTS
        self.digests: dict[str, Any] | None = json.loads(path.read_bytes()) if path.exists() else None

    def read(self, keys: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """Yield each key with its value.

        Raises:
          DamagedError: for a value that differs from its digest, or metadata of an array that is none of ours.
        """
        reading: deque[tuple[str, Any]] = deque()
        left = iter(keys)
        for key in left:
            reading.append((key, self._store.read(key)))
            if len(reading) > READ_AHEAD:
                yield self._checked(*reading.popleft())
        while reading:
            yield self._checked(*reading.popleft())

    def _checked(self, key: str, reading: Any) -> tuple[str, bytes]:
        value = bytes(reading.result().value)
        if self.digests is not None:
            _compare(key, value, self.digests["values"].get(key))
        if key.endswith("/.zarray"):
            check_array(key, json.loads(value))
        return key, value

    def check(self) -> None:
        """Read everything once; decode the arrays of a checkpoint that has no digests, which is all that shows damage.

        Raises:
          DamagedError: as `read`, and for what is missing.
        """
        if self.digests is not None:
            if missing := sorted(set(self.digests["values"]) - set(self.keys)):
                raise DamagedError(f"{missing[0]} is missing")
            for name, digest in self.digests["files"].items():
                _compare(name, (self.item / name).read_bytes(), digest)
        _check_json(self.item)
        for key, _ in self.read(self.keys):
            if self.digests is None and key.endswith("/.zarray"):
                array = {"driver": "zarr", "kvstore": {**self._store.spec().to_json(), "path": key[: -len(".zarray")]}}
                tensorstore.open(array).result().read().result()

    def row(self, leaf: str, index: int) -> np.ndarray:
        """Return one row of a stacked array, from the chunks that hold it alone."""
        ((_, described),) = self.read([f"{leaf}/.zarray"])
        array = json.loads(described)
        shape, chunks = array["shape"], array["chunks"]
        if index >= shape[0]:
            raise DamagedError(f"it holds {shape[0]} members, none of index {index}")
        counts = [range(-(-size // chunk)) for size, chunk in zip(shape[1:], chunks[1:], strict=True)]
        separator = array.get("dimension_separator", ".")
        places = itertools.product([index // chunks[0]], *counts)
        wanted = [f"{leaf}/{separator.join(map(str, place))}" for place in places]
        # decoded from memory, so that the bytes that were checked are those that are used
        context = tensorstore.Context()
        memory = tensorstore.KvStore.open({"driver": "memory"}, context=context).result()
        for key, value in [(f"{leaf}/.zarray", described), *self.read(key for key in wanted)]:
            memory.write(key, value).result()
        spec = {"driver": "zarr", "kvstore": {"driver": "memory", "path": f"{leaf}/"}}
        return tensorstore.open(spec, context=context).result()[index].read().result()


def write_digests(item: Path) -> None:
    """Write the digest of every value, and of every other file that is read, of orbax's folder STEP/default."""
    stored = StoredCheckpoint(item)
    record = {
        "algorithm": ALGORITHM,
        "values": {key: _digest(value) for key, value in stored.read(stored.keys)},
        "files": {name: _digest((item / name).read_bytes()) for name in _other_files(item)},
    }
    (item / DIGESTS).write_text(json.dumps(record, indent=0, sort_keys=True))


def check(step: Path) -> str | None:
    """Read a checkpoint STEP through; return what is wrong with it, None if it is sound.

    Without digests, in a checkpoint of an earlier version, what cannot be decoded is wrong.

    Raises:
      UserError: if the disk refuses to read it.
    """
    try:
        StoredCheckpoint(step / ITEM).check()
    except DamagedError as error:
        return str(error)
    except Exception as error:  # tensorstore and JSON raise many kinds for files cut short or missing
        _raise_refusal(step, error)
        return one_line(error)
    return None


def _raise_refusal(step: Path, error: Exception) -> None:
    """Raise the `UserError` of a checkpoint that the disk refuses, which does not say that it is damaged."""
    if (found := disk.refused(error)) is not None:
        raise disk.refusal(step, found) from error


def stored_steps(folder: Path) -> list[int]:
    """Return the steps at which the parameters of the wave in this folder are stored, ascending."""
    params = folder / "params"  # a save in progress has another name until it is complete
    return sorted(int(path.name) for path in params.iterdir() if path.name.isdigit()) if params.is_dir() else []


def read_member(folder: Path, index: int, step: int, name: str = "params") -> dict[str, Any]:
    """Read one member's parameters ("params" or "ema") at an evaluation step, as nested dicts of numpy arrays.

    No other member's are read, but for small arrays (`checkpoints.UNDIVIDED_BYTES`) and checkpoints of earlier
    versions, which hold several members in a chunk. Nothing is written, and no device is used.

    Args:
      folder: of the wave's checkpoints, DIR/checkpoints/wave_000.
      index: of the member in its wave.
      step: training step of the checkpoint.
      name: which parameters.

    Raises:
      UserError: if the checkpoint is damaged or missing, or lacks the member or the parameters.
    """
    stored = Path(folder).absolute() / "params" / str(step)
    if not stored.is_dir():
        steps = ", ".join(map(str, stored_steps(folder))) or "none is stored"
        raise UserError(f"no checkpoint {str(stored)!r}: choose another step ({steps})")
    tree: dict[str, Any] = {}
    try:
        checkpoint = StoredCheckpoint(stored / ITEM)
        known = checkpoint.keys if checkpoint.digests is None else checkpoint.digests["values"]
        leaves = [key.removesuffix("/.zarray") for key in known if key.endswith("/.zarray")]
        for leaf in (path for path in leaves if path.startswith(f"{name}.")):
            *parents, last = leaf.split(".")[1:]
            branch = tree
            for parent in parents:
                branch = branch.setdefault(parent, {})
            branch[last] = checkpoint.row(leaf, index)
    except Exception as error:  # tensorstore raises many kinds for files cut short or missing
        _raise_refusal(stored, error)
        raise unreadable(stored, error) from error
    if not tree:
        raise UserError(f"checkpoint {str(stored)!r} holds no {name!r}: choose params, or ema if the run keeps one")
    return tree


def unreadable(step: Path, error: Exception | str) -> UserError:
    """Return the error for a checkpoint that cannot be read."""
    return UserError(
        f"checkpoint {str(step)!r} cannot be read ({one_line(error)}): choose another step; launch.verify says what "
        "else of the run is damaged"
    )


def check_array(key: str, array: Any) -> None:
    """Raise `DamagedError` unless an array's metadata is such as this library writes; sizes before any is allocated."""
    if not isinstance(array, Mapping) or array.get("zarr_format") != 2:
        raise DamagedError(f"{key} is not the metadata of a zarr array")
    compressor = array.get("compressor")
    shape: Any = array.get("shape")
    chunks: Any = array.get("chunks")
    sound = (
        str(array.get("dtype")) in _DTYPES
        and not array.get("filters")
        and (compressor is None or (isinstance(compressor, Mapping) and str(compressor.get("id")) in _COMPRESSORS))
        and array.get("dimension_separator", ".") in (".", "/")
        and _sizes(shape)
        and _sizes(chunks)
        and len(shape) == len(chunks) > 0
        and shape[0] <= ROWS
        and math.prod(chunks) <= math.prod(shape)
    )
    if not sound:
        raise DamagedError(f"{key} names a type, codec or size that no checkpoint of diffgeo has")


def _sizes(values: Any) -> bool:
    return isinstance(values, list) and all(type(value) is int and value > 0 for value in values)


def _check_json(item: Path) -> None:
    """Raise `DamagedError` unless orbax's own metadata names nothing but plain arrays."""
    step = json.loads((item.parent / "_CHECKPOINT_METADATA").read_bytes())
    handlers = step.get("item_handlers") or {}
    if not step.keys() <= _STEP_FIELDS or list(handlers) != [ITEM] or "PyTree" not in str(handlers[ITEM]):
        raise DamagedError("_CHECKPOINT_METADATA is not that of a checkpoint of diffgeo")
    tree = json.loads((item / "_METADATA").read_bytes())["tree_metadata"]
    types = {leaf["value_metadata"]["value_type"] for leaf in tree.values()}
    if not types <= _VALUE_TYPES:
        raise DamagedError(f"_METADATA names values of type {min(types - _VALUE_TYPES)}")


def _other_files(item: Path) -> list[str]:
    """Return the files of STEP/default beside the database, as paths relative to it."""
    files = (path.relative_to(item) for path in sorted(item.rglob("*")) if path.is_file())
    return [str(path) for path in files if not _UNDIGESTED.fullmatch(path.parts[0])]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _compare(name: str, content: bytes, digest: str | None) -> None:
    if _digest(content) != digest:
        raise DamagedError(f"{name} differs from its digest")
