"""How any module is run, so that torch can differentiate it: by plain operations in place of torch's shortcuts."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from speedlimits.errors import last_line

# Encoder layers and attention have a fast path in evaluation mode.
FAST = (nn.TransformerEncoder, nn.TransformerEncoderLayer, nn.MultiheadAttention)


def plain_layers(model: nn.Module) -> Callable[[], AbstractContextManager[None]]:
    """How to run a model without those shortcuts of torch that change its outputs or have no gradient.

    The fast path of encoder layers in evaluation mode has no gradient, and gives zeros at masked positions. cuDNN has
    no gradient of recurrent layers in evaluation mode, and no second one in any mode.

    Args:
        model: any module.

    Returns:
        What makes a context for each pass; it costs nothing for a model without such layers.
    """
    modules = list(model.modules())
    recurrent = any(isinstance(module, nn.RNNBase) for module in modules)
    if recurrent or any(isinstance(module, FAST) for module in modules):
        return partial(_without_shortcuts, recurrent=recurrent)
    return nullcontext


@contextmanager
def _without_shortcuts(*, recurrent: bool) -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with torch.backends.cudnn.flags(enabled=False) if recurrent else nullcontext():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def apart_from_draws() -> AbstractContextManager[None]:
    """Draws inside, as dropout's, change none of those that follow, on any device.

    Returns:
        The context.
    """
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()
    return torch.random.fork_rng(devices)


@contextmanager
def twice_differentiable(name: str = "loss") -> Iterator[None]:
    """Make second derivatives, and those of many networks at once, possible for what is run inside.

    Fused attention has neither. Plain attention has both; its first derivative alone is up to three times slower for
    long sequences, so this is for second derivatives only.

    Note:
        torch 2.13 has wrong entries in `torch.func.hessian` behind layer and instance normalisation. Hessian-vector
        products by `torch.autograd.grad`, as in `sharpness`, or by `torch.func.grad` twice are right.

    Args:
        name: of the argument that an error is about.

    Raises:
        ValueError: if torch has no second derivative of something inside.
    """
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    except RuntimeError as error:
        if "derivative" in str(error) and "is not implemented" in str(error):
            raise ValueError(f"`{name}` must be twice differentiable by torch; {last_line(error)}") from error
        raise


def one_tensor(outputs: object) -> Tensor:
    """A model's outputs, once they are known to be one tensor of real numbers.

    Args:
        outputs: what the model returns.

    Returns:
        The same.

    Raises:
        ValueError: saying what the model returns instead.
    """
    if not isinstance(outputs, Tensor):
        parts = f" of {len(outputs)}" if isinstance(outputs, tuple | list) else ""
        raise ValueError(
            f"`model` must return one tensor; it returns a {type(outputs).__name__}{parts} (wrap it in a module that "
            "returns the outputs alone)."
        )
    if not outputs.is_floating_point():
        raise ValueError(f"`model` must return real numbers; it returns {outputs.dtype}.")
    return outputs


def check_rows(outputs: Tensor, samples: int) -> None:
    """Raise unless there is a row of outputs for each sample.

    Args:
        outputs: of the model.
        samples: how many there are.

    Raises:
        ValueError: if the first dimension has another length, or there is none.
    """
    if outputs.ndim == 0 or len(outputs) != samples:
        raise ValueError(
            f"`model` must return a row for each sample; for {samples} samples it returns the shape "
            f"{tuple(outputs.shape)}."
        )
