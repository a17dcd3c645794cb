"""The network, its training step and its plain sampling loop in PyTorch, the reference of tests and timings.

Module names are those that `diffgeo.unet.torch_weights` reads. This is the only file that needs PyTorch.
"""

import functools
import math
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from diffgeo.settings import Settings


class DoubleConv(nn.Module):
    """PyTorch's `diffgeo.unet.layers.DoubleConv`."""

    def __init__(self, i: int, o: int, middle: int | None = None, residual: bool = False):
        super().__init__()
        self.residual = residual
        middle = middle or o
        self.double_conv = nn.Sequential(
            nn.Conv2d(i, middle, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(1, middle),
            nn.GELU(),
            nn.Conv2d(middle, o, kernel_size=3, padding=1, bias=False),
            nn.GroupNorm(1, o),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return nn.functional.gelu(x + self.double_conv(x)) if self.residual else self.double_conv(x)


class Down(nn.Module):
    """PyTorch's `diffgeo.unet.layers.Down`."""

    def __init__(self, i: int, o: int, embedding: int):
        super().__init__()
        self.maxpool_conv = nn.Sequential(
            nn.MaxPool2d(2, ceil_mode=True), DoubleConv(i, i, residual=True), DoubleConv(i, o)
        )
        self.emb_layer = nn.Sequential(nn.SiLU(), nn.Linear(embedding, o))

    def forward(self, x: torch.Tensor, conditioning: torch.Tensor) -> torch.Tensor:
        return self.maxpool_conv(x) + self.emb_layer(conditioning)[:, :, None, None]


class Up(nn.Module):
    """PyTorch's `diffgeo.unet.layers.Up`."""

    def __init__(self, i: int, o: int, embedding: int):
        super().__init__()
        self.conv = nn.Sequential(DoubleConv(i, i, residual=True), DoubleConv(i, o, i // 2))
        self.emb_layer = nn.Sequential(nn.SiLU(), nn.Linear(embedding, o))

    def forward(
        self, x: torch.Tensor, skip: torch.Tensor, conditioning: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        x = nn.functional.interpolate(x, skip.shape[2:], mode="bilinear", align_corners=True)
        x = self.conv(torch.cat([skip, x], dim=1))
        return x + self.emb_layer(conditioning)[:, :, None, None], x


class SelfAttention(nn.Module):
    """PyTorch's `diffgeo.unet.layers.SelfAttention`."""

    def __init__(self, channels: int, heads: int):
        super().__init__()
        self.mha = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.ln = nn.LayerNorm([channels])
        self.ff_self = nn.Sequential(
            nn.LayerNorm([channels]), nn.Linear(channels, channels), nn.GELU(), nn.Linear(channels, channels)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = x.flatten(2).swapaxes(1, 2)
        normed = self.ln(tokens)
        tokens = tokens + self.mha(normed, normed, normed, need_weights=False)[0]
        tokens = tokens + self.ff_self(tokens)
        return tokens.swapaxes(1, 2).reshape(x.shape)


class TorchUNet(nn.Module):
    """PyTorch's `diffgeo.unet.UNet`: images [n, 1, N, N], t [n], centers [n, 2] to noise and recorded tensors."""

    def __init__(self, b: int, embedding: int, heads: int = 4):
        super().__init__()
        self.embedding = embedding

        def attention(channels: int) -> SelfAttention:
            return SelfAttention(channels, heads)

        self.inc = DoubleConv(1, b)
        self.down1, self.sa1 = Down(b, 2 * b, embedding), attention(2 * b)
        self.down2, self.sa2 = Down(2 * b, 4 * b, embedding), attention(4 * b)
        self.down3, self.sa3 = Down(4 * b, 4 * b, embedding), attention(4 * b)
        self.bot1, self.bot2 = DoubleConv(4 * b, 8 * b), DoubleConv(8 * b, 8 * b)
        self.bot3 = DoubleConv(8 * b, 4 * b)
        self.up1, self.sa4 = Up(8 * b, 2 * b, embedding), attention(2 * b)
        self.up2, self.sa5 = Up(4 * b, b, embedding), attention(b)
        self.up3, self.sa6 = Up(2 * b, b, embedding), attention(b)
        self.outc = nn.Conv2d(b, 1, kernel_size=1)

    def encode(self, u: torch.Tensor) -> torch.Tensor:
        width = self.embedding // 3
        phase = u[:, None] / 10_000.0 ** (torch.arange(0, width, 2) / width)
        return torch.cat([phase.sin(), phase.cos()], dim=1)

    def forward(
        self, images: torch.Tensor, t: torch.Tensor, centers: torch.Tensor
    ) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
        conditioning = torch.cat([self.encode(u) for u in (t.float(), centers[:, 0], centers[:, 1])], dim=1)
        x1 = self.inc(images)
        x2 = self.sa1(self.down1(x1, conditioning))
        x3 = self.sa2(self.down2(x2, conditioning))
        x4 = self.sa3(self.down3(x3, conditioning))
        x = self.bot3(self.bot2(self.bot1(x4)))
        x = self.sa4(self.up1(x, x3, conditioning)[0])
        layer4, layer4_pre_embedding = self.up2(x, x2, conditioning)
        layer4_attention = self.sa5(layer4)
        x = self.sa6(self.up3(layer4_attention, x1, conditioning)[0])
        return self.outc(x), (layer4, layer4_pre_embedding, layer4_attention)


VARIANTS = {
    "eager_foreach": {"foreach": True},
    "eager_fused": {"fused": True},
    "compiled": {"fused": True, "compiled": True},
}
"""Name -> arguments of `Trainer`: PyTorch's ways to run the same step, of which the fastest counts."""


class Trainer:
    """Training of a model, channels last, float32, AdamW: a step renders a batch, draws noise, updates.

    Args:
      settings: network, batch and step.
      compiled: whether `torch.compile` compiles the network, at its first step; "reduce-overhead" is its mode with
        CUDA graphs.
      device: where it trains.
      how: of `torch.optim.AdamW`, `fused` or `foreach`.
    """

    def __init__(self, settings: Settings, compiled: bool | str = False, device: str = "cpu", **how: Any):
        torch.manual_seed(0)
        self.device = torch.device(device)
        self.settings = settings
        model, train = settings.model, settings.train
        self.network = TorchUNet(model.base_channels, model.embedding, model.heads)
        self.network.to(self.device, memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), lr=train.learning_rate, weight_decay=train.weight_decay, **how
        )
        mode = compiled if isinstance(compiled, str) else None
        self.forward = torch.compile(self.network, mode=mode) if compiled else self.network
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, train.learning_rate, max(train.steps, 1), pct_start=train.warmup_fraction
        )
        diffusion = settings.diffusion
        self.betas = torch.linspace(diffusion.beta_start, diffusion.beta_end, diffusion.timesteps, device=self.device)
        self.alpha_bar = torch.cumprod(1 - self.betas, 0)

    def render(self, centers: torch.Tensor) -> torch.Tensor:
        """Return bumps [n, 1, N, N] in [-1, 1] at float[n, 2]; see `diffgeo.images.render`."""
        data = self.settings.data
        pixels = torch.arange(data.size, device=self.device)
        along_x, along_y = (torch.exp(-((pixels - centers[:, i, None]) ** 2) / (4 * data.sigma**2)) for i in (0, 1))
        return (1 - 2 * along_y[:, :, None] * along_x[:, None, :])[:, None]

    def step(self) -> torch.Tensor:
        """Run a training step and return its loss, which nothing waits for."""
        settings = self.settings
        batch = settings.train.batch_size
        centers = torch.rand(batch, 2, device=self.device) * settings.data.size
        images = self.render(centers).contiguous(memory_format=torch.channels_last)
        t = torch.randint(1, settings.diffusion.timesteps + 1, (batch,), device=self.device)
        noise = torch.randn_like(images)
        alpha_bar = self.alpha_bar[t - 1][:, None, None, None]
        predicted = self.forward(alpha_bar.sqrt() * images + (1 - alpha_bar).sqrt() * noise, t, centers)[0]
        loss = nn.functional.mse_loss(predicted, noise)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.scheduler.step()
        return loss.detach()

    def wait(self) -> None:
        """Wait for the steps asked for; on CPU they are done."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def parts(self) -> dict[str, list[Callable[[], None]]]:
        """Return a step's 3 x 3 convolutions, image norms, attention blocks (both passes), and the optimizer step."""
        kinds = {"convolutions": nn.Conv2d, "norms": nn.GroupNorm, "attention": SelfAttention}
        calls: dict[str, list[Callable[[], None]]] = {part: [] for part in kinds}

        def record(part: str, module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            x = torch.randn_like(inputs[0]).requires_grad_()
            cotangent = torch.randn_like(module.forward(x))

            def passes() -> None:
                module.zero_grad()
                x.grad = None
                module.forward(x).backward(cotangent)

            calls[part].append(passes)

        hooks = [
            module.register_forward_pre_hook(functools.partial(record, part))
            for part, kind in kinds.items()
            for module in self.network.modules()
            if type(module) is kind and getattr(module, "kernel_size", (3, 3)) == (3, 3)
        ]
        self.step()
        for hook in hooks:
            hook.remove()
        # the lambda holds the trainer, which the scheduler needs
        return calls | {"optimizer": [lambda: self.optimizer.step()]}

    @torch.no_grad()
    def denoise(self, centers: torch.Tensor, steps: int) -> torch.Tensor:
        """Run the first `steps` of the plain ancestral loop over all timesteps and return its images [n, 1, N, N]."""
        size, last = self.settings.data.size, self.settings.diffusion.timesteps
        images = torch.randn(len(centers), 1, size, size).contiguous(memory_format=torch.channels_last)
        for t in range(last, last - steps, -1):
            beta, alpha_bar = self.betas[t - 1], self.alpha_bar[t - 1]
            noise = self.network(images, torch.full((len(centers),), t), centers)[0]
            images = (images - beta / (1 - alpha_bar).sqrt() * noise) / (1 - beta).sqrt()
            if t > 1:
                images = images + math.sqrt(beta) * torch.randn_like(images)
        return images
