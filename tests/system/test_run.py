"""Real runs of the real program: killed, stopped, resumed, analyzed anew."""

import functools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from diffgeo import results
from diffgeo.run import checkpoints
from tests.support import programs
from tests.support.programs import CACHE, environment
from tests.support.runs import WAVE, newest_arrays, newest_state

SMALL = True  # the network trained: nothing here depends on it
command = functools.partial(programs.command, small=SMALL)

SLOW_ENOUGH = [
    "--set=train.steps=160",
    "--set=train.log_every=10",
    "--set=evaluation.every_steps=10",
    "--set=evaluation.num_samples=4",
]


def train_flags(folder: Path, *more: str) -> list[str]:
    return ["--experiment=quickstart", "--preset=tiny", f"--workdir={folder}", *more]


def saving(folder: Path) -> bool:
    """Return whether a checkpoint is being written at this moment."""
    return any(folder.glob("checkpoints/*/*/*tmp*"))


def stop_when(folder: Path, condition, signum) -> tuple[int, str]:
    """Start the program, send a signal once the condition holds; return exit status and output."""
    log = folder.with_suffix(".log")
    with open(log, "w") as out:
        process = subprocess.Popen(
            command("train", *train_flags(folder, *SLOW_ENOUGH)), env=environment(), stderr=out, stdout=out
        )
        deadline = time.monotonic() + 200
        while not condition() and process.poll() is None and time.monotonic() < deadline:
            time.sleep(0.0005)
        assert process.poll() is None, f"ended before it could be stopped: {log.read_text()}"
        process.send_signal(signum)
        return process.wait(60), log.read_text()


def same_results(one: Path, other: Path, skip=()) -> None:
    """Assert that two runs have bit-equal results."""
    a, b = results.open_results(one).load(), results.open_results(other).load()
    assert set(a.variables) == set(b.variables)
    for name in set(a.variables) - set(skip):
        np.testing.assert_array_equal(a[name].values, b[name].values, err_msg=name)


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = subprocess.run(
        command("train", *train_flags(folder, *SLOW_ENOUGH)), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "Warning" not in done.stderr + done.stdout
    return folder


@pytest.mark.parametrize("kills", [2, pytest.param(5, marks=pytest.mark.slow)])
def test_killed_several_times_it_ends_bit_equal(whole, tmp_path, kills):
    """Two fifths of the times within a save: of two, the first."""
    folder = tmp_path / "run"
    choose = random.Random(time.time_ns())
    for kill in range(kills):
        before = newest_state(folder)
        if kill < 0.4 * kills:

            def now(before=before):
                return newest_state(folder) > before and saving(folder)
        else:  # some time after a save
            wait = choose.uniform(0, 0.4)

            def now(before=before, wait=wait):
                if newest_state(folder) <= before:
                    return False
                time.sleep(wait)
                return True

        status, _ = stop_when(folder, now, signal.SIGKILL)
        assert status == -signal.SIGKILL
    assert newest_state(folder) < 160
    done = subprocess.run(
        command("train", *train_flags(folder, *SLOW_ENOUGH)), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    for kind in ("state", "params"):
        one, other = newest_arrays(whole, kind), newest_arrays(folder, kind)
        assert one.keys() == other.keys()
        assert any(leaf.size > 100 for leaf in one.values())
        for name, leaf in one.items():
            np.testing.assert_array_equal(other[name], leaf, err_msg=name)
    same_results(whole, folder)


@pytest.mark.parametrize(
    "killed",
    [
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("loss", "loss complete", "samples", "accuracy")),
        "evaluation complete",
    ],
)
def test_killed_between_a_checkpoint_and_its_results_it_ends_bit_equal(whole, tmp_path, launch, killed):
    """Just before a write of step 50's results, when that step's checkpoint is complete."""
    folder = tmp_path / "run"
    code = f"""
import os, runpy, sys, time
from tests.support import networks
from pathlib import Path
from diffgeo.results import Results
write, record = Results.write, Results.record

def kill_at(name, step):
    if step == 50 and name == {killed!r}:
        while not Path({str(folder / WAVE / "state/50")!r}).exists():
            time.sleep(0.01)
        os.kill(os.getpid(), 9)

def write_singly(self, members, values, step=None, group=None):
    for name in values:
        kill_at(name, step)
        write(self, members, {{name: values[name]}}, step)
    if group is not None:
        self.record(members, step, group)

def record_unless_killed(self, members, step, group, *value):
    kill_at(group + " complete", step)
    record(self, members, step, group, *value)

Results.write, Results.record = write_singly, record_unless_killed
sys.argv = ["train", *{["--compile_cache=" + CACHE, *train_flags(folder, *SLOW_ENOUGH)]!r}]
with networks.replaced():
    runpy.run_module("launch.train", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert newest_state(folder) == 50, "no later state before these results"
    if killed == "samples":
        analyzed = launch("analyze", f"--workdir={folder}")
        assert analyzed.returncode == 0, analyzed.stderr
        known = results.open_results(folder).sel(step=slice(0, 50)).accuracy
        assert not np.isnan(known.values).any()
    done = launch("train", *train_flags(folder, *SLOW_ENOUGH))
    assert done.returncode == 0, done.stderr
    same_results(whole, folder)


def test_killed_far_from_an_evaluation_it_goes_on_from_a_state_saved_in_time(whole, tmp_path):
    folder = tmp_path / "run"
    code = f"""
import os, runpy, sys
from tests.support import networks
from diffgeo.host import signals
from diffgeo.run import checkpoints
save = checkpoints.Checkpoints.save_state

def killed(self, step, state):
    if step == 48:
        os.kill(os.getpid(), 9)
    save(self, step, state)

signals.SAVE_SECONDS = 0
checkpoints.Checkpoints.save_state = killed
sys.argv = ["train", *{["--compile_cache=" + CACHE, "--steps_per_call=3", *train_flags(folder, *SLOW_ENOUGH)]!r}]
with networks.replaced():
    runpy.run_module("launch.train", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert newest_state(folder) == 45, "between the evaluations at 40 and 50"
    done = subprocess.run(
        command("train", *train_flags(folder, *SLOW_ENOUGH)), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    one, other = newest_arrays(whole, "state"), newest_arrays(folder, "state")
    for name, leaf in one.items():
        np.testing.assert_array_equal(other[name], leaf, err_msg=name)
    same_results(whole, folder)


@pytest.mark.parametrize(
    "signum",
    [signal.SIGTERM, *(pytest.param(signum, marks=pytest.mark.slow) for signum in (signal.SIGINT, signal.SIGHUP))],
)
def test_asked_to_stop_it_saves_where_it_stands(whole, tmp_path, signum):
    if signal.getsignal(signum) == signal.SIG_IGN:
        pytest.skip(f"{signum.name} is ignored where the tests were started, as under nohup")
    folder = tmp_path / "run"
    status, log = stop_when(folder, lambda: newest_state(folder) >= 20, signum)
    assert status == 128 + signum, log
    assert f"stopped at step {newest_state(folder)} of 160, state saved: run again to go on" in log
    assert "Traceback" not in log
    if signum == signal.SIGTERM:  # (the loss of an interval that the stop fell into is not lost either)
        done = subprocess.run(command("train", *train_flags(folder, *SLOW_ENOUGH)), env=environment(), check=False)
        assert done.returncode == 0
        same_results(whole, folder)


def test_only_the_newest_two_states_and_all_parameters_are_kept(whole):
    wave = whole / WAVE
    assert sorted(int(p.name) for p in (wave / "state").iterdir()) == [150, 160]
    assert sorted(int(p.name) for p in (wave / "params").iterdir()) == list(range(0, 161, 10))


def test_results_are_labeled_and_complete(whole):
    found = results.select_scores(results.open_results(whole))
    assert found.accuracy.dims == ("increment", "seed", "step")
    assert found.increment.values.tolist() == [0.5, 1.0]
    assert found.step.values.tolist() == list(range(0, 161, 10))
    assert not np.isnan(found.accuracy.values).any()
    assert np.isnan(found.loss.values[..., 0]).all()
    assert (found.loss.values[..., 1:] > 0).all()
    total = found.correct + found.no_bump + found.wrong_place + found.several_bumps
    np.testing.assert_allclose(total.values, 1.0, atol=1e-6)
    hit = (np.abs(found.prediction - found.label) < 1).all("factor").mean("sample")
    np.testing.assert_allclose(hit.transpose(*found.accuracy.dims).values, found.accuracy.values, atol=1e-6)
    assert found.samples.dtype == np.uint8
    assert {"command", "commit", "hardware", "versions", "settings"} <= set(found.attrs)
    assert found.attrs["command"].startswith("python -m launch.train --")
    assert ((found.readout_ceiling > 0.5) & (found.readout_ceiling <= 1)).all()
    one = found.accuracy.sel(increment=1.0).mean("seed")
    assert one.dims == ("step",)


def test_configuration_and_axes_stand_beside_the_checkpoints(whole):
    config = json.loads((whole / "config.json").read_text())
    assert config["experiment"] == "quickstart"
    assert config["settings"]["axes"] == {"increment": [0.5, 1.0], "seed": [0, 1]}
    assert config["settings"]["train"]["steps"] == 160


def test_figures_are_drawn(whole):
    names = {p.name for p in (whole / "figures").iterdir()}
    assert names == {"overview.png", "phase_diagram.png", "learning_curves.png", "failure_modes.png"}


def test_started_again_it_says_that_it_is_complete_and_redraws(whole, launch):
    picture = whole / "figures/overview.png"
    picture.unlink()
    done = launch("train", *train_flags(whole, *SLOW_ENOUGH))
    assert done.returncode == 0, done.stderr
    assert "is complete: nothing left to train" in done.stdout
    assert picture.exists()


def test_analysis_restores_on_other_devices_and_fills_what_is_missing(whole, tmp_path, launch):
    folder = tmp_path / "run"
    shutil.copytree(whole, folder)
    shutil.rmtree(folder / "results.zarr")
    shutil.rmtree(folder / "checkpoints/wave_000/state")
    done = launch("analyze", f"--workdir={folder}", JAX_NUM_CPU_DEVICES="2")
    assert done.returncode == 0, done.stderr
    same_results(whole, folder, skip=["loss", "group_complete"])
    complete = results.open_results(folder).group_complete
    assert (complete.sel(group="evaluation") == 1).all()
    assert (complete.sel(group="loss") == 0).all(), "training alone knows it"
    assert "learning_curves is not drawn: no value of 'loss'" in done.stdout
    again = launch("analyze", f"--workdir={folder}")
    assert "is analyzed already" in again.stdout


def test_a_half_written_save_is_not_seen(tmp_path):
    tree = {"a": np.arange(6.0).reshape(2, 3)}
    with checkpoints.Checkpoints(tmp_path) as store:
        store.save_params(5, tree)
    (tmp_path / "params" / "9.orbax-checkpoint-tmp").mkdir()
    with checkpoints.Checkpoints(tmp_path) as store:
        assert store.params_steps == [5]
        np.testing.assert_array_equal(store.restore_params(tree, 5)["a"], tree["a"])
    assert not os.path.exists(tmp_path / "params" / "9.orbax-checkpoint-tmp")


def test_waves_change_nothing_but_the_folders(whole, tmp_path, launch):
    split = tmp_path / "split"
    done = launch("train", *train_flags(split, *SLOW_ENOUGH), "--waves=2")
    assert done.returncode == 0, done.stderr
    same_results(whole, split)
    assert {p.name for p in (split / "checkpoints").iterdir()} == {"wave_000", "wave_001"}
    assert {p.name for p in (whole / "checkpoints").iterdir()} == {"wave_000"}


@pytest.mark.slow
def test_a_static_axis_runs_one_program_a_value(tmp_path, launch):
    done = launch("train", *train_flags(tmp_path / "run"), "--set=axes.size=8,16", "--seeds=0")
    assert done.returncode == 0, done.stderr
    found = results.open_results(tmp_path / "run")
    assert found.accuracy.dims == ("increment", "seed", "size", "step")
    assert not np.isnan(found.accuracy.values).any()
    assert found.samples.sizes["row"] == 16
    small = found.samples.sel(size=8).values
    assert (small[..., 8:, :] == 255).all()
    assert (small[..., :8, :8] < 255).any()
