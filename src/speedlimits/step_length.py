"""Steps of a prescribed length in the direction of any torch optimizer: there is no learning rate to choose."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from speedlimits._arguments import named
from speedlimits._checks import check_finite, check_integer, check_one_of, check_positive

Schedule = Literal["linear", "constant"] | Callable[[float], float]
SCHEDULES: dict[str, Callable[[float], float]] = {"linear": lambda gone: 1.0 - gone, "constant": lambda _: 1.0}


@named
class StepLength:
    r"""Gives the steps of an optimizer the lengths that you choose.

    .. math:: \theta_{k+1} = \theta_k + v\,s(k/N)\,\frac{\delta_k}{|\delta_k|}, \qquad s(x) = 1 - x

    where δ_k is the optimizer's own step. By the clock of steps the path has the pace NΣs²/(Σs)², which is 4/3 for
    large N, whatever the gradients are: a path of this length cannot be walked much more evenly. It hooks into the
    optimizer, so that loops and trainers stay as they are::

        StepLength(optimizer, length=0.1, steps=1000)
        recorder = Recorder().attach(optimizer)     # after it, so that it sees the steps that were made

    Its kin: the normalised gradient (Nesterov 1984), clipping, LARS, and refined linear decay (Defazio et al. 2023).
    What it gains and loses is in docs/advice.md. Learning rates and their schedules change the directions of some
    optimizers, by weight decay beside the gradient, but no length; a rate of zero leaves no direction. A step of no
    length stays one. Memory: a copy of the weights.

    Args:
        optimizer: any of torch; wrappers of it do not matter.
        length: v of all weights together, or one for each parameter group, which is then scaled by itself [distance].
        steps: N. A further step is an error.
        schedule: s: ``"linear"``, ``"constant"``, or a function of k/N, the share of steps that are made.
        growth: by which factor v·s/|δ| may grow from one step to the next. Where a gradient all but vanishes, its noise
            would be blown up: such a step is shorter, and `capped` counts it.

    Raises:
        ValueError: if ``length`` or ``growth`` is not positive, lengths are not as many as groups, ``steps`` is below
            1, ``schedule`` is unknown, or weights lie on several ranks.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        *,
        length: float | Sequence[float],
        steps: int,
        schedule: Schedule = "linear",
        growth: float = 10.0,
    ) -> None:
        check_integer("steps", steps, minimum=1)
        check_positive("growth", growth)
        if not callable(schedule):
            check_one_of("schedule", schedule, SCHEDULES)
        self._schedule = schedule if callable(schedule) else SCHEDULES[schedule]
        self._alone = isinstance(length, Sequence)
        self.lengths = [float(each) for each in length] if isinstance(length, Sequence) else [float(length)]
        for each in self.lengths:
            check_positive("length", each)
        self._optimizer, self._steps, self._growth, self._made = optimizer, steps, growth, 0
        self._groups()
        self._before: list[list[Tensor]] = []
        self._factors: list[Tensor | None] = [None] * len(self.lengths)
        self._capped: Tensor | int = 0
        hooks = optimizer.register_step_pre_hook(self._begin), optimizer.register_step_post_hook(self._end)
        self._hooks = hooks

    @property
    def made(self) -> int:
        """How many steps were made."""
        return self._made

    @property
    def capped(self) -> int:
        """How many of them were shorter than prescribed, so that their factor did not grow too much."""
        return int(self._capped)

    def detach(self) -> None:
        """Take the hooks off: steps have the optimizer's own lengths again."""
        for hook in self._hooks:
            hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """All that `load_state_dict` needs, for a checkpoint beside the optimizer's.

        Returns:
            Numbers only.
        """
        factors = [None if factor is None else float(factor) for factor in self._factors]
        return {"made": self._made, "factors": factors, "capped": self.capped}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where another stopped, to the same bits.

        Args:
            state: from `state_dict`.

        Raises:
            ValueError: if it was of another number of lengths, or made more steps than there are.
        """
        if len(state["factors"]) != len(self.lengths):
            raise ValueError(
                f"`state` must be of {len(self.lengths)} lengths, as these are; it is of {len(state['factors'])}."
            )
        check_integer("made", state["made"], minimum=0, maximum=self._steps)
        self._made, self._capped = state["made"], state["capped"]
        self._factors = [
            None if factor is None else torch.tensor(factor, dtype=torch.float64) for factor in state["factors"]
        ]

    def _groups(self) -> list[list[Tensor]]:
        """The weights that share a length."""
        groups = [list(group["params"]) for group in self._optimizer.param_groups]
        if self._alone and len(groups) != len(self.lengths):
            raise ValueError(
                f"`length` must be one number, or one for each of {len(groups)} groups; there are {len(self.lengths)}."
            )
        for weight in (weight for group in groups for weight in group):
            if hasattr(weight, "_local_tensor") or getattr(weight, "_fsdp_flattened", False):
                raise ValueError("`optimizer` must hold weights that lie whole on this rank; some are sharded.")
        return groups if self._alone else [[weight for group in groups for weight in group]]

    @torch.no_grad()
    def _begin(self, *_: Any) -> None:
        if self._made >= self._steps:
            raise ValueError(f"`steps` must be as many as are made; this is step {self._made + 1} of {self._steps}.")
        self._before = [[weight.clone() for weight in group] for group in self._groups()]

    @torch.no_grad()
    def _end(self, *_: Any) -> None:
        share = float(self._schedule(self._made / self._steps))
        check_finite("schedule", share)
        for place, (weights, starts) in enumerate(zip(self._groups(), self._before, strict=True)):
            moves = [weight.sub_(start) for weight, start in zip(weights, starts, strict=True)]
            factor = self._factor(place, moves, share * self.lengths[place])
            for move, start in zip(moves, starts, strict=True):
                move.mul_(factor.to(move.device, torch.float64 if move.dtype == torch.float64 else torch.float32))
                move.add_(start)
        self._before = []
        self._made += 1

    def _factor(self, place: int, moves: Sequence[Tensor], wanted: float) -> Tensor:
        """By which the optimizer's step is multiplied; nothing is read to the host."""
        device = moves[0].device
        kind = torch.float32 if device.type == "mps" else torch.float64
        sizes = [torch.linalg.vector_norm(move, dtype=_wide(move, kind)).abs().to(device, kind) for move in moves]
        size = torch.linalg.vector_norm(torch.stack(sizes))
        factor = torch.where(size > 0, wanted / size, 0.0)
        last = self._factors[place]
        if last is not None:
            most = torch.where(last.to(factor) > 0, self._growth * last.to(factor), factor)
            self._capped = self._capped + (factor > most)
            factor = torch.minimum(factor, most)
        self._factors[place] = factor
        return factor


def _wide(move: Tensor, kind: torch.dtype) -> torch.dtype:
    return kind.to_complex() if move.is_complex() else kind
