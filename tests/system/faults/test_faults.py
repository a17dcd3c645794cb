"""The short form of the harness: few faults of each kind, none of which is silent or ends in a traceback."""

import pytest

from tests.support import fault_edits as edits
from tests.support import faults as harness
from tests.support.trained import small, train


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
