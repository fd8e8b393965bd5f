"""The path measured by the optimizer's own ruler: a clock for each weight, or a norm for each matrix."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from speedlimits.recorder.hooks import Attachment
from speedlimits.recorder.shards import Shards
from speedlimits.recorder.stretches import flat, local

# What is kept of each weight.
SUMS = ("first", "here", "clocks", "spent", "least")
# Optimizers whose steps are signs: all weights of a tensor move alike.
SIGNS = {"Lion", "SignSGD", "Signum"}
RATES, ADAM, RMSPROP, ADAGRAD, ADAMAX, LARGEST, SPECTRAL = (
    "each group's own rate",
    "clocks η/(√v̂ + ε)",
    "clocks η/(√v + ε)",
    "clocks η/(√Σg² + ε)",
    "clocks η/max|g|",
    "largest weight of each tensor",
    "spectral norm of each matrix",
)


@dataclass(frozen=True)
class MetricLimit:
    r"""The speed limit by the optimizer's own ruler.

    .. math:: \sum_k\sum_i \frac{\delta_{k,i}^2}{\Delta\tau_{k,i}} \ge \sum_i\frac{\Delta\theta_i^2}{\tau_i},
       \qquad \tau_i = \sum_k\Delta\tau_{k,i}

    by Cauchy–Schwarz for each weight i by itself, whatever the positive clocks Δτ are. Adam's are η/(√v̂ + ε): then
    the left side is what a preconditioned flow takes from the loss. For a norm of a whole tensor the same holds with
    ‖δ_k‖²/Δτ_k and ‖Δθ‖²/ΣΔτ_k, by the triangle inequality. Its clock is η/‖g‖_*, by the dual norm of the gradient: the
    steepest flow by this norm has ‖θ'‖ = ‖g‖_* and takes ‖g‖_*² from the loss, so that the left side is again what
    is taken, and T ≥ ‖Δθ‖²/ΔL.

    Args:
        ruler: what was used, in words.
        time: T, by the walk's own clock [time].
        dissipation: the left side [loss].
        least: the right side, the least that any path to the same place spends by these clocks [loss].
    """

    ruler: str
    time: float
    dissipation: float
    least: float

    @property
    def inefficiency(self) -> float:
        """Dissipation over the least, at least 1; NaN if nothing moved."""
        return self.dissipation / self.least if self.least > 0 else float("nan")

    @property
    def speed_limit(self) -> float:
        """T_SL = T × least / dissipation [time]."""
        return self.time / self.inefficiency

    def __str__(self) -> str:
        if not math.isfinite(self.dissipation):
            return f"By the optimizer's own ruler ({self.ruler}) there is no number: weights stopped being finite."
        times = f"{self.inefficiency:.3g} times slower than the limit"
        return f"By the optimizer's own ruler ({self.ruler}), noise and all: {times}."


class Metric:
    """Sums by the rulers of the optimizers, step by step.

    Memory: of each weight its start, where it is, and its clock in float64.
    """

    def __init__(self) -> None:
        self.first: list[Tensor] = []
        self.here: list[Tensor] = []
        self.clocks: list[Tensor] = []
        self.spent: list[Tensor] = []
        self.least: list[Tensor] = []
        self.rulers: list[str] = []
        self.used: list[str] = []

    def join(self, weights: Sequence[Tensor]) -> None:
        """Let more weights in, which start where they are now.

        Args:
            weights: all, those that are known first.
        """
        for weight in weights[len(self.first) :]:
            now = _wide(weight)
            self.first.append(now)
            self.here.append(now)
            self.clocks.append(torch.zeros_like(now))
            self.spent.append(torch.zeros((), dtype=now.dtype, device=now.device))
            self.least.append(self.spent[-1])
            self.rulers.append("")

    def add(self, weights: Sequence[Tensor], stepped: Iterable[Attachment]) -> None:
        """A step was taken; what moved meanwhile without a step counts when its optimizer steps.

        Args:
            weights: all, in the order in which they joined.
            stepped: the optimizers that stepped.
        """
        places = {id(weight): place for place, weight in enumerate(weights)}
        for attachment in stepped:
            for group in attachment.optimizer.param_groups:
                rate = attachment.step_size if group.get("lr") is None else group["lr"]
                for weight in group["params"]:
                    # A weight without a gradient is left alone by its optimizer.
                    if weight.grad is not None:
                        self._step(places[id(weight)], weight, rate, group, attachment.optimizer)

    def _step(self, place: int, weight: Tensor, rate: Any, group: Mapping[str, Any], optimizer: Any) -> None:
        now = _wide(weight)
        moved = now - self.here[place]
        norm, ruler = _norm(weight, optimizer)
        if norm is None:
            factor, ruler = clock_factor(weight, optimizer.state.get(weight, {}), group)
            clock = torch.as_tensor(rate, dtype=now.dtype, device=now.device) * factor
            cost = moved.square()
        else:
            assert weight.grad is not None
            # Where there is no gradient, no time is long enough: what moves then spends nothing.
            clock = torch.as_tensor(rate, dtype=now.dtype, device=now.device) / DUALS[ruler](weight.grad.to(now))
            cost = norm(moved.view_as(local(weight))).square()
        if self.rulers[place] not in {"", ruler}:
            # Another optimizer took over. Each part of the path has its own least, and their sum holds for the whole.
            self.least[place] = self._least(place, weight)
            self.first[place], self.clocks[place] = self.here[place], torch.zeros_like(now)
        if ruler not in self.used:
            self.used = sorted([*self.used, ruler])
        # A weight that rests spends nothing, even in no time.
        self.spent[place] = self.spent[place] + torch.where(cost > 0, cost / clock, 0.0).sum()
        self.clocks[place] = self.clocks[place] + clock
        self.here[place], self.rulers[place] = now, ruler

    def limit(self, weights: Sequence[Tensor], shards: Shards, time: float) -> MetricLimit:
        """What was found so far; with shards every rank must call this.

        Args:
            weights: all; only their shapes are read.
            shards: which of them count on this rank.
            time: T.
        """
        least = [self._least(place, weight) for place, weight in enumerate(weights)]
        sums = torch.stack([torch.stack([each.to(self.spent[0]) for each in sums]) for sums in (self.spent, least)])
        spent, minimum = shards.total(shards.own(sums).sum(1)).tolist()
        return MetricLimit(", ".join(self.used), time, spent, minimum)

    def _least(self, place: int, weight: Tensor) -> Tensor:
        away, clock, ruler = self.here[place] - self.first[place], self.clocks[place], self.rulers[place]
        if ruler in NORMS:
            # The clock of a norm is one number, kept for each weight.
            squared, clock = NORMS[ruler](away.view_as(local(weight))).square(), clock[:1].sum()
        else:
            squared = away.square()
        return self.least[place] + torch.where(squared > 0, squared / clock, 0.0).sum()

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        return {name: list(getattr(self, name)) for name in (*SUMS, "rulers", "used")}

    @classmethod
    def restore(cls, state: Mapping[str, Any], weights: Sequence[Tensor]) -> "Metric":
        """Go on where another stopped.

        Args:
            state: from `state`.
            weights: of the path; only their devices are read.
        """
        metric = cls()
        metric.rulers, metric.used = list(state["rulers"]), list(state["used"])
        for name in SUMS:
            kept = [_at(tensor, weight) for tensor, weight in zip(state[name], weights, strict=False)]
            setattr(metric, name, kept)
        return metric


def _largest(moved: Tensor) -> Tensor:
    return moved.abs().max() if moved.numel() else moved.sum()


def _spectral(moved: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(moved, 2)


def _nuclear(gradient: Tensor) -> Tensor:
    return torch.linalg.matrix_norm(gradient, "nuc")


def _sum(gradient: Tensor) -> Tensor:
    return gradient.abs().sum()


NORMS: dict[str, Callable[[Tensor], Tensor]] = {LARGEST: _largest, SPECTRAL: _spectral}
DUALS: dict[str, Callable[[Tensor], Tensor]] = {LARGEST: _sum, SPECTRAL: _nuclear}


def _norm(weight: Tensor, optimizer: Any) -> tuple[Callable[[Tensor], Tensor] | None, str]:
    """The norm in which the optimizer's step is the steepest, and its name; none where it has a clock for each weight.

    A part of a tensor does not know the norm of the whole: shards are measured by their group's rate.
    """
    kind, whole = type(optimizer).__name__, local(weight) is weight and not getattr(weight, "_fsdp_flattened", False)
    ruler = ""
    if whole and not weight.is_complex():
        ruler = LARGEST if kind in SIGNS else SPECTRAL if kind == "Muon" and weight.ndim == 2 else ""
    return NORMS.get(ruler), ruler


def clock_factor(weight: Tensor, state: Mapping[str, Any], group: Mapping[str, Any]) -> tuple[Tensor | float, str]:
    """By which a group's rate differs from weight to weight, after the step that used it; and its name.

    Args:
        weight: of the group.
        state: of the optimizer for this weight.
        group: of the optimizer.

    Returns:
        Numbers of this rank in one dimension, or 1; and the ruler.
    """
    epsilon = group.get("eps") or 0.0
    if {"exp_avg_sq", "step"} <= state.keys() and "betas" in group:
        largest = state.get("max_exp_avg_sq") if group.get("amsgrad") else None
        mean = _wide(state["exp_avg_sq"] if largest is None else largest)
        step = torch.as_tensor(state["step"], dtype=mean.dtype, device=mean.device)
        return 1.0 / ((mean / (1.0 - float(group["betas"][1]) ** step)).sqrt_() + epsilon), ADAM
    if "square_avg" in state and "acc_delta" not in state:
        mean = _wide(state["square_avg"])
        if group.get("centered"):
            mean = mean - _wide(state["grad_avg"]).square()
        return 1.0 / (mean.sqrt_() + epsilon), RMSPROP
    if "sum" in state:
        return 1.0 / (_wide(state["sum"]).sqrt() + epsilon), ADAGRAD
    if "exp_inf" in state:
        return 1.0 / _wide(state["exp_inf"]), ADAMAX
    return 1.0, RATES


def _wide(tensor: Tensor) -> Tensor:
    """The numbers of this rank in one dimension, a copy in float64; Apple's GPUs have none, the host has."""
    numbers = flat(tensor)
    return numbers.to("cpu" if numbers.device.type == "mps" else numbers.device, torch.float64, copy=True)


def _at(tensor: Tensor, weight: Tensor) -> Tensor:
    device = local(weight).device
    return tensor.to("cpu" if device.type == "mps" else device)
