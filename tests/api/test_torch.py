"""Models exchanged with PyTorch: both networks give the same noise, whatever the weights are wrapped in."""

import sys

import jax
import numpy as np
import pytest

import diffgeo as dg
from diffgeo.settings import TINY, adapt
from diffgeo.unet import from_program, initial_parameters
from tests.support.settings import refused

torch = pytest.importorskip("torch")
from diffgeo.bench.torch_reference import TorchUNet  # noqa: E402 (torch is optional)

SETTINGS = adapt(TINY, {"seed": (0,)})


def network():
    torch.manual_seed(3)
    return TorchUNet(SETTINGS.model.base_channels, SETTINGS.model.embedding)


@pytest.fixture(scope="module")
def weights():
    return network().state_dict()


def leaves(member):
    return jax.tree.leaves(member.params)


@pytest.mark.parametrize(
    "wrap",
    [
        lambda weights: weights,
        lambda weights: {f"module.{key}": value for key, value in weights.items()},
        lambda weights: {f"_orig_mod.module.{key}": value for key, value in weights.items()},
        lambda weights: {"state_dict": {f"model.{key}": v for key, v in weights.items()}, "epoch": 3},
        lambda weights: {"ema": {"shadow": weights}, "optimizer": {"state": {}, "param_groups": []}},
        lambda weights: {"model_state_dict": {f"module._orig_mod.{key}": v for key, v in weights.items()}, "epoch": 3},
        lambda weights: {key.replace(".", "._orig_mod.", 1): value for key, value in weights.items()},
        lambda weights: {f"_fsdp_wrapped_module.model._orig_mod.module.{key}": v for key, v in weights.items()},
        lambda weights: torch.optim.swa_utils.AveragedModel(network()),
        lambda weights: {"ema": torch.optim.swa_utils.AveragedModel(torch.nn.DataParallel(network())).state_dict()},
    ],
    ids=[
        *("plain", "DataParallel", "compiled", "Lightning", "deep", "compiled within", "compiled parts", "FSDP"),
        *("averaged", "averaged within"),
    ],
)
def test_wrappings_are_taken_off(weights, wrap):
    expected, found = (leaves(dg.from_torch(given, SETTINGS)) for given in (weights, wrap(weights)))
    assert len(found) == len(expected) > 100
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def test_modules_are_taken_as_they_are(weights):
    expected = leaves(dg.from_torch(weights, SETTINGS))
    for module in (network(), torch.nn.DataParallel(network())):
        for one, other in zip(leaves(dg.from_torch(module, SETTINGS)), expected, strict=True):
            np.testing.assert_array_equal(one, other)


def test_both_networks_compute_the_same_before_and_after_the_round_trip():
    module = from_program(SETTINGS.program)
    params = jax.tree.map(np.asarray, initial_parameters(module, jax.random.key(5), (8, 8, 1)))
    # biases and norms are zeros and ones at first, which would hide an exchange
    rng = np.random.default_rng(0)
    params = jax.tree.map(lambda x: x + 0.1 * rng.normal(size=x.shape).astype(np.float32), params)
    member = dg.TrainedMember(SETTINGS, {"seed": 0}, 0, params)
    twin = network()
    twin.load_state_dict(dg.to_torch(member))
    images, t = rng.normal(size=(3, 8, 8, 1)).astype(np.float32), np.array([1, 7, 20], np.int32)
    centers = 8 * rng.random((3, 2), np.float32)
    with torch.no_grad():
        theirs, _ = twin(*map(torch.from_numpy, (images.transpose(0, 3, 1, 2), t, centers)))
    ours, _ = jax.jit(module.apply)({"params": params}, images, t, centers)
    np.testing.assert_allclose(ours, theirs.numpy().transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-4)
    back = dg.from_torch(twin, SETTINGS)
    assert jax.tree.structure(back.params) == jax.tree.structure(params)
    jax.tree.map(np.testing.assert_array_equal, back.params, params)


def test_arrays_share_no_memory_with_the_member(weights):
    member = dg.from_torch(weights, SETTINGS)
    before = member.params["outc"]["dense"]["bias"].copy()
    for value in dg.to_torch(member).values():
        value.add_(1.0)
    np.testing.assert_array_equal(member.params["outc"]["dense"]["bias"], before)


def test_what_is_no_network_or_several_is_refused(weights):
    with refused("no weights of the network are among", "epoch"):
        dg.from_torch({"epoch": 3, "model": {"layer.weight": 1}}, SETTINGS)
    with refused("several networks", "checkpoint['model'], checkpoint['ema']"):
        dg.from_torch({"model": weights, "ema": weights}, SETTINGS)
    both = {f"{prefix}{key}": value for prefix in ("online.", "ema.") for key, value in weights.items()}
    with refused("several networks", "'online.', 'ema.'"):
        dg.from_torch(both, SETTINGS)


@pytest.mark.parametrize("given", [None, 3, "weights.pt", [1, 2]], ids=repr)
def test_what_is_no_state_dict_is_named(given):
    with refused(f"{given!r} is no state_dict", "torch.load"):
        dg.from_torch(given, SETTINGS)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(weights, bad):
    spoiled = {key: value.clone() for key, value in weights.items()}
    spoiled["sa2.ln.bias"][1] = bad
    with refused("weights are not finite: sa2.ln.bias"):
        dg.from_torch(spoiled, SETTINGS)


def test_settings_must_be_of_this_one_model(weights):
    with refused("settings are of 2 models"):
        dg.from_torch(weights, TINY)
    with refused("base_channels=8", "4"):
        dg.from_torch(weights, adapt(SETTINGS, {"seed": (0,)}, model={"base_channels": 8}))
    with refused("embedding=48", "24"):
        dg.from_torch(weights, adapt(SETTINGS, {"seed": (0,)}, model={"embedding": 48}))


def test_without_pytorch_arrays_can_still_be_had(weights, monkeypatch):
    member = dg.from_torch({key: value.numpy() for key, value in weights.items()}, SETTINGS)
    monkeypatch.setitem(sys.modules, "torch", None)
    with refused("PyTorch is not installed", "numpy=True"):
        dg.to_torch(member)
    for name, array in dg.to_torch(member, numpy=True).items():
        np.testing.assert_array_equal(array, weights[name].numpy())


def test_other_conditioning_has_no_form_in_pytorch(weights):
    settings = adapt(SETTINGS, model={"conditioning": "film"})
    member = dg.TrainedMember(settings, {"seed": 0}, 0, {})
    for exchange in (lambda: dg.from_torch(weights, settings), lambda: dg.to_torch(member)):
        with refused("model.conditioning='film'", "only 'concat'"):
            exchange()
