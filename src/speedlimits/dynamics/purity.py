"""What a model must be to follow a flow: a function of its weights and its inputs, and of nothing else."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from speedlimits.dynamics.passes import check_rows, one_tensor, plain_layers
from speedlimits.dynamics.samples import Inputs, as_tuple, check_lengths
from speedlimits.errors import last_line

# Layers that draw numbers in training mode.
RANDOM = (nn.modules.dropout._DropoutNd, nn.RReLU)
# Layers that draw numbers in training mode where their attribute `dropout` is not 0.
DROPPING = (nn.MultiheadAttention, nn.RNNBase)
# Layers that draw numbers in every mode.
ALWAYS_RANDOM = (nn.FractionalMaxPool2d, nn.FractionalMaxPool3d)


def check_pure(model: nn.Module) -> None:
    """Raise unless no layer of the model is known to depend on more than weights and inputs.

    Args:
        model: any module.

    Raises:
        ValueError: naming the layer, if it draws numbers (dropout in training mode), keeps statistics (batch
            normalisation in training mode), changes weights or gradients on the way (options of embeddings), or has
            weights without a shape yet.
    """
    for name, module in model.named_modules():
        for found, remedy in _impurities(module):
            kind = type(module).__name__
            article = "an" if kind[0] in "AEIOU" else "a"
            raise ValueError(
                f"`model` must be a function of its weights and inputs alone; {name or 'it'} is {article} {kind} "
                f"{found} ({remedy})."
            )


def _impurities(module: nn.Module) -> Iterator[tuple[str, str]]:
    """Find what makes a layer more than a function of weights and inputs.

    Yields:
        What was found, and what to do about it.
    """
    if module.training:
        # Dropout that drops nothing is the identity.
        drops = isinstance(module, RANDOM) and getattr(module, "p", 1.0) > 0.0
        if drops or isinstance(module, nn.modules.batchnorm._BatchNorm):
            yield "in training mode", "call model.eval()"
        if isinstance(module, DROPPING) and module.dropout > 0.0:
            yield f"with dropout {module.dropout:g} in training mode", "call model.eval(), or set dropout to 0"
    if isinstance(module, ALWAYS_RANDOM):
        yield "that draws its regions anew at every pass", "use another pooling"
    if isinstance(module, nn.Embedding | nn.EmbeddingBag):
        if module.max_norm is not None:
            yield "with max_norm, which changes weights in a forward pass", "set max_norm to None"
        if module.scale_grad_by_freq:
            yield "with scale_grad_by_freq, whose gradient is not the loss's", "set scale_grad_by_freq to False"
    if any(nn.parameter.is_lazy(weight) for weight in module.parameters(recurse=False)):
        yield "whose weights have no shape yet", "call the model once with its inputs"


def check_deterministic(model: nn.Module, inputs: Inputs) -> Tensor:
    """The model's outputs, once two passes are known to agree and to leave the model as it was.

    The second pass finds the global random generators where the first has left them. Afterwards the generators and the
    model's buffers are put back as they were.

    Args:
        model: any module.
        inputs: a few samples.

    Returns:
        The outputs.

    Raises:
        ValueError: if the two passes differ, a buffer changes, the model returns no single tensor with a row for each
            sample, or an output is not finite.
    """
    check_pure(model)
    samples = check_lengths(inputs=inputs)
    before = {name: buffer.clone() for name, buffer in model.named_buffers()}
    devices = {part.device.index for part in (*before.values(), *model.parameters()) if part.device.type == "cuda"}
    with torch.no_grad(), torch.random.fork_rng(devices=devices):
        first, second = (_pass(model, inputs) for _ in range(2))
    changed = [name for name, buffer in model.named_buffers() if name in before and not _same(before[name], buffer)]
    for name in changed:
        owner, _, attribute = name.rpartition(".")
        setattr(model.get_submodule(owner), attribute, before[name])
    if changed:
        raise ValueError(
            f"`model` must stay as it is in a forward pass; its buffer {changed[0]} changes (call model.eval())."
        )
    check_rows(first, samples)
    if not bool(torch.isfinite(first).all()):
        raise ValueError("`model` must have finite outputs at its start; one is not finite.")
    if first.shape != second.shape or bool(((first - second).abs() > _rounding(first)).any()):
        raise ValueError(
            "`model` must be a function of its weights and inputs alone; two passes differ, so something in forward is "
            "random or remembers earlier calls (call model.eval(), or set dropout to 0)."
        )
    return first


def _pass(model: nn.Module, inputs: Inputs) -> Tensor:
    with plain_layers(model)():
        try:
            outputs = model(*as_tuple(inputs))
        except Exception as error:
            raise ValueError(f"`model` must take the inputs; it fails: {last_line(error)}") from error
    return one_tensor(outputs)


def _same(old: Tensor, new: Tensor) -> bool:
    """Whether two buffers hold the same, NaN included."""
    return old.shape == new.shape and bool(((old == new) | ((old != old) & (new != new))).all())


def _rounding(outputs: Tensor) -> float:
    """How far two passes of a deterministic model may differ: sums may change their order, on a GPU freely."""
    epsilon = torch.finfo(outputs.dtype).eps
    share = min(100 * epsilon, epsilon**0.5) if outputs.device.type == "cpu" else epsilon**0.5
    return share * float(outputs.abs().max()) if outputs.numel() else 0.0
