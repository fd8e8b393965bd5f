"""What an optimizer says of its steps: the time they take, the momentum they carry, the gradients they see."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from speedlimits.recorder.stretches import local


def learning_rate(optimizer: torch.optim.Optimizer) -> float:
    """The learning rate of the coming step; of several groups the largest, so that one clock counts all of them.

    Args:
        optimizer: any with ``lr`` in its groups.

    Returns:
        The rate [time].

    Raises:
        ValueError: if a group has none.
    """
    rates = []
    for group in optimizer.param_groups:
        if group.get("lr") is None:
            raise ValueError("`time_step` must be given where a parameter group has no learning rate; lr = None.")
        rates.append(float(group["lr"]))
    return max(rates)


def single_rate(optimizers: Sequence[torch.optim.Optimizer], name: str) -> float:
    """The rate with which SGD uses a gradient, the same for all weights.

    Args:
        optimizers: of one recorder.
        name: of what needs it, for errors.

    Returns:
        η [time].

    Raises:
        ValueError: if it is not one SGD with one rate and without dampening. Adam makes noise larger in some weights
            than in others.
    """
    kinds = [type(optimizer).__name__ for optimizer in optimizers]
    if kinds != ["SGD"]:
        raise ValueError(f"`{name}` needs one optimizer, SGD; it is {' + '.join(kinds)}.")
    groups = optimizers[0].param_groups
    rates = sorted({float(group["lr"]) for group in groups})
    if len(rates) > 1:
        raise ValueError(f"`{name}` needs one learning rate for all weights; lr = {rates}.")
    if dampening := max(group.get("dampening", 0.0) for group in groups):
        raise ValueError(f"`{name}` needs SGD without dampening; dampening = {dampening}.")
    return rates[0]


def momentum(optimizer: torch.optim.Optimizer) -> tuple[float, bool]:
    """Over how many steps a gradient is felt.

    Args:
        optimizer: any; SGD's ``momentum`` and Adam's ``betas`` are understood, others count as having none.

    Returns:
        β of the group that has the most, and whether it steps by Nesterov's rule.
    """
    found = [(0.0, False)]
    for group in optimizer.param_groups:
        betas = group.get("betas") or (0.0,)
        found.append((float(group.get("momentum") or betas[0]), bool(group.get("nesterov"))))
    return max(found)


def gradient_norms(weights: Iterable[Tensor]) -> list[Tensor]:
    """|g| of each weight that has a gradient, as the optimizer finds it on this rank; at least in float32."""
    gradients = [_dense(local(weight.grad)) for weight in weights if weight.grad is not None]
    if not gradients:
        return []
    coarse = any(gradient.dtype in {torch.float16, torch.bfloat16} for gradient in gradients)
    return list(torch._foreach_norm(gradients, 2, dtype=torch.float32 if coarse else None))


def _dense(gradient: Tensor) -> Tensor:
    """Numbers with the same sum of squares."""
    values = gradient.coalesce().values() if gradient.is_sparse else gradient
    return torch.view_as_real(values) if values.is_complex() else values
