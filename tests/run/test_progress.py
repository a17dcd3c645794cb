"""What a run says while it works: when lines are due, what the clock counts, and files that a disk refuses."""

import json

import pytest

from diffgeo.errors import UserError
from diffgeo.logs import Logs, Status, read_status
from diffgeo.logs.files import JsonLines
from diffgeo.run import progress
from diffgeo.run.progress import COMPILING, EVALUATING, SAVING, TRAINING, Progress


class Clock:
    """Time that passes when a test says so; after each half second its output is brought up to date."""

    def __init__(self):
        self.now = 1e6

    def monotonic(self) -> float:
        return self.now

    time = monotonic

    def pass_by(self, shown, seconds: float) -> None:
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + 0.5)
            shown._show()


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(progress, "time", clock)
    monkeypatch.setattr(progress, "BEAT_SECONDS", 1e5)  # the thread waits to the end
    return clock


def train(shown, clock, evaluations=40, chunks=5, seconds=3.0):
    """Go through a training of 10 steps a chunk."""
    shown.start(evaluations * chunks * 10, "step")
    shown.note(wave=1, waves=1, members=4, last_step=evaluations * chunks * 10)
    shown.phase(COMPILING)
    for evaluation in range(evaluations):
        shown.phase(TRAINING)
        for _ in range(chunks):
            clock.pass_by(shown, seconds)
            shown.advance(10)
            shown.note_loss(0.5)
        shown.phase(SAVING)
        shown.phase(EVALUATING)
        shown.note_evaluation(evaluation, accuracy={"seed=0": 0.25, "seed=1": 0.75})
    shown.close()


def test_a_log_has_a_line_each_half_minute_and_one_for_each_new_phase(tmp_path, capfd, clock):
    """Of ten minutes."""
    with Progress(Logs(), "made-up tiny", tmp_path) as shown:
        train(shown, clock)
    lines = capfd.readouterr().err.split("\n")
    assert lines.pop() == ""
    assert 600 / 30 <= len(lines) <= 600 / 30 + 5
    assert all(" made-up tiny: " in line and "\r" not in line for line in lines)
    assert [line.split(": ")[1].split(",")[0] for line in lines[:2]] == [COMPILING, TRAINING]
    assert (
        lines[-1].split(": ")[1].startswith("training done, 4 models, step 2,000 of 2,000, loss 0.5000, accuracy 0.50")
    )
    assert sum(" saving," in line for line in lines) < 10
    assert read_status(tmp_path).phase == "finished"


def test_quiet_shows_nothing_and_keeps_the_status(tmp_path, capfd, clock):
    with Progress(Logs(quiet=True), "made-up tiny", tmp_path) as shown:
        train(shown, clock, evaluations=5)
        assert read_status(tmp_path).step == 250
    assert capfd.readouterr().err == ""


def test_the_clock_starts_behind_the_first_steps_and_stands_while_programs_are_compiled(tmp_path, clock):
    with Progress(Logs(quiet=True), "made-up tiny", tmp_path) as shown:
        shown.start(1000, "step")
        shown.advance(500, worked=False)
        shown.phase(COMPILING)
        clock.pass_by(shown, 50.0)
        shown.phase(TRAINING)
        assert read_status(tmp_path).seconds_left is None
        for _ in range(6):
            clock.pass_by(shown, 20.0)
            shown.advance(10)
        shown.phase(COMPILING)
        clock.pass_by(shown, 50.0)
        shown.phase(TRAINING)
        shown.close()
    assert read_status(tmp_path).seconds_left == pytest.approx(440 * 2.0), "440 steps are left, at 2 s each"


def test_records_of_all_that_is_noted(tmp_path, capfd, clock):
    with Progress(Logs(files=("jsonl",)), "made-up tiny", tmp_path) as shown:
        train(shown, clock, evaluations=2)
    records = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    kinds = [record["kind"] for record in records]
    assert (kinds.count("training"), kinds.count("evaluation")) == (10, 2)
    phases = [record["phase"] for record in records if record["kind"] == "phase"]
    assert phases == [COMPILING, *(2 * [TRAINING, SAVING, EVALUATING]), "training done", "finished"]
    steps = [record["step"] for record in records if record["kind"] == "training"]
    assert steps == list(range(10, 101, 10))


def test_a_run_goes_on_without_files_that_a_disk_refuses_and_says_so_once(tmp_path, clock, monkeypatch, capfd):
    def refuse(self, *_):
        raise UserError("no room there")

    monkeypatch.setattr(JsonLines, "write", refuse)
    monkeypatch.setattr(Status, "write", refuse)
    said = []
    with Progress(Logs(files=("jsonl",)), "made-up tiny", tmp_path) as shown:
        shown.beside(said.append)
        train(shown, clock, evaluations=5)
    assert sorted(said) == [
        f"the run goes on, but its {name} is no longer written: no room there"
        for name in ("log.jsonl", "progress.json")
    ]


def fail(folder):
    """Begin to train, and fail."""
    with Progress(Logs(), "made-up tiny", folder) as shown:
        shown.start(10, "step")
        shown.phase(TRAINING)
        raise ZeroDivisionError


def test_what_ends_early_is_stopped(tmp_path, capfd):
    with pytest.raises(ZeroDivisionError):
        fail(tmp_path)
    assert read_status(tmp_path).phase == "stopped"
    assert " made-up tiny: stopped, " in capfd.readouterr().err.splitlines()[-1]
