"""Work folders of every name and state, by real programs: they work as a plain one, or are refused in a sentence."""

import os
import re
import resource
import shutil
import signal
import subprocess

import pytest

from diffgeo import results
from diffgeo.run import analyze
from tests.support.programs import assert_refused, command, environment
from tests.support.trained import assert_same_members, small, train

QUICKSTART = ("--experiment=quickstart", "--preset=tiny")
PERCOLATION = ("--experiment=percolation", "--preset=tiny")

ODD = "[ab]%41\\*?#{}:: '~$&"
"""A name that is a pattern, an URL and a path of other separators to whoever does not take it literally."""


@pytest.fixture(scope="module")
def computed(tmp_path_factory):
    """A finished run of an experiment that trains nothing."""
    folder = tmp_path_factory.mktemp("computed") / "run"
    done = subprocess.run(
        command("train", *PERCOLATION, f"--workdir={folder}"), env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.slow
def test_in_a_folder_of_any_name_a_run_is_trained_continued_and_analyzed_as_in_a_plain_one(tmp_path):
    run = small(increment=(1.0,), seed=(0, 1))
    plain, odd = train(run, tmp_path / "plain"), train(run, tmp_path / ODD / "run")
    assert_same_members(plain, odd)
    shutil.rmtree(odd / "results.zarr")
    said: list[str] = []
    analyze(run, odd, say=said.append)
    assert results.open_results(odd).accuracy.equals(results.open_results(plain).accuracy)
    newest = max((odd / "checkpoints/wave_000/params").iterdir(), key=lambda step: int(step.name))
    for kind in ("params", "state"):
        shutil.rmtree(newest.parents[1] / kind / newest.name)
    said.clear()
    train(run, odd, said)
    assert newest.exists()
    assert not any("damaged" in line for line in said)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([ODD, "plain"])


def test_a_path_that_exists_wins_over_a_list_and_the_flag_may_be_repeated(computed, tmp_path, launch):
    for name in ("one, two", "three"):
        shutil.copytree(computed, tmp_path / name)
    done = launch("report", f"--workdir={tmp_path / 'one, two'}", f"--workdir={tmp_path / 'three'}")
    assert done.returncode == 0, done.stderr
    assert [line.rpartition("/")[0] for line in done.stdout.splitlines() if line.endswith("report.html")] == [
        f"wrote {tmp_path / 'one, two'}",
        f"wrote {tmp_path / 'three'}",
    ]


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to give a folder away")
def test_a_folder_that_may_only_be_read_is_reported_and_its_report_written_elsewhere(computed, tmp_path):
    theirs = tmp_path / "theirs"
    shutil.copytree(computed, theirs)
    shutil.rmtree(theirs / "figures")
    for path in (theirs, *theirs.rglob("*")):
        os.chown(path, 4242, 4242)
    # root without the rights by which root reads and writes everything
    dropped = "-dac_override,-dac_read_search"
    as_reader = ["setpriv", f"--bounding-set={dropped}", f"--inh-caps={dropped}"]

    def report(*flags: str) -> subprocess.CompletedProcess:
        given = [*as_reader, *command("report", f"--workdir={theirs}", *flags)]
        return subprocess.run(given, env=environment(), capture_output=True, text=True)

    refused = report()
    assert_refused(refused, str(theirs), "Permission denied", "--out=")
    assert "percolation, preset tiny" in refused.stdout, "what is known is said"
    done = report(f"--out={tmp_path / 'mine'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "mine/report.html").exists()
    assert not (theirs / "report.html").exists()


@pytest.mark.slow
def test_a_save_refused_in_orbax_s_threads_is_one_sentence_and_the_run_goes_on(tmp_path):
    flags = [*QUICKSTART, f"--workdir={tmp_path / 'run'}"]

    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))

    whole = command("train", *QUICKSTART, f"--workdir={tmp_path / 'whole'}")  # its programs are in the cache then
    subprocess.run(whole, env=environment(), capture_output=True, check=True)
    given = command("train", *flags)
    done = subprocess.run(given, env=environment(), capture_output=True, text=True, preexec_fn=limit)
    assert done.returncode == 2, done.stderr
    lines = [
        line
        for line in done.stderr.replace("\r", "\n").splitlines()
        if not re.match(r"\d{4}-\d\d-\d\d ", line) and line
    ]
    assert len(lines) == 1, done.stderr
    assert f"'{tmp_path / 'run'}' cannot be used (File too large)" in lines[0]
    again = subprocess.run(given, env=environment(), capture_output=True, text=True)
    assert again.returncode == 0, again.stderr
    assert_same_members(tmp_path / "whole", tmp_path / "run")


def test_a_reader_that_leaves_is_no_error():
    with subprocess.Popen(
        command("list", "--figures"), env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as program:
        assert program.stdout is not None
        assert program.stderr is not None
        program.stdout.close()
        assert program.stderr.read() == b""
        assert program.wait(60) == 128 + signal.SIGPIPE
