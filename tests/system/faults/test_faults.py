"""The short form of the harness: few faults of each kind, none of which is silent or ends in a traceback."""

import jax
import numpy as np
import pytest

import diffgeo as dg
from diffgeo.integrity import verify
from diffgeo.settings.allowed import LAYER, NEVER
from diffgeo.training.loop import SequentialEnsemble
from tests.support import fault_edits as edits
from tests.support import faults as harness
from tests.support.trained import assert_same_members, small, train

pytestmark = pytest.mark.usefixtures("small_network")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A finished run of one model."""
    return train(small(seed=(0,)), tmp_path_factory.mktemp("whole") / "run")


def assert_right(outcomes: list[harness.Outcome], least: int) -> None:
    """Assert that every fault was answered right, and that there were so many of them."""
    wrong = [outcome for outcome in outcomes if outcome.verdict != harness.RIGHT]
    assert not wrong, "\n".join(map(str, wrong))
    assert len(outcomes) >= least


@pytest.mark.parametrize("kind", ["state", "params"])
def test_damaged_checkpoints(whole, tmp_path, kind):
    assert_right(harness.checkpoints(whole, tmp_path, kind, every=7), 6)


def test_damaged_results(whole, tmp_path):
    assert_right(harness.chunks(whole, tmp_path, every=29), 8)


def test_edited_configurations(whole, tmp_path):
    assert_right(harness.configs(whole, tmp_path), 60)


def test_corrupt_summaries_and_pickles_in_them(whole, tmp_path):
    edits.EXECUTED.clear()
    assert_right(harness.summaries(whole, tmp_path, flips=12), 40)
    assert edits.EXECUTED == [], "nothing in a summary is executed"


def test_a_member_that_becomes_nan_stops_and_is_named_and_its_neighbors_do_not_notice(tmp_path, monkeypatch):
    grid, at = small("spectrum", seed=(0, 1, 2)), 20
    sound = train(grid, tmp_path / "sound")
    train_steps = SequentialEnsemble.train_steps

    def planted(self, steps):
        state = self.state()
        if state.step[0] == at:
            jax.tree.map(lambda x: x[1].fill(np.nan), state.params)
            self.load(state)
        return train_steps(self, steps)

    monkeypatch.setattr(SequentialEnsemble, "train_steps", planted)
    said: list[str] = []
    sick = train(grid, tmp_path / "sick", said)
    assert [line for line in said if "loss not finite" in line] == [
        f"member seed=1: loss not finite at step {at}, stopped there; the others go on"
    ]
    for seed in (0, 2):
        assert_same_members(sound, sick, seed=[seed])
    found = dg.load(sick).results
    assert found["nonfinite_step"].values.tolist() == [NEVER, at, NEVER]
    assert np.isfinite(found["loss"].sel(seed=1)).values.tolist() == [False, True, True, False, False]
    after = found.sel(seed=1, step=slice(at + 1, None))
    assert (after["samples"] == 255).all(), "an image of NaN shows nothing"
    assert after["spectrum"].sel(tensor=LAYER).isnull().all()
    again: list[str] = []
    train(grid, sick, again)
    assert any("nothing left to train" in line for line in again)
    verify(sick, again.append)
