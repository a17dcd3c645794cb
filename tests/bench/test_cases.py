"""The benchmarks measure what they say; their numbers mean nothing here."""

import dataclasses

import numpy as np
import pytest

from diffgeo import images
from diffgeo.bench import cases, step_parts
from diffgeo.costs import by_hand
from diffgeo.errors import UserError
from tests.support.settings import tiny


def test_medians_and_ratios_are_of_alternate_pairs():
    order = []

    def timed(name, values):
        def call():
            order.append(name)
            return values.pop(0)

        return call

    measured = cases.pairs(timed("ours", [1.0, 2.0, 4.0]), timed("theirs", [3.0, 2.0, 2.0]), 3)
    assert order == ["ours", "theirs"] * 3
    assert (measured["seconds"], measured["torch_seconds"]) == (2.0, 2.0)
    assert measured["times_faster_than_torch"] == 1.0  # the median of 3, 1 and 0.5
    assert "torch_seconds" not in cases.pairs(timed("ours", [1.0]), None, 1)


def test_the_worst_ratio_of_all_variants_counts_alone_and_alternately():
    order = []

    def timed(name, *values):
        given = list(values)

        def call():
            order.append(name)
            return given.pop(0)

        return call

    ours = timed("ours", 1.0, 2.0, 2.0, 2.0, 4.0, 2.0)
    measured = cases.against(ours, {"a": timed("a", 3.0, 3.0, 2.0, 2.0), "b": timed("b", 6.0, 6.0, 8.0, 8.0)}, 2)
    assert order == ["ours"] * 2 + ["a"] * 2 + ["b"] * 2 + ["ours", "a"] * 2 + ["ours", "b"] * 2
    ratios = {name: measured[name] for name in ("a_alone", "b_alone", "a_alternately", "b_alternately")}
    assert ratios == {"a_alone": 2.0, "b_alone": 4.0, "a_alternately": 1.0, "b_alternately": 3.0}
    assert (measured["seconds"], measured["torch_a_seconds"]) == (1.5, 3.0)
    assert (measured["times_faster_than_torch"], measured["worst"]) == (1.0, "a_alternately")
    assert cases.against(timed("ours", 1.0), {}, 1) == {"seconds": 1.0, "repeats": 1}


def test_a_training_case():
    pytest.importorskip("torch")
    timed = cases.train_case(tiny(), members=2, repeats=2, steps=2, torch=("eager_fused",))
    assert timed["flop_per_model_step"] == 6 * by_hand.forward_macs(tiny()) * tiny().train.batch_size
    assert timed["flop_per_second"] == pytest.approx(timed["flop_per_model_step"] / timed["seconds"])
    assert 0 < timed["share_of_matrix_product"] < 1
    assert timed["torch_eager_fused_seconds"] > 0
    assert timed["times_faster_than_torch"] == min(timed["eager_fused_alone"], timed["eager_fused_alternately"])
    assert timed["peak_bytes"] > 1e7


def test_what_is_timed_is_training_beyond_the_settings_own_last_step(monkeypatch):
    placed, place = [], cases.place_members
    monkeypatch.setattr(cases, "place_members", lambda *given: placed.append(place(*given)) or placed[-1])
    short = dataclasses.replace(tiny(), train=dataclasses.replace(tiny().train, steps=2))
    cases.train_case(short, members=1, repeats=2, steps=3)
    assert placed[0].state().step.tolist() == [3 * (1 + 2)]


def test_layers_called_are_those_of_the_network():
    layers = step_parts.layers_called(tiny())
    # 2 of `inc` and of each of three in the bottleneck, 4 of each Down and Up; the first sees the image
    assert {part: sum(calls.values()) for part, calls in layers.items()} == {
        "convolutions": 2 + 6 + 3 * 4 + 3 * 4,
        "norms": 2 + 6 + 3 * 4 + 3 * 4,
        "attention": 6,
    }
    convolutions = sum(
        count * 9 * height * width * channels * layer.features
        for (layer, (_, height, width, channels)), count in layers["convolutions"].items()
    )
    assert 0.5 < convolutions / by_hand.forward_macs(tiny()) < 1
    assert {shape[0] for _, shape in layers["convolutions"]} == {tiny().train.batch_size}


def test_parts_are_timed_beside_pytorchs():
    pytest.importorskip("torch")
    theirs = cases.torch_reference().Trainer(tiny()).parts()
    ours = {part: sum(calls.values()) for part, calls in step_parts.layers_called(tiny()).items()}
    assert {part: len(calls) for part, calls in theirs.items()} == ours | {"optimizer": 1}
    for part in ("norms", "optimizer"):
        timed = step_parts.part_case(tiny(), part, 1, torch=True)
        assert timed["calls"] == len(theirs[part])
        assert timed["seconds"] > 0
        assert timed["torch_seconds"] > 0


def test_a_sampling_case_counts_network_calls():
    pytest.importorskip("torch")
    timed = cases.sample_case(tiny(), members=1, repeats=1, torch=True, count=300)
    assert (timed["network_calls"], timed["torch_network_calls"]) == (2 * 3, 2 * 20)  # 300 labels in two chunks
    assert timed["torch_is_scaled"]
    assert timed["torch_timed_steps"] == 3
    assert timed["torch_seconds"] > 0


def test_the_analysis_suite_has_a_case_for_every_group():
    made = cases.analysis_cases(repeats=1, points=64, features=100)
    assert list(made) == ["gram_scores", "spectrum", "manifold", "topology", "rings"]
    for name in ("gram_scores", "spectrum", "rings"):
        assert made[name]()["seconds"] > 0


def test_unknown_suites_are_refused():
    with pytest.raises(UserError, match=r"unknown suite 'trane': did you mean 'train'\?"):
        cases.cases("trane", {}, 1, 1, ())
    assert list(cases.cases("train", {"laptop": tiny()}, 1, 1, ())) == ["laptop_single", "laptop_grid"]
    scaling = cases.cases("scaling", {"laptop": tiny()}, 1, 1, ())
    names = [*(f"batch_{n}" for n in (2, 8, 32, 128)), *(f"members_{n}" for n in (1, 2, 4, 8))]
    assert list(scaling) == [f"laptop_{name}" for name in names]
    assert scaling["laptop_batch_2"]()["batch"] == 2


def test_the_reference_draws_our_images_and_samples():
    torch = pytest.importorskip("torch")
    from diffgeo.bench.torch_reference import VARIANTS, Trainer

    settings = tiny()
    trainer = Trainer(settings)
    centers = np.random.default_rng(0).uniform(0, 8, (5, 2)).astype(np.float32)
    ours = images.render(centers, settings.data.sigma, "bump", settings.data.size)
    theirs = trainer.render(torch.from_numpy(centers)).permute(0, 2, 3, 1)
    np.testing.assert_allclose(theirs.numpy(), np.asarray(ours), atol=1e-5)
    first = np.mean([trainer.step().item() for _ in range(5)])
    assert np.mean([trainer.step().item() for _ in range(30)]) < first
    for how in VARIANTS.values():
        if not how.get("compiled"):
            assert np.isfinite(Trainer(settings, **how).step().item())
    drawn = trainer.denoise(torch.from_numpy(centers), settings.diffusion.timesteps)
    assert drawn.shape == (5, 1, 8, 8)
    assert torch.isfinite(drawn).all()
