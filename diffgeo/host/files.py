"""Files replaced whole: a reader sees the old one or the new one, never a part."""

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffgeo.host.disk import refusals


@contextlib.contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write a file or folder to; rename it to `path` at the end, or remove it after an error.

    It lies in the same folder, so the rename is atomic, and its name begins with a dot. Missing parents are made.

    Raises:
      UserError: for what the disk refuses, also within.
    """
    path = Path(path)
    part = path.with_name(f".{path.name}-{uuid.uuid4().hex}.part")
    with refusals(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield part
            os.replace(part, path)
        finally:
            if part.is_dir():
                shutil.rmtree(part)
            part.unlink(missing_ok=True)


def atomic_write(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Write text (UTF-8) or bytes to a file by one rename; return its path."""
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def write_json(path: str | os.PathLike[str], tree: Any) -> Path:
    """Write plain JSON, indented, by one rename; return the path."""
    return atomic_write(path, json.dumps(tree, indent=2) + "\n")
