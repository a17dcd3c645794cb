"""Caches of compiled code: where they may be written, and where no other user could have written."""

import os
import tempfile
from pathlib import Path

import pytest

from diffgeo.host import caches


@pytest.fixture
def nowhere(monkeypatch, tmp_path):
    """A process without a home folder, whose temporary folder is `tmp_path`."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_cache_is_the_user_s_where_there_is_one(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    assert caches.cache_folder() == tmp_path / "caches/diffgeo"
    assert (tmp_path / "caches/diffgeo").is_dir()


def test_without_a_home_it_is_a_temporary_one_of_this_user_alone(nowhere):
    folder = caches.cache_folder()
    assert folder == nowhere / f"diffgeo-{os.getuid()}"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert caches.cache_folder() == folder


@pytest.mark.parametrize("how", ["open to others", "a link", "a file"])
def test_what_another_user_could_have_written_is_not_used(nowhere, how):
    folder = nowhere / f"diffgeo-{os.getuid()}"
    if how == "open to others":
        folder.mkdir()
        folder.chmod(0o777)
    elif how == "a link":
        (nowhere / "theirs").mkdir(mode=0o700)
        folder.symlink_to(nowhere / "theirs")
    else:
        folder.write_text("")
    chosen = caches.cache_folder()
    assert chosen != folder
    assert chosen.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("named", [None, "/dev/null/cache"])
def test_numba_gets_a_folder_only_where_it_has_none(nowhere, monkeypatch, named):
    monkeypatch.setenv("NUMBA_CACHE_DIR", "")
    if named is None:
        caches.let_numba_cache()
        assert os.environ["NUMBA_CACHE_DIR"] == "", "it writes beside the package"
        monkeypatch.setattr(caches.importlib.util, "find_spec", lambda _: None)
    else:
        monkeypatch.setenv("NUMBA_CACHE_DIR", named)
    caches.let_numba_cache()
    assert Path(os.environ["NUMBA_CACHE_DIR"]) == nowhere / f"diffgeo-{os.getuid()}/numba"
