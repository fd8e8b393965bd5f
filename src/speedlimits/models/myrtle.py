"""Myrtle-5, the paper's convolutional network (§4), in NTK parametrisation."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn

from speedlimits._checks import check_integer, check_one_of, check_positive
from speedlimits.models.fcn import ACTIVATIONS
from speedlimits.models.layers import NTKConv3x3, NTKLinear

# Convolutions in each block; a pooling follows each.
BLOCKS = (2, 1, 1)


class Myrtle5(nn.Module):
    r"""Four 3×3 convolutions in blocks of 2, 1 and 1, and a dense layer: five trainable layers, no bias.

    A 2×2 average pooling follows each block and two more the last, 32→16→8→4→2→1 pixels. Averages of averages
    are averages, so the last three are taken at once, over the whole image; images of other sizes then do as well.
    Source: Shankar et al., "Neural Kernels Without Tangents", 2020, arXiv:2003.02237.

    Args:
        channels: of the images.
        outputs: number of outputs.
        width: channels of each convolution; 128 in the paper.
        activation: φ after each convolution, a name from `ACTIVATIONS`.
        generator: draws the weights.
        weight_std: σ_w of every layer; √2 keeps the variance under ReLU.
        dtype: of the weights.

    Raises:
        ValueError: if a size is not a positive integer or the activation's name is unknown.
    """

    def __init__(
        self,
        channels: int,
        outputs: int,
        *,
        width: int,
        activation: str = "relu",
        generator: torch.Generator,
        weight_std: float = math.sqrt(2.0),
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        for name, size in (("channels", channels), ("outputs", outputs), ("width", width)):
            check_integer(name, size, minimum=1)
        check_positive("weight_std", weight_std)
        check_one_of("activation", activation, ACTIVATIONS)
        fan_in = [channels, *[width] * (sum(BLOCKS) - 1)]
        self.convolutions = nn.ModuleList(
            NTKConv3x3(size, width, generator=generator, weight_std=weight_std, dtype=dtype) for size in fan_in
        )
        self.dense = NTKLinear(width, outputs, generator=generator, weight_std=weight_std, dtype=dtype)
        self.activation = ACTIVATIONS[activation]

    def forward(self, x: Float[Tensor, "samples channels height width"]) -> Float[Tensor, "samples outputs"]:
        """Outputs for images whose sides are multiples of 4."""
        # Pixel by pixel instead of plane by plane: twice to three times faster on CPUs at small widths.
        x = x.contiguous(memory_format=torch.channels_last)
        ends = {sum(BLOCKS[: k + 1]) for k in range(len(BLOCKS) - 1)}
        for k, convolution in enumerate(self.convolutions, start=1):
            x = self.activation(convolution(x))
            if k in ends:
                x = nn.functional.avg_pool2d(x, 2)
        return self.dense(x.mean(dim=(2, 3)))
