"""Which tensors are measured, and whether they are those that were measured before."""

import itertools
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

Model = nn.Module | Tensor | Iterable[Tensor]


def weights_of(model: Model, known: Sequence[Tensor]) -> list[Tensor]:
    """The weights that a user gives by hand, each once.

    Args:
        model: a module, of which those count that require gradients or are known; a tensor, or several.
        known: measured so far.

    Raises:
        ValueError: if there are none.
    """
    found: dict[int, Tensor]
    if isinstance(model, nn.Module):
        old = {id(weight) for weight in known}
        found = {id(each): each for each in model.parameters() if each.requires_grad or id(each) in old}
    else:
        found = {id(each): each for each in ([model] if isinstance(model, Tensor) else model)}
    if not found:
        raise ValueError("`model` must have weights that require gradients; it has none.")
    return list(found.values())


def check_alike(weights: Sequence[Tensor], others: Sequence[Tensor]) -> None:
    """Refuse weights of other shapes.

    Args:
        weights: given now.
        others: given before.

    Raises:
        ValueError: if their shapes differ.
    """
    if [weight.shape for weight in weights] != [weight.shape for weight in others]:
        raise ValueError("`model` must have the same weights at every record; their shapes changed.")


def shapes(weights: Iterable[Tensor]) -> list[list[Any]]:
    """Shape and precision of each.

    Args:
        weights: tensors.
    """
    return [[list(weight.shape), str(weight.dtype).removeprefix("torch.")] for weight in weights]


def check_shapes(ours: Sequence[Any], theirs: Iterable[Sequence[Any]]) -> None:
    """Refuse a state of other weights.

    Args:
        ours: `shapes` of the weights attached.
        theirs: in the state.

    Raises:
        ValueError: naming the first tensor that differs.
    """
    for place, (one, other) in enumerate(itertools.zip_longest(ours, [[list(shape), kind] for shape, kind in theirs])):
        if one != other:
            raise ValueError(f"`state` must be of the weights attached; tensor {place} is {other}, not {one}.")


def placeholder(shape: Sequence[int], precision: str) -> Tensor:
    """A tensor of a shape that takes no memory.

    Args:
        shape: of it.
        precision: as in `shapes`.
    """
    return torch.zeros((), dtype=getattr(torch, precision)).expand(*shape)
