"""What is trained: a network, its data and its loss, whoever built them."""

import hashlib
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from speedlimits._checks import check_integer, check_one_of
from speedlimits.dynamics.loss import Flat, FlatLoss, classes_last, cross_entropy, half_squared_error
from speedlimits.dynamics.purity import check_deterministic
from speedlimits.dynamics.samples import Inputs, as_tuple, check_lengths, count, split, take
from speedlimits.errors import last_line

Criterion = Callable[[Tensor, Tensor], Tensor]

LOSSES: dict[str, Criterion] = {"squared": half_squared_error, "cross_entropy": cross_entropy}
# Held-out samples classified at once where the problem has no chunks.
PIECE = 1000
# Samples that are looked at to see what a model gives.
PROBE = 4


@dataclass(frozen=True, eq=False)
class Problem:
    r"""A network and the data it is trained on, full batch: what a function of your own returns for each seed.

    .. math:: L(\theta) = \tfrac12\sum(f(x;\theta)-y)^2 \quad\text{(squared)}, \qquad
              L(\theta) = -\sum\ln p_y(x;\theta) \quad\text{(cross-entropy)}

    Sums, not means: the flow time is learning rate × steps for this loss.

    Args:
        model: any module that is a function of its weights and inputs alone (no dropout, no batch statistics); its
            weights are the start. A model of several inputs is called with all of them.
        inputs: training samples along the first dimension, or a tuple of such tensors. Integers (tokens) and masks
            stay as they are, floating-point numbers take the run's precision.
        targets: a row for each sample: numbers of the outputs' shape for ``"squared"``, classes for
            ``"cross_entropy"``.
        loss: ``"squared"``, ``"cross_entropy"``, or a function (outputs, targets) → sum over the samples.
        test_inputs: held-out samples, for the accuracy; optional.
        test_labels: their classes.
        name: for titles and tables.
        held_out: what the held-out samples are, in words.
        chunk: samples whose part of the loss is computed at once, where the loss is a sum over samples; None is all.
            As many held-out samples are classified at once.

    Raises:
        ValueError: if something does not fit, see `check`.
    """

    model: nn.Module
    inputs: Inputs
    targets: Tensor
    loss: Literal["squared", "cross_entropy"] | Criterion = "squared"
    test_inputs: Inputs | None = None
    test_labels: Tensor | None = None
    name: str = ""
    held_out: str = "held-out samples"
    chunk: int | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.model, nn.Module):
            raise ValueError(f"`model` must be a torch.nn.Module; it is a {type(self.model).__name__}.")
        for name in ("inputs", "targets", "test_inputs", "test_labels"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _tensors(name, value))
        if isinstance(self.loss, str):
            check_one_of("loss", self.loss, LOSSES)
        elif not callable(self.loss):
            raise ValueError(f"`loss` must be a name or a function; loss = {self.loss!r}.")
        if self.chunk is not None:
            check_integer("chunk", self.chunk, minimum=1)
        if (self.test_inputs is None) != (self.test_labels is None):
            raise ValueError("`test_inputs` and `test_labels` must be given together; one of them is missing.")
        if isinstance(self.targets, tuple):
            raise ValueError("`targets` must be one tensor; it is a tuple.")
        check_lengths(inputs=self.inputs, targets=self.targets)
        if self.test_inputs is not None and self.test_labels is not None:
            check_lengths(test_inputs=self.test_inputs, test_labels=self.test_labels)

    @property
    def samples(self) -> int:
        """Number of training samples, n."""
        return count(self.inputs)

    @property
    def loss_name(self) -> str:
        """The loss in a word: squared, cross_entropy, or the function's name."""
        return self.loss if isinstance(self.loss, str) else getattr(self.loss, "__name__", type(self.loss).__name__)

    @cached_property
    def flat_loss(self) -> FlatLoss:
        """L(θ) of the flat weight vector θ."""
        criterion = LOSSES[self.loss] if isinstance(self.loss, str) else self.loss
        return FlatLoss(self.model, self.inputs, self.targets, criterion=criterion, chunk=self.chunk)

    @property
    def theta0(self) -> Flat:
        """The model's own weights, where the training starts."""
        return self.flat_loss.initial

    def accuracy(self, theta: Flat) -> float:
        """Share of held-out samples (of sequences: positions) whose largest output is their class; NaN without labels.

        Args:
            theta: the weights.

        Returns:
            The share.
        """
        if self.test_inputs is None or self.test_labels is None:
            return float("nan")
        hits, size = [], self.chunk or PIECE
        with torch.no_grad():
            # In the pieces that gradients are taken in: what a piece needs fits the caches then as well.
            for inputs, labels in zip(split(self.test_inputs, size), self.test_labels.split(size), strict=True):
                outputs = self.flat_loss.outputs(theta, inputs)
                hits.append(classes_last(outputs, labels).argmax(-1) == labels)
        return float(torch.cat(hits).double().mean())

    def to(self, dtype: torch.dtype, device: str) -> "Problem":
        """The same problem in another precision and place; the model given is not changed.

        Args:
            dtype: of weights and all floating-point numbers.
            device: where.

        Returns:
            The problem.

        Raises:
            ValueError: if torch cannot use the device.
        """
        check_device(device)

        def moved(value: Any) -> Any:
            if value is None or isinstance(value, tuple):
                return value and tuple(moved(part) for part in value)
            return value.to(device, dtype) if value.is_floating_point() else value.to(device)

        names = ("inputs", "targets", "test_inputs", "test_labels")
        model = deepcopy(self.model).to(device, dtype)
        return replace(self, model=model, **{name: moved(getattr(self, name)) for name in names})

    def digest(self) -> str:
        """SHA-256 of the weights at the start and of all data: two problems with one digest train alike."""
        total = hashlib.sha256()
        parts: list[tuple[str, Any]] = list(self.model.state_dict().items())
        for name in ("inputs", "targets", "test_inputs", "test_labels"):
            parts += [(name, part) for part in as_tuple(getattr(self, name))]
        for name, value in parts:
            if isinstance(value, Tensor):
                total.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
                total.update(value.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
        return total.hexdigest()

    def check(self) -> None:
        """Look at what the model and the loss give on a few samples.

        Raises:
            ValueError: if the data are not finite, the model is no function of weights and inputs alone, gives no
                single tensor or has no weights, or its outputs do not fit the targets, the loss or the labels.
        """
        for name in ("inputs", "targets", "test_inputs"):
            for value in as_tuple(getattr(self, name)):
                if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                    raise ValueError(f"`{name}` must be finite; it holds a number that is not.")
        loss = self.flat_loss
        outputs = check_deterministic(self.model, take(self.inputs, slice(PROBE)))
        self._check_targets(outputs)
        if self.test_labels is not None:
            _check_classes("test_labels", outputs, self.test_labels, ignored=False)
        theta = self.theta0.detach().requires_grad_()
        try:
            value = loss.terms[0](theta)
        except Exception as error:
            raise ValueError(f"`loss` must take outputs and targets; it fails: {last_line(error)}") from error
        if not isinstance(value, Tensor) or value.ndim or not value.requires_grad:
            raise ValueError(
                "`loss` must give one differentiable number, the sum over the samples; it gives something else."
            )
        if not bool(torch.isfinite(value)):
            raise ValueError(f"`loss` must be finite at the start; it is {float(value.detach()):g}.")

    def _check_targets(self, outputs: Tensor) -> None:
        if self.loss == "squared":
            if not self.targets.is_floating_point():
                raise ValueError(
                    f"`targets` must be floating-point numbers for the loss 'squared'; targets.dtype = "
                    f"{self.targets.dtype} (classes go with 'cross_entropy')."
                )
            if outputs.shape[1:] != self.targets.shape[1:]:
                raise ValueError(
                    f"`targets` must have the outputs' shape ({self.samples}, {_listed(outputs)}) for 'squared'; "
                    f"targets.shape = {tuple(self.targets.shape)}."
                )
        elif self.loss == "cross_entropy" and not self.targets.is_floating_point():
            _check_classes("targets", outputs, self.targets, ignored=True)


def check_device(device: str) -> None:
    """Refuse a device that this process cannot compute on.

    Args:
        device: in torch's words.

    Raises:
        ValueError: if torch cannot use it.
    """
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, ValueError):
        # torch's own message lists every device that any build of it may have.
        raise ValueError(
            f"`device` must be one that torch can use here, such as cpu, cuda or cuda:1; device = {device!r}."
        ) from None


def _tensors(name: str, value: Any) -> Inputs:
    if isinstance(value, tuple | list) and not any(isinstance(part, int | float | list) for part in value):
        return tuple(_tensor(f"{name}[{k}]", part) for k, part in enumerate(value))
    return _tensor(name, value)


def _tensor(name: str, value: Any) -> Tensor:
    if isinstance(value, np.ma.MaskedArray):
        raise ValueError(f"`{name}` must be a tensor or an array; it is a masked array, whose mask would be lost.")
    if isinstance(value, Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind in "fciub"):
        tensor = torch.as_tensor(value).detach()
        if tensor.ndim:
            return tensor
    raise ValueError(f"`{name}` must be a tensor with a row for each sample; it is a {type(value).__name__}.")


def _check_classes(name: str, outputs: Float[Tensor, "..."], classes: Tensor, *, ignored: bool) -> None:
    if classes.is_floating_point() or classes.dtype == torch.bool:
        raise ValueError(f"`{name}` must be classes, integers; {name}.dtype = {classes.dtype}.")
    few = classes[: len(outputs)]
    moved = classes_last(outputs, few)
    if outputs.ndim < 2 or moved.shape[:-1] != few.shape:
        raise ValueError(
            f"`{name}` must have a class for each position of the outputs (n, {_listed(outputs)}); {name}.shape = "
            f"{tuple(classes.shape)}."
        )
    last = moved.shape[-1] - 1
    bad = (classes < 0) | (classes > last)
    if ignored:
        bad &= classes != -100
    if bool(bad.any()):
        raise ValueError(f"`{name}` must lie in 0…{last}, the outputs' classes; found {int(classes[bad][0])}.")


def _listed(outputs: Tensor) -> str:
    return ", ".join(map(str, outputs.shape[1:]))
