"""All experiments in one command: cheapest first, done ones skipped, and what a stop leaves."""

import pytest
from tests.madeup import made_up
from tests.test_launch import assert_refused

import experiments
from diffgeo.errors import Interrupted, UserError
from diffgeo.run import reproduce, untrained

UNTRAINED = ("examples", "p1_fig7")


@pytest.fixture
def trained(monkeypatch):
    """Training replaced by made-up results; the names asked for, in order, and who is to be stopped."""
    asked, stopped = [], set()

    def train(planned, folder, provenance, say):
        asked.append(planned.experiment)
        if planned.experiment in stopped:
            raise Interrupted(15, "stopped")
        planned_folder = run.Workdir(folder)
        with planned_folder:
            planned_folder.write_config(planned.identity)
        return made_up(planned.experiment, lambda at, t, region: 0.9 * t, seeds=(0, 1), preset="tiny")

    def compute(planned, folder, function, provenance, say):
        asked.append(planned.experiment)
        return whole(planned, folder, function, provenance=provenance, say=say)

    whole = untrained.compute
    monkeypatch.setattr(run, "train", train)
    monkeypatch.setattr(untrained, "compute", compute)
    return asked, stopped


def test_each_is_run_reported_and_then_skipped(trained, tmp_path):
    asked, stopped = trained
    chosen = [experiments.find(name) for name in ("p2_fig12", *UNTRAINED, "quickstart")]
    said = []
    stopped.add("p2_fig12")
    with pytest.raises(Interrupted):
        reproduce.reproduce(chosen, "tiny", tmp_path, say=said.append)
    assert sorted(asked[:2]) == sorted(UNTRAINED)
    assert asked[2:] == ["quickstart", "p2_fig12"]  # by predicted cost
    assert not (tmp_path / "p2_fig12/report.html").exists()
    stopped.clear()
    asked.clear()
    made = reproduce.reproduce(chosen, "tiny", tmp_path, say=said.append)
    assert asked == ["p2_fig12"]
    assert {name for name, one in made.items() if one is None} == {*UNTRAINED, "quickstart"}
    assert [one.claim.name for one in made["p2_fig12"].verdicts] == ["o"]
    assert (tmp_path / "p2_fig12/report.html").exists()
    assert any(line.startswith("[3/4] quickstart: done, see ") for line in said)


def test_what_a_preset_lacks_is_left_out_and_other_configurations_are_refused(trained, tmp_path):
    asked, _ = trained
    reproduce.reproduce([experiments.find(name) for name in ("quickstart", "examples")], "paper", tmp_path, say=id)
    assert asked == ["examples"]
    with pytest.raises(UserError, match="belongs to another configuration"):
        reproduce.reproduce([experiments.find("examples")], "tiny", tmp_path, say=id)


def test_mistakes_are_answered(launch, tmp_path):
    refused = launch("reproduce", "--preset=huge", f"--workdir={tmp_path / 'runs'}")
    assert_refused(refused, "unknown preset 'huge'")
    refused = launch("reproduce", "--experiments=p1_fig44", f"--workdir={tmp_path / 'runs'}")
    assert_refused(refused, "did you mean 'p1_fig4'?")
    assert list(tmp_path.iterdir()) == []
