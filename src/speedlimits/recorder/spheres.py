"""Weights whose size changes nothing, as before a normalisation: how far they turned, and the limit for that."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from speedlimits._checks import check_positive
from speedlimits.bound import SpeedLimit
from speedlimits.dynamics.passes import apart_from_draws
from speedlimits.recorder.optimizers import learning_rate

Groups = Mapping[str, Sequence[Tensor]]
FACTOR = 2.0


def scale_invariant(
    model: nn.Module, outputs: Callable[[], Tensor], *, tolerance: float = 1e-3
) -> dict[str, list[Tensor]]:
    """The groups of weights whose common size does not change the outputs, found by doubling each.

    Args:
        model: whose weights are tried: each tensor of two dimensions or more, and where that changes the outputs, a
            module's weight and bias together. Afterwards all have the same bits as before.
        outputs: gives the outputs, or the loss, of the weights as they are, for one batch in the mode of training.
            Averages of batch normalisation see that batch once for each try.
        tolerance: relative change up to which outputs are the same: what is added to variances changes them a little.

    Returns:
        The groups by the name of their tensor, or of their module.

    Raises:
        ValueError: if ``tolerance`` is not positive.
    """
    check_positive("tolerance", tolerance)
    found: dict[str, list[Tensor]] = {}
    with torch.no_grad(), apart_from_draws():
        state = torch.get_rng_state()

        def seen() -> Tensor:
            torch.set_rng_state(state)
            return outputs().double()

        before = seen()
        allowed = tolerance * float(before.norm())

        def same(group: Sequence[Tensor]) -> bool:
            kept = [weight.clone() for weight in group]
            for weight in group:
                weight.mul_(FACTOR)
            change = float((seen() - before).norm())
            for weight, old in zip(group, kept, strict=True):
                weight.copy_(old)
            return change <= allowed and any(bool(weight.any()) for weight in group)

        for name, module in model.named_modules():
            own = {key: weight for key, weight in module.named_parameters(recurse=False) if weight.requires_grad}
            wide = {key: weight for key, weight in own.items() if weight.ndim >= 2}
            for key, weight in wide.items():
                if same([weight]):
                    found[f"{name}.{key}".lstrip(".")] = [weight]
            if (
                len(own) > 1
                and wide
                and not any(f"{name}.{key}".lstrip(".") in found for key in own)
                and same([*own.values()])
            ):
                found[name] = [*own.values()]
    return found


@dataclass
class _Path:
    """Of one group: where it started and where it is, and what was added up."""

    weights: list[Tensor]
    first: Tensor
    here: Tensor
    radial: float = 0.0
    squared: float = 0.0


class Spheres:
    r"""Measures how far groups of weights turn whose size changes nothing.

    Only the direction u = w/|w| of such a group matters, a point on a sphere. With the angles α of its moves

    .. math:: T\sum_k\frac{\sum_g\alpha_{k,g}^2}{\Delta t_k} \ge \Big(\sum_k\sqrt{\textstyle\sum_g\alpha_{k,g}^2}\Big)^2
       \ge \sum_g\alpha_g^2

    by Cauchy–Schwarz and the triangle inequality of a product of spheres; α_g is the angle from the start to the end. A
    walk that is rescaled, w → cw, has the same angles: with rates times c² also the same steps, and T/T_SL stays. Sums
    are read to the host in each step. Memory: two copies of the groups in float64.

    Args:
        optimizer: whose steps are measured; hooks are taken off by `detach`.
        groups: from `scale_invariant`.

    Raises:
        ValueError: if there are no groups, or a group has no rate.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, groups: Groups) -> None:
        if not groups:
            raise ValueError("`groups` must be one or several; no weights are known whose size changes nothing.")
        learning_rate(optimizer)
        self._optimizer = optimizer
        self._paths = {name: _Path(list(each), _flat(each), _flat(each)) for name, each in groups.items()}
        self._time = self._dissipation = self._arc_length = self._decayed = 0.0
        self._hook = optimizer.register_step_post_hook(self._step)

    def detach(self) -> None:
        """Take the hook off; what was measured stays."""
        self._hook.remove()

    @property
    def radial_share(self) -> Mapping[str, float]:
        """Of each group, the share of Σ|δ|² that changed its size alone: motion that changes nothing."""
        return {name: path.radial / path.squared if path.squared else math.nan for name, path in self._paths.items()}

    def speed_limit(self) -> SpeedLimit:
        """The limit for the turning, up to the last step.

        Returns:
            𝒲₂ = Σα² and lengths in radians, for the paths of all groups together.

        Raises:
            ValueError: if weight decay has had time to balance the growth of the sizes, Σηλ ≥ ½: weights then turn for
                ever at a constant rate on the way to nowhere, and T/T_SL grows with the steps.
        """
        if self._decayed >= 0.5:
            raise ValueError(
                "`speed_limit` of directions needs training that is on its way: after Ση × weight decay = "
                f"{self._decayed:.3g} sizes are in balance, weights turn on the spot, and T/T_SL grows with the steps."
            )
        return SpeedLimit(
            time=self._time,
            w2_squared=sum(_angle(path.first, path.here) ** 2 for path in self._paths.values()),
            dissipation=self._dissipation,
            arc_length=self._arc_length,
        )

    @torch.no_grad()
    def _step(self, *_: Any) -> None:
        duration, turned = learning_rate(self._optimizer), 0.0
        for path in self._paths.values():
            now = _flat(path.weights)
            moved = now - path.here
            size = float(path.here.norm())
            path.radial += float(moved @ path.here / size) ** 2 if size else 0.0
            path.squared += float(moved @ moved)
            turned += _angle(path.here, now) ** 2
            path.here = now
        self._time += duration
        self._arc_length += math.sqrt(turned)
        self._dissipation += turned / duration if duration else (math.inf if turned else 0.0)
        decay = max(float(group.get("weight_decay") or 0.0) for group in self._optimizer.param_groups)
        self._decayed += duration * decay


def _flat(group: Sequence[Tensor]) -> Tensor:
    return torch.cat([weight.detach().double().reshape(-1) for weight in group])


def _angle(one: Tensor, other: Tensor) -> float:
    """Between two directions; accurate for small and for large angles (Kahan)."""
    first, second = one / one.norm(), other / other.norm()
    return 2.0 * math.atan2(float((first - second).norm()), float((first + second).norm()))
