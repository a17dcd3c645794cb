"""A run that the code of an earlier version left half done, gone on with by this version's programs."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from diffgeo import results
from diffgeo.results.schema import COMPLETE, EVALUATION
from tests.support.runs import WAVE

HALF_DONE = Path(__file__).parents[1] / "support/format_2.zip"
"""config.json and results.zarr of `launch.train --experiment=quickstart --preset=tiny --seeds=0`, made by the code of
commit 0422d72 (store format 2) and killed before it wrote anything of step 6, the last."""

FLAGS = ["--experiment=quickstart", "--preset=tiny", "--seeds=0", "--set=evaluation.num_common=128"]
NEWER = {"label_set", "readout", "common"}


@pytest.fixture
def folders(tmp_path, launch):
    """A finished run of this version, and the half-done one of format 2 with its checkpoints up to step 4."""
    new, old = tmp_path / "new", tmp_path / "old"
    done = launch("train", *FLAGS, f"--workdir={new}")
    assert done.returncode == 0, done.stderr
    shutil.unpack_archive(HALF_DONE, old)
    shutil.copytree(new / "checkpoints", old / "checkpoints")
    for kind in ("state", "params"):
        shutil.rmtree(old / WAVE / kind / "6")
    return new, old


def test_a_run_of_format_2_is_resumed_and_its_store_keeps_form_and_values(folders, launch):
    new, old = folders
    before = results.open_results(old).load()
    assert before.attrs["store_format"] == json.loads((old / "config.json").read_text())["store_format"] == 2
    complete = before["group_complete"].sel(group=EVALUATION)
    assert (complete.sel(step=[0, 2, 4]) == COMPLETE).all()
    assert (complete.sel(step=6) != COMPLETE).all()
    done = launch("train", *FLAGS, f"--workdir={old}")
    assert done.returncode == 0, done.stderr
    after = results.open_results(old).load()
    assert {name: array.dims for name, array in after.variables.items()} == {
        name: array.dims for name, array in before.variables.items()
    }
    assert not NEWER & set(after.dims)
    for name, array in before.data_vars.items():
        if "step" in array.dims and name != "group_complete":
            earlier = {"step": [0, 2, 4]}
            np.testing.assert_array_equal(after[name].sel(earlier), array.sel(earlier), err_msg=name)
    expected = results.select_scores(results.open_results(new).load())
    for name, array in after.data_vars.items():
        if "step" in array.dims:
            np.testing.assert_array_equal(array.sel(step=6), expected[name].sel(step=6), err_msg=name)
    assert (after["group_complete"] == COMPLETE).sel(step=6).all()
    assert launch("report", f"--workdir={old}").returncode == 0
