"""Which checkpoints stay, and that the papers' grids fit a disk."""

import pytest

import experiments
from diffgeo.costs import by_hand, storage
from tests.support.settings import refused

STEPS = (0, 10, 20, 30, 35)


@pytest.mark.parametrize(
    ("keep", "kept"),
    [
        ("all", [0, 10, 20, 30, 35]),
        ("last", [35]),
        ("analysis", [0, 35]),
        ("every:1", [0, 10, 20, 30, 35]),
        ("every:2", [0, 20, 35]),
        ("every:3", [0, 30, 35]),
        ("every:99", [0, 35]),
    ],
)
def test_what_stays(keep, kept):
    assert storage.kept_steps(keep, STEPS) == kept
    assert storage.kept_steps(keep, (0,)) == [0], "an evaluation that is the first and the last"


@pytest.mark.parametrize("keep", ["none", "every", "every:0", "every:-1", "every:x", "2", ""])
def test_anything_else_is_refused(keep):
    with refused(f"unknown --keep={keep}: choose one of all, last, every:K, analysis"):
        storage.kept_steps(keep, STEPS)


def test_bytes_of_a_finished_run():
    assert storage.finished_bytes("all", STEPS, 7, 100) == 5 * 7 + 2 * 100
    assert storage.finished_bytes("all", (0,), 7, 100) == 7 + 100
    assert storage.finished_bytes("every:2", STEPS, 7, 100) == 3 * 7


def test_the_papers_grids_take_under_30_gigabytes_and_small_runs_keep_everything():
    kept = {}
    for name in experiments.names():
        declared = experiments.find(name)
        for preset, settings in declared.presets.items() if declared.trained else ():
            facts = by_hand.describe(settings)
            assert facts["checkpoints_bytes"] < 30e9, (name, preset)
            kept[name, preset] = facts["keep"]
    assert {keep for (_, preset), keep in kept.items() if preset != "paper"} == {"all"}
    assert kept["p1_fig8", "paper"] == kept["p2_fig5", "paper"] == "last"
    assert kept["p1_fig3", "paper"] == "all", "three models have room"


def test_bytes_in_words():
    words = ["12 bytes", "305 bytes", "2.5 kB", "99 MB", "488 GB"]
    assert [storage.gigabytes(n) for n in (12, 0.82 * 372, 2_500, 99_000_000, 488.2e9)] == words
