"""The suites of whole runs and of accelerators measure what they say; their numbers mean nothing here."""

import dataclasses

import pytest

from diffgeo.bench import accelerator, whole_run
from diffgeo.settings import adapt
from tests.support.settings import tiny


def test_shares_of_a_run_are_of_all_its_steps_and_evaluations(monkeypatch):
    settings = adapt(tiny(), data={"increment": 1.0}, evaluation={"label_source": "grid", "num_common": 5})
    monkeypatch.setattr(whole_run, "train_case", lambda *given: {"seconds": 2.0})
    monkeypatch.setattr(whole_run, "sample_case", lambda *given, torch: {"seconds": 3.0})
    found = whole_run.run_case(settings, ("spectrum",), 1, 1)
    assert (found["steps"], found["evaluations"], found["labels"]) == (40, 5, 64 + 5)
    assert (found["training_seconds"], found["sampling_seconds"]) == (80.0, 15.0)
    names = ("training", "sampling", "readout", "analysis")
    assert sum(found[f"{name}_share"] for name in names) == pytest.approx(1.0)
    assert all(found[f"{name}_seconds"] > 0 for name in names)
    assert whole_run.run_case(settings, (), 1, 1)["analysis_seconds"] == 0


def test_the_accelerator_suite_names_every_case():
    chosen = accelerator.cases({"laptop": tiny(), "paper": tiny()}, 1, 1, torch=True)
    assert {
        f"{name}_{precision}_{n}"
        for name in ("laptop", "paper")
        for precision in accelerator.PRECISIONS
        for n in (1, 8, 30)
    } < set(chosen)
    assert {"laptop_torch_eager", "paper_torch_compiled", "paper_torch_cuda_graphs", "paper_evaluation"} < set(chosen)
    assert list(chosen)[-4:] == [*(f"laptop_accuracy_{name}" for name in accelerator.PRECISIONS), "paper_wave"]
    assert len(accelerator.cases({"laptop": tiny()}, 1, 1, torch=False)) == 9 + 1 + 3 + 1


@pytest.mark.slow  # compiles the sharded step, a sampler and a bfloat16 network
def test_the_accelerator_suite_runs_on_a_cpu():
    pytest.importorskip("torch")
    settings = dataclasses.replace(tiny(), axes={"seed": (0,)})
    chosen = accelerator.cases({"tiny": settings}, 1, 1, True, **accelerator.TRIAL)
    for name in ("tiny_float32_2", "tiny_bfloat16_1", "tiny_torch_eager", "tiny_evaluation"):
        assert chosen[name]()["seconds"] > 0, name
    assert chosen["tiny_accuracy_tf32"]()["steps"] == 10
    wave = chosen["tiny_wave"]()
    assert wave["steps"] == 200
    assert wave["nonfinite_step"] == [-1, -1]
