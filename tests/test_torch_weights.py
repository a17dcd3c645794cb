"""The network against its usual PyTorch form, with the same weights."""

import jax
import numpy as np
import pytest

from diffgeo.errors import UserError
from diffgeo.torch_weights import to_flax
from diffgeo.unet import RECORDED, UNet

torch = pytest.importorskip("torch")
nn = torch.nn


class DoubleConv(nn.Module):
    def __init__(self, i, o, mid=None, residual=False):
        super().__init__()
        self.residual = residual
        mid = mid or o
        self.double_conv = nn.Sequential(
            nn.Conv2d(i, mid, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(1, mid),
            nn.GELU(),
            nn.Conv2d(mid, o, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(1, o),
        )

    def forward(self, x):
        return nn.functional.gelu(x + self.double_conv(x)) if self.residual else self.double_conv(x)


class Down(nn.Module):
    def __init__(self, i, o, embedding):
        super().__init__()
        self.maxpool_conv = nn.Sequential(nn.MaxPool2d(2), DoubleConv(i, i, residual=True), DoubleConv(i, o))
        self.emb_layer = nn.Sequential(nn.SiLU(), nn.Linear(embedding, o))

    def forward(self, x, cue):
        return self.maxpool_conv(x) + self.emb_layer(cue)[:, :, None, None]


class Up(nn.Module):
    def __init__(self, i, o, embedding):
        super().__init__()
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True)
        self.conv = nn.Sequential(DoubleConv(i, i, residual=True), DoubleConv(i, o, i // 2))
        self.emb_layer = nn.Sequential(nn.SiLU(), nn.Linear(embedding, o))

    def forward(self, x, skip, cue):
        x = self.conv(torch.cat([skip, self.up(x)], dim=1))
        return x + self.emb_layer(cue)[:, :, None, None], x


class SelfAttention(nn.Module):
    def __init__(self, channels):
        super().__init__()
        self.mha = nn.MultiheadAttention(channels, 4, batch_first=True)
        self.ln = nn.LayerNorm([channels])
        self.ff_self = nn.Sequential(
            nn.LayerNorm([channels]), nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )

    def forward(self, x):
        tokens = x.flatten(2).swapaxes(1, 2)
        normed = self.ln(tokens)
        tokens = tokens + self.mha(normed, normed, normed)[0]
        tokens = tokens + self.ff_self(tokens)
        return tokens.swapaxes(1, 2).reshape(x.shape)


class TorchUNet(nn.Module):
    def __init__(self, b, embedding):
        super().__init__()
        self.embedding = embedding
        self.inc = DoubleConv(1, b)
        self.down1, self.sa1 = Down(b, 2 * b, embedding), SelfAttention(2 * b)
        self.down2, self.sa2 = Down(2 * b, 4 * b, embedding), SelfAttention(4 * b)
        self.down3, self.sa3 = Down(4 * b, 4 * b, embedding), SelfAttention(4 * b)
        self.bot1, self.bot2, self.bot3 = (
            DoubleConv(4 * b, 8 * b),
            DoubleConv(8 * b, 8 * b),
            DoubleConv(8 * b, 4 * b),
        )
        self.up1, self.sa4 = Up(8 * b, 2 * b, embedding), SelfAttention(2 * b)
        self.up2, self.sa5 = Up(4 * b, b, embedding), SelfAttention(b)
        self.up3, self.sa6 = Up(2 * b, b, embedding), SelfAttention(b)
        self.outc = nn.Conv2d(b, 1, kernel_size=1)

    def encode(self, u):
        width = self.embedding // 3
        phase = u[:, None] / 10_000.0 ** (torch.arange(0, width, 2) / width)
        return torch.cat([phase.sin(), phase.cos()], dim=1)

    def forward(self, images, t, centers):
        cue = torch.cat([self.encode(u) for u in (t.float(), centers[:, 0], centers[:, 1])], dim=1)
        x1 = self.inc(images)
        x2 = self.sa1(self.down1(x1, cue))
        x3 = self.sa2(self.down2(x2, cue))
        x4 = self.sa3(self.down3(x3, cue))
        x = self.bot3(self.bot2(self.bot1(x4)))
        x = self.sa4(self.up1(x, x3, cue)[0])
        layer4, layer4_pre_embedding = self.up2(x, x2, cue)
        layer4_attention = self.sa5(layer4)
        x = self.sa6(self.up3(layer4_attention, x1, cue)[0])
        return self.outc(x), (layer4, layer4_pre_embedding, layer4_attention)


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


@pytest.mark.parametrize(("b", "embedding", "size"), [(16, 768, 16), (64, 768, 32), (16, 96, 8)])
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
    noise, recorded = jax.jit(UNet(b, embedding).apply)({"params": params}, *inputs)
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
