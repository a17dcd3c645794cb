"""All experiments in one command: cheapest first, done ones skipped, and what a stop leaves."""

from types import SimpleNamespace

import pytest

import experiments
from diffgeo.errors import Interrupted, UserError
from diffgeo.results import open_workdir
from diffgeo.run import reproduce
from tests.support.programs import assert_refused
from tests.support.results import made_up

UNTRAINED = ("examples", "p1_fig7")


@pytest.fixture
def trained(monkeypatch):
    """Training replaced by made-up results; the names of what is run, in order, and which of them are to be stopped."""
    started, stopped = [], set()
    execute = reproduce.execute

    def executed(run, folder, provenance=None, waves=None, say=print):
        started.append(run.experiment)
        assert run.plots == (), "the report draws"
        if run.compute is not None:
            return execute(run, folder, provenance, waves, say)
        if run.experiment in stopped:
            raise Interrupted(15, "stopped")
        with open_workdir(folder) as workdir:
            workdir.write_config(run.identity)
        return made_up(run.experiment, lambda at, t, region: 0.9 * t, seeds=(0, 1), preset="tiny")

    monkeypatch.setattr(reproduce, "execute", executed)
    return started, stopped


def test_each_is_run_reported_and_then_skipped(trained, tmp_path):
    started, stopped = trained
    chosen = [experiments.find(name) for name in ("p2_fig12", *UNTRAINED, "quickstart")]
    said = []
    stopped.add("p2_fig12")
    with pytest.raises(Interrupted):
        reproduce.reproduce(chosen, "tiny", tmp_path, say=said.append)
    assert sorted(started[:2]) == sorted(UNTRAINED)
    assert started[2:] == ["quickstart", "p2_fig12"]  # by predicted cost
    assert not (tmp_path / "p2_fig12/report.html").exists()
    assert said[0].startswith(f"4 experiments, preset tiny, in {tmp_path}: about ")
    (pace,) = (line for line in said if "at the pace so far" in line)  # two of the others train nothing
    assert pace.startswith("[3/4] quickstart: finished; the 1 left take about ")
    stopped.clear()
    started.clear()
    said.clear()
    made = reproduce.reproduce(chosen, "tiny", tmp_path, say=said.append)
    assert started == ["p2_fig12"]
    assert {name for name, page in made.items() if page is None} == {*UNTRAINED, "quickstart"}
    assert [verdict.claim.name for verdict in made["p2_fig12"].verdicts] == ["o", "o, decay"]
    assert (tmp_path / "p2_fig12/report.html").exists()
    assert any(line.startswith("[3/4] quickstart: done, see ") for line in said)
    assert ", 3 of them done: about " in said[0]
    assert not any("pace" in line for line in said), "none is left"


def test_what_is_left_is_said_at_the_pace_so_far(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(
        reproduce, "_minutes", lambda declared, preset: {"examples": 1.0, "p1_fig7": 3.0}.get(declared.name, 8.0)
    )
    clock = iter((0.0, 120.0, 200.0, 800.0, 0.0, 0.0))
    monkeypatch.setattr(reproduce, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    said = []
    chosen = [experiments.find(name) for name in ("quickstart", *UNTRAINED)]
    reproduce.reproduce(chosen, "tiny", tmp_path, say=said.append)
    assert "about 12 minutes" in said[0]
    paces = [line for line in said if "pace" in line]
    # 2 minutes for 1, then 12 for 4
    assert ["about 22 minutes" in paces[0], "about 24 minutes" in paces[1]] == [True, True]


def test_what_a_preset_lacks_is_left_out_and_other_configurations_are_refused(trained, tmp_path):
    started, _ = trained
    reproduce.reproduce([experiments.find(name) for name in ("quickstart", "examples")], "paper", tmp_path, say=id)
    assert started == ["examples"]
    with pytest.raises(UserError, match="belongs to another configuration"):
        reproduce.reproduce([experiments.find("examples")], "tiny", tmp_path, say=id)


def test_mistakes_are_answered(launch, tmp_path):
    refused = launch("reproduce", "--preset=huge", f"--workdir={tmp_path / 'runs'}")
    assert_refused(refused, "unknown preset 'huge'")
    refused = launch("reproduce", "--experiments=p1_fig44", f"--workdir={tmp_path / 'runs'}")
    assert_refused(refused, "did you mean 'p1_fig4'?")
    assert list(tmp_path.iterdir()) == []
