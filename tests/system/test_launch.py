"""What a user can get wrong: one sentence on stderr, exit status 2, no traceback, nothing on disk touched."""

import fcntl
import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import zarr

from diffgeo import results
from diffgeo.results.schema import MISSING
from tests.support.programs import REPOSITORY, assert_refused, command, environment


def snapshot(folder: Path) -> dict[str, str]:
    """Return every file and folder below a folder, with its content's digest."""
    digests = {}
    for path in sorted(folder.rglob("*")):
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        digests[str(path.relative_to(folder))] = content
    return digests


def train(launch, workdir, *flags, experiment="quickstart", preset="tiny", **variables):
    named = [f"--experiment={experiment}", f"--preset={preset}", f"--workdir={workdir}"]
    return launch("train", *named, *flags, **variables)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished run of the tiny preset."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    flags = ["--experiment=quickstart", "--preset=tiny", f"--workdir={folder}"]
    done = subprocess.run(command("train", *flags), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("flags", "variables", "parts"),
    [
        ({"experiment": "p1_fig44"}, {}, ["unknown experiment 'p1_fig44'", "did you mean 'p1_fig4'?"]),
        ({"preset": "huge"}, {}, ["unknown preset 'huge'", "tiny"]),
        ({"more": ["--set=axes.incremnt=1,2"]}, {}, ["unknown axis 'incremnt'", "did you mean 'increment'?"]),
        ({"more": ["--set=train.stepz=3"]}, {}, ["unknown setting 'train.stepz'", "did you mean 'steps'?"]),
        ({"more": ["--set=data.size=12"]}, {}, ["image size 12 is not a multiple of 8"]),
        ({"more": ["--set=train.steps=many"]}, {}, ["train.steps='many'"]),
        ({"more": ["--seeds=0,x"]}, {}, ["axes.seed='x'"]),
        ({"more": ["--seedz=0"]}, {}, ["Unknown command line flag 'seedz'"]),
        ({"more": ["--waves=9"]}, {}, ["--waves=9 must be from 1 to the 4 members"]),
    ],
    ids=lambda value: None,
)
def test_bad_flags(launch, tmp_path, flags, variables, parts):
    more = flags.pop("more", [])
    done = train(launch, tmp_path / "run", *more, **flags, **variables)
    assert_refused(done, *parts)
    assert list(tmp_path.iterdir()) == []


def test_folder_of_another_configuration(launch, finished):
    before = snapshot(finished)
    done = train(launch, finished, "--set=train.batch_size=8")
    assert_refused(
        done, "belongs to another configuration", "settings.train.batch_size is 4 there, 8 here", "--workdir"
    )
    assert snapshot(finished) == before


def test_folder_of_something_else(launch, tmp_path):
    (tmp_path / "report.html").write_text("precious")
    done = train(launch, tmp_path)
    assert_refused(done, "holds 'report.html' but no config.json")
    assert snapshot(tmp_path) == {"report.html": hashlib.sha256(b"precious").hexdigest()}


def test_folder_in_use(launch, finished):
    before = snapshot(finished)
    with open(finished / ".lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert_refused(train(launch, finished), "in use by another process")
    assert snapshot(finished) == before


def test_damaged_configuration(launch, finished, tmp_path):
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "config.json").write_text('{"experiment": "p1_f')
    assert_refused(train(launch, folder), "is not a run's configuration")


def test_checkpoint_cut_short(launch, finished, tmp_path):
    """It is named and set aside, and the run goes on from the one before, to the same numbers."""
    folder = tmp_path / "run"
    shutil.copytree(finished, folder)
    wave = folder / "checkpoints/wave_000"
    for newest in (wave / "state/6", wave / "params/6"):
        shutil.rmtree(newest)
    store = zarr.open_group(str(folder / "results.zarr"), mode="r+")
    complete = store["group_complete"].with_config({"write_empty_chunks": True})
    complete[:, :, -1] = MISSING  # nor has the last evaluation been written
    files = sorted((p for p in (wave / "state/4").rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    files[-1].write_bytes(files[-1].read_bytes()[: files[-1].stat().st_size // 2])
    done = train(launch, folder)
    assert done.returncode == 0, done.stderr
    assert f"{wave / 'state/4'}" in done.stdout + done.stderr
    assert list((wave / "damaged").iterdir())
    whole, again = (results.open_results(path).load() for path in (finished, folder))
    for name in whole.data_vars:
        np.testing.assert_array_equal(again[name], whole[name], err_msg=str(name))


def test_missing_package(tmp_path):
    code = (
        "import sys, runpy; sys.modules['cv2'] = None; "
        f"sys.argv = ['train', '--experiment=quickstart', '--preset=tiny', '--workdir={tmp_path / 'run'}']; "
        "runpy.run_module('launch.train', run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=REPOSITORY, env=environment(), capture_output=True, text=True
    )
    assert_refused(done, "the package 'cv2' is missing", "pip install")
    assert list(tmp_path.iterdir()) == []


def test_analysis_of_nothing(launch, tmp_path):
    assert_refused(launch("analyze", f"--workdir={tmp_path / 'none'}"), "no run in", "launch.train")
    assert list(tmp_path.iterdir()) == []


def test_list_shows_sizes_and_cost_of_the_paper_preset_without_running_it(launch):
    done = launch("list", "--json")
    assert done.returncode == 0, done.stderr
    paper = json.loads(done.stdout)["p1_fig4"]["presets"]["paper"]
    assert paper["members"] == 30
    assert paper["axes"] == {"increment": 10, "seed": 3}
    assert (paper["steps"], paper["batch"], paper["samples"]) == (320_000, 16, 500 + 128)
    assert paper["evaluation_steps"] == list(range(0, 320_001, 6_400))
    assert paper["parameters"] == 23_790_209
    assert paper["label_rows"] == 102_400
    assert paper["layer4"] == [16, 16, 64]
    assert paper["params_checkpoint_bytes"] == 30 * 4 * 23_790_209
    assert paper["training_pflop"] == pytest.approx(30 * 3 * 2 * 1.85e9 * 320_000 * 16 / 1e15, rel=0.01)
    text = launch("list").stdout
    assert "p1_fig4" in text
    assert "320,000 steps" in text


def test_samplers_of_a_trained_run(launch, finished):
    """The run's own sampler draws what the run drew; the others stand beside it."""
    stored = results.select_scores(results.open_results(finished))
    steps = json.loads((finished / "config.json").read_text())["settings"]["evaluation"]["sampler_steps"]
    flags = ["--suite=samplers", f"--workdir={finished}", f"--ddim={steps}", "--members=3", "--json"]
    done = launch("bench", *flags)
    assert done.returncode == 0, done.stderr
    cases = json.loads(done.stdout)["cases"]
    assert list(cases) == [f"ddim_{steps}", "ancestral"]
    assert [case["network_calls"] for case in cases.values()] == [steps, 20]
    expected = stored["accuracy"].isel(step=-1).values.ravel()[:3]
    np.testing.assert_allclose(cases[f"ddim_{steps}"]["accuracy"], expected)
    assert_refused(launch("bench", "--suite=samplers"), "--suite=samplers needs --workdir")
