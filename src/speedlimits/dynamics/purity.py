"""What a model must be to follow a flow: a function of its weights and its inputs, and of nothing else."""

import torch
from torch import Tensor, nn

from speedlimits.dynamics.samples import Inputs, as_tuple
from speedlimits.errors import last_line

# Two passes of a deterministic model agree to the last bit on a CPU; elsewhere sums may change their order.
ROUNDING = 1e-3


def check_pure(model: nn.Module) -> None:
    """Raise unless no layer of the model is known to depend on more than weights and inputs.

    Args:
        model: any module.

    Raises:
        ValueError: if it holds batch normalisation or dropout in training mode.
    """
    impure = (nn.modules.batchnorm._BatchNorm, nn.modules.dropout._DropoutNd)
    for name, module in model.named_modules():
        # Dropout that drops nothing is the identity.
        if module.training and isinstance(module, impure) and getattr(module, "p", 1.0) > 0.0:
            raise ValueError(
                f"`model` must be a function of its weights and inputs alone; {name} is a "
                f"{type(module).__name__} in training mode (call model.eval())."
            )


def check_deterministic(model: nn.Module, inputs: Inputs) -> Tensor:
    """The model's outputs, once two passes are known to agree and to leave the model as it was.

    Args:
        model: any module.
        inputs: a few samples.

    Returns:
        The outputs.

    Raises:
        ValueError: if the two passes differ, a buffer changes, the model returns no single tensor, or an output is not
            finite.
    """
    check_pure(model)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    passes = []
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        for seed in (0, 1):
            torch.manual_seed(seed)
            try:
                outputs = model(*as_tuple(inputs))
            except Exception as error:
                raise ValueError(f"`model` must take the inputs; it fails: {last_line(error)}") from error
            if not isinstance(outputs, Tensor):
                raise ValueError(
                    f"`model` must return one tensor; it returns a {type(outputs).__name__} (wrap it in a module that "
                    "returns the outputs alone)."
                )
            passes.append(outputs)
    for name, buffer in model.named_buffers():
        if not torch.equal(before[name], buffer):
            buffer.copy_(before[name])
            raise ValueError(
                f"`model` must stay as it is in a forward pass; its buffer {name} changes (call model.eval())."
            )
    first, second = passes
    if not bool(torch.isfinite(first).all()):
        raise ValueError("`model` must have finite outputs at its start; one is not finite.")
    rounding = 0.0 if first.device.type == "cpu" else ROUNDING
    if not torch.allclose(first, second, rtol=rounding, atol=0.0):
        raise ValueError(
            "`model` must be a function of its weights and inputs alone; two passes differ, so something in forward is "
            "random (call model.eval(), or set dropout to 0)."
        )
    return first
