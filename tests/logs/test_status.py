"""The status of a run: its line, and its file as it is written, read, and refused."""

import dataclasses
import json

import pytest

from diffgeo.errors import DamagedError
from diffgeo.logs import Status, read_status
from diffgeo.logs.status import FILE, duration

TRAINING = Status(
    "p1_fig4 laptop", "training", "step", 4400, 8000, 2, 2, 9, 400, 4000, 0.1234, 0.45, 31.2, 720.0, 1.8e9
)


def test_a_line_is_understood_alone():
    line = TRAINING.line()
    assert line[:3] == "202", "the time"
    assert line[20:] == (
        "p1_fig4 laptop: training, wave 2 of 2, 9 models, step 400 of 4,000, loss 0.1234, accuracy 0.45, 31 steps/s, "
        "12 min left"
    )
    analysis = Status("p1_fig4 laptop", "analysis", "cloud", 12, 300, per_second=0.5, seconds_left=576.0)
    assert analysis.line()[20:] == "p1_fig4 laptop: analysis, cloud 12 of 300, 2.0 s/cloud, 10 min left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0, "0 s"), (99.4, "99 s"), (100, "2 min"), (3570, "1 h 0 min"), (12_000, "3 h 20 min"), (183_600, "2 d 3 h")],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_what_is_written_is_read(tmp_path):
    assert read_status(tmp_path) is None
    TRAINING.write(tmp_path)
    assert read_status(tmp_path) == TRAINING
    dataclasses.replace(TRAINING, loss=float("nan"), seconds_left=None).write(tmp_path)
    assert "NaN" not in (tmp_path / FILE).read_text()
    assert read_status(tmp_path) == dataclasses.replace(TRAINING, loss=None, seconds_left=None)


@pytest.mark.parametrize(
    "changed",
    [
        {"run": 3},
        {"run": "a\x1b[2Jb"},
        {"done": "many"},
        {"done": True},
        {"step": -1},
        {"loss": [1.0]},
        {"members": None},
        {"other": 1},
        {"seconds_left": 1e300},
    ],
    ids=str,
)
def test_a_status_that_no_run_writes_is_damage(tmp_path, changed):
    tree = dataclasses.asdict(TRAINING) | changed
    (tmp_path / FILE).write_text(json.dumps(tree))
    with pytest.raises(DamagedError, match=FILE):
        read_status(tmp_path)


@pytest.mark.parametrize("content", ["", "[1]", '{"run": "a', "[" * 100_000])
def test_a_file_of_something_else_is_damage(tmp_path, content):
    (tmp_path / FILE).write_text(content)
    with pytest.raises(DamagedError, match=FILE):
        read_status(tmp_path)
