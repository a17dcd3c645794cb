"""A run's folder: its configuration, its lock, and where its parts lie. Imports no JAX.

DIR/config.json  DIR/checkpoints/wave_000/...  DIR/results.zarr  DIR/figures/*.png
"""

import contextlib
import errno
import fcntl
import json
import re
from pathlib import Path
from typing import Any

from diffgeo.errors import DamagedError, UserError, one_line, require
from diffgeo.host import disk, distributed
from diffgeo.host.files import write_json
from diffgeo.results import checked
from diffgeo.settings import migration
from diffgeo.settings.checks import check_keys

CONFIG = "config.json"
CONFIG_TYPES: dict[str, type] = {
    "store_format": int,
    "experiment": str,
    "preset": str,
    "settings": dict,
    "experiment_file": str,
    "experiment_sha256": str,
    "members_at_once": int,
    "keep": str,
    "waves": list,
    "extensions": list,
    "sources": list,
}
"""Entries of the configuration and their types; the first four alone are of every run."""
PARTS = ("checkpoints", "results.zarr", "figures", "damaged", "claims.json", "report.html", "progress.json")
"""What a run writes beside its configuration."""
NAME = re.compile(r"\w[\w .-]{0,199}")
"""Names in a configuration: no folders."""
MOST_MEMBERS = 65_536
"""Most members that train at once."""


NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Errors of a file system that knows no locks, such as Lustre or NFS mounted without them."""


class Workdir:
    """A folder that a run may hold; a context manager by which process 0 locks it. Made by `open_workdir`.

    What the disk refuses while it is held is raised as a `UserError` when it is left.

    Attributes:
      path: of the folder.
      needs: how much room the run takes, in words, for that error.
    """

    def __init__(self, path: Path):
        self.path = path
        self.needs = ""
        self._lock: Any = None

    @property
    def results(self) -> Path:
        """DIR/results.zarr."""
        return self.path / "results.zarr"

    @property
    def figures(self) -> Path:
        """DIR/figures."""
        return self.path / "figures"

    def checkpoints(self, wave: int) -> Path:
        """Return DIR/checkpoints/wave_000, the checkpoints of one wave."""
        return self.path / "checkpoints" / f"wave_{wave:03d}"

    def read_config(self) -> dict[str, Any] | None:
        """Read DIR/config.json with this version's names; None if the folder holds no run yet.

        Raises:
          UserError: if the file is not a run's configuration, or not that of the results beside it; if the folder holds
            no run, and what one would overwrite; if it cannot be read.
        """
        path = self.path / CONFIG
        with disk.refusals(self.path):
            if not path.exists():
                # a run writes its configuration first
                others = [name for name in PARTS if (self.path / name).exists()]
                if others:
                    raise UserError(
                        f"work folder {str(self.path)!r} holds {others[0]!r} but no {CONFIG}: restore the file, or "
                        "choose a new folder by --workdir"
                    )
                return None
            content = path.read_bytes()
        try:
            config = json.loads(content)
            check_config(config)
            # also within a format: settings that are new since have their defaults
            config["settings"] = migration.upgrade_settings(config["settings"])
        except (ValueError, RecursionError, UserError) as error:
            raise UserError(
                f"{str(path)!r} is not a run's configuration ({one_line(error)}): restore the file, or choose another "
                "--workdir"
            ) from error
        self._check_results(config)
        return config

    def _check_results(self, config: dict[str, Any]) -> None:
        """Raise `UserError` unless the results, if there are some, are of this configuration or a part of its grid."""
        try:
            about = checked.read_folder(self.results).attributes
            stored = {name: about[name] for name in ("experiment", "preset", "settings") if name in about}
            if "settings" in stored:
                stored["settings"] = migration.upgrade_settings(json.loads(stored["settings"]))
        except (DamagedError, UserError, ValueError, TypeError, OSError):
            return  # said by whoever reads them; launch.analyze --repair needs the configuration alone
        wanted = json.loads(json.dumps({name: config[name] for name in stored}))
        if "settings" in stored:
            held, axes = stored["settings"]["axes"], wanted["settings"]["axes"]
            # those of a run that is growing are the first of an axis
            if held.keys() == axes.keys() and all(axes[name][: len(values)] == values for name, values in held.items()):
                wanted["settings"]["axes"] = held
        difference = first_difference(stored, wanted)
        if difference is not None:
            name, one, other = difference
            raise UserError(
                f"{CONFIG} in {str(self.path)!r} is not of the results there ({name} is {json.dumps(other)}, and "
                f"{json.dumps(one)} in the results): restore the file"
            )

    def write_config(self, config: dict[str, Any]) -> None:
        """Write DIR/config.json by one rename."""
        write_json(self.path / CONFIG, {"store_format": migration.STORE_FORMAT} | config)

    def __enter__(self) -> "Workdir":
        """Lock the folder, made if need be.

        Raises:
          UserError: if another run holds it, or it cannot be made.
        """
        distributed.broadcast(self._hold)
        return self

    def _hold(self) -> None:
        with disk.refusals(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "w")  # noqa: SIM115 (held until the run is over)
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise UserError(
                f"work folder {str(self.path)!r} is in use by another process: wait for it, or choose another --workdir"
            ) from error
        except OSError as error:
            if error.errno not in NO_LOCKS:
                self._lock.close()
                raise disk.refusal(self.path, error) from error
            distributed.say(
                f"the disk of {str(self.path)!r} has no locks ({error.strerror}): start no second run in this folder"
            )

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._lock is not None:
            self._lock.close()
        if not isinstance(error, Exception) or isinstance(error, UserError):
            return
        found = disk.refused(error)
        if found is not None:
            raise disk.refusal(self.path, found, self.needs) from error
        with contextlib.suppress(OSError):
            if isinstance(error, FileNotFoundError) and not (self.path / CONFIG).exists():
                raise UserError(f"{str(self.path / CONFIG)!r} was removed meanwhile: restore the folder") from error


def open_workdir(path: str | Path) -> Workdir:
    """Return the work folder at a path, which need not exist yet: the one gate by which programs reach a folder.

    Raises:
      UserError: for an address, a file, or a folder that may not be entered.
    """
    folder = disk.local_path(path)
    disk.check_folder(folder)
    return Workdir(folder)


def read_run(path: str | Path) -> tuple[Workdir, dict[str, Any]]:
    """Return the work folder at a path and the configuration of the run that it holds.

    Raises:
      UserError: if it holds no run.
    """
    workdir = open_workdir(path)
    config = distributed.broadcast(workdir.read_config)
    if config is None:
        raise UserError(f"no run in {str(path)!r}: start one there with launch.train first")
    return workdir, config


def check_config(config: Any) -> None:
    """Raise `UserError` unless a configuration has the keys and types that this library writes; settings apart."""
    check_keys("it", config, CONFIG_TYPES, ("experiment", "preset", "settings"))
    for name, value in config.items():
        require(
            isinstance(value, CONFIG_TYPES[name]) and not isinstance(value, bool),
            f"{name} is {json.dumps(value)[:60]}, not of type {CONFIG_TYPES[name].__name__}",
        )
    for name in ("experiment", "preset", "experiment_file"):
        written = config.get(name, "run")
        require(NAME.fullmatch(written) is not None, f"{name} is {written[:60]!r}, which is no name")
    newest, stored = migration.STORE_FORMAT, config.get("store_format", 1)
    require(1 <= stored <= newest, f"store_format is {stored}, and this version reads 1 to {newest}")
    at_once = config.get("members_at_once", 1)
    require(1 <= at_once <= MOST_MEMBERS, f"members_at_once is {at_once}, not from 1 to {MOST_MEMBERS}")


def first_difference(stored: Any, wanted: Any, path: str = "") -> tuple[str, Any, Any] | None:
    """Return path and both values of the first place where two trees of settings differ, or None."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        for name in [*stored, *(n for n in wanted if n not in stored)]:
            inner = f"{path}.{name}" if path else name
            if name not in stored or name not in wanted:
                return inner, stored.get(name), wanted.get(name)
            difference = first_difference(stored[name], wanted[name], inner)
            if difference:
                return difference
        return (list(stored) != list(wanted) and (path, list(stored), list(wanted))) or None
    return None if stored == wanted else (path, stored, wanted)
