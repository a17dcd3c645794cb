"""Bytes on disk of runs of the real network: as many as a run says before its first step."""

import pytest

from diffgeo.costs.storage import COMPRESSED
from diffgeo.run import folder
from tests.support.trained import small, train


@pytest.mark.parametrize("keep", ["all", "last"])
def test_bytes_that_are_said_come_true(keep, tmp_path):
    """Checkpoints to a fifth; the most that results and a run in training take is never exceeded."""
    run = small("spectrum", keep=keep)
    path, said = train(run, tmp_path / "run"), folder.storage_of(run)

    def taken(part):
        return sum(file.stat().st_size for file in (path / part).rglob("*") if file.is_file())

    assert COMPRESSED * said.checkpoints == pytest.approx(taken("checkpoints"), rel=0.2)
    assert f"about {folder.gigabytes(COMPRESSED * said.checkpoints)} of checkpoints" in str(said)
    assert taken("checkpoints") < said.training
    assert 0.65 * said.results < taken("results.zarr") < 1.05 * said.results
