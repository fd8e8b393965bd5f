"""Layers in NTK parametrisation: weights N(0, 1), the scale 1/√fan_in explicit in the forward pass."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn


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
        self.weight = nn.Parameter(torch.randn(outputs, inputs, generator=generator, dtype=torch.float64).to(dtype))
        self.scale = weight_std / math.sqrt(inputs)

    def forward(self, x: Float[Tensor, "samples inputs"]) -> Float[Tensor, "samples outputs"]:
        """Apply the layer."""
        return nn.functional.linear(x, self.weight) * self.scale

    def extra_repr(self) -> str:
        """Sizes and scale for printing."""
        outputs, inputs = self.weight.shape
        return f"{inputs}, {outputs}, scale={self.scale:.4g}"
