"""Fully connected network in NTK parametrisation: any depth, width and activation."""

import itertools
from collections.abc import Callable, Sequence
from typing import cast

import torch
from jaxtyping import Float
from torch import Tensor, nn

from speedlimits._checks import check_integer, check_one_of, check_positive
from speedlimits.models.layers import NTKLinear

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "erf": torch.erf,
    "gelu": nn.functional.gelu,
    "identity": lambda x: x,
    "relu": torch.relu,
    "tanh": torch.tanh,
}


class FCN(nn.Module):
    r"""f(x) = layer ∘ φ ∘ layer ∘ … ∘ φ ∘ layer, each layer an `NTKLinear` (§4, "FCN").

    Args:
        inputs: number of input values.
        outputs: number of outputs.
        width: units in each hidden layer.
        depth: hidden layers; 0 is a linear model, exactly solvable.
        activation: φ, a name from `ACTIVATIONS` or any function.
        generator: draws the weights.
        weight_std: σ_w of every layer.
        dtype: of the weights.

    Raises:
        ValueError: if a size is not a positive integer (``depth`` may be 0) or the activation's name is unknown.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        width: int,
        depth: int,
        activation: str | Callable[[Tensor], Tensor] = "tanh",
        generator: torch.Generator,
        weight_std: float = 1.0,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        super().__init__()
        for name, size, minimum in (
            ("inputs", inputs, 1),
            ("outputs", outputs, 1),
            ("width", width, 1),
            ("depth", depth, 0),
        ):
            check_integer(name, size, minimum=minimum)
        check_positive("weight_std", weight_std)
        if isinstance(activation, str):
            check_one_of("activation", activation, ACTIVATIONS)
            activation = ACTIVATIONS[activation]
        sizes = [inputs, *[width] * depth, outputs]
        self.layers = nn.ModuleList(
            NTKLinear(fan_in, fan_out, generator=generator, weight_std=weight_std, dtype=dtype)
            for fan_in, fan_out in itertools.pairwise(sizes)
        )
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        """Outputs for inputs of shape (samples, …), flattened to (samples, inputs)."""
        x = x.flatten(1)
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)

    def side_by_side(
        self, weights: Sequence[Tensor], x: Tensor
    ) -> tuple[Float[Tensor, "networks samples outputs"], Callable[[Tensor], list[Tensor]]]:
        """Outputs of many networks of this kind for the same inputs, and how to differentiate them.

        Args:
            weights: of each layer, (networks, outputs, inputs).
            x: inputs, as of `forward`.

        Returns:
            The outputs, and a function from what multiplies their derivatives, of the same shape, to the derivatives by
            each layer's weights.
        """
        count, scales = len(weights[0]), [cast("NTKLinear", layer).scale for layer in self.layers]
        x = x.flatten(1) * scales[0]
        # The inputs are the same for all: one product of matrices, where batches of small ones would be.
        z = (x @ weights[0].flatten(0, 1).mT).view(len(x), count, -1).transpose(0, 1)
        passed: list[tuple[Tensor, Tensor]] = []
        for scale, weight in zip(scales[1:], weights[1:], strict=True):
            with torch.enable_grad():
                z = z.detach().requires_grad_()
                passed.append((z, self.activation(z)))
            z = torch.bmm(passed[-1][1].detach(), weight.mT) * scale

        def back(slopes: Tensor) -> list[Tensor]:
            found = []
            for scale, weight, (before, after) in zip(scales[:0:-1], weights[:0:-1], reversed(passed), strict=True):
                slopes = slopes * scale
                found.append(torch.bmm(slopes.mT, after.detach()))
                (slopes,) = torch.autograd.grad(after, before, torch.bmm(slopes, weight))
            first = slopes.transpose(0, 1).reshape(len(x), -1).mT @ x
            return [first.view(count, -1, x.shape[1]), *reversed(found)]

        return z, back
