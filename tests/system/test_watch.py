"""A run watched from another process while it trains: what is shown, and that nothing is locked or written."""

import json
import os
import re
import signal
import subprocess
import time

from diffgeo.logs import read_status
from diffgeo.logs.status import FILE
from tests.support.programs import REPOSITORY, assert_refused, command, environment

SMALL = True
FLAGS = ("--experiment=quickstart", "--preset=tiny", "--set=train.steps=200000", "--set=evaluation.every_steps=1000")


def shown(launch, folder) -> str:
    done = launch("watch", str(folder), "--once")
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


def states(folder):
    """Return (path, size, time of writing) of everything in a folder."""
    found = ((path, path.stat()) for path in sorted(folder.rglob("*")))
    return [(path, one.st_size, one.st_mtime_ns) for path, one in found]


def test_a_run_is_seen_while_it_trains_and_once_it_has_stopped(launch, tmp_path):
    folder = tmp_path / "run"
    given = command("train", *FLAGS, f"--workdir={folder}", small=True)
    with subprocess.Popen(given, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        try:
            deadline = time.monotonic() + 200
            while (status := read_status(folder)) is None or status.step < 2000:
                assert run.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.1)
            seen = shown(launch, folder)
            assert re.search(r"quickstart tiny: [a-z]+, 4 models, step [\d,]+ of 200,000, loss .* left$", seen, re.M)
            assert re.search(
                r"step [\d,]+,000: 4 of 4 models evaluated, accuracy \d.\d\d \(.*\), loss \d\.\d{4}$", seen, re.M
            )
            watching = [*command("watch", f"--workdir={folder}", "--every=0.2")]
            with subprocess.Popen(watching, env=environment(), stdout=subprocess.PIPE, text=True) as watch:
                assert watch.stdout is not None
                assert watch.stdout.readline().startswith("quickstart tiny in ")
                run.send_signal(signal.SIGTERM)
                rest = watch.stdout.read()  # it ends with the run
                assert watch.wait(60) == 0
            assert " quickstart tiny: stopped, 4 models, step " in rest
            assert run.wait(60) == 128 + signal.SIGTERM
        finally:
            run.kill()
    before = states(folder)
    assert " quickstart tiny: stopped, " in shown(launch, folder)
    assert states(folder) == before


def test_a_killed_run_is_in_doubt_and_a_folder_of_nothing_refused(launch, tmp_path):
    folder = tmp_path / "run"
    flags = ("--experiment=quickstart", "--preset=tiny", f"--workdir={folder}")
    assert launch("train", *flags).returncode == 0
    seen = shown(launch, folder)
    assert " quickstart tiny: finished, 4 models, step 6 of 6, " in seen
    newest = [line.split()[-1] for line in seen.splitlines() if line.endswith(".png")]
    assert newest
    assert all(os.path.exists(REPOSITORY / path) for path in newest)
    tree = json.loads((folder / FILE).read_text())
    (folder / FILE).write_text(json.dumps(tree | {"phase": "training", "written": time.time() - 600}))
    assert re.search(r"^nothing was written for 10 min \(since .*\): it was killed or ", shown(launch, folder), re.M)
    (folder / FILE).write_text("{")
    assert_refused(launch("watch", str(folder), "--once"), "progress.json")
    (folder / FILE).unlink()  # as of an earlier version: it ends by itself
    done = launch("watch", str(folder))
    assert (done.returncode, done.stderr) == (0, "")
    assert "no progress.json" in done.stdout
    assert_refused(launch("watch", str(tmp_path / "none")), "no run in", "launch.train")
    assert_refused(launch("watch"), "0 folders are given")
    assert_refused(launch("watch", str(folder), "more"), "unexpected argument 'more'")
