"""What an optimizer says of its steps: the time they take, the momentum they carry, the gradients they see."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

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


def stable_rate(optimizers: Sequence[torch.optim.Optimizer]) -> float:
    r"""The largest ηλ at which steps on a quadratic of curvature λ, by the optimizer's own ruler, do not grow.

    .. math:: \delta_k = \beta\delta_{k-1} - (1-d)\,\eta\,g(\theta_k): \quad \eta\lambda < \frac{2(1+\beta)}{1-d}

    where z² − (1 + β − (1 − d)ηλ)z + β has the root −1. By Nesterov's rule z² − (1 + β)(1 − ηλ)z + β(1 − ηλ) has it
    at ηλ = 2(1 + β)/(1 + 2β). Adam's mean of gradients has d = β₁: 2(1 + β₁)/(1 − β₁), 38 by default (Cohen et al.
    2022), when its mean of squares changes slowly.

    Args:
        optimizers: of one recorder: SGD, Adam, AdamW, RMSprop or Adagrad.

    Returns:
        It; all groups must agree.

    Raises:
        ValueError: if one is of another kind, maximises, or has groups of different momentum.
    """
    found = set()
    for optimizer in optimizers:
        kind = type(optimizer)
        for group in optimizer.param_groups:
            if kind not in STABLE or group.get("maximize") or group.get("lr_decay"):
                what = "maximize" if group.get("maximize") else "lr_decay" if group.get("lr_decay") else kind.__name__
                kinds = ", ".join(each.__name__ for each in STABLE)
                raise ValueError(f"`edge` needs an optimizer whose edge is known, one of {kinds}; found {what}.")
            found.add(STABLE[kind](group))
    if len(found) > 1:
        raise ValueError(f"`edge` needs one momentum for all groups; the largest stable ηλ are {sorted(found)}.")
    return found.pop()


def _heavy_ball(group: Mapping[str, Any]) -> float:
    momentum, dampening = float(group.get("momentum") or 0.0), float(group.get("dampening") or 0.0)
    if group.get("nesterov"):
        return 2.0 * (1.0 + momentum) / (1.0 + 2.0 * momentum)
    return 2.0 * (1.0 + momentum) / (1.0 - dampening) if momentum else 2.0


def _mean_of_gradients(group: Mapping[str, Any]) -> float:
    first = float(group["betas"][0])
    return 2.0 * (1.0 + first) / (1.0 - first)


STABLE: dict[type, Callable[[Mapping[str, Any]], float]] = {
    torch.optim.SGD: _heavy_ball,
    torch.optim.Adam: _mean_of_gradients,
    torch.optim.AdamW: _mean_of_gradients,
    torch.optim.RMSprop: _heavy_ball,
    torch.optim.Adagrad: lambda _: 2.0,
}
