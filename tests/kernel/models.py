"""Small networks with every kind of weight that a kernel has to know about."""

import torch
from torch import Tensor, nn

from speedlimits.models.fcn import FCN
from speedlimits.models.myrtle import Myrtle5


def inputs(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def seeded(model: nn.Module, seed: int = 0) -> nn.Module:
    """The model in float64 with every weight and buffer drawn anew, normalisation included."""
    generator = torch.Generator().manual_seed(seed)
    model = model.double().eval()
    for weight in model.parameters():
        weight.data = 0.4 * torch.randn(weight.shape, generator=generator, dtype=torch.float64)
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.data = 0.5 + torch.rand(buffer.shape, generator=generator, dtype=torch.float64)
    return model


class Tied(nn.Module):
    """One matrix used twice, and once more transposed; its bias only in two of the places."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 4)
        self.twice = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        x = self.twice(torch.tanh(self.twice(x)))
        x = torch.tanh(self.layer(torch.tanh(self.layer(x))))
        return nn.functional.linear(x, self.layer.weight.T)[:, :3]


class Sequence(nn.Module):
    """A dense layer over positions with residual attention, one shared embedding of the positions, LayerNorm."""

    def __init__(self, *, samples_first: bool = True) -> None:
        super().__init__()
        self.places = nn.Parameter(torch.zeros(5, 4))
        self.mix = nn.Linear(4, 4)
        self.norm = nn.LayerNorm(4)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)
        self.read = nn.Linear(4, 2)
        self.samples_first = samples_first

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.places
        # As many positions as samples in the other order: only the numbers tell which is which.
        x = self.mix(x) if self.samples_first else self.mix(x.transpose(0, 1)).transpose(0, 1)
        x = self.norm(torch.relu_(x))
        return self.read((x + self.attention(x, x, x, need_weights=False)[0]).mean(1))


class Scaled(nn.Module):
    """Weights and biases times numbers, from either side, twice and by division; one of them in two scales."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 5), nn.Conv2d(1, 3, 2)
        self.read = nn.Linear(12, 3, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        apply = nn.functional
        assert self.second.bias is not None
        x = torch.tanh(apply.linear(x, 2.0 * (self.first.weight / 3), self.first.bias * 0.1))
        x = torch.tanh(apply.conv2d(x.view(-1, 1, 5, 5), self.second.weight.mul(0.7), self.second.bias.div(5), 2, 0))
        return apply.linear(x.flatten(1), self.read.weight * 0.5) + apply.linear(x.flatten(1), self.read.weight)


class ChannelsLast(nn.Module):
    """Two weights that no layer explains, behind an operation that cannot be done on samples side by side."""

    def __init__(self) -> None:
        super().__init__()
        self.grouped = nn.Conv2d(2, 4, 3, groups=2)
        self.norm = nn.GroupNorm(2, 4)
        self.read = nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = x.contiguous(memory_format=torch.channels_last)
        return self.read(torch.tanh(self.norm(self.grouped(x))).mean((2, 3)))


class HeldBack(nn.Module):
    """A part through which no gradient flows, which forward mode overlooks."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.read = nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.tanh(self.layer(x))
        with torch.no_grad():
            scale = x.square().mean(1, keepdim=True).sqrt()
        return self.read(x / scale)


class Root(nn.Module):
    """√|x|, finite where its derivative is not."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sqrt(torch.abs(x))


class Waves(nn.Module):
    """Waves so short that rounding to single precision moves them."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.sin(1e5 * x)


def kinked() -> nn.Module:
    """Finite outputs whose derivatives are infinite for an input of zeros."""
    return seeded(nn.Sequential(nn.Linear(2, 1, bias=False), Root()))


def convolutional() -> nn.Module:
    """Strides, padding, dilation, groups, biases and none, every pooling, an in-place activation."""
    return nn.Sequential(
        nn.Conv2d(2, 4, 3, padding=1),
        nn.ReLU(inplace=True),
        nn.MaxPool2d(2),
        nn.Conv2d(4, 4, 3, padding="same", groups=2),
        nn.GELU(),
        nn.Conv2d(4, 6, 2, stride=2, dilation=2, bias=False),
        nn.Tanh(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(6, 3),
    )


CASES = {
    "fcn": (lambda: FCN(6, 3, width=5, depth=2, generator=torch.Generator().manual_seed(0)), (7, 6)),
    "dense with bias": (lambda: nn.Sequential(nn.Linear(6, 5), nn.ReLU(), nn.Linear(5, 3)), (7, 6)),
    "one output": (lambda: nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 1), nn.Flatten(0)), (7, 6)),
    "convolutional": (convolutional, (5, 2, 8, 8)),
    "few positions": (
        lambda: nn.Sequential(nn.Conv2d(8, 6, 3), nn.Tanh(), nn.Flatten(), nn.Linear(24, 5)),
        (5, 8, 4, 4),
    ),
    "myrtle": (lambda: Myrtle5(2, 3, width=4, generator=torch.Generator().manual_seed(0)), (5, 2, 8, 8)),
    "scaled": (Scaled, (5, 5, 4)),
    "channels last": (ChannelsLast, (5, 2, 6, 6)),
    "held back": (HeldBack, (5, 4)),
    "shared": (Tied, (6, 4)),
    "sequence": (Sequence, (4, 5, 4)),
    "samples second": (lambda: Sequence(samples_first=False), (5, 5, 4)),
    "batch norm": (
        lambda: nn.Sequential(nn.Conv2d(1, 3, 3), nn.BatchNorm2d(3), nn.Flatten(), nn.Linear(27, 2)),
        (4, 1, 5, 5),
    ),
    "one-dimensional": (
        lambda: nn.Sequential(nn.Conv1d(2, 3, 3), nn.Tanh(), nn.Flatten(), nn.Linear(12, 2)),
        (4, 2, 6),
    ),
}
