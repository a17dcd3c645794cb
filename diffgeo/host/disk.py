"""Folders on a local disk: how their names are written, and one sentence for what a disk refuses."""

import contextlib
import errno
import functools
import itertools
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

from diffgeo.errors import UserError, require

ADDRESS = re.compile(r"[A-Za-z][\w+.-]+:/")
"""Beginning of an address; a Path has joined the slashes after its colon."""
PLAIN = re.compile(r"[\w./ +,@=~-]*")
"""Paths that tensorstore and orbax read literally: neither an URL, a pattern, nor with other separators."""
_numbers = itertools.count()

MAKE_ROOM = "make room there and run the same again: it goes on from what is stored"
GAIN_ACCESS = "gain the right to read and write it, or choose another folder"
FIXES = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), MAKE_ROOM),
    errno.EFBIG: "let this process write larger files (ulimit -f)",
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), GAIN_ACCESS),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "let this process open more files (ulimit -n)"),
    **dict.fromkeys(
        (errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG, errno.ELOOP, errno.EEXIST, errno.ENOTEMPTY),
        "choose another folder",
    ),
    **dict.fromkeys(
        (errno.EIO, errno.ESTALE, errno.ENOLCK, errno.ENODEV, errno.ENXIO, errno.ENOTCONN, errno.ETIMEDOUT),
        "see to the disk, or choose another folder",
    ),
}
"""Error number of what is up to a disk and its folders, not to this library -> how it is fixed."""


def local_path(path: str | os.PathLike[str]) -> Path:
    """Return the path of a folder or file as a user writes it, with "~" and "~name" for home folders.

    Raises:
      UserError: for an address such as gs://bucket/run, a home folder that is not known, or what cannot be a name.
    """
    text = os.fspath(path)
    require(text != "" and "\0" not in text, f"{text!r} is no name of a folder or file")
    if ADDRESS.match(text):
        raise UserError(
            f"{text!r} is an address, and runs are stored in folders: give one on a local or mounted disk (object "
            "stores are mounted by gcsfuse, s3fs or rclone)"
        )
    expanded = os.path.expanduser(text)
    if expanded.startswith("~") and not os.path.lexists(expanded):
        raise UserError(f"the home folder that {text!r} begins with is not known: write the path in full")
    return Path(expanded)


def check_folder(path: Path) -> None:
    """Raise `UserError` unless there is nothing at a path, or a folder that may be entered and listed."""
    with refusals(path):
        try:
            mode = os.stat(path).st_mode
        except FileNotFoundError:
            return
        require(stat.S_ISDIR(mode), f"{str(path)!r} is a file, not a folder: choose a folder")
        os.stat(path / ".")  # takes the right to enter it, and the next the right to list it
        with os.scandir(path):
            pass


@functools.cache
def plain_path(folder: Path) -> Path:
    """Return another path of a folder, by a link in this process's temporary folder, if its own is not `PLAIN`.

    One that leads up again, by "..", is resolved: tensorstore refuses it.
    """
    if ".." in folder.parts:
        folder = folder.resolve()
    if PLAIN.fullmatch(str(folder)):
        return folder
    link = Path(_links().name) / str(next(_numbers))
    link.symlink_to(folder, target_is_directory=True)
    return link


@functools.cache
def _links() -> tempfile.TemporaryDirectory:
    return tempfile.TemporaryDirectory(prefix="diffgeo-links-")


def refused(error: BaseException) -> OSError | None:
    """Return the system's error of `FIXES` that an error is, was raised from, or quotes; None if there is none."""
    seen: list[BaseException] = [error]
    for one in seen:
        if isinstance(one, OSError) and one.errno in FIXES:
            return one
        if isinstance(one, ValueError):  # tensorstore's
            quoted = [number for number in FIXES if os.strerror(number) in str(one)]
            if quoted:
                return OSError(quoted[0], os.strerror(quoted[0]))
        seen += [cause for cause in (one.__cause__, *getattr(one, "exceptions", ())) if cause is not None]
    return None


def refusal(folder: Path | None, error: OSError, needs: str = "") -> UserError:
    """Return the error of a folder, or of a file in it, that a disk refuses.

    Args:
      folder: what was asked for; None for the file that the error names.
      error: of the system.
      needs: how much room would do, in words.
    """
    number = error.errno or 0
    at = None if error.filename is None else str(error.filename)
    what = at if folder is None else str(folder)
    why = f"{error.strerror or os.strerror(number)}{'' if at in (None, what) else f', at {at!r}'}"
    fix = FIXES.get(number, GAIN_ACCESS)
    if fix == MAKE_ROOM and what is not None:
        with contextlib.suppress(OSError):
            fix = f"{fix} ({free_bytes(Path(what)):,} bytes are free{needs and ', ' + needs})"
    return UserError(f"{'a file' if what is None else repr(what)} cannot be used ({why}): {fix}")


def free_bytes(path: Path) -> int:
    """Return the bytes that are free on the disk of a path, which need not exist."""
    path = path.absolute()
    return shutil.disk_usage(next(one for one in (path, *path.parents) if one.exists())).free


@contextlib.contextmanager
def refusals(folder: Path) -> Iterator[None]:
    """Turn what a disk refuses within into a `UserError` that names the folder."""
    try:
        yield
    except Exception as error:
        found = refused(error)
        if found is None or isinstance(error, UserError):
            raise
        raise refusal(folder, found) from error
