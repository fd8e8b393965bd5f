"""The networks that `gradient_flow.py` trains, and how stiff their training is."""

import copy
import dataclasses
import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from speedlimits.data.digits import digits
from speedlimits.dynamics.curvature import sharpness
from speedlimits.dynamics.flow.gradient_flow import init, integrate
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.models.fcn import FCN
from speedlimits.models.myrtle import Myrtle5
from speedlimits.training.presets import MYRTLE as MEMBER
from speedlimits.training.sources import Source

SAMPLES = 16
# Seeds of the initial weights.
PROBLEMS = {"tanh FCN": 1, "GELU CNN": 2, "ReLU CNN": 3}
# The paper's network as a study trains it, seed 0: data, channels, images.
MYRTLE = {
    "Myrtle5 w4 n10": ("digits", 4, 10),
    "Myrtle5 w8 n50": ("cifar10", 8, 50),
    "Myrtle5 w16 n125": ("cifar10", 16, 125),
}


class CNN(nn.Module):
    """Two convolutions with average pooling and a linear readout, in NTK parametrisation.

    Args:
        channels: of both convolutions.
        activation: φ.
        generator: draws the weights.
    """

    def __init__(self, channels: int, activation: Callable[[Tensor], Tensor], generator: torch.Generator) -> None:
        super().__init__()
        shapes = ((channels, 1, 3, 3), (channels, channels, 3, 3), (10, 4 * channels))
        self.weights = nn.ParameterList(
            torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes
        )
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for images of 8×8 pixels."""
        *filters, readout = self.weights
        for weight in filters:
            x = nn.functional.conv2d(x, weight / math.sqrt(weight[0].numel()), padding=1)
            x = nn.functional.avg_pool2d(self.activation(x), 2)
        return x.flatten(1) @ readout.T / math.sqrt(readout.shape[1])


def build(name: str, seed: int | None = None) -> FlatLoss:
    """One of the `PROBLEMS`, of its own seed or another, or of `MYRTLE`."""
    if name in MYRTLE:
        dataset, width, samples = MYRTLE[name]
        config = dataclasses.replace(MEMBER, dataset=dataset, width=width, samples=samples)
        return Source.of(config).build(config, seed or 0).flat_loss
    generator = torch.Generator().manual_seed(PROBLEMS[name] if seed is None else seed)
    data = digits(SAMPLES)
    if name == "tanh FCN":
        model: nn.Module = FCN(64, 10, width=24, depth=2, activation="tanh", generator=generator)
    else:
        model = CNN(4, nn.functional.gelu if name == "GELU CNN" else torch.relu, generator)
    return FlatLoss(model, torch.from_numpy(data.inputs), torch.from_numpy(data.targets))


def in_double(loss: FlatLoss) -> FlatLoss:
    """The same loss, of the same weights and data, computed in float64."""
    inputs = loss.inputs
    assert isinstance(inputs, Tensor)
    model = copy.deepcopy(loss.model).double()
    return FlatLoss(model, inputs.double(), loss.targets.double(), criterion=loss.criterion, chunk=loss.chunk)


def realistic() -> FlatLoss:
    """Myrtle5 of width 16 on 125 random images of CIFAR's shape."""
    generator = torch.Generator().manual_seed(0)
    model = Myrtle5(3, 10, width=16, generator=generator)
    images = torch.randn(125, 3, 32, 32, generator=generator, dtype=torch.float64)
    return FlatLoss(model, images, torch.randn(125, 10, generator=generator, dtype=torch.float64))


@dataclass(frozen=True)
class Problem:
    """One network trained for one time.

    Args:
        loss: L(θ).
        end: T.
        start: λ_max at the start.
        steepest: the largest λ_max on the way.
        stiffness: ∫λ_max dt.
    """

    loss: FlatLoss
    end: float
    start: float
    steepest: float
    stiffness: float

    @classmethod
    def of(cls, name: str, product: float, seed: int | None = None) -> "Problem":
        """λ_max on the way is what `rkc2` finds every 25 steps."""
        loss = build(name, seed)
        generator = torch.Generator().manual_seed(0)
        # In float32 rounding hides what a finer tolerance asks for.
        start = sharpness(loss, loss.initial, generator=generator, tolerance=1e-2 if name in MYRTLE else 1e-3).value
        end = product / start
        path = [state := init(loss, loss.initial, rtol=1e-3)]
        path += [state for state, _ in integrate(loss, loss.initial, state, [end], rtol=1e-3)]
        stiffness = sum(after.radius * (after.time - before.time) for before, after in itertools.pairwise(path))
        return cls(loss, end, start, max(state.radius for state in path), stiffness)

    def learning_rate(self, method: str, share: float) -> float:
        """η of `gd` and `gd_steepest`."""
        return share / (self.start if method == "gd" else self.steepest)

    def least(self, method: str, setting: float) -> float:
        """Gradients that a run takes for its stability alone."""
        if method.startswith("gd"):
            return self.end / self.learning_rate(method, setting)
        return {"rk4": 4.0, "dopri5": 2.0}.get(method, 0.0) * self.stiffness
