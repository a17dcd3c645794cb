"""Folders that packages may write compiled code to, wherever this process runs."""

import importlib.util
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

COMPILED_BY_NUMBA = "umap"
"""Package whose functions numba compiles once and keeps, beside its source or in the user's cache."""


def cache_folder() -> Path:
    """Return diffgeo's folder in the user's cache, made if need be; a temporary one where there is no such cache.

    What is kept there is run: one that another user could have written to is not used.
    """
    for parent in (os.environ.get("XDG_CACHE_HOME"), os.path.expanduser("~/.cache")):
        if parent and os.path.isabs(parent) and _usable(Path(parent) / "diffgeo"):
            return Path(parent) / "diffgeo"
    shared = Path(tempfile.gettempdir()) / f"diffgeo-{os.getuid()}"
    if _usable(shared) and not shared.is_symlink():
        about = shared.stat()
        if about.st_uid == os.getuid() and about.st_mode & 0o077 == 0:
            return shared
    return Path(tempfile.mkdtemp(prefix="diffgeo-"))


def let_numba_cache() -> None:
    """Give numba a folder for compiled code where it has none, before UMAP is imported: it would raise an error."""
    named = os.environ.get("NUMBA_CACHE_DIR")
    spec = importlib.util.find_spec(COMPILED_BY_NUMBA)
    beside = Path(spec.origin).parent / "__pycache__" if spec is not None and spec.origin is not None else None
    home = Path(os.path.expanduser("~/.cache"))
    if _usable(Path(named)) if named else (beside is not None and _usable(beside)) or _usable(home / "numba"):
        return
    folder = str(cache_folder() / "numba")
    os.environ["NUMBA_CACHE_DIR"] = folder  # of worker processes, too
    numba: Any = sys.modules.get("numba")
    if numba is not None:
        numba.config.CACHE_DIR = folder


def _usable(folder: Path) -> bool:
    """Return whether a folder is there, or can be made, and can be written to."""
    if not folder.is_absolute():
        return False
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK | os.X_OK)
