"""The tangent kernel as an operator, Θu = J(Jᵀu): applied without being formed, to any number of samples."""

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from speedlimits._checks import check_finite, check_integer, check_shape
from speedlimits.kernel.function import Outputs, WeightFunction

Vector = Float64[np.ndarray, " pairs"]


class KernelOperator:
    """u → Θu between the (sample, output) pairs of a model, by one vector-Jacobian and one Jacobian-vector product.

    Memory is that of one chunk's pass, whatever the number of samples, and time is linear in it.

    Args:
        model: f, in evaluation mode, as for `empirical_kernel`.
        inputs: n floating-point samples.
        weights: values in the place of the model's own, by name, such as a run's snapshot.
        chunk: samples at once.

    Raises:
        ValueError: as `empirical_kernel`, or if ``chunk`` is not an integer of at least 1.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        *,
        weights: Mapping[str, Tensor | np.ndarray] | None = None,
        chunk: int = 512,
    ) -> None:
        check_integer("chunk", chunk, minimum=1)
        self._function = WeightFunction(model, weights)
        self._chunks = self._function.inputs(inputs).split(chunk)
        self.outputs: Outputs = self._function.outputs(inputs, chunk)

    @property
    def size(self) -> int:
        """Number of (sample, output) pairs."""
        return self.outputs.numel()

    def __call__(self, vector: Vector) -> Vector:
        """Θu, exact to rounding.

        Args:
            vector: u, over (sample, output) pairs with the sample first.

        Returns:
            The product.

        Raises:
            ValueError: if its length is not the number of pairs, or an element is not finite.
        """
        check_shape("vector", vector, (self.size,))
        check_finite("vector", vector)
        return self._forwards(self._backwards(torch.from_numpy(vector))).cpu().numpy()

    def residual(self, targets: Tensor | np.ndarray) -> Vector:
        """The error of the outputs, f − y, at these weights: where the dynamics starts.

        Args:
            targets: y, as many rows as samples.

        Returns:
            The difference over (sample, output) pairs.

        Raises:
            ValueError: if the targets are not of the outputs' shape.
        """
        targets = np.asarray(targets, dtype=np.float64)
        outputs = self.outputs.cpu().numpy()
        if targets.size != outputs.size or len(targets) != len(outputs):
            raise ValueError(
                f"`targets` must have the outputs' shape {outputs.shape}; targets.shape = {targets.shape}."
            )
        return outputs.ravel() - targets.ravel()

    def _backwards(self, vector: Tensor) -> list[Tensor]:
        """Jᵀu, by weight."""
        total = [torch.zeros_like(weight) for weight in self._function.weights.values()]
        rows = vector.to(self._function.device).view_as(self.outputs).split(len(self._chunks[0]))
        for inputs, row in zip(self._chunks, rows, strict=True):
            for sum_so_far, gradient in zip(total, self._gradients(inputs, row), strict=True):
                sum_so_far += gradient
        return total

    def _forwards(self, direction: list[Tensor]) -> Tensor:
        """Jv: the derivative of ⟨Jᵀu, v⟩, linear in u, with respect to u; more layers know this than forward mode."""
        pieces = []
        for inputs in self._chunks:
            row = self.outputs.new_zeros(len(inputs), self.outputs.shape[1], requires_grad=True)
            gradients = self._gradients(inputs, row, create_graph=True)
            pieces += torch.autograd.grad(gradients, row, direction)
        return torch.cat(pieces).flatten()

    def _gradients(self, inputs: Tensor, row: Tensor, *, create_graph: bool = False) -> tuple[Tensor, ...]:
        weights = {name: weight.detach().requires_grad_() for name, weight in self._function.weights.items()}
        with torch.enable_grad():
            outputs = self._function(weights, inputs)
            return torch.autograd.grad(
                outputs,
                list(weights.values()),
                row,
                create_graph=create_graph,
                allow_unused=True,
                materialize_grads=True,
            )
