r"""ReLU with its kink made a narrow bend: the flow then has a path to follow where it would slide along the kink."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

RELU: tuple[Any, ...] = (torch.relu, Tensor.relu, nn.functional.relu)
# What they do to a tensor that is used again is not known here.
IN_PLACE: tuple[Any, ...] = (torch.relu_, Tensor.relu_, nn.functional.relu_)


def smooth_relu(x: Tensor, width: float) -> Tensor:
    r"""ReLU whose derivative is a ramp over ±ε; outside it is ReLU.

    .. math:: \phi_\varepsilon(x) = \frac{(x+\varepsilon)^2}{4\varepsilon} \quad (|x| < \varepsilon)

    Args:
        x: pre-activations, of any shape.
        width: ε, in their unit.

    Returns:
        φ_ε, above ReLU by at most ε/4.
    """
    return (x + width).clamp(0, 2 * width).square() / (4 * width) + torch.relu(x - width)


def bent(
    passes: Callable[[], AbstractContextManager[None]], width: float
) -> Callable[[], AbstractContextManager[None]]:
    """How to run a model with each ReLU smoothed.

    Args:
        passes: how to run it otherwise.
        width: ε.

    Returns:
        What makes a context for each pass. Other kinks, such as those of max-pooling, stay.
    """

    @contextmanager
    def both() -> Iterator[None]:
        with passes(), _Bent(width):
            yield

    return both


class _Bent(TorchFunctionMode):
    """Inside, ReLU is `smooth_relu`."""

    def __init__(self, width: float) -> None:
        super().__init__()
        self._width = width

    def __torch_function__(self, function: Any, types: Any, args: tuple = (), kwargs: dict | None = None) -> Any:
        kwargs = kwargs or {}
        if function in RELU:
            return smooth_relu(args[0] if args else kwargs["input"], self._width)
        if function in IN_PLACE:
            raise ValueError(
                f"`smooth` must be 0 for a model that calls ReLU in place by itself; smooth = {self._width}."
            )
        return function(*args, **kwargs)
