"""The edge clock: how many steps any stable schedule needs, from the curvature that the optimizer feels."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from speedlimits._checks import check_positive
from speedlimits._shapes import Records
from speedlimits.dynamics.passes import apart_from_draws, twice_differentiable
from speedlimits.recorder.hooks import Attachment
from speedlimits.recorder.optimizers import stable_rate
from speedlimits.recorder.ritz import GRADIENTS_PER_PRODUCT, Flat, largest
from speedlimits.recorder.stretches import flat, local

# The first look starts from a random direction, the later ones from the last one's.
FIRST_PRODUCTS, PRODUCTS, TOLERANCE = 10, 4, 0.02
# Gradients that are paid for before the first look, ten steps by default: in Adam's first, its ruler is that of signs.
BEFORE = 0.5
# At the end there is a look where the last one was before this part of the time.
LATELY = 1.1


@dataclass(frozen=True, eq=False)
class Edge:
    r"""Where a recorder finds the curvature of the loss, and what that may cost.

    Args:
        loss: gives the loss of the weights as they are, of one fixed batch. A part of the data is enough: a large
            curvature stands far out.
        cost: of one gradient of it, in gradients of a training step: ¼ for a quarter of its batch.
        share: of all gradients that may go into this, once the first look is paid off, which comes after ½/``share``
            steps and takes up to 21. The look at the end, of up to 9, may lie beyond it.

    Raises:
        ValueError: if ``loss`` cannot be called, or a number is not positive.
    """

    loss: Callable[[], Tensor]
    cost: float = 1.0
    share: float = 0.05

    def __post_init__(self) -> None:
        if not callable(self.loss):
            raise ValueError(f"`edge` must be a function that gives a loss; it is a {type(self.loss).__name__}.")
        check_positive("cost", self.cost)
        check_positive("share", self.share)


@dataclass(frozen=True, eq=False)
class EdgeReading:
    r"""What was seen of the curvature.

    Args:
        times: of the looks, each after a step [time].
        curvatures: λ_max(P⁻¹H) there, from below to 2 % or so [1/time].
        stable: the largest stable ηλ there: 2 for plain descent.
        share: gradients spent on this, over those of the steps so far.
    """

    times: Float64[np.ndarray, " looks"]
    curvatures: Float64[np.ndarray, " looks"]
    stable: Float64[np.ndarray, " looks"]
    share: float

    def __str__(self) -> str:
        if not self.times.size:
            return "The curvature was not looked at."
        last = f"λ_max = {self.curvatures[-1]:.4g}, so that rates up to {self.stable[-1] / self.curvatures[-1]:.4g} are"
        return f"{last} stable; {self.times.size} looks took {self.share:.1%} of the gradients."

    def columns(self, times: Records, dissipation: Records) -> dict[str, Records]:
        """The clock of the edge at each record: between looks the curvature is interpolated, beyond them it stays.

        Args:
            times: of the records [time].
            dissipation: Σ|δ|²/Δt of the path so far.

        Returns:
            ``edge_steps`` and ``edge_dissipation``: steps between two records share their clock evenly.
        """
        unknown = np.full(times.size, np.nan)
        if not self.times.size:
            return {"edge_steps": unknown, "edge_dissipation": unknown}
        steps = _integral(times, self.times, np.maximum(self.curvatures, 0.0) / self.stable)
        passed, ticks, spent = np.diff(times), np.diff(steps), np.diff(dissipation)
        with np.errstate(divide="ignore", invalid="ignore"):
            # Where nothing is curved upwards, every rate is stable and there is no clock.
            costs = np.where(ticks > 0, spent * passed / ticks, np.where(spent > 0, np.nan, 0.0))
        return {"edge_steps": steps, "edge_dissipation": np.concatenate([[0.0], np.cumsum(costs)])}


class EdgeMeter:
    """Looks at the curvature whenever that is paid for.

    Args:
        edge: where it is found; None where only earlier looks are known.
    """

    def __init__(self, edge: Edge | None) -> None:
        self._edge = edge
        self._looks: list[list[float]] = []
        self._direction: Flat | None = None
        self._time = self._spent = 0.0
        self._steps = 0

    def check(self, optimizers: Sequence[torch.optim.Optimizer]) -> None:
        """Raise unless the edge of these is known.

        Args:
            optimizers: of one recorder.

        Raises:
            ValueError: if it is not.
        """
        if self._edge is not None:
            stable_rate(optimizers)

    def step(self, duration: float, stepped: Sequence[Attachment]) -> None:
        """A step is over; its rates and its preconditioner are still those that it used.

        Args:
            duration: Δt of the step [time].
            stepped: the optimizers that took it.
        """
        self._time += duration
        self._steps += 1
        edge = self._edge
        if edge is None or duration == 0.0 or edge.share * self._steps < max(BEFORE, self._spent):
            return
        self._look(edge, [attachment.optimizer for attachment in stepped], duration)

    def finish(self, attached: Sequence[Attachment]) -> None:
        """A look at the end, where the curvature may have grown, unless there was one lately.

        Args:
            attached: the optimizers.
        """
        optimizers = [attachment.optimizer for attachment in attached]
        ready = any(weight.grad is not None for attachment in attached for weight in attachment.weights)
        if self._edge is not None and ready and self._looks and self._time > LATELY * self._looks[-1][0]:
            self._look(self._edge, optimizers, max(attachment.step_size for attachment in attached))

    def _look(self, edge: Edge, optimizers: Sequence[torch.optim.Optimizer], duration: float) -> None:
        with torch.enable_grad(), twice_differentiable("edge"), apart_from_draws():
            operator = Operator(edge.loss(), optimizers, duration)
            generator = torch.Generator().manual_seed(len(self._looks))
            fresh = torch.randn(operator.scale.numel(), generator=generator, dtype=operator.scale.dtype)
            fresh = (fresh / fresh.norm()).to(operator.scale.device)
            known = self._direction is not None and self._direction.numel() == fresh.numel()
            # A little of everything: another direction may have become the steepest.
            start = self._direction.to(fresh) + 0.1 * fresh if known and self._direction is not None else fresh
            found = largest(operator, start, tolerance=TOLERANCE, products=PRODUCTS if known else FIRST_PRODUCTS)
        if math.isfinite(found.value):
            self._direction = found.vector
            self._looks.append([self._time, found.value, stable_rate(optimizers)])
        self._spent += edge.cost * (1 + GRADIENTS_PER_PRODUCT * found.products)

    def read(self) -> EdgeReading:
        """All looks so far."""
        table = np.array(self._looks).reshape(-1, 3)
        return EdgeReading(table[:, 0], table[:, 1], table[:, 2], self._spent / max(self._steps, 1))

    def state(self) -> dict[str, Any]:
        """All that `restore` needs."""
        looks = torch.tensor(self._looks, dtype=torch.float64).reshape(-1, 3)
        return {"looks": looks, "direction": self._direction, "sums": [self._time, self._spent, self._steps]}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on where another stopped.

        Args:
            state: from `state`.
        """
        self._looks, self._direction = state["looks"].tolist(), state["direction"]
        self._time, self._spent, self._steps = state["sums"]


class Operator:
    r"""u ↦ P^{-1/2}HP^{-1/2}u, which has the eigenvalues of P⁻¹H: Δτ_i/Δt is the weight's own rate over the clock's.

    Args:
        loss: of the weights as they are.
        optimizers: whose weights, rates and preconditioner count.
        duration: Δt, of the clock.

    Raises:
        ValueError: if the loss does not depend on the weights, or some lie on other ranks.
    """

    def __init__(self, loss: Tensor, optimizers: Sequence[torch.optim.Optimizer], duration: float) -> None:
        # Late: the meter of the metric imports much of the recorder.
        from speedlimits.recorder.metric import clock_factor

        self._weights: list[Tensor] = []
        scales: list[Tensor] = []
        decays: list[float] = []
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                for weight in group["params"]:
                    # A weight without a gradient is left alone by its optimizer.
                    if weight.grad is None:
                        continue
                    if local(weight) is not weight or weight.is_complex():
                        raise ValueError("`edge` needs real weights that lie whole on this rank; some do not.")
                    factor, _ = clock_factor(weight, optimizer.state.get(weight, {}), group)
                    rate = float(group["lr"]) / duration
                    scales.append(torch.as_tensor(rate * factor).to(weight.device).expand(weight.numel()))
                    self._weights.append(weight)
                    # Decay beside the gradient, as AdamW's, curves nothing.
                    beside = group.get("decoupled_weight_decay") or isinstance(optimizer, torch.optim.AdamW)
                    decays.append(0.0 if beside else float(group.get("weight_decay") or 0.0))
        kinds = {weight.dtype for weight in self._weights}
        dtype = torch.float64 if kinds == {torch.float64} else torch.float32
        device = self._weights[0].device if self._weights else loss.device
        self.scale = torch.cat([scale.to(device, dtype).sqrt() for scale in scales]) if scales else torch.empty(0)
        self._decays = decays
        if not self._weights or not loss.requires_grad:
            raise ValueError("`edge` must give a loss of the weights that are trained; it depends on none of them.")
        self._gradients = torch.autograd.grad(loss, self._weights, create_graph=True, allow_unused=True)

    def __call__(self, direction: Flat) -> Flat:
        """The product, in the precision of the weights, at least float32."""
        sizes = [weight.numel() for weight in self._weights]
        moves = [
            part.view_as(weight).to(weight)
            for part, weight in zip((self.scale * direction).split(sizes), self._weights, strict=True)
        ]
        pairs = [(g, v) for g, v in zip(self._gradients, moves, strict=True) if g is not None and g.requires_grad]
        products: Sequence[Tensor | None] = [None] * len(moves)
        if pairs:
            products = torch.autograd.grad(
                [gradient for gradient, _ in pairs],
                self._weights,
                [move for _, move in pairs],
                retain_graph=True,
                allow_unused=True,
            )
        whole = [
            flat(decay * move if product is None else product + decay * move).to(self.scale)
            for product, move, decay in zip(products, moves, self._decays, strict=True)
        ]
        return self.scale * torch.cat(whole)


def _integral(times: Records, knots: Records, values: Records) -> Records:
    """∫ of a function that is linear between its knots and constant beyond, from zero to each time."""
    grid = np.union1d(times, knots)
    heights = np.interp(grid, knots, values)
    sums = np.concatenate([[0.0], np.cumsum(np.diff(grid) * (heights[1:] + heights[:-1]) / 2)])
    found = sums[np.searchsorted(grid, times)]
    return found - found[0]
