"""A model and its data as one loss function of one flat weight vector: what every integrator moves."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from speedlimits._checks import check_integer, check_non_negative
from speedlimits.dynamics.kinks import bent
from speedlimits.dynamics.passes import one_tensor, plain_layers
from speedlimits.dynamics.purity import check_pure
from speedlimits.dynamics.samples import Inputs, as_tuple, check_lengths, split

Flat = Float[Tensor, " parameters"]
# L(θ), differentiable, as `FlatLoss`.
Loss = Callable[[Flat], Tensor]


def half_squared_error(outputs: Tensor, targets: Tensor) -> Tensor:
    r"""The squared error of Eqs. (49), (56), summed over samples and outputs.

    .. math:: L = \tfrac12\sum(f-y)^2

    Args:
        outputs: f.
        targets: y, of the same shape.

    Returns:
        The loss.

    Raises:
        ValueError: if the shapes differ: (n, 1) and (n,) would be compared n × n times.
    """
    if outputs.shape != targets.shape:
        raise ValueError(
            f"`targets` must have the outputs' shape {tuple(outputs.shape)}; targets.shape = {tuple(targets.shape)}."
        )
    return 0.5 * (outputs - targets).square().sum()


def cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    r"""The cross-entropy, summed over samples and positions.

    .. math:: L = -\sum_{\mu}\ln\frac{e^{f_{y_\mu}}}{\sum_c e^{f_c}}

    Args:
        outputs: f, with the classes in the last dimension, (n, …, classes); or in the second, (n, classes, …),
            where only that fits the targets.
        targets: y, a class for each position, −100 where there is none, as integers of shape (n, …); or
            probabilities q, as floating-point numbers of the outputs' shape with the classes last: then
            :math:`L = -\sum_\mu\sum_c q_{\mu c}\ln p_{\mu c}`.

    Returns:
        The loss.

    Raises:
        ValueError: if the targets have none of these shapes.
    """
    shape, probabilities = tuple(outputs.shape), targets.is_floating_point()
    if not probabilities:
        outputs = classes_last(outputs, targets)
    if outputs.ndim < 2 or targets.shape != (outputs.shape if probabilities else outputs.shape[:-1]):
        raise ValueError(
            f"`targets` must be integers, a class for each position of the outputs {shape}, or probabilities of that "
            f"shape; targets.shape = {tuple(targets.shape)}, {targets.dtype}."
        )
    logits = outputs.reshape(-1, outputs.shape[-1])
    targets = targets.to(outputs.dtype).view_as(logits) if probabilities else targets.reshape(-1).long()
    return nn.functional.cross_entropy(logits, targets, reduction="sum")


def classes_last(outputs: Tensor, classes: Tensor) -> Tensor:
    """Outputs with the classes in the last dimension: as they are, or moved from the second where only that fits.

    Args:
        outputs: (n, …, classes), or (n, classes, …) as torch's own losses have them.
        classes: a class for each position, (n, …).

    Returns:
        The outputs, (n, …, classes) wherever one of the two fits.
    """
    return outputs if outputs.ndim <= 2 or outputs.shape[:-1] == classes.shape else outputs.movedim(1, -1)


class FlatLoss:
    """The training loss L(θ) of a model on fixed data, differentiable in a flat weight vector θ.

    The model's own weights are never written to: inside the call, views of θ stand in their place, so nothing
    is copied. Buffers (running statistics, masks) are not weights and stay as they are. This is what
    `torch.func.functional_call` does, but where each weight belongs is looked up once, not at every call.

    Args:
        model: any module whose output depends on weights and inputs alone.
        inputs: the whole training set, on the model's device and in its dtype; a tuple for a model of several inputs.
        targets: what `criterion` compares the outputs with.
        criterion: (outputs, targets) → scalar loss; by default L = ½Σ(f − y)².
        chunk: samples whose part of the loss is computed at once, where `criterion` is a sum over samples; by default
            all. What a chunk needs then fits a cache, or a device's memory.
        smooth: ε, in the unit of pre-activations: the derivative of each ReLU is a ramp over ±ε, so that the flow does
            not slide along its kink; 0 leaves ReLU as it is. `smoothing_error` tells whether ε is small enough.

    Raises:
        ValueError: if the model has no trainable weights, mixes their dtypes or devices, or holds a layer that is
            no function of weights and inputs (batch normalisation or dropout in training mode, see `check_pure`); or
            if inputs and targets have different numbers of samples.
    """

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        targets: Tensor,
        *,
        criterion: Callable[[Tensor, Tensor], Tensor] = half_squared_error,
        chunk: int | None = None,
        smooth: float = 0.0,
    ) -> None:
        check_pure(model)
        check_non_negative("smooth", smooth)
        if chunk is not None:
            check_integer("chunk", chunk, minimum=1)
        weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
        kinds = {(weight.dtype, weight.device) for weight in weights.values()}
        if len(kinds) != 1:
            found = ", ".join(f"{dtype} on {device}" for dtype, device in kinds) or "no trainable weights"
            raise ValueError(f"`model` must have weights of one dtype on one device; it has {found}.")
        if not next(iter(weights.values())).is_floating_point():
            raise ValueError(f"`model` must have real weights; they are {next(iter(weights.values())).dtype}.")
        samples = check_lengths(inputs=inputs, targets=targets)
        places: dict[int, list[tuple[Any, Any]]] = {}
        for module in model.modules():
            for name, weight in module.named_parameters(recurse=False, remove_duplicate=False):
                places.setdefault(id(weight), []).append((module._parameters, name))
            # Recurrent layers keep a second list of their weights.
            for place, weight in enumerate(getattr(module, "_flat_weights", ())):
                places.setdefault(id(weight), []).append((module._flat_weights, place))
        self.model = model
        # What makes a context for each pass of the model.
        self.passes = bent(plain_layers(model), smooth) if smooth > 0 else plain_layers(model)
        self.inputs = inputs
        self.targets = targets
        self.criterion = criterion
        self.chunk = chunk
        self.smooth = smooth
        size = chunk or samples
        self.terms: list[Loss] = [
            partial(self._term, *piece) for piece in zip(split(inputs, size), targets.split(size), strict=True)
        ]
        self._names = list(weights)
        # A tied weight has several.
        self._places = [places[id(weight)] for weight in weights.values()]
        self._shapes = [weight.shape for weight in weights.values()]
        self.sizes = [weight.numel() for weight in weights.values()]
        self.initial: Flat = torch.cat([weight.detach().reshape(-1) for weight in weights.values()])

    def smoothed(self, smooth: float) -> "FlatLoss":
        """The same loss with another ``smooth``."""
        return FlatLoss(
            self.model, self.inputs, self.targets, criterion=self.criterion, chunk=self.chunk, smooth=smooth
        )

    def __call__(self, theta: Flat) -> Float[Tensor, ""]:
        """L(θ), with a graph back to θ if it asks for one."""
        first, *others = (term(theta) for term in self.terms)
        return sum(others, start=first)

    def _term(self, inputs: Inputs, targets: Tensor, theta: Flat) -> Tensor:
        """The part of the loss that is some samples'."""
        return self.criterion(self.outputs(theta, inputs), targets)

    def outputs(self, theta: Flat, inputs: Inputs) -> Tensor:
        """The model's outputs f(x; θ) for any inputs.

        Args:
            theta: the weights.
            inputs: samples in the first dimension; a tuple for a model of several inputs.

        Returns:
            The outputs, with a graph back to θ if it asks for one.

        Raises:
            ValueError: if the model returns something else than one tensor of real numbers.
        """
        own = [registry[name] for ((registry, name), *_) in self._places]
        try:
            self._put(self._views(theta))
            with self.passes():
                return one_tensor(self.model(*as_tuple(inputs)))
        finally:
            self._put(own)

    def named(self, theta: Flat) -> dict[str, Tensor]:
        """θ as the model's named weights: views, no copies."""
        return dict(zip(self._names, self._views(theta), strict=True))

    def many(self, thetas: Float[Tensor, "members parameters"]) -> list[Tensor]:
        """Members in rows as the model's weights, each with the members in front."""
        pieces = torch.split_with_sizes(thetas, self.sizes, dim=1)
        return [piece.reshape(len(thetas), *shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def _views(self, theta: Flat) -> list[Tensor]:
        pieces = torch.split_with_sizes(theta, self.sizes)
        return [piece.view(shape) for piece, shape in zip(pieces, self._shapes, strict=True)]

    def _put(self, weights: list[Tensor]) -> None:
        """Let these stand as the model's weights."""
        for places, weight in zip(self._places, weights, strict=True):
            for registry, name in places:
                registry[name] = weight


def value_and_gradient(
    loss: Loss, theta: Flat, weight: Float[Tensor, ""] | None = None
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
    first, *others = terms(loss)
    value, gradient = _term_and_gradient(first, theta, weight)
    for term in others:
        # Each term's graph is gone before the next is made.
        more, slope = _term_and_gradient(term, theta, weight)
        value += more
        gradient += slope
    return value, gradient


def terms(loss: Loss) -> list[Loss]:
    """The functions that a loss is the sum of, to be differentiated one after the other: itself, or its chunks.

    Args:
        loss: a function of a flat weight vector, as `FlatLoss`.

    Returns:
        One or more functions of the same vector.
    """
    return loss.terms if isinstance(loss, FlatLoss) else [loss]


def _term_and_gradient(term: Loss, theta: Flat, weight: Tensor | None) -> tuple[Tensor, Flat]:
    with torch.enable_grad():
        value = term(theta)
        (gradient,) = torch.autograd.grad(value, theta, weight)
    return value.detach(), gradient
