"""The tangent kernel as an operator, Θu = J(Jᵀu): applied without being formed, to any number of samples."""

import warnings
from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.autograd.forward_ad import dual_level, make_dual, unpack_dual
from torch.autograd.graph import saved_tensors_hooks

from speedlimits._checks import check_finite, check_integer, check_one_of, check_shape
from speedlimits.dynamics.passes import twice_differentiable
from speedlimits.dynamics.samples import Inputs, count, split, take
from speedlimits.kernel.function import Outputs, WeightFunction, check_rounding

Vector = Float64[np.ndarray, " pairs"]

# What a pass over a chunk may keep, or as much as the weights: more than this leaves the caches, less repeats too much.
CHUNK_BYTES = 2**23
# Forwards and backwards differentiate the same function: ⟨u, Jv⟩ = ⟨Jᵀu, v⟩ to rounding.
AGREEMENT = 1e-10


class KernelOperator:
    """u → Θu between the (sample, output) pairs of a model, by one vector-Jacobian and one Jacobian-vector product.

    Memory is that of one chunk's pass, whatever the number of samples, and time is linear in it.

    Args:
        model: f, in evaluation mode, as for `empirical_kernel`.
        inputs: n samples; a tuple for a model of several inputs.
        weights: values in the place of the model's own, by name, such as a run's snapshot.
        chunk: samples at once; by default as many as a pass keeps in the caches.
        dtype: of the passes; float32 takes a third of the time. Sums, outputs and residual are float64 always.

    Attributes:
        rounding: of a product with a vector of random signs, relative to its length, by one product in float64; 0
            where all are. Eigenvalues below so much of the largest are noise.

    Raises:
        ValueError: as `empirical_kernel`, if ``chunk`` is not an integer of at least 1, ``dtype`` neither float64 nor
            float32, or a product in float32 off by more than 1e-4.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        *,
        weights: Mapping[str, Tensor | np.ndarray] | None = None,
        chunk: int | None = None,
        dtype: torch.dtype = torch.float64,
    ) -> None:
        check_one_of("dtype", dtype, (torch.float64, torch.float32))
        if chunk is not None:
            check_integer("chunk", chunk, minimum=1)
        self._function = WeightFunction(model, weights)
        inputs = self._function.inputs(inputs)
        self._function.check_apart(take(inputs, slice(2)))
        chunk = chunk or self._chunk(inputs)
        self._chunks = list(split(inputs, chunk))
        self.outputs: Outputs = self._function.outputs(inputs, chunk)
        self._forward_mode = self._forward_mode_is_right(take(inputs, slice(2)))
        self.rounding = 0.0
        if dtype == torch.float32:
            signs = np.random.default_rng(0).choice([-1.0, 1.0], size=self.size)
            exact = self(signs)
            self._function = WeightFunction(model, weights, dtype)
            self._chunks = list(split(self._function.inputs(inputs), chunk))
            self.rounding = float(np.linalg.norm(self(signs) - exact) / (np.linalg.norm(exact) or 1.0))
            check_rounding("a product", self.rounding)

    @property
    def size(self) -> int:
        """Number of (sample, output) pairs."""
        return self.outputs.numel()

    def __call__(self, vector: Vector) -> Vector:
        """Θu, exact to the rounding of ``dtype``.

        Args:
            vector: u, over (sample, output) pairs with the sample first.

        Returns:
            The product.

        Raises:
            ValueError: if its length is not the number of pairs, or an element or a derivative is not finite.
        """
        return self.forwards(self.backwards(vector))

    @property
    def weights(self) -> list[Tensor]:
        """θ, where the kernel is taken, in the order of `backwards`."""
        return list(self._function.weights.values())

    @property
    def names(self) -> list[str]:
        """What the model calls these weights."""
        return list(self._function.weights)

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

    def backwards(self, vector: Vector) -> list[Tensor]:
        """Jᵀu, by one pass backwards.

        Args:
            vector: u, over (sample, output) pairs with the sample first.

        Returns:
            One tensor a weight.

        Raises:
            ValueError: if its length is not the number of pairs, or an element or a derivative is not finite.
        """
        check_shape("vector", vector, (self.size,))
        check_finite("vector", vector)
        total = [torch.zeros_like(weight, dtype=torch.float64) for weight in self._function.weights.values()]
        rows = torch.from_numpy(vector).to(self._function.device).view_as(self.outputs).split(count(self._chunks[0]))
        for inputs, row in zip(self._chunks, rows, strict=True):
            for sum_so_far, gradient in zip(total, self._gradients(inputs, row.to(self._function.dtype)), strict=True):
                sum_so_far += gradient
        for name, gradient in zip(self._function.weights, total, strict=True):
            if not torch.isfinite(gradient.sum()):
                raise ValueError(f"`model` must have finite derivatives; with respect to {name} they are not.")
        return [gradient.to(self._function.dtype) for gradient in total]

    def forwards(self, direction: list[Tensor]) -> Vector:
        """Jv, by one pass forwards.

        Args:
            direction: v, one tensor a weight.

        Returns:
            The product, over (sample, output) pairs.
        """
        forwards = self._forward_mode_product if self._forward_mode else self._twice_backwards
        return torch.cat([forwards(inputs, direction) for inputs in self._chunks]).flatten().double().cpu().numpy()

    def _forward_mode_product(self, inputs: Inputs, direction: list[Tensor]) -> Tensor:
        with torch.no_grad(), dual_level():
            weights = {
                name: make_dual(weight, tangent)
                for (name, weight), tangent in zip(self._function.weights.items(), direction, strict=True)
            }
            outputs, tangent = unpack_dual(self._function(weights, inputs))
        return torch.zeros_like(outputs) if tangent is None else tangent

    def _twice_backwards(self, inputs: Inputs, direction: list[Tensor]) -> Tensor:
        """The derivative of ⟨Jᵀu, v⟩, linear in u, with respect to u: half as fast, but any layer knows it."""
        row = direction[0].new_zeros(count(inputs), self.outputs.shape[1], requires_grad=True)
        with twice_differentiable("model"):
            gradients = self._gradients(inputs, row, create_graph=True)
            return torch.autograd.grad(gradients, row, direction)[0]

    def _forward_mode_is_right(self, inputs: Inputs) -> bool:
        """Whether the model can be differentiated forwards, and means the same by it."""
        generator = torch.Generator().manual_seed(0)

        def drawn(like: Tensor) -> Tensor:
            return torch.randn(like.shape, generator=generator, dtype=torch.float64).to(like.device)

        row, direction = drawn(self.outputs[: count(inputs)]), [drawn(w) for w in self._function.weights.values()]
        try:
            with warnings.catch_warnings():
                # On its first use torch loads rules in a way that it itself calls deprecated.
                warnings.simplefilter("ignore", DeprecationWarning)
                forwards = self._forward_mode_product(inputs, direction)
        except RuntimeError:
            return False
        gradients = self._gradients(inputs, row)
        backwards = sum(torch.sum(g * v) for g, v in zip(gradients, direction, strict=True))
        scale = torch.linalg.vector_norm(forwards) * torch.linalg.vector_norm(row)
        return bool(torch.abs(torch.sum(forwards * row) - backwards) <= AGREEMENT * scale)

    def _chunk(self, inputs: Inputs) -> int:
        """Samples whose pass keeps `CHUNK_BYTES`: of what two of them keep, one's share is not the weights'."""

        def kept(samples: Inputs) -> int:
            sizes: list[int] = []
            with torch.enable_grad(), saved_tensors_hooks(lambda t: sizes.append(t.nbytes) or t, lambda t: t):
                weights = {name: weight.detach().requires_grad_() for name, weight in self._function.weights.items()}
                self._function(weights, samples)
            return sum(sizes)

        if count(inputs) == 1:
            return 1
        share = kept(take(inputs, slice(2))) - kept(take(inputs, slice(1)))
        room = max(CHUNK_BYTES, sum(weight.nbytes for weight in self._function.weights.values()))
        return max(1, min(count(inputs), room // max(1, share)))

    def _gradients(self, inputs: Inputs, row: Tensor, *, create_graph: bool = False) -> tuple[Tensor, ...]:
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
