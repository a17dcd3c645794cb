"""The short form of the harness around real programs; `python -m tests.support.try_faults` has the long one."""

import shutil

import pytest

from tests.support import program_faults as harness
from tests.support.faults import RIGHT
from tests.support.refused_calls import every_call


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A run that nothing disturbed."""
    return harness.whole(tmp_path_factory.mktemp("whole") / "run")


def assert_right(outcomes, least: int) -> None:
    """Assert that every fault was answered right, and that there were at least so many of them."""
    found = list(outcomes)
    assert [outcome for outcome in found if outcome.verdict != RIGHT] == []
    assert len(found) >= least


takes_a_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="takes a C compiler to make calls fail")


@takes_a_compiler
def test_a_call_that_the_disk_refuses(whole, tmp_path):
    outcome = harness.refused_call(whole, tmp_path, share=0.003)
    assert_right([outcome], 1)
    assert "failed" in outcome.case, "the call was made, and refused"


@pytest.mark.slow
@takes_a_compiler
def test_calls_of_all_kinds_that_the_disk_refuses(tmp_path):
    assert_right(every_call(tmp_path, tmp_path / "answers", every=100), 14)
    assert list(every_call(tmp_path, tmp_path / "answers", every=100)), "what is answered is not tried again"


@pytest.mark.slow
def test_kills_at_any_time(whole, tmp_path):
    assert_right(harness.kills(whole, tmp_path, 4, seed=0), 4)


@pytest.mark.slow
def test_kills_of_one_of_two_processes(tmp_path):
    assert_right(harness.kills_of_two(tmp_path, 2, seed=0), 2)


@pytest.mark.slow
def test_two_starts_at_once(whole, tmp_path):
    assert_right(harness.double_starts(whole, tmp_path, 3, seed=0), 3)
