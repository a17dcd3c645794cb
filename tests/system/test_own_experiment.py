"""A user's own file through the real programs: trained, analyzed, reported, and never taken from a folder."""

import functools
import json
import shutil
import subprocess

import pytest

import experiments
from diffgeo import results
from diffgeo.run import Run, execute, measure
from tests.support import programs
from tests.support.own import OWN, write_own
from tests.support.programs import assert_refused, environment
from tests.support.trained import OneDevice, assert_same_members, digests

SMALL = True  # the network trained: nothing here depends on it
command = functools.partial(programs.command, small=SMALL)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A file of a user's own, and a run that it made."""
    folder = tmp_path_factory.mktemp("own")
    path = write_own(folder)
    flags = [f"--experiment={path}", "--preset=tiny", f"--workdir={folder / 'run'}"]
    done = subprocess.run(command("train", *flags), env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("mine, preset tiny: 2 sigma x 2 seed models")
    return path, folder / "run"


def test_its_name_and_digest_are_recorded_and_no_path(made):
    path, folder = made
    config = json.loads((folder / "config.json").read_text())
    record = experiments.resolve(str(path)).source.record
    assert record.items() <= config.items()
    assert record.items() <= results.open_results(folder).attrs.items()
    assert str(path) not in (folder / "config.json").read_text()


def test_each_program_asks_for_the_file(made, launch):
    path, folder = made
    for program in ("analyze", "report"):
        before = digests(folder)
        asked = f"the run in {str(folder)!r} was made by a file of the user's, 'mine.py': name it by --experiment"
        assert_refused(launch(program, f"--workdir={folder}"), asked)
        assert digests(folder) == before
        done = launch(program, f"--workdir={folder}", f"--experiment={path}")
        assert done.returncode == 0, done.stderr
    assert_refused(launch("train", "--experiment=mine", f"--workdir={folder}"), "unknown experiment 'mine'")
    listed = launch("list", f"--experiment={path}", "--json")
    assert json.loads(listed.stdout)["mine"]["presets"]["tiny"]["members"] == 4


def test_a_changed_file_goes_on_only_when_asked_to(made, tmp_path, launch):
    _, folder = made
    shutil.copytree(folder, tmp_path / "run")
    changed = write_own(tmp_path, OWN + "\n# changed\n")
    given = [f"--experiment={changed}", f"--workdir={tmp_path / 'run'}"]
    for program, more in (("train", ["--preset=tiny"]), ("analyze", []), ("report", [])):
        assert_refused(launch(program, *given, *more), "'mine.py' has changed since", "--allow_changed_experiment")
        done = launch(program, *given, *more, "--allow_changed_experiment")
        assert done.returncode == 0, done.stderr


def test_a_folder_that_names_a_file_never_runs_it(made, tmp_path, launch):
    _, folder = made
    shutil.copytree(folder, tmp_path / "run")
    evil = write_own(tmp_path, f"open({str(tmp_path / 'ran')!r}, 'w')\n" + OWN, "evil.py")
    config = json.loads((folder / "config.json").read_text())
    for poison in ({"experiment": str(evil)}, {"experiment": "evil:EXPERIMENT"}, {"experiment_file": str(evil)}):
        (tmp_path / "run/config.json").write_text(json.dumps(config | poison))
        for program in ("analyze", "report"):
            assert_refused(launch(program, f"--workdir={tmp_path / 'run'}", PYTHONPATH=f"{tmp_path}:."), "'")
    assert not (tmp_path / "ran").exists()


def test_reproduce_runs_it_and_plan_refuses_what_is_not_there(made, tmp_path, launch):
    path, _ = made
    done = launch("reproduce", f"--experiment={path}", "--preset=tiny", f"--workdir={tmp_path}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine/report.html").exists()
    assert_refused(launch("plan", "--experiment=none.py", "--topology=host"), "no file 'none.py'")


@pytest.mark.slow
def test_runs_of_it_are_joined_and_extended(made, tmp_path, launch):
    path, folder = made
    named, other, both = f"--experiment={path}", tmp_path / "other", tmp_path / "both"
    done = launch("train", named, "--preset=tiny", "--seeds=5", f"--workdir={other}")
    assert done.returncode == 0, done.stderr
    merge = [f"--workdirs={folder},{other}", f"--out={both}"]
    assert_refused(launch("merge", *merge), "was made by a file of the user's, 'mine.py': name it by --experiment")
    assert not both.exists()
    done = launch("merge", *merge, named)
    assert done.returncode == 0, done.stderr
    assert (both / "report.html").exists()
    done = launch("train", named, "--preset=tiny", f"--workdir={both}", "--extend", "--seeds=6")
    assert done.returncode == 0, done.stderr
    assert results.open_results(both)["seed"].values.tolist() == [0, 1, 5, 6]
    assert_same_members(folder, both)
    assert_same_members(other, both)


@pytest.mark.slow
def test_worker_processes_analyze_it(made, tmp_path, monkeypatch):
    """Two processes started anew, as for large clouds; they do not run the file."""
    ran = tmp_path / "ran"
    code = OWN.replace("    plots=", '    analyses=("spectrum",),\n    plots=')
    path = write_own(tmp_path, f"with open({str(ran)!r}, 'a') as ran:\n    ran.write('x')\n" + code)
    declared = experiments.resolve(str(path))
    monkeypatch.setattr(measure, "WORTH_PROCESSES", 0)
    monkeypatch.setattr(measure.pool, "default_processes", lambda: 2)
    found = execute(Run.of(declared, "tiny", placement=OneDevice("loop")), tmp_path / "run", say=[].append)
    assert (found["group_complete"] != 0).sel(group="layer4/spectrum").all()
    assert ran.read_text() == "x"
