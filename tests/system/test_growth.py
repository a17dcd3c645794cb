"""Real programs killed while they delete checkpoints or add members, and runs joined by launch.merge."""

import functools
import json
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from diffgeo import results
from tests.support import programs
from tests.support.programs import CACHE, assert_refused, environment
from tests.support.runs import WAVE, newest_arrays
from tests.support.trained import assert_same_members, digests

SMALL = True  # the network trained: nothing here depends on it
command = functools.partial(programs.command, small=SMALL)

slow = pytest.mark.slow
FLAGS = ["--experiment=quickstart", "--preset=tiny"]


def train(folder, *more):
    return subprocess.run(
        command("train", *FLAGS, f"--workdir={folder}", *more), env=environment(), capture_output=True, text=True
    )


def killed(folder, patch: str, *more) -> None:
    """Run launch.train with a patch that kills it by `die()`."""
    flags = [f"--compile_cache={CACHE}", *FLAGS, f"--workdir={folder}", *more]
    code = f"""
import os, runpy, sys
from tests.support import networks
from pathlib import Path
folder = Path({str(folder)!r})

def die():
    os.kill(os.getpid(), 9)

{patch}
sys.argv = ["train", *{flags!r}]
with networks.replaced():
    runpy.run_module("launch.train", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run of two increments and two seeds that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = train(folder)
    assert done.returncode == 0, done.stderr
    assert "of checkpoints (--keep=all), up to" in done.stdout
    assert "of results; the disk has" in done.stdout
    return folder


DELETING = """
import shutil
remove, seen = shutil.rmtree, []

def killed(path, *more):
    if "checkpoints" in str(path):
        seen.append(path)
        if len(seen) == NUMBER:
            for file in list(Path(path).rglob("*"))[:3]:
                file.is_file() and file.unlink()
            die()
    remove(path, *more)

from diffgeo.run import checkpoints
checkpoints.shutil = type("", (), dict(rmtree=staticmethod(killed)))
"""
EVALUATING = """
from diffgeo.results import Results
record = Results.record

def killed(self, members, step, group, *value):
    if step == 4 and group == "evaluation":
        while not (folder / "checkpoints/wave_000/state/4").exists():
            pass
        die()
    record(self, members, step, group, *value)

Results.record = killed
"""


@pytest.mark.parametrize(
    "patch",
    [
        DELETING.replace("NUMBER", "1"),
        pytest.param(DELETING.replace("NUMBER", "3"), marks=slow),
        pytest.param(DELETING.replace("NUMBER", "4"), marks=slow),  # the older state of the finished wave
        pytest.param(DELETING.replace("NUMBER", "5"), marks=slow),  # the newest
        pytest.param(EVALUATING, marks=slow),
    ],
    ids=["first", "third", "older state", "newest state", "evaluation"],
)
def test_killed_while_it_deletes_it_ends_bit_equal(whole, tmp_path, patch):
    folder = tmp_path / "run"
    killed(folder, patch, "--keep=last")
    done = train(folder)
    assert done.returncode == 0, done.stderr
    assert_same_members(whole, folder)
    assert [path.name for path in (folder / WAVE / "params").iterdir()] == ["6"]
    assert list((folder / WAVE / "state").iterdir()) == []
    arrays = newest_arrays(folder, "params")
    for name, leaf in newest_arrays(whole, "params").items():
        np.testing.assert_array_equal(arrays[name], leaf, err_msg=name)


@pytest.fixture(scope="module")
def grown(whole, tmp_path_factory):
    """The run with two seeds more."""
    folder = shutil.copytree(whole, tmp_path_factory.mktemp("grown") / "run")
    done = train(folder, "--extend", "--seeds=5,3")
    assert done.returncode == 0, done.stderr
    assert "more of them: seed=5,3" in done.stdout
    return folder


AFTER_CONFIG = """
from diffgeo.results import Results
Results.grow = staticmethod(lambda *_: die())
"""
WITHIN_GROWTH = """
from diffgeo.results import store
write, seen = store._write_new, []

def killed(*given):
    seen.append(given)
    if len(seen) == 6:
        die()
    write(*given)

store._write_new = killed
"""
BEFORE_METADATA = """
from diffgeo.results import metadata
metadata.consolidate = lambda *_: die()
"""
WITHIN_TRAINING = """
from diffgeo.results import Results
record = Results.record

def killed(self, members, step, group, *value):
    if step == 4 and group == "evaluation":
        die()
    record(self, members, step, group, *value)

Results.record = killed
"""


@pytest.mark.parametrize(
    "patch",
    [
        pytest.param(AFTER_CONFIG, marks=slow),
        WITHIN_GROWTH,
        pytest.param(BEFORE_METADATA, marks=slow),
        pytest.param(WITHIN_TRAINING, marks=slow),
    ],
    ids=["after config", "within growth", "before metadata", "within training"],
)
def test_an_extension_that_is_killed_goes_on(whole, grown, tmp_path, launch, patch):
    folder = shutil.copytree(whole, tmp_path / "run")
    killed(folder, patch, "--extend", "--seeds=5,3")
    seen = results.open_results(folder)
    assert seen["seed"].values.tolist() in ([0, 1], [0, 1, 5, 3])
    np.testing.assert_array_equal(
        seen["accuracy"].sel(seed=[0, 1]), results.open_results(whole)["accuracy"], err_msg="readers see the old run"
    )
    reported = launch("report", f"--workdir={folder}")
    assert reported.returncode == 0, reported.stderr
    done = train(folder, "--extend", "--seeds=5,3")
    assert done.returncode == 0, done.stderr
    assert_same_members(grown, folder)
    assert_same_members(whole, folder)
    assert digests(folder / WAVE) == digests(whole / WAVE)
    again = train(folder, "--seeds=0,1,5,3")
    assert "nothing left to train" in again.stdout


def test_what_cannot_be_added_is_said_and_nothing_is_touched(whole):
    before = digests(whole)
    assert_refused(train(whole, "--extend", "--seeds=4,1"), "seed=1 is in the run already: leave it out")
    assert_refused(train(whole, "--extend", "--seeds=4", "--set=train.steps=9"), "'train.steps' is a setting")
    assert_refused(train(whole, "--extend"), "adds values of one axis, not of 0")
    assert_refused(train(whole, "--extend", "--seeds=4", "--preset=laptop"), "preset is", "tiny")
    assert_refused(train(whole.parent / "none", "--extend", "--seeds=4"), "no run in")
    assert digests(whole) == before


@slow
def test_runs_are_joined_and_judged(whole, tmp_path, launch):
    for seed in (0, 1):
        assert train(tmp_path / f"seed{seed}", f"--seeds={seed}").returncode == 0
    workdirs = f"--workdirs={tmp_path / 'seed0'},{tmp_path / 'seed1'}"
    done = launch("merge", workdirs, f"--out={tmp_path / 'both'}")
    assert done.returncode == 0, done.stderr
    assert_same_members(whole, tmp_path / "both")
    assert (tmp_path / "both/report.html").exists()
    sources = json.loads(results.open_results(tmp_path / "both").attrs["sources"])
    assert all(source["command"].startswith("python -m launch.train") for source in sources)
    assert results.open_results(tmp_path / "both").attrs["command"].startswith("python -m launch.merge")
    assert "is analyzed already" in launch("analyze", f"--workdir={tmp_path / 'both'}").stdout
    assert launch("report", f"--workdir={tmp_path / 'both'}").returncode == 0
    assert_refused(launch("merge", workdirs, f"--out={tmp_path / 'both'}"), "exists: choose a new folder by --out")
