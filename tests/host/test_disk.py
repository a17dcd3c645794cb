"""Paths as users write them, and what a disk refuses: one sentence that names the folder and the fix."""

import errno
import os
import string

import pytest

from diffgeo.errors import UserError
from diffgeo.host import disk


@pytest.mark.parametrize(
    "address", ["gs://bucket/run", "s3://b/r", "file:///tmp/x", "gs:/joined/by/Path", "memory://a"]
)
def test_addresses_are_refused_naming_mounted_disks(address):
    with pytest.raises(UserError, match=r"is an address, .* mounted disk"):
        disk.local_path(address)


@pytest.mark.parametrize("name", ["a:b/c", "x:", "~~", "a~b", "1:/x", "C:/x", "/gs:/x"])
def test_names_that_look_like_an_address_and_are_none(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / name.lstrip("/")).mkdir(parents=True)
    assert str(disk.local_path(name)) == name


def test_short_forms_of_home(monkeypatch):
    monkeypatch.setenv("HOME", "/somewhere")
    assert str(disk.local_path("~/run")) == "/somewhere/run"
    assert str(disk.local_path("~root/run")) == os.path.expanduser("~root") + "/run"
    for unknown in ("~nobody-of-that-name/run", "", "a\0b"):
        with pytest.raises(UserError):
            disk.local_path(unknown)


def test_a_file_is_no_folder_nor_is_what_lies_below_one(tmp_path):
    (tmp_path / "file").write_text("")
    disk.check_folder(tmp_path)
    disk.check_folder(tmp_path / "none/yet")
    for path in (tmp_path / "file", tmp_path / "file/run", tmp_path / ("x" * 300)):
        with pytest.raises(UserError, match="choose"):
            disk.check_folder(path)


def test_a_plain_path_leads_to_the_same_folder(tmp_path):
    assert disk.plain_path(tmp_path) == tmp_path
    assert disk.plain_path(tmp_path / "sub" / "..") == tmp_path.resolve(), "tensorstore refuses '..'"
    for character in string.punctuation.replace("/", ""):
        folder = tmp_path / f"a{character}b"
        folder.mkdir()
        plain = disk.plain_path(folder)
        assert plain.samefile(folder)
        assert disk.PLAIN.fullmatch(str(plain))
        assert disk.plain_path(folder) == plain, "one link a folder"


@pytest.mark.parametrize(
    ("error", "number"),
    [
        (OSError(errno.ENOSPC, "full"), errno.ENOSPC),
        (ValueError("RESOURCE_EXHAUSTED: Failed to write: No space left on device [os_error_code='28']"), errno.ENOSPC),
        (ExceptionGroup("saving", [KeyError("x"), PermissionError(errno.EACCES, "no")]), errno.EACCES),
        (KeyError("x"), None),
        (FileNotFoundError(errno.ENOENT, "none"), None),
        (OSError("of no number"), None),
    ],
    ids=repr,
)
def test_what_a_disk_refuses_is_told_from_other_errors(error, number):
    for one in (error, _raised_from(error)):
        found = disk.refused(one)
        assert (found and found.errno) == number


def _raised_from(cause: BaseException) -> BaseException:
    try:
        raise RuntimeError("in a thread") from cause
    except RuntimeError as error:
        return error


def test_the_sentence_names_folder_file_and_what_would_help(tmp_path):
    said = str(disk.refusal(tmp_path, OSError(errno.ENOSPC, "full", str(tmp_path / "chunk")), "5 MB are needed"))
    assert said.startswith(f"'{tmp_path}' cannot be used (full, at '{tmp_path / 'chunk'}'): make room there")
    assert "bytes are free, 5 MB are needed" in said
    assert "\n" not in said
    with pytest.raises(UserError, match="choose another folder"), disk.refusals(tmp_path):
        raise NotADirectoryError(errno.ENOTDIR, "not a folder")
    with pytest.raises(KeyError), disk.refusals(tmp_path):
        raise KeyError("a defect of ours stays one")


def test_another_disk_s_room_is_that_of_the_nearest_folder(tmp_path):
    assert disk.free_bytes(tmp_path / "not/there/yet") == pytest.approx(disk.free_bytes(tmp_path), rel=0.1)
