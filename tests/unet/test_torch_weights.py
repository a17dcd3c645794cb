"""The network against its usual PyTorch form, with the same weights."""

import jax
import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.settings.allowed import RECORDED
from diffgeo.unet import UNet
from diffgeo.unet.torch_weights import to_flax

torch = pytest.importorskip("torch")
from diffgeo.bench.torch_reference import TorchUNet  # noqa: E402 (torch is optional)


def random_network(b, embedding):
    """The PyTorch network with every parameter random; fresh norms and attention biases are ones or zeros."""
    torch.manual_seed(b)
    network = TorchUNet(b, embedding)
    with torch.no_grad():
        for parameter in network.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.3 * torch.randn_like(parameter))
    return network


@pytest.fixture(scope="module")
def small():
    return random_network(4, 12)


@pytest.mark.parametrize(
    ("b", "embedding", "size"), [(16, 768, 16), (64, 768, 32), (16, 96, 8), (16, 96, 12), (4, 12, 21)]
)
def test_equals_pytorch(b, embedding, size):
    network = random_network(b, embedding)
    images = torch.randn(2, 1, size, size)
    t = torch.tensor([1, 730])
    centers = size * torch.rand(2, 2)
    with torch.no_grad():
        noise, recorded = network(images, t, centers)
    expected = dict(zip(RECORDED, recorded, strict=True)) | {"noise": noise}

    inputs = images.numpy().transpose(0, 2, 3, 1), t.numpy().astype(np.int32), centers.numpy()
    params = to_flax(network.state_dict())
    options = {"xla_backend_optimization_level": 0}  # what runs once
    apply = jax.jit(UNet(b, embedding, ceil_mode=size % 8 > 0).apply, compiler_options=options)
    noise, recorded = apply({"params": params}, *inputs)
    for name, tensor in expected.items():
        ours = np.asarray((recorded | {"noise": noise})[name])
        theirs = tensor.numpy().transpose(0, 2, 3, 1)
        assert theirs.std() > 0.1, "too small a tensor would pass with any weights"
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4, err_msg=name)


def leaves(params):
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(params)}


@pytest.mark.parametrize(
    "form",
    [
        lambda network: {f"module.{key}": value for key, value in network.state_dict().items()},
        lambda network: {key: value.numpy() for key, value in network.state_dict().items()},
        lambda network: {key: value.double() for key, value in network.state_dict().items()},
        lambda network: dict(network.named_parameters()),  # these require gradients
        lambda network: dict(reversed(network.state_dict().items())),
    ],
    ids=["DataParallel", "numpy", "float64", "requires_grad", "reversed"],
)
def test_accepted_forms(small, form):
    expected, ours = leaves(to_flax(small.state_dict())), leaves(to_flax(form(small)))
    assert ours.keys() == expected.keys()
    for name, leaf in ours.items():
        assert type(leaf) is np.ndarray
        assert leaf.dtype == np.float32
        np.testing.assert_array_equal(leaf, expected[name])


def test_half_precision_is_widened_not_reinterpreted(small):
    state = {key: value.bfloat16() for key, value in small.state_dict().items()}
    rounded = {key: value.float() for key, value in state.items()}
    expected = leaves(to_flax(rounded))
    for name, leaf in leaves(to_flax(state)).items():
        np.testing.assert_array_equal(leaf, expected[name])


def test_result_does_not_follow_later_training(small):
    state = {key: value.clone() for key, value in small.state_dict().items()}
    params = to_flax(state)
    before = {name: leaf.copy() for name, leaf in leaves(params).items()}
    for value in state.values():
        value.add_(1.0)
    for name, leaf in leaves(params).items():
        np.testing.assert_array_equal(leaf, before[name])


def test_missing_and_unexpected_keys(small):
    state = small.state_dict()
    state["sa3.mha.in_projection"] = state.pop("sa3.mha.in_proj_weight")
    with pytest.raises(UserError, match=r"missing: sa3\.mha\.in_proj_weight; unexpected: sa3\.mha\.in_projection$"):
        to_flax(state)


def test_one_key_too_many(small):
    state = small.state_dict() | {"pos.table": torch.zeros(3)}
    with pytest.raises(UserError, match=r"outc, unexpected: pos\.table$"):
        to_flax(state)


def test_prefix_must_be_on_all_keys(small):
    state = small.state_dict()
    state["module.outc.bias"] = state.pop("outc.bias")
    with pytest.raises(UserError, match=r"missing: outc\.bias; unexpected: module\.outc\.bias$"):
        to_flax(state)


def test_many_keys_are_counted():
    with pytest.raises(UserError, match=r"missing: bot1\.double_conv\.0\.weight, .* and \d+ more$"):
        to_flax({})


@pytest.mark.parametrize(
    ("key", "shape", "right"),
    [
        ("sa2.ff_self.1.weight", (16, 15), r"\(16, 16\)"),
        ("up3.conv.1.double_conv.0.weight", (8, 4, 3, 3), r"\(4, 8, 3, 3\)"),  # same count, axes exchanged
        ("outc.weight", (1, 4), r"\(1, 4, 1, 1\)"),
        ("inc.double_conv.0.weight", (), r"\(64, 1, 3, 3\)"),
    ],
)
def test_wrong_shape(small, key, shape, right):
    state = small.state_dict() | {key: torch.zeros(shape)}
    if shape:
        with pytest.raises(UserError, match=rf"embedding=12: {key} is .* in place of {right}$"):
            to_flax(state)
    else:  # the size itself cannot be read
        with pytest.raises(UserError, match="wrong shapes for base_channels=64"):
            to_flax(state)
