"""Damaged checkpoints: named, set aside, never restored as other numbers; one member's values read alone."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tensorstore

from diffgeo.errors import UserError
from diffgeo.results import checkpoint_files
from diffgeo.results.checkpoint_files import DIGESTS, StoredCheckpoint, check, read_member
from diffgeo.run import checkpoints
from diffgeo.run.checkpoints import Checkpoints
from tests.support.damage import DAMAGES, damage

MEMBERS = 3


def tree_at(step: int) -> dict:
    """Return a stacked tree with an array that is stored by member and one that is not."""
    rng = np.random.default_rng(step)
    wide = rng.normal(size=(MEMBERS, 16, 512)).astype(np.float32)
    return {"wide": {"kernel": wide}, "narrow": rng.normal(size=(MEMBERS, 5)).astype(np.float32)}


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """Two full states, and parameters at the later one's step."""
    folder = tmp_path_factory.mktemp("wave")
    with Checkpoints(folder) as store:
        for step in (2, 4):
            store.save_state(step, tree_at(step))
        store.save_params(4, tree_at(4))
    return folder


@pytest.fixture
def copied(written, tmp_path):
    return shutil.copytree(written, tmp_path / "wave")


def same(one: dict, other: dict) -> bool:
    """Return whether two such trees are bit-equal."""
    pairs = [(one["wide"]["kernel"], other["wide"]["kernel"]), (one["narrow"], other["narrow"])]
    return all(a.tobytes() == b.tobytes() for a, b in pairs)


def settled(folder: Path) -> tuple[int | None, dict | None, list[str]]:
    """Return the step of the newest sound state, the state, and what was said on the way."""
    said: list[str] = []
    with Checkpoints(folder, said.append) as store:
        store.settle_state()
        step = store.state_step
        return step, None if step is None else store.restore_state(tree_at(0)), said


def test_digests_are_of_every_value_and_of_the_files_beside_them(written):
    item = written / "state/4/default"
    recorded = json.loads((item / DIGESTS).read_text())
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{item}/"}).result()
    values = {key.decode(): bytes(store.read(key).result().value) for key in store.list().result()}
    assert recorded["values"] == {key: hashlib.sha256(value).hexdigest() for key, value in values.items()}
    assert {"narrow/.zarray", "narrow/0.0", "wide.kernel/.zarray", "wide.kernel/0.0.0"} == set(values)
    assert recorded["files"]["_METADATA"] == hashlib.sha256((item / "_METADATA").read_bytes()).hexdigest()
    assert recorded["algorithm"] == "sha256"


@pytest.mark.parametrize("kind", DAMAGES)
def test_no_damage_to_any_file_of_the_newest_state_gives_other_numbers(copied, written, kind):
    files = [path.relative_to(copied) for path in sorted((copied / "state/4").rglob("*")) if path.is_file()]
    found = 0
    for number, name in enumerate(files):
        shutil.rmtree(copied)
        shutil.copytree(written, copied)
        damage(copied / name, kind, seed=number)
        step, state, said = settled(copied)
        assert step in (2, 4), name
        assert same(state, tree_at(step)), f"{kind} {name}"
        assert bool(said) == (step == 2)
        found += step == 2
        if step == 2:
            assert "state/4' is damaged" in said[0]
            assert said[0].endswith("damaged/state_4', step 2 is the newest before it")
            assert (copied / "damaged/state_4").is_dir()
    assert len(files) > found >= 4, "values, their database, metadata and digests; some files are never read"


def test_when_no_state_is_sound_none_is_left_and_nothing_is_deleted(copied):
    for step in (2, 4):
        (largest,) = sorted((copied / f"state/{step}/default").rglob("*"), key=lambda path: path.stat().st_size)[-1:]
        damage(largest, "truncated")
    before = sum(path.is_file() for path in copied.rglob("*"))
    step, _, said = settled(copied)
    assert step is None
    assert len(said) == 2
    assert "none is left before it" in said[1]
    assert sum(path.is_file() for path in copied.rglob("*")) == before
    (copied / "damaged/state_4").rename(copied / "state/4")
    (copied / "damaged/state_4").mkdir()
    settled(copied)
    assert (copied / "damaged/state_4_1").is_dir(), "a name that is taken is not written to"


def test_a_damaged_checkpoint_is_written_again_when_training_passes_its_step(copied):
    damage(copied / "params/4/default/_METADATA", "flipped")
    said: list[str] = []
    with Checkpoints(copied, said.append) as store:
        store.save_params(4, tree_at(4))
        store.wait()
        assert same(store.restore_params(tree_at(0), 4), tree_at(4))
    assert len(said) == 1
    with Checkpoints(copied, said.append) as store:
        store.save_params(4, tree_at(9))
        store.wait()
        assert same(store.restore_params(tree_at(0), 4), tree_at(4)), "a sound one stays"


def test_damage_of_another_runs_checkpoints_is_refused_and_nothing_renamed(copied, tmp_path):
    damage(copied / "state/4/default/_METADATA", "flipped")
    (tmp_path / "link").symlink_to(copied)
    with Checkpoints(tmp_path / "link") as store, pytest.raises(UserError, match="another run's: repair it"):
        store.settle_state()
    assert (copied / "state/4").is_dir()


def test_a_save_that_ends_before_its_digests_is_not_seen(tmp_path, monkeypatch):
    def fail(item):
        raise OSError("no space left")

    monkeypatch.setattr(checkpoints, "write_digests", fail)
    store = Checkpoints(tmp_path)
    store.save_state(2, tree_at(2))
    with pytest.raises(Exception, match="no space left"):
        store.wait()
    monkeypatch.undo()
    with Checkpoints(tmp_path) as store:
        assert store.state_step is None


def test_one_member_is_read_without_the_values_of_the_others(written, monkeypatch):
    read, checked = [], StoredCheckpoint._checked
    monkeypatch.setattr(
        StoredCheckpoint, "_checked", lambda self, key, value: read.append(key) or checked(self, key, value)
    )
    alone = read_member(written, 1, 4)
    np.testing.assert_array_equal(alone["wide"]["kernel"], tree_at(4)["wide"]["kernel"][1])
    np.testing.assert_array_equal(alone["narrow"], tree_at(4)["narrow"][1])
    wide = {key for key in read if "wide" in key}
    assert wide == {"params.wide.kernel/.zarray", "params.wide.kernel/1.0.0"}


@pytest.mark.parametrize("kind", DAMAGES)
def test_a_member_is_read_right_or_the_damage_is_named(copied, written, kind):
    files = [path.relative_to(copied) for path in sorted((copied / "params/4").rglob("*")) if path.is_file()]
    named = 0
    for number, name in enumerate(files):
        shutil.rmtree(copied)
        shutil.copytree(written, copied)
        damage(copied / name, kind, seed=number)
        try:
            alone = read_member(copied, 2, 4)
        except UserError:
            named += 1
            continue
        assert alone["wide"]["kernel"].tobytes() == tree_at(4)["wide"]["kernel"][2].tobytes(), name
        assert alone["narrow"].tobytes() == tree_at(4)["narrow"][2].tobytes(), name
    assert named >= 2


def test_a_checkpoint_written_without_digests_is_restored_and_what_cannot_be_decoded_is_set_aside(copied):
    for step in (2, 4):
        (copied / f"state/{step}/default" / DIGESTS).unlink()
    step, state, said = settled(copied)
    assert (step, said) == (4, [])
    assert same(state, tree_at(4))
    (largest,) = sorted((copied / "state/4/default").rglob("*"), key=lambda path: path.stat().st_size)[-1:]
    damage(largest, "truncated")
    step, state, said = settled(copied)
    assert step == 2
    assert same(state, tree_at(2))


def rewritten(step: Path, **changes: object) -> str | None:
    """Change the metadata of the array `narrow` as a stranger might, digests left out; return what `check` says."""
    (step / "default" / DIGESTS).unlink()
    store = tensorstore.KvStore.open({"driver": "ocdbt", "base": f"file://{step / 'default'}/"}).result()
    array = json.loads(store.read("narrow/.zarray").result().value)
    store.write("narrow/.zarray", json.dumps(array | changes).encode()).result()
    return check(step)


@pytest.mark.parametrize(
    "changes",
    [
        {"filters": [{"id": "pickle"}]},
        {"compressor": {"id": "pickle"}},
        {"compressor": ["pickle"]},
        {"dtype": "|O"},
        {"dtype": [["a", "<f4"]]},
        {"shape": [10**12, 5]},
        {"shape": [MEMBERS, 5.5]},
        {"shape": "3"},
        {"chunks": [10**9, 10**9]},
        {"zarr_format": 3},
        {"dimension_separator": "../"},
    ],
    ids=lambda changes: json.dumps(changes),
)
def test_metadata_of_a_stranger_is_refused_before_anything_is_decoded(copied, monkeypatch, changes):
    monkeypatch.setattr(checkpoint_files.tensorstore, "open", lambda *_, **__: pytest.fail("decoded"))
    said = rewritten(copied / "state/4", **changes)
    assert said is not None
    assert "that no checkpoint of diffgeo has" in said or "is not the metadata of a zarr array" in said


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("default/_METADATA", "np.ndarray", "pickle"),
        ("_CHECKPOINT_METADATA", "orbax.checkpoint._src.handlers.pytree_checkpoint_handler.PyTree", "os.system"),
        ("_CHECKPOINT_METADATA", '"default"', '"../default"'),
    ],
)
def test_orbax_metadata_that_names_other_types_is_refused(copied, file, old, new):
    path = copied / "state/4" / file
    (copied / "state/4/default" / DIGESTS).unlink()
    assert check(copied / "state/4") is None
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    assert "METADATA" in str(check(copied / "state/4"))
