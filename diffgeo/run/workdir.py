"""A run's folder: its configuration, its lock, and where its parts lie.

DIR/config.json  DIR/checkpoints/wave_000/...  DIR/results.zarr  DIR/figures/*.png
"""

import fcntl
import json
import os
from pathlib import Path

from diffgeo import processes
from diffgeo.errors import UserError

CONFIG = "config.json"


class Workdir:
    """A folder held by this run; a context manager by which process 0 locks it."""

    def __init__(self, path: str | Path):
        self.path = Path(path)
        self._lock = None

    @property
    def results(self) -> Path:
        """DIR/results.zarr."""
        return self.path / "results.zarr"

    @property
    def figures(self) -> Path:
        """DIR/figures."""
        return self.path / "figures"

    def checkpoints(self, wave: int) -> Path:
        """DIR/checkpoints/wave_000, the checkpoints of one wave."""
        return self.path / "checkpoints" / f"wave_{wave:03d}"

    def read_config(self) -> dict | None:
        """DIR/config.json, or None if the folder holds no run yet.

        Raises:
          UserError: if the file is not a run's configuration, or the folder holds other things.
        """
        path = self.path / CONFIG
        if not path.exists():
            # a run writes its configuration first, so anything else here is not a run's
            others = (
                [p.name for p in self.path.iterdir() if p.name not in (".lock", f"{CONFIG}.tmp")]
                if self.path.exists()
                else []
            )
            if others:
                raise UserError(
                    f"work folder {str(self.path)!r} holds {others[0]!r} but no run: choose a new folder by --workdir"
                )
            return None
        try:
            config = json.loads(path.read_text())
            config["experiment"], config["settings"]
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{str(path)!r} is not a run's configuration: choose another --workdir") from error
        return config

    def write_config(self, config: dict) -> None:
        """Writes DIR/config.json by one rename."""
        unfinished = self.path / f"{CONFIG}.tmp"
        unfinished.write_text(json.dumps(config, indent=2) + "\n")
        os.replace(unfinished, self.path / CONFIG)

    def __enter__(self):
        """Locks the folder, made if need be.

        Raises:
          UserError: if another run holds it, or it cannot be made.
        """
        processes.decide(self._hold)
        return self

    def _hold(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            self._lock = open(self.path / ".lock", "w")  # noqa: SIM115 (held until the run is over)
        except OSError as error:
            raise UserError(f"work folder {str(self.path)!r} cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise UserError(
                f"work folder {str(self.path)!r} is in use by another process: wait for it, or choose another --workdir"
            ) from error

    def __exit__(self, *_):
        if self._lock is not None:
            self._lock.close()


def first_difference(stored, asked, path: str = "") -> tuple[str, object, object] | None:
    """Path and both values of the first place where two trees of settings differ, or None."""
    if isinstance(stored, dict) and isinstance(asked, dict):
        for name in [*stored, *(n for n in asked if n not in stored)]:
            inner = f"{path}.{name}" if path else name
            if name not in stored or name not in asked:
                return inner, stored.get(name), asked.get(name)
            found = first_difference(stored[name], asked[name], inner)
            if found:
                return found
        return (list(stored) != list(asked) and (path, list(stored), list(asked))) or None
    return None if stored == asked else (path, stored, asked)
