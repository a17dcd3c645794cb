"""Files replaced whole: a reader sees the old one or the new one, never a part."""

import contextlib
import json
import os
import shutil
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from diffgeo.host.disk import refusals

PATIENCE = 40
"""How often the removal of a part is tried; what then stays is hidden, and in nobody's way."""


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
            _remove(part)


def _remove(part: Path) -> None:
    """Remove what was not renamed; threads of a write that failed may still be adding to it for a moment."""
    for _ in range(PATIENCE):
        if not os.path.lexists(part):
            return
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)
        time.sleep(0.05)


def atomic_write(path: str | os.PathLike[str], content: str | bytes) -> Path:
    """Write text (UTF-8) or bytes to a file by one rename; return its path."""
    with atomic_path(path) as part:
        part.write_bytes(content.encode() if isinstance(content, str) else content)
    return Path(path)


def write_json(path: str | os.PathLike[str], tree: Any) -> Path:
    """Write plain JSON, indented, by one rename; return the path."""
    return atomic_write(path, json.dumps(tree, indent=2) + "\n")
