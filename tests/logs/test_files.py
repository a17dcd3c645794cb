"""Files of --log: whole records, continued by the next run, and what is refused."""

import importlib.util
import json
import struct

import pytest

from diffgeo.errors import UserError
from diffgeo.logs import Logs

PHASE = {"time": 1.8e9, "kind": "phase", "run": "made up", "wave": 0, "step": 0, "phase": "compiling"}
LOSS = {
    "time": 1.8e9,
    "kind": "training",
    "run": "made up",
    "wave": 1,
    "step": 10,
    "loss": 0.5,
    "steps_per_second": 3.0,
}
ACCURACY = {"increment=0.5, seed=0": 0.25, "increment=0.5, seed=1": 0.75}
EVALUATION = {"time": 1.8e9, "kind": "evaluation", "run": "made up", "wave": 1, "step": 10, "accuracy": ACCURACY}


def log(folder, kind, *batches):
    """Write batches of records to the only file of a kind, as one run does."""
    (file,) = Logs(files=(kind,)).open(folder)
    for records in batches:
        file.write(list(records))
    file.close()


def test_lines_are_whole_records_that_the_next_run_continues(tmp_path):
    log(tmp_path, "jsonl", [PHASE, LOSS], [EVALUATION])
    path = tmp_path / "log.jsonl"
    before = path.read_bytes()
    path.write_bytes(before + b'{"time": "2027-')  # cut short by a kill
    log(tmp_path, "jsonl", [LOSS | {"step": 20, "loss": float("nan")}])
    assert path.read_bytes().startswith(before)
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["step"] for record in records] == [0, 10, 10, 20]
    assert records[1] == LOSS | {"time": "2027-01-15T08:00:00Z"}
    assert records[2]["accuracy"] == ACCURACY
    assert records[3]["loss"] is None


def scalars(folder):
    """Yield (tag, step, value) of TensorBoard's files: records of length, checksum, content, checksum."""
    from tensorboardX.proto import event_pb2

    for path in sorted(folder.glob("events.out.tfevents.*")):
        content = path.read_bytes()
        while content:
            (length,) = struct.unpack("<Q", content[:8])
            event = event_pb2.Event.FromString(content[12 : 12 + length])
            yield from ((one.tag, event.step, one.simple_value) for one in event.summary.value)
            content = content[16 + length :]


def test_tensorboard_has_a_tag_for_each_wave_and_model(tmp_path):
    pytest.importorskip("tensorboardX")
    log(tmp_path, "tensorboard", [PHASE, LOSS], [EVALUATION])
    log(tmp_path, "tensorboard", [LOSS | {"step": 20, "steps_per_second": None}])
    assert sorted(scalars(tmp_path / "tensorboard")) == [
        ("accuracy/increment-0.5_seed-0", 10, 0.25),
        ("accuracy/increment-0.5_seed-1", 10, 0.75),
        ("loss/wave_1", 10, 0.5),
        ("loss/wave_1", 20, 0.5),
        ("steps_per_second/wave_1", 10, 3.0),
    ]


def test_an_unknown_kind_and_a_missing_package_are_refused(monkeypatch):
    with pytest.raises(UserError, match="unknown kind of log 'json': did you mean 'jsonl'"):
        Logs(files=("json",))
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"needs the package tensorboardX: pip install 'diffgeo\[tensorboard\]'"):
        Logs(files=("tensorboard",))


def test_a_disk_that_refuses_is_named(tmp_path):
    (tmp_path / "log.jsonl").mkdir()
    with pytest.raises(UserError, match=r"log.jsonl' cannot be used \(Is a directory"):
        Logs(files=("jsonl",)).open(tmp_path)
