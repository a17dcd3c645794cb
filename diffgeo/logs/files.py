"""Files that a run logs to, by --log, and what else is asked of its messages."""

import importlib.util
import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from diffgeo.errors import UserError, require_choice
from diffgeo.host.disk import refusals
from diffgeo.logs.status import plain

JSONL, TENSORBOARD = "log.jsonl", "tensorboard"
"""File and folder in a run's folder."""


@dataclass(frozen=True)
class Logs:
    """How a run tells of its progress; its numbers do not depend on it.

    Attributes:
      quiet: show no progress; messages, as of a model whose loss is not finite, are still given.
      files: some of `KINDS`, written into the run's folder.

    Raises:
      UserError: for an unknown kind of file, or one whose package is missing.
    """

    quiet: bool = False
    files: tuple[str, ...] = ()

    def __post_init__(self):
        for kind in self.files:
            require_choice("kind of log", kind, KINDS)
        if "tensorboard" in self.files and importlib.util.find_spec("tensorboardX") is None:
            raise UserError(
                "--log=tensorboard needs the package tensorboardX: pip install 'diffgeo[tensorboard]', or leave it out"
            )

    def open(self, folder: Path) -> list["LogFile"]:
        """Open the files in a run's folder, behind what earlier calls of the run wrote.

        Raises:
          UserError: if the disk refuses one.
        """
        return [KINDS[kind](folder) for kind in dict.fromkeys(self.files)]


class LogFile(Protocol):
    """A file that takes records: plain JSON with "time" (seconds since 1970), "kind" and numbers."""

    name: str

    def write(self, records: list[dict[str, Any]]) -> None:
        """Append records; raises `UserError` if the disk refuses."""
        ...

    def close(self) -> None:
        """Close the file."""
        ...


class JsonLines:
    """DIR/log.jsonl: a JSON object a line, appended by one write, so that readers see whole records.

    A record that a kill cut short is removed when the run goes on.
    """

    name = JSONL

    def __init__(self, folder: Path):
        self._path = folder / JSONL
        with refusals(self._path):
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666)
            self._drop_part()

    def _drop_part(self) -> None:
        """Cut the file behind its last line's end."""
        end = size = os.fstat(self._file).st_size
        while end and os.pread(self._file, 1, end - 1) != b"\n":
            end -= 1
        if end < size:
            os.ftruncate(self._file, end)

    def write(self, records: list[dict[str, Any]]) -> None:
        """See `LogFile`."""
        lines = "".join(json.dumps(_readable(record), allow_nan=False) + "\n" for record in records).encode()
        with refusals(self._path):
            while lines:  # a disk that is nearly full takes a part, then none
                lines = lines[os.write(self._file, lines) :]

    def close(self) -> None:
        """See `LogFile`."""
        os.close(self._file)


def _readable(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return a record with the time in ISO 8601, UTC, and null for numbers that are not finite."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(record["time"]))
    inner = {
        name: {key: plain(one) for key, one in value.items()} if isinstance(value, dict) else plain(value)
        for name, value in record.items()
    }
    return inner | {"time": at}


class TensorBoard:
    """DIR/tensorboard: scalars for TensorBoard, a tag for each wave's mean and each model's evaluations.

    A run that goes on adds a file, which TensorBoard joins.
    """

    name = TENSORBOARD

    def __init__(self, folder: Path):
        from tensorboardX import SummaryWriter

        self._folder = folder / TENSORBOARD
        with refusals(self._folder):
            # or a run that goes on within the same second would write over its file
            self._writer = SummaryWriter(str(self._folder), filename_suffix=f".{uuid.uuid4().hex[:8]}")

    def write(self, records: list[dict[str, Any]]) -> None:
        """See `LogFile`."""
        with refusals(self._folder):
            for record in records:
                for tag, value in _scalars(record).items():
                    self._writer.add_scalar(tag, value, record["step"], record["time"])
            self._writer.flush()

    def close(self) -> None:
        """See `LogFile`."""
        self._writer.close()


def _scalars(record: Mapping[str, Any]) -> dict[str, float]:
    """Return tag -> value of a record of losses or of an evaluation; phases have none."""
    if record["kind"] == "training":
        wave = f"wave_{record['wave']}"
        named = {name: record[name] for name in ("loss", "steps_per_second")}
        return {f"{name}/{wave}": value for name, value in named.items() if value is not None}
    if record["kind"] == "evaluation":
        each = {name: record[name] for name in ("accuracy", "loss") if name in record}
        return {
            f"{name}/{member.replace(', ', '_').replace('=', '-')}": value
            for name, of_members in each.items()
            for member, value in of_members.items()
        }
    return {}


KINDS: dict[str, type[JsonLines] | type[TensorBoard]] = {"jsonl": JsonLines, "tensorboard": TensorBoard}
"""Kinds of files by the name that --log gives them."""
