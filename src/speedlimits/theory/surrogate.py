r"""Another loss from the same start to the same end with the same drop: how much faster can it be?

The paper's point (i) of §2.2.1. Along a gradient flow of any loss V from p₀ to p₁, T ∫⟨|v|²⟩dt = T(⟨V⟩₀ − ⟨V⟩₁) is at
least 𝒲₂. So a surrogate with a drop of ΔV needs :math:`T' \ge \mathcal W_2/\Delta V`. With a drop of ΔL at most it is
faster than training by L by T/T_SL at most; not at all where L saturates its limit. The product of time and drop does
not depend on the scale of a loss. Here it is found for Gaussian states, for the quadratic loss that joins them, and for
the best loss in a family around it.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import ndtr

from speedlimits._checks import check_covariance, check_finite, check_non_negative, check_positive, check_shape
from speedlimits._shapes import Ensemble, Matrix, Modes, Vector
from speedlimits.transport.maps import fastest_map

# Maps that scale an axis by less than e^±this: no loss of the family is better than the quadratic one by P²/12 of it.
SMALLEST = 1e-2
# What lies e^−this below the largest distance moves too little to count.
DEPTH = 18.0
LEAST = 1e-280
# Nodes of a period for each width of the law, and how few and how many at most.
PER_WIDTH, FEWEST, MOST = 16.0, 64, 2**16
# Standard deviations beyond which a law has no mass.
FAR = 9.0


class SurrogateTimes(NamedTuple):
    """Times that losses of one drop take: by the limit, by the best of the family, by the quadratic loss [time]."""

    limit: float
    best: float
    quadratic: float


class _Side(NamedTuple):
    """One side of an axis's fixed point: phases u of a period, and the weight of each."""

    phases: np.ndarray
    weights: np.ndarray

    @property
    def root(self) -> float:
        """∫√w du over the period, which is equally spaced and periodic."""
        return float(np.sum(np.sqrt(self.weights))) * (self.phases[1] - self.phases[0])


@dataclass(frozen=True, eq=False, kw_only=True)
class Surrogate:
    r"""Losses that carry one Gaussian into another, along the axes of the map between them.

    On each axis the start has a variance σ², its mean moves by Δ, and all distances from the mean are scaled by M > 0.

    Args:
        scales: M of each axis.
        shifts: Δ of each axis.
        variances: σ² of each axis; 0 for one start.

    Raises:
        ValueError: if a scale is not positive, a variance negative, a number not finite, or the lengths differ.
    """

    scales: Modes
    shifts: Modes
    variances: Modes

    def __post_init__(self) -> None:
        check_shape("scales", self.scales, (None,))
        for name in ("shifts", "variances"):
            check_shape(name, getattr(self, name), self.scales.shape)
        check_positive("scales", self.scales)
        check_finite("shifts", self.shifts)
        check_non_negative("variances", self.variances)

    @classmethod
    def between(
        cls, mean_start: Vector, covariance_start: Matrix, mean_end: Vector, covariance_end: Matrix
    ) -> "Surrogate":
        """The losses between two Gaussians with positive definite covariances.

        Raises:
            ValueError: if a covariance is not positive definite, or the shapes differ.
        """
        for name, covariance in (("covariance_start", covariance_start), ("covariance_end", covariance_end)):
            check_covariance(name, covariance, mean_start.size, definite=True)
        scales, axes = np.linalg.eigh(fastest_map(covariance_start, covariance_end))
        variances = np.einsum("ik,ij,jk->k", axes, covariance_start, axes)
        return cls(scales=scales, shifts=axes.T @ (mean_end - mean_start), variances=variances)

    @property
    def w2_squared(self) -> float:
        """Distance 𝒲₂ = ΣΔ² + (1 − M)²σ², the least product of time and drop, Eq. (117)."""
        return float(np.sum(self.shifts**2 + (1.0 - self.scales) ** 2 * self.variances))

    @property
    def quadratic(self) -> float:
        r"""Time × drop of the quadratic loss, Eq. (117) [distance²].

        .. math:: \sum \tfrac P2(1-M^2)\Bigl[\sigma^2 + \frac{\Delta^2}{(1-M)^2}\Bigr], \qquad P = -\ln M

        It is the only quadratic loss that joins the two: :math:`e^{-HT} = M` has one symmetric solution.
        """
        return float(np.sum(self._quadratic))

    @property
    def best(self) -> float:
        r"""Least time × drop of losses that are sums of a function of each axis, Eq. (118) [distance²].

        Let y be the distance from an axis's fixed point and u = ln|y|. A flow that does not depend on time,
        :math:`\dot y = \mp y\,p(u)`, scales every start by M in the time T if and only if p has the period
        :math:`P = |\ln M|` and :math:`\int_0^P du/p = T`. Its drop is linear in p, the constraint is convex in p,
        and so the best p solves a convex programme:

        .. math:: \min_p \int_0^Pw(u)\,p(u)\,du \quad\text{with}\quad \int_0^P\frac{du}p \le T
                  \qquad\Rightarrow\qquad T\,\Delta V = \Bigl(\int_0^P\sqrt w\,du\Bigr)^2, \quad p \propto w^{-1/2}

        by Cauchy–Schwarz, with :math:`w(u) = \sum_ne^{2(u+nP)}\Pr[u+nP\text{ is passed}]`: each start passes a period.
        The two sides of a fixed point are on their own, and so are the axes. A constant p is the quadratic loss. For
        one start w = e^{2u} on one period, and the best loss falls evenly along a line: it saturates the limit.
        """
        return float(sum(self._best(axis) for axis in range(self.scales.size)))

    def times(self, drop: float) -> SurrogateTimes:
        """How long each loss takes if it may fall by this much, Eq. (117).

        Args:
            drop: of the mean loss [loss].

        Returns:
            Limit ≤ best ≤ quadratic.

        Raises:
            ValueError: if the drop is not positive.
        """
        check_positive("drop", drop)
        return SurrogateTimes(self.w2_squared / drop, self.best / drop, self.quadratic / drop)

    def velocity(self, points: Ensemble, time: float) -> Ensemble:
        r"""The flow −∇V of the best loss that takes this time, Eq. (118).

        Args:
            points: along the axes, from the mean of the start.
            time: T.

        Returns:
            The velocity of each.

        Raises:
            ValueError: if the time is not positive.
        """
        check_positive("time", time)
        check_shape("points", points, (None, self.scales.size))
        return np.column_stack([self._velocity(axis, points[:, axis], time) for axis in range(self.scales.size)])

    @property
    def _quadratic(self) -> Modes:
        periods = -np.log(self.scales)
        gone = -np.expm1(-periods)
        # P/(1 − M) → 1 for M → 1, a constant force.
        ratio = np.divide(periods, gone, out=np.ones_like(gone), where=gone != 0)
        return 0.5 * (1.0 + self.scales) * ratio * (gone**2 * self.variances + self.shifts**2)

    def _best(self, axis: int) -> float:
        if self.variances[axis] == 0:
            return float(self.shifts[axis] ** 2)
        if abs(np.log(self.scales[axis])) < SMALLEST:
            return float(self._quadratic[axis])
        return sum(self._side(axis, side).root ** 2 for side in (1.0, -1.0))

    def _side(self, axis: int, side: float) -> _Side:
        """Weights of the phases on one side of the fixed point."""
        scale, width = self.scales[axis], np.sqrt(self.variances[axis])
        period = abs(np.log(scale))
        # The mean's distance from the fixed point, seen from this side.
        mean = -side * self.shifts[axis] / (1.0 - scale)
        phases, turns, top = covering(period, mean, width)
        # A narrowing flow comes from above, a widening one from below.
        first, last = (0.0, period) if scale < 1 else (-period, 0.0)
        weights = np.zeros_like(phases)
        for turn in turns:
            logs = phases + turn * period
            # Beyond the top nothing starts, and e^u may be past the largest number.
            ends = (np.exp(np.minimum(logs + end, top)) for end in (last, first))
            passed = np.subtract(*(ndtr((end - mean) / width) for end in ends))
            weights += np.exp(2.0 * np.minimum(logs, top - first)) * passed
        # Deep below, where the smallest numbers end, passing takes no time that counts.
        return _Side(phases, np.maximum(weights, LEAST * weights.max()))

    def _velocity(self, axis: int, points: Vector, time: float) -> Float[np.ndarray, " dims"]:
        scale, shift = self.scales[axis], self.shifts[axis]
        period = abs(np.log(scale))
        if self.variances[axis] == 0 or scale == 1:
            return np.full_like(points, shift / time)
        away = points - shift / (1.0 - scale)
        rate = np.full_like(points, period / time)
        if period >= SMALLEST:
            for sign in (1.0, -1.0):
                side = self._side(axis, sign)
                there = sign * away > 0
                if side.root > 0 and there.any():
                    rates = side.root / time / np.sqrt(side.weights)
                    rate[there] = np.interp(np.log(np.abs(away[there])), side.phases, rates, period=period)
        return away * rate if scale > 1 else -away * rate


def covering(period: float, mean: float, width: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Which phases, and which turns of the period, hold all that counts: so many that more change no result.

    Args:
        period: P.
        mean: of the starts' distances from the fixed point.
        width: their standard deviation.

    Returns:
        Phases of one period, equally spaced; numbers of turns; and ln of the largest distance.
    """
    nodes = int(np.clip(PER_WIDTH * period * max(1.0, abs(mean) / width), FEWEST, MOST))
    top = float(np.log(max(mean, 0.0) + FAR * width))
    turns = np.arange(np.floor((top - DEPTH) / period) - 1.0, np.ceil(top / period) + 1.0)
    return period * np.arange(nodes) / nodes, turns, top
