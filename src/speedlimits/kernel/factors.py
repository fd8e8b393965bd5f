r"""The Jacobian of a model's outputs, layer by layer, kept as factors instead of being formed.

A dense or convolutional layer :math:`z_p = W a_p` enters the outputs as
:math:`\partial f_o/\partial W_{ui} = \sum_p b_{opu}\,a_{pi}` with :math:`b_{opu} = \partial f_o/\partial z_{pu}`, a
sum over the positions where it is used: one for a dense layer, pixels for a convolution, and those of every use for
shared weights. The factors are smaller than the product by the layer's number of inputs.
"""

import operator
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import jacrev, vmap
from torch.overrides import TorchFunctionMode

from speedlimits.dynamics.samples import Inputs, as_tuple, count, split, take
from speedlimits.kernel.function import Outputs, WeightFunction, Weights, check_outputs

# Autograd and the factors add the same terms in another order: they agree to rounding, or not at all.
AGREEMENT = 1e-10


@dataclass(frozen=True, eq=False)
class Factor:
    """One layer's part of the Jacobian, Σ_p b a over its positions, bias included as an input that is always 1.

    Args:
        inputs: a; None where the second factor is the part of the Jacobian itself, with one position.
        gradients: b, of every output with respect to what the layer gives.
    """

    inputs: Float[Tensor, "samples positions inputs"] | None
    gradients: Float[Tensor, "outputs samples positions units"]

    @property
    def size(self) -> int:
        """Bytes held."""
        return self.gradients.nbytes + (0 if self.inputs is None else self.inputs.nbytes)

    def check(self) -> None:
        """Raise a ValueError unless all is finite, as finite outputs do not promise."""
        parts = [self.gradients.transpose(0, 1)] + ([] if self.inputs is None else [self.inputs])
        for part in parts:
            if not torch.isfinite(part.sum()):
                sample = int(torch.nonzero(~torch.isfinite(part))[0, 0])
                raise ValueError(f"`model` must have finite derivatives; for sample {sample} they are not.")


class Jacobian:
    """The Jacobian of a model's outputs with respect to its weights, as one `Factor` a layer.

    Which weights have factors is found by trying: the layers' own products must explain the whole gradient of a
    random combination of outputs. All other weights (normalisation, embeddings of positions, grouped convolutions,
    whatever a model does with a tensor) are differentiated sample by sample.

    Args:
        function: the model at its weights.
        probe: a few samples to try with.

    Raises:
        ValueError: if an output is not finite, or depends on other samples than its own.
    """

    def __init__(self, function: WeightFunction, probe: Inputs) -> None:
        self._function = function
        self.probe = probe
        outputs, uses = _record(function, probe)
        self.outputs = outputs.shape[1]
        function.check_apart(take(probe, slice(2)))
        # Any fixed numbers will do, as long as they differ between samples and outputs.
        mixture = torch.randn(outputs.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        mixture = mixture.to(outputs.device)
        found = torch.autograd.grad(
            outputs, list(uses.weights.values()), mixture, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        gradients = dict(zip(uses.weights, found, strict=True))
        factors = _factors(outputs, uses, list(uses.layers))
        self._layers = [
            layer
            for layer, factor in factors.items()
            if _explains(factor, mixture, [gradients[name] for name in layer])
        ]
        self._explained = {name for layer in self._layers for name in layer}

    def of(self, function: WeightFunction) -> "Jacobian":
        """The same of this model in another precision: what has factors is known.

        Args:
            function: the model at the same weights.

        Returns:
            The Jacobian.
        """
        other = copy(self)
        other._function, other.probe = function, function.inputs(self.probe)
        return other

    @property
    def _others(self) -> dict[str, Tensor]:
        return {name: weight for name, weight in self._function.weights.items() if name not in self._explained}

    @property
    def device(self) -> torch.device:
        """Where it is computed."""
        return self._function.device

    @property
    def itemsize(self) -> int:
        """Bytes of a number."""
        return self._function.dtype.itemsize

    @property
    def bytes_per_sample(self) -> float:
        """Memory that the factors take for each sample."""
        return sum(factor.size for factor in self.factors(self.probe)) / count(self.probe)

    def factors(self, inputs: Inputs) -> list[Factor]:
        """The factors for some samples.

        Args:
            inputs: the samples, as the function gives them.

        Returns:
            One for each layer, and one for all other weights together.

        Raises:
            ValueError: if an output or a derivative is not finite.
        """
        outputs, uses = _record(self._function, inputs)
        factors = list(_factors(outputs, uses, self._layers).values())
        if self._others:
            factors.append(self._sample_by_sample(inputs))
        for factor in factors:
            factor.check()
        return factors

    def _sample_by_sample(self, inputs: Inputs) -> Factor:
        def outputs(weights: Weights, sample: Inputs) -> Tensor:
            return self._function(weights, tuple(part[None] for part in as_tuple(sample)))[0]

        try:
            rows = vmap(jacrev(outputs), in_dims=(None, 0), chunk_size=64)(self._others, inputs).values()
        except RuntimeError:
            # Not every operation can be done on samples side by side; one by one, all that autograd knows can.
            rows = map(torch.stack, zip(*(self._rows(sample) for sample in split(inputs, 1)), strict=True))
        return Factor(None, torch.cat([row.flatten(2) for row in rows], dim=2).transpose(0, 1)[:, :, None])

    def _rows(self, sample: Inputs) -> list[Tensor]:
        weights = {name: weight.detach().requires_grad_() for name, weight in self._others.items()}
        with torch.enable_grad():
            outputs = self._function(weights, sample)[0]
            found = (
                torch.autograd.grad(output, list(weights.values()), retain_graph=True, materialize_grads=True)
                for output in outputs
            )
            return [torch.stack(gradients) for gradients in zip(*found, strict=True)]


# A layer is named by the weights it multiplies and adds.
Layer = tuple[str, ...]


@dataclass(frozen=True, eq=False)
class _Scaled:
    """A weight times a number, as networks in NTK parametrisation use theirs."""

    name: str
    scale: float
    tensor: Tensor  # kept, so that its id stays its own


class _Uses(TorchFunctionMode):
    """Notes every dense or convolutional product with a weight: what goes in, and what comes out."""

    def __init__(self, weights: Weights, samples: int) -> None:
        super().__init__()
        self.weights = weights
        self.layers: dict[Layer, list[tuple[Tensor, Tensor]]] = {}
        self._known = {id(weight): _Scaled(name, 1.0, weight) for name, weight in weights.items()}
        self._samples = samples

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func in SCALINGS:
            self._follow(args, result, SCALINGS[func])
        unfold = UNFOLDS.get(func)
        if unfold is None:
            return result
        inputs, weight, bias = unfold(*args, **(kwargs or {}))
        used, added = self._known.get(id(weight)), self._known.get(id(bias))
        if inputs is None or used is None or len(inputs) != self._samples:
            return result
        layer, inputs = (used.name,), inputs * used.scale if used.scale != 1.0 else inputs
        if added is not None:
            layer = (used.name, added.name)
            inputs = torch.cat([inputs, torch.full_like(inputs[..., :1], added.scale)], dim=-1)
        self.layers.setdefault(layer, []).append((inputs, result))
        # An activation in place would put itself between this result and its gradient.
        return result.clone()

    def _follow(self, args: tuple[Any, ...], result: Any, scaling: Callable[[float, float], float]) -> None:
        """A weight times a number is known by the weight's name."""
        known = self._known.get(id(args[0]))
        if known is not None and len(args) == 2 and isinstance(args[1], (int, float)):
            self._known[id(result)] = _Scaled(known.name, scaling(known.scale, args[1]), result)


def _linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> tuple[Tensor | None, Tensor, Tensor | None]:
    return x.detach().reshape(len(x), -1, x.shape[-1]) if x.ndim > 1 else None, weight, bias


def _conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Any = 1,
    padding: Any = 0,
    dilation: Any = 1,
    groups: int = 1,
) -> tuple[Tensor | None, Tensor, Tensor | None]:
    if groups > 1 or isinstance(padding, str) or x.ndim != 4:
        return None, weight, bias
    patches = nn.functional.unfold(x.detach(), weight.shape[2:], dilation, padding, stride)
    return patches.transpose(1, 2), weight, bias


UNFOLDS: dict[Callable[..., Any], Callable[..., tuple[Tensor | None, Tensor, Tensor | None]]] = {
    nn.functional.linear: _linear,
    nn.functional.conv2d: _conv2d,
}


# What * and / call, whichever side the number stands on.
SCALINGS: dict[Callable[..., Any], Callable[[float, float], float]] = {
    Tensor.mul: operator.mul,
    Tensor.div: operator.truediv,
    torch.mul: operator.mul,
    torch.div: operator.truediv,
}


def _record(function: WeightFunction, inputs: Inputs) -> tuple[Outputs, _Uses]:
    weights = {name: weight.detach().requires_grad_() for name, weight in function.weights.items()}
    with torch.enable_grad(), _Uses(weights, count(inputs)) as uses:
        outputs = function(weights, inputs)
    return check_outputs(outputs), uses


def _factors(outputs: Tensor, uses: _Uses, layers: list[Layer]) -> dict[Layer, Factor]:
    """Second factors by one backward pass for each output, all samples at once: they do not mix."""
    results = [result for layer in layers for _, result in uses.layers[layer]]
    # Written where they stay: a list of them, stacked, would for a moment be there twice.
    rows = [result.new_empty(outputs.shape[1], *result.shape) for result in results]
    for output in range(outputs.shape[1] if results else 0):
        found = torch.autograd.grad(
            outputs[:, output].sum(), results, retain_graph=True, allow_unused=True, materialize_grads=True
        )
        for row, gradient in zip(rows, found, strict=True):
            row[output] = gradient
    gradients = iter(_positions_last_but_one(row) for row in rows)
    factors = {}
    for layer in layers:
        inputs = _joined([a for a, _ in uses.layers[layer]], dim=1)
        factors[layer] = Factor(inputs, _joined([next(gradients) for _ in uses.layers[layer]], dim=2))
    return factors


def _joined(tensors: list[Tensor], dim: int) -> Tensor:
    return tensors[0] if len(tensors) == 1 else torch.cat(tensors, dim)


def _positions_last_but_one(gradient: Tensor) -> Tensor:
    outputs, samples = gradient.shape[:2]
    if gradient.ndim == 5:  # outputs, samples, units, height, width: of a convolution
        return gradient.flatten(3).transpose(2, 3)
    return gradient.reshape(outputs, samples, -1, gradient.shape[-1])


def _explains(factor: Factor, mixture: Outputs, gradients: list[Tensor]) -> bool:
    assert factor.inputs is not None
    mixed = torch.einsum("so,ospu->spu", mixture, factor.gradients)
    ours = torch.einsum("spu,spi->ui", mixed, factor.inputs)
    theirs = torch.cat([gradient.reshape(len(ours), -1) for gradient in gradients], dim=1)
    scale = torch.linalg.vector_norm(mixed) * torch.linalg.vector_norm(factor.inputs)
    return bool(torch.linalg.vector_norm(ours - theirs) <= AGREEMENT * scale)
