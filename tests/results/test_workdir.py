"""The one gate to a work folder: what it lets through, its lock, and what the disk refuses while it is held."""

import errno
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

import diffgeo as dg
from diffgeo import report
from diffgeo.errors import UserError
from diffgeo.growth import merge
from diffgeo.integrity import verify
from diffgeo.results import open_results, open_workdir
from diffgeo.results.workdir import PARTS, read_run
from tests.support.programs import REPOSITORY

OPENERS = (open_results, read_run, report.load, verify, dg.load, lambda folder: merge([folder, folder], "out"))


@pytest.mark.parametrize("path", ["gs://bucket/run", "~no-such-user/run", str(Path(__file__)), f"{__file__}/run"])
@pytest.mark.parametrize("opener", OPENERS)
def test_whatever_opens_a_folder_goes_through_the_gate(opener, path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is an address|is not known|is a file|cannot be used"):
        opener(path)
    assert list(tmp_path.iterdir()) == []


def test_only_what_a_run_would_overwrite_makes_a_folder_foreign(tmp_path):
    (tmp_path / "lost+found").mkdir()
    (tmp_path / "train.log").write_text("of this very run")
    assert open_workdir(tmp_path).read_config() is None
    for name in PARTS:
        (tmp_path / name).mkdir()
        with pytest.raises(UserError, match=f"holds '{name}' but no config.json"):
            open_workdir(tmp_path).read_config()
        (tmp_path / name).rmdir()


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_a_disk_without_locks_is_said_and_used(tmp_path, monkeypatch, capsys, number):
    def flock(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", flock)
    with open_workdir(tmp_path / "run") as workdir:
        assert workdir.path.is_dir()
    said = capsys.readouterr().out
    assert "has no locks" in said
    assert "start no second run" in said


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.EIO, errno.EROFS])
def test_what_the_disk_refuses_while_a_folder_is_held_names_it(tmp_path, number):
    workdir = open_workdir(tmp_path)
    workdir.needs = "5 MB are needed"
    with pytest.raises(UserError, match="cannot be used") as caught, workdir:
        raise RuntimeError("in a thread") from OSError(number, os.strerror(number), "/elsewhere/chunk")
    assert ("5 MB are needed" in str(caught.value)) == (number == errno.ENOSPC)
    with workdir:
        pass  # free again


def test_a_folder_removed_meanwhile_is_said_and_a_defect_is_not_hidden(tmp_path):
    with pytest.raises(UserError, match="was removed meanwhile"), open_workdir(tmp_path):
        (tmp_path / "results.zarr/accuracy").read_bytes()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(FileNotFoundError), open_workdir(tmp_path):
        (tmp_path / "a defect of ours").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="takes root to become another user")
@pytest.mark.parametrize("opener", ["open_workdir(path)", "read_run(path)", "open_workdir(path / 'run').__enter__()"])
@pytest.mark.parametrize("mode", [0o000, 0o100, 0o400])
def test_a_folder_that_may_not_be_entered_or_read(tmp_path, opener, mode):
    folder = tmp_path / "theirs"
    folder.mkdir()
    folder.chmod(mode)
    for parent in tmp_path.parents[:3]:
        parent.chmod(parent.stat().st_mode | 0o011)
    code = (
        "import os\nfrom pathlib import Path\nfrom diffgeo.errors import UserError\n"
        "from diffgeo.results.workdir import open_workdir, read_run\n"
        f"os.setgroups([])\nos.setgid(4242)\nos.setuid(4242)\npath = Path({str(folder)!r})\n"
        f"try:\n    {opener}\nexcept UserError as error:\n    print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert "Permission denied" in done.stdout
    assert str(folder) in done.stdout
