"""Samples as a model takes them: one tensor, or several side by side for a model of several inputs."""

from collections.abc import Iterator, Sequence

from torch import Tensor

# The first dimension is that of the samples.
Inputs = Tensor | tuple[Tensor, ...]


def as_tuple(inputs: Inputs | None) -> tuple[Tensor, ...]:
    """The tensors: one, several, or none."""
    return () if inputs is None else inputs if isinstance(inputs, tuple) else (inputs,)


def like(inputs: Inputs, parts: Sequence[Tensor]) -> Inputs:
    """Tensors in the form of these inputs: a tuple for a tuple, one for one."""
    return tuple(parts) if isinstance(inputs, tuple) else parts[0]


def take(inputs: Inputs, which: slice) -> Inputs:
    """Some samples."""
    return like(inputs, [part[which] for part in as_tuple(inputs)])


def count(inputs: Inputs) -> int:
    """The number of samples."""
    return len(as_tuple(inputs)[0])


def split(inputs: Inputs, size: int) -> Iterator[Inputs]:
    """The samples in pieces.

    Args:
        inputs: all of them.
        size: how many make a piece; the last may be shorter.

    Yields:
        The pieces.
    """
    for parts in zip(*(part.split(size) for part in as_tuple(inputs)), strict=True):
        yield like(inputs, parts)


def check_lengths(**named: Inputs) -> int:
    """The number of samples, once it is known to be the same for all.

    Args:
        **named: what must have a row for each sample.

    Returns:
        The number.

    Raises:
        ValueError: naming all, if the numbers differ or are zero, or something is no tensor with a first dimension.
    """
    for name, value in named.items():
        for part in as_tuple(value):
            if not isinstance(part, Tensor) or part.ndim == 0:
                found = "a number" if isinstance(part, Tensor) else f"a {type(part).__name__}"
                raise ValueError(
                    f"`{name}` must be a tensor with a row for each sample, or a tuple of them; it holds {found}."
                )
        if not as_tuple(value):
            raise ValueError(f"`{name}` must hold at least one tensor; it is an empty tuple.")
    lengths = [len(part) for value in named.values() for part in as_tuple(value)]
    if len(set(lengths)) != 1 or not lengths[0]:
        raise ValueError(
            f"{' and '.join(f'`{name}`' for name in named)} must have the same number of samples, at least one; they "
            f"have {', '.join(map(str, lengths))}."
        )
    return lengths[0]
