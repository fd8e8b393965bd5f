r"""The path of an exponential step: dense output, its length and its dissipation.

The velocity at the fraction u of a step is :math:`e^{-\tau A}F + u\varphi_1\alpha + 2u^2\varphi_2\beta` with τ = uh and
φ of −τA: what the linear part and D ≈ αu + βu² give. Length and dissipation are those of this very curve, which runs
from y_n to y_{n+1}, so that T·∫|v|²dt ≥ l² ≥ |Δθ|² hold for what is recorded.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from speedlimits.dynamics.flow.etd import Stages, phi
from speedlimits.dynamics.flow.gauss_newton import Modes

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(6)
NODES, WEIGHTS = (_NODES + 1) / 2, _WEIGHTS / 2
# The first panel holds this share of the fastest mode's time, each of the others is twice as long as the last one.
FIRST_PANEL = 0.1


@dataclass(frozen=True)
class ExponentialPath:
    """A step from t to t + h.

    Args:
        time: t.
        size: h.
        begin: y_n.
        start: F, the force at y_n.
        stages: of the step.
        modes: A at y_n.
    """

    time: float
    size: float
    begin: Tensor
    start: Tensor
    stages: Stages
    modes: Modes

    def position(self, u: float) -> Tensor:
        """Y at the fraction u of the step."""
        tau = u * self.size
        first, second, third = phi(-tau * self.modes.eigenvalues)
        terms = (
            (tau * first, tau, self.start),
            (tau * u * second, tau * u / 2, self.stages.slope),
            (2 * tau * u * u * third, tau * u * u / 3, self.stages.bend),
        )
        place, parts = self.begin.clone(), torch.zeros_like(first)
        for (values, at_zero, x), part in zip(terms, self._parts, strict=True):
            place.add_(x, alpha=at_zero)
            parts += self.modes.quotients(values, at_zero) * part
        return place.add_(self.modes.back(parts))

    def speed_squared(self, u: float) -> float:
        """|v|² at the fraction u."""
        return float(self._speeds_squared(np.array([u]))[0])

    def travelled(self, u: float = 1.0) -> tuple[float, float]:
        """∫|v|dt and ∫|v|²dt up to the fraction u."""
        steepest = float(self.modes.eigenvalues[-1]) * self.size
        least = min(FIRST_PANEL / steepest, u / 2) if steepest > 0 else u / 2
        edges = np.concatenate([[0.0], np.geomspace(least, u, 2 + math.ceil(math.log2(u / least)))])
        widths = np.diff(edges)
        squares = self._speeds_squared((edges[:-1, None] + widths[:, None] * NODES).ravel())
        weights = self.size * (widths[:, None] * WEIGHTS).ravel()
        return float(weights @ np.sqrt(squares)), float(weights @ squares)

    def loss(self, _: float, dissipated: float, values: tuple[float, float], __: tuple[float, float]) -> float:
        """The loss where so much of the step's ∫|v|²dt is behind, between its values at the ends."""
        return values[0] + (values[1] - values[0]) * dissipated / self._whole[1]

    @cached_property
    def _whole(self) -> tuple[float, float]:
        return self.travelled()

    @cached_property
    def _parts(self) -> list[Tensor]:
        return [self.modes.parts(x) for x in (self.start, self.stages.slope, self.stages.bend)]

    @cached_property
    def _unseen(self) -> np.ndarray:
        """Inner products of F, α and β in the space that J does not see."""
        rows = torch.stack((self.start, self.stages.slope, self.stages.bend))
        seen = torch.stack(self._normalised)
        return (rows @ rows.T - seen @ seen.T).cpu().numpy()

    @cached_property
    def _normalised(self) -> list[Tensor]:
        """F, α and β along the unit eigenvectors of A."""
        # λ^{-1/2} where λ is more than rounding.
        scales = self.modes.quotients(self.modes.eigenvalues.sqrt(), 0.0)
        return [scales * part for part in self._parts]

    def _speeds_squared(self, u: np.ndarray) -> np.ndarray:
        """|v|² at each u; rounding below zero counts as rest."""
        shares = torch.from_numpy(u).to(self.begin)[:, None]
        z = -self.size * shares * self.modes.eigenvalues
        first, second, _ = phi(z)
        force, slope, bend = self._normalised
        seen = torch.exp(z) * force + shares * first * slope + 2 * shares**2 * second * bend
        powers = np.stack([np.ones_like(u), u, u * u])
        unseen = np.einsum("iu,ij,ju->u", powers, self._unseen, powers)
        return seen.square().sum(-1).cpu().numpy() + np.maximum(unseen, 0.0)
