"""Damaged results of a really trained run: named by every reader, and computed anew to the same numbers."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from diffgeo import results
from diffgeo.errors import UserError
from diffgeo.integrity import repair, verify
from diffgeo.results import checked, damage, open_workdir
from diffgeo.run import analyze
from tests.support.damage import DAMAGES
from tests.support.damage import damage as spoil
from tests.support.trained import digests, small, train

pytestmark = pytest.mark.usefixtures("small_network")

RUN = small("spectrum")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run whose representations are measured."""
    return train(RUN, tmp_path_factory.mktemp("whole") / "run")


@pytest.fixture
def copied(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "run")


def chunks(folder: Path) -> list[Path]:
    """Return the files of all chunks of a run's results."""
    path = open_workdir(folder).results
    return sorted(file for file in path.rglob("*") if file.is_file() and file.name[0] != ".")


def values(folder: Path) -> dict[str, np.ndarray]:
    return {str(name): variable.values for name, variable in results.open_results(folder).load().variables.items()}


def assert_same(one: Path, other: Path, skip: tuple[str, ...] = ()) -> None:
    """Assert that two runs have bit-equal results."""
    a, b = values(one), values(other)
    assert a.keys() == b.keys()
    for name in a.keys() - set(skip):
        np.testing.assert_array_equal(a[name], b[name], err_msg=name)


def test_a_finished_run_is_sound_and_every_chunk_has_a_checksum(whole):
    said: list[str] = []
    before = digests(whole)
    verify(whole, said.append)
    files = chunks(whole)
    assert said == [
        "config.json: sound",
        "checkpoints: 7 of 7 sound",
        f"results.zarr: {len(files)} of {len(files)} chunks sound",
    ]
    assert all(info.checked for info in checked.read_folder(open_workdir(whole).results).arrays.values())
    assert digests(whole) == before


@pytest.mark.parametrize("kind", DAMAGES)
def test_damage_to_any_chunk_is_named_by_whoever_reads_it(copied, whole, kind):
    files = chunks(copied)[DAMAGES.index(kind) :: 4 * len(DAMAGES)]  # all of them: tests.support.try_faults
    for number, path in enumerate(files):
        spoil(path, kind, seed=number)
        name = path.parent.name
        (found,) = [one for one in damage.find(*_store(copied)) if one is not None]
        assert found.chunk.file == f"{name}/{path.name}"
        with pytest.raises(UserError, match=rf"{name}.* of the results is damaged: '{path}' .*--repair"):
            results.open_results(copied).load()
        shutil.copyfile(whole / path.relative_to(copied), path)
    assert len(files) >= 8
    verify(copied, [].append)


def _store(folder: Path):
    path = open_workdir(folder).results
    return path, checked.read_folder(path)


@pytest.mark.parametrize("kind", DAMAGES)
def test_damaged_metadata_are_named_or_never_read(copied, whole, kind):
    path = open_workdir(copied).results
    files = sorted(path.rglob(".z*"))
    assert files[2].name == ".zmetadata"
    for number, file in enumerate([files[2], *files[DAMAGES.index(kind) :: 4 * len(DAMAGES)]]):
        spoil(file, kind, seed=number)
        if file.name == ".zmetadata":
            with pytest.raises(UserError, match=r"results '.*' are damaged"):
                results.open_results(copied)
        else:
            assert_same(copied, whole)
        shutil.copyfile(whole / file.relative_to(copied), file)


def test_repair_gives_the_same_numbers_but_for_the_loss(copied, whole):
    path = open_workdir(copied).results
    before = values(copied)
    for number, (name, place) in enumerate(
        [
            ("accuracy", "0.0.1.0.0"),
            ("samples", "0.0.4.0.0.0"),
            ("pca_scores", "0.0.2.0.0.0"),
            ("explained_variance", "0.0.3.0.0"),
            ("group_complete", "0.0.0.0"),
            ("loss", "0.0.2"),
            ("label", "0.0.0.0"),
            ("seed", "0"),
            ("nonfinite_step", "0.0"),
        ]
    ):
        spoil(path / name / place, DAMAGES[number % len(DAMAGES)], seed=number)
    with pytest.raises(UserError, match="9 parts of"):
        verify(copied, [].append)
    said: list[str] = []
    repair(RUN, copied, said.append)
    analyze(RUN, copied, said.append)
    named = [line for line in said if "of the results is damaged" in line]
    assert len(named) == 9
    assert any(line.startswith("'accuracy' at step 10 of the results is damaged (accuracy/0.0.1") for line in named)
    assert "the loss before step 20 is known to training alone: it stays missing" in said
    after = values(copied)
    assert np.isnan(after["loss"][..., 2]).all()
    assert (after["group_complete"][..., 2, 1] == 0).all()
    after["loss"][..., 2], after["group_complete"][..., 2, 1] = before["loss"][..., 2], 1
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, err_msg=name)
    verify(copied, said.append)
    aside = {str(file.relative_to(copied / "damaged")) for file in (copied / "damaged").rglob("*") if file.is_file()}
    assert len(aside) == 7, "nothing is deleted; two were"


def test_without_its_metadata_a_store_is_made_anew_of_its_sound_chunks(copied, whole):
    path = open_workdir(copied).results
    for file in path.rglob(".z*"):  # a copy without hidden files
        file.unlink()
    with pytest.raises(UserError, match="copy without hidden files"):
        train(RUN, copied)
    spoil(path / "accuracy/0.0.1.0.0", "flipped")
    said: list[str] = []
    repair(RUN, copied, said.append)
    analyze(RUN, copied, said.append)
    assert_same(copied, whole)
    assert any("sound chunks taken over" in line for line in said)
    assert (copied / "damaged/results.zarr/accuracy/0.0.1.0.0").exists()


def test_what_no_checkpoint_can_give_is_said(copied):
    path = open_workdir(copied).results
    spoil(path / "accuracy/0.0.1.0.0", "truncated")
    shutil.rmtree(copied / "checkpoints/wave_000/params/10")
    said: list[str] = []
    repair(RUN, copied, said.append)
    analyze(RUN, copied, said.append)
    assert "no checkpoint of steps 10 was kept (--keep): what their results lack stays missing" in said
    assert np.isnan(results.open_results(copied)["accuracy"].sel(step=10)).all()
