"""Damage in a results store: every chunk that differs from its checksum or is missing, found and set aside."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zarr.core.sync import sync

from diffgeo.errors import DamagedError
from diffgeo.results import checked
from diffgeo.results.checked import COMPLETE_GROUPS, CheckedStore, Chunk
from diffgeo.results.metadata import Metadata

FOLDER = "damaged"
"""Folder of a work folder that damaged parts of its results are moved to."""


class Damage(NamedTuple):
    """A damaged chunk, and what is wrong with it."""

    chunk: Chunk
    wrong: str


def find(path: Path, read: Metadata) -> Iterator[Damage | None]:
    """Yield for every chunk that a store should have its damage, None if it is sound.

    Chunks without a checksum, of a store of an earlier version, are compared with their sizes alone.
    """
    store = checked.open_folder(path, read, lambda chunk, wrong: DamagedError(wrong), write=False)
    # what else is missing is known by these
    names = sorted(read.arrays, key=lambda name: name != COMPLETE_GROUPS)
    for name in names:
        info = read.arrays[name]
        for place in checked.places(info):
            chunk = Chunk(name, place)
            content = _content(path / chunk.file)
            if content is None and _is_expected(store, chunk):
                content = _content(path / chunk.file)  # it may have been written meanwhile
                if content is None:
                    yield Damage(chunk, "is missing")
                    continue
            if content is not None:
                wrong = checked.wrong_in(info, content)
                yield None if wrong is None else Damage(chunk, wrong)


def set_aside(path: Path, workdir: Path) -> Path | None:
    """Move a file or folder of a work folder to one like it under `FOLDER`, and return that; None if it is missing."""
    if not path.exists():
        return None
    aside = workdir / FOLDER / path.relative_to(workdir)
    aside.parent.mkdir(parents=True, exist_ok=True)
    numbered = (aside.with_name(f"{aside.name}_{count}") for count in itertools.count(1))
    free = next(name for name in itertools.chain([aside], numbered) if not name.exists())
    path.rename(free)
    return free


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return None


def _is_expected(store: CheckedStore, chunk: Chunk) -> bool:
    try:
        return sync(store.is_expected(chunk))
    except DamagedError:
        return False  # the record itself is damaged there, and found as such
