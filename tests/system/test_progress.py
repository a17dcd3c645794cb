"""What real programs say while they train: a bar on a terminal, whole lines in a log, files on request."""

import json
import os
import pty
import re
import subprocess

from diffgeo.logs import read_status
from tests.support.programs import assert_refused, command, environment

SMALL = True
FLAGS = ("--experiment=quickstart", "--preset=tiny", "--set=train.steps=20", "--set=evaluation.every_steps=10")
LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d quickstart tiny: [a-z ]+, (wave \d of \d, )?\d models, step \d+ of 20(, .*)?"
)


def on_a_terminal(*flags: str) -> str:
    """Run the program with all of its output on a terminal of its own; return what it showed."""
    ours, theirs = pty.openpty()
    given = command("train", *FLAGS, *flags, small=True)
    program = subprocess.Popen(given, env=environment(), stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    shown = b""
    while True:
        try:
            part = os.read(ours, 4096)
        except OSError:  # as Linux says that the other end is closed
            break
        if not part:
            break
        shown += part
    os.close(ours)
    assert program.wait(60) == 0, shown
    return shown.decode()


def test_a_terminal_shows_one_bar_and_messages_on_lines_of_their_own(tmp_path):
    shown = on_a_terminal(f"--workdir={tmp_path / 'run'}", "--waves=2")
    drawn = [part for line in shown.split("\r\n") for part in line.split("\r")]
    assert any(part.startswith("2 models, wave 1/2, compiling for ") for part in drawn)
    bars = [part for part in drawn if "%|" in part]
    assert any(re.search(r"100%\|.*\| 40/40, .*accuracy \d\.\d\d, loss \d\.\d{4}", part) for part in bars), bars[-3:]
    assert [part for part in bars if "wrote" in part or "about" in part] == []
    assert [part for part in drawn if part.startswith("wrote ")]


def test_a_log_has_whole_lines_and_files_go_on_with_the_run(launch, tmp_path):
    folder = tmp_path / "run"
    first = launch("train", *FLAGS, f"--workdir={folder}", "--log=jsonl")
    assert first.returncode == 0, first.stderr
    assert "\r" not in first.stderr + first.stdout
    lines = first.stderr.splitlines()
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    assert " training done, 4 models, step 20 of 20, loss " in lines[-1]
    assert read_status(folder).phase == "finished"
    before = (folder / "log.jsonl").read_bytes()
    evaluations = [one for one in map(json.loads, before.splitlines()) if one["kind"] == "evaluation"]
    assert [one["step"] for one in evaluations] == [0, 10, 20]
    assert len(evaluations[-1]["accuracy"]) == len(evaluations[-1]["loss"]) == 4
    grown = launch(
        "train", "--experiment=quickstart", "--preset=tiny", f"--workdir={folder}", "--extend", "--seeds=2",
        "--log=jsonl", "--quiet",
    )  # fmt: skip
    assert (grown.returncode, grown.stderr) == (0, "")
    after = (folder / "log.jsonl").read_bytes()
    assert after.startswith(before)
    assert len(after) > len(before)


def test_an_unknown_log_is_refused(launch, tmp_path):
    assert_refused(launch("train", *FLAGS, f"--workdir={tmp_path / 'run'}", "--log=jsonl,tensorbord"), "'tensorboard'?")
    assert list(tmp_path.iterdir()) == []
