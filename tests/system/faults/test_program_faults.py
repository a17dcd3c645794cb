"""The short form of the harness around real programs; `python -m tests.support.try_faults` has the long one."""

import shutil

import pytest

from tests.support import program_faults as harness
from tests.support.faults import RIGHT


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    return harness.whole(tmp_path_factory.mktemp("whole") / "run")


def assert_right(outcomes, count: int) -> None:
    """Assert that every fault was answered right, and that there were so many of them."""
    found = list(outcomes)
    assert [outcome for outcome in found if outcome.verdict != RIGHT] == []
    assert len(found) == count


@pytest.mark.skipif(shutil.which("cc") is None, reason="takes a C compiler to make calls fail")
@pytest.mark.parametrize("share", [0.003, *(pytest.param(k / 10, marks=pytest.mark.slow) for k in (1, 3, 5, 7, 9))])
def test_a_call_that_the_disk_refuses(whole, tmp_path, share):
    outcomes = list(harness.refused_calls(whole, tmp_path, lambda calls: [int(share * calls)]))
    assert_right(outcomes, 1)
    assert "failed" in outcomes[0].case, "the call was made, and refused"


@pytest.mark.slow
def test_kills_at_any_time(whole, tmp_path):
    assert_right(harness.kills(whole, tmp_path, 4, seed=0), 4)


@pytest.mark.slow
def test_kills_of_one_of_two_processes(tmp_path):
    assert_right(harness.kills_of_two(tmp_path, 2, seed=0), 2)


@pytest.mark.slow
def test_two_starts_at_once(whole, tmp_path):
    assert_right(harness.double_starts(whole, tmp_path, 3, seed=0), 3)
