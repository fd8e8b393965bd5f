"""A model and its data as one loss function of one flat weight vector: what every integrator moves."""

from collections.abc import Callable
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

Flat = Float[Tensor, " parameters"]


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    """L = ½Σ(f − y)², summed over samples and outputs: the loss of Eqs. (49), (56)."""
    return 0.5 * (outputs - targets).square().sum()


class FlatLoss:
    """The training loss L(θ) of a model on fixed data, differentiable in a flat weight vector θ.

    The model's own weights are never written to: inside the call, views of θ stand in their place, so nothing
    is copied. Buffers (running statistics, masks) are not weights and stay as they are. This is what
    `torch.func.functional_call` does, but where each weight belongs is looked up once, not at every call.

    Args:
        model: any module whose output depends on weights and inputs alone.
        inputs: the whole training set, on the model's device and in its dtype.
        targets: what `criterion` compares the outputs with.
        criterion: (outputs, targets) → scalar loss; by default L = ½Σ(f − y)².

    Raises:
        ValueError: if the model has no trainable weights, mixes their dtypes or devices, or holds a layer that is
            no function of weights and inputs (batch normalisation or dropout in training mode).
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Tensor,
        targets: Tensor,
        *,
        criterion: Callable[[Tensor, Tensor], Tensor] = half_squared_error,
    ) -> None:
        check_pure(model)
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        kinds = {(weight.dtype, weight.device) for weight in weights.values()}
        if len(kinds) != 1:
            found = ", ".join(f"{dtype} on {device}" for dtype, device in kinds) or "no trainable weights"
            raise ValueError(f"`model` must have weights of one dtype on one device; it has {found}.")
        places: dict[int, list[tuple[dict[str, Any], str]]] = {}
        for module in model.modules():
            for name, weight in module.named_parameters(recurse=False, remove_duplicate=False):
                places.setdefault(id(weight), []).append((module._parameters, name))
        self.model = model
        self.inputs = inputs
        self.targets = targets
        self.criterion = criterion
        self._names = list(weights)
        # A tied weight has several.
        self._places = [places[id(weight)] for weight in weights.values()]
        self._shapes = [weight.shape for weight in weights.values()]
        self.sizes = [weight.numel() for weight in weights.values()]
        self.initial: Flat = torch.cat([weight.detach().reshape(-1) for weight in weights.values()])

    def __call__(self, theta: Flat) -> Float[Tensor, ""]:
        """L(θ), with a graph back to θ if it asks for one."""
        return self.criterion(self.outputs(theta, self.inputs), self.targets)

    def outputs(self, theta: Flat, inputs: Tensor) -> Tensor:
        """The model's outputs f(x; θ) for any inputs."""
        own = [registry[name] for ((registry, name), *_) in self._places]
        try:
            self._put(self._views(theta))
            return self.model(inputs)
        finally:
            self._put(own)

    def named(self, theta: Flat) -> dict[str, Tensor]:
        """θ as the model's named weights: views, no copies."""
        return dict(zip(self._names, self._views(theta), strict=True))

    def _views(self, theta: Flat) -> list[Tensor]:
        pieces = torch.split_with_sizes(theta, self.sizes)
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def _put(self, weights: list[Tensor]) -> None:
        """Let these stand as the model's weights."""
        for places, weight in zip(self._places, weights, strict=True):
            for registry, name in places:
                registry[name] = weight


def value_and_gradient(
    loss: Callable[[Flat], Tensor], theta: Flat, weight: Float[Tensor, ""] | None = None
) -> tuple[Float[Tensor, ""], Flat]:
    """L(θ) and ∇L(θ), both detached: one gradient evaluation.

    Args:
        loss: a differentiable function of a flat weight vector, as `FlatLoss`.
        theta: where.
        weight: multiplies the gradient; the backward pass starts from it, so it costs nothing.

    Returns:
        The loss (0-d) and its gradient.
    """
    theta = theta.detach().requires_grad_()
    with torch.enable_grad():
        value = loss(theta)
        (gradient,) = torch.autograd.grad(value, theta, weight)
    return value.detach(), gradient


def check_pure(model: nn.Module) -> None:
    """Raise unless the model is a function of its weights and inputs alone.

    Args:
        model: any module.

    Raises:
        ValueError: if it holds batch normalisation or dropout in training mode.
    """
    impure = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for name, module in model.named_modules():
        if module.training and isinstance(module, impure):
            raise ValueError(
                f"`model` must be a function of its weights and inputs alone; {name} is a "
                f"{type(module).__name__} in training mode (call model.eval())."
            )
