"""Layers in NTK parametrisation: weights N(0, 1), the scale 1/√fan_in explicit in the forward pass."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from speedlimits._checks import check_integer
from speedlimits.models.winograd import convolution


class NTKLinear(nn.Module):
    r"""Dense layer :math:`z = \sigma_w\, W x / \sqrt{n_{in}}` with :math:`W_{ij}\sim\mathcal N(0,1)`, no bias.

    At this scale the kernel J Jᵀ has a limit as the width grows (Eqs. (49), (50)), and so do weight-space
    distances and the speed limit.

    Args:
        inputs: n_in.
        outputs: number of outputs.
        generator: draws W in float64 on the CPU: one seed gives the same network in every dtype.
        weight_std: σ_w.
        dtype: of the weights.
    """

    def __init__(
        self, inputs: int, outputs: int, *, generator: torch.Generator, weight_std: float = 1.0, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.weight = _normal(outputs, inputs, generator=generator, dtype=dtype)
        self.scale = weight_std / math.sqrt(inputs)

    def forward(self, x: Float[Tensor, "samples inputs"]) -> Float[Tensor, "samples outputs"]:
        """Apply the layer."""
        return nn.functional.linear(x, self.weight) * self.scale

    def extra_repr(self) -> str:
        """Sizes and scale for printing."""
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, scale={self.scale:.4g}"


class NTKConv3x3(nn.Module):
    r"""Convolution :math:`z = \sigma_w\, W * x / \sqrt{9\, n_{in}}` over 3×3 pixels, no bias, zeros around the image.

    Args:
        inputs: n_in, channels.
        outputs: channels.
        generator: draws W, as for `NTKLinear`.
        weight_std: σ_w.
        dtype: of the weights.
    """

    def __init__(
        self, inputs: int, outputs: int, *, generator: torch.Generator, weight_std: float = 1.0, dtype: torch.dtype
    ) -> None:
        super().__init__()
        self.weight = _normal(outputs, inputs, 3, 3, generator=generator, dtype=dtype)
        self.scale = weight_std / math.sqrt(9 * inputs)

    def forward(self, x: Float[Tensor, "samples inputs height width"]) -> Float[Tensor, "samples outputs height width"]:
        """Apply the layer."""
        # Here the scale meets the weights, which are far fewer than the pixels.
        return convolution(x, self.weight * self.scale)

    def extra_repr(self) -> str:
        """Sizes and scale for printing."""
        outputs, inputs = self.weight.shape[:2]
        return f"{inputs}, {outputs}, scale={self.scale:.4g}"


def _normal(outputs: int, inputs: int, *kernel: int, generator: torch.Generator, dtype: torch.dtype) -> nn.Parameter:
    for name, number in (("inputs", inputs), ("outputs", outputs)):
        check_integer(name, number, minimum=1)
    shape = (outputs, inputs, *kernel)
    return nn.Parameter(torch.randn(*shape, generator=generator, dtype=torch.float64).to(dtype))
