"""Files and folders replaced whole: an error on the way leaves the old ones and nothing else."""

import contextlib
import json
import threading
import time

import pytest

from diffgeo.host.files import atomic_path, atomic_write, write_json


def full(path, text):
    """Write a file's beginning, and fail."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    raise OSError("disk full")


def test_text_bytes_and_json_replace_what_was_there(tmp_path):
    path = tmp_path / "new/folder/file"
    assert atomic_write(path, "größer\n") == path
    assert path.read_bytes() == "größer\n".encode()
    atomic_write(str(path), b"\x00\xff")
    assert path.read_bytes() == b"\x00\xff"
    write_json(path, {"a": [1, None]})
    assert json.loads(path.read_text()) == {"a": [1, None]}
    assert path.read_text().endswith("}\n")
    assert list(path.parent.iterdir()) == [path]


def test_a_reader_sees_the_old_file_until_the_new_one_is_whole(tmp_path):
    path = atomic_write(tmp_path / "file", "old")
    with atomic_path(path) as part:
        part.write_text("ne")
        assert part.parent == path.parent, "a rename is atomic within a file system alone"
        assert part.name.startswith("."), "not taken for a run's file"
        assert path.read_text() == "old"
        part.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_after_an_error_the_old_file_stays_and_nothing_is_left(tmp_path):
    path = atomic_write(tmp_path / "file", "old")
    with pytest.raises(OSError, match="disk full"), atomic_path(path) as part:
        full(part, "ne")
    with pytest.raises(TypeError):
        write_json(path, {"a": object()})
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_part_that_was_never_written_leaves_the_old_file(tmp_path):
    path = atomic_write(tmp_path / "file", "old")
    with pytest.raises(FileNotFoundError), atomic_path(path):
        pass
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_appear_whole_or_not_at_all(tmp_path):
    path = tmp_path / "folder"
    with pytest.raises(OSError, match="disk full"), atomic_path(path) as part:
        full(part / "inner/file", "half")
    assert list(tmp_path.iterdir()) == []
    with atomic_path(path) as part:
        (part / "inner").mkdir(parents=True)
        (part / "inner/file").write_text("whole")
        assert not path.exists()
    assert (path / "inner/file").read_text() == "whole"
    assert list(tmp_path.iterdir()) == [path]


def test_two_writers_of_a_file_do_not_meet(tmp_path):
    path = tmp_path / "file"
    with atomic_path(path) as one, atomic_path(path) as other:
        one.write_text("one")
        other.write_text("other")
    assert path.read_text() in ("one", "other")
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_left_though_a_thread_of_the_failed_write_still_adds_to_it(tmp_path):
    adding = threading.Event()

    def add(part):
        for i in range(40):
            with contextlib.suppress(FileNotFoundError, FileExistsError):
                (part / f"{i}").mkdir(parents=True, exist_ok=True)
            adding.set()
            time.sleep(0.005)

    def fail(part):
        threading.Thread(target=add, args=(part,)).start()
        adding.wait()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"), atomic_path(tmp_path / "folder") as part:
        fail(part)
    time.sleep(0.3)  # the thread is done
    assert not list(tmp_path.iterdir())
