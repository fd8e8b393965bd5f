r"""Training under a constant kernel: distance, dissipation and arc length in closed form.

The error of the outputs decays mode by mode, :math:`\Delta_k(t) = e^{-\lambda_k t}\Delta_k`, Eq. (52). The loss is
:math:`L = \tfrac12\sum(f-y)^2`. All of this is exact, at any time, for models that are linear in their weights and
for infinitely wide networks. `heavy_ball` has the same for finite steps.
"""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Chebyshev

from speedlimits._checks import check_finite, check_non_negative, check_shape
from speedlimits._shapes import Modes, Times
from speedlimits.bound import SpeedLimit

Table = Float[np.ndarray, "times modes"]

# Times × modes held at once: 1 MiB stays in a core's cache.
BLOCK = 2**17
# The degree of the expansions of the speed, and how small their last coefficients are against the length so far.
DEGREE = 23
TAIL = 1e-14
# Intervals are not halved below this. The kinks of modes whose weights differ by e⁷⁰⁰ are as wide; noise has no kinks.
FINEST = 2.0**-8
# An n × n kernel in float64 has its zero eigenvalues within 8nε of the largest; this is n = 50,000.
ROUNDING = 1e-10


@dataclass(frozen=True, eq=False, kw_only=True)
class QuadraticLoss:
    """What `ConstantKernel` and `HeavyBall` share: the eigenvalues λ_k, the residual Δ_k, and their checks."""

    eigenvalues: Modes
    residual: Modes

    def __post_init__(self) -> None:
        eigenvalues = np.asarray(self.eigenvalues, dtype=float)
        residual = np.asarray(self.residual, dtype=float)
        check_shape("eigenvalues", eigenvalues, (None,))
        check_shape("residual", residual, (eigenvalues.size,))
        rounding = (eigenvalues < 0) & (eigenvalues >= -ROUNDING * eigenvalues.max(initial=0.0))
        eigenvalues = np.where(rounding, 0.0, eigenvalues)
        check_non_negative("eigenvalues", eigenvalues)
        check_finite("residual", residual)
        object.__setattr__(self, "eigenvalues", eigenvalues)
        object.__setattr__(self, "residual", residual)


@dataclass(frozen=True, eq=False, kw_only=True)
class ConstantKernel(QuadraticLoss):
    """Gradient flow under a kernel that stays as it is.

    All methods take flow times t = learning rate × step [time], in any order. They raise a ValueError if a time is
    negative or not finite.

    Args:
        eigenvalues: λ_k of the kernel, non-negative [1/time]. Negative ones down to −1e-10 of the largest are
            rounding, and count as 0.
        residual: Δ_k, initial output minus target in the kernel's eigenbasis [√loss].

    Raises:
        ValueError: if an eigenvalue is negative beyond rounding, a number is not finite, or the lengths differ.
    """

    def residual_at(self, times: Times) -> Table:
        r"""Error of the outputs that is left at each time, Eq. (52): a row per time.

        .. math:: \Delta_k(t) = e^{-\lambda_k t}\Delta_k

        The loss is half the squared norm of a row.
        """
        return np.exp(-np.outer(checked_times("times", times), self.eigenvalues)) * self.residual

    def displacement(self, times: Times) -> Table:
        r"""Move of the weights along the Jacobian's right singular vectors, Eqs. (51), (53), (65): a row per time.

        .. math:: \theta_k(t) - \theta_k(0) = -\lambda_k^{-1/2}(1 - e^{-\lambda_k t})\Delta_k

        The rows are points of the curve whose length is `arc_length`. Where λ = 0 nothing moves.
        """
        roots = np.sqrt(self.eigenvalues)
        scale = np.divide(self.residual, roots, out=np.zeros_like(self.residual), where=roots > 0)
        return np.expm1(-np.outer(checked_times("times", times), self.eigenvalues)) * scale

    def w2_squared(self, times: Times) -> Times:
        r"""Squared distance in weight space, Eqs. (13), (54).

        .. math:: \mathcal W_2(t) = |\theta(t)-\theta(0)|^2
                  = \sum_k \Delta_k^2 \lambda_k^{-1} (1 - e^{-\lambda_k t})^2

        Note:
            Erratum 54: the paper's left side has θ(∞) where it means θ(t).
        """
        return self._moved_and_spent(checked_times("times", times))[0]

    def dissipation(self, times: Times) -> Times:
        r"""Loss spent, β⁻¹R, Eq. (13), second line, and Eq. (55) [loss].

        .. math:: \beta^{-1}R(t) = \Delta L(t) = \tfrac12 \sum_k \Delta_k^2 (1 - e^{-2\lambda_k t})

        Note:
            Erratum 13: the paper prints no ½. Eqs. (49) and (56) need it, and without it T/T_SL → 2 as T → 0.
        """
        return self._moved_and_spent(checked_times("times", times))[1]

    def arc_length(self, times: Times) -> Times:
        r"""Length of the path in weight space, Eqs. (64), (66), to a relative 1e-12.

        .. math:: l_\gamma(t) = \int_0^t \sqrt{\textstyle\sum_k \lambda_k \Delta_k^2 e^{-2\lambda_k s}}\,ds
        """
        times = checked_times("times", times)
        top = self.eigenvalues.max(initial=0.0)
        return path_length(self._speed, top, times) if top else np.zeros_like(times)

    def speed_limit(self, times: Times) -> SpeedLimit:
        r"""The speed limit T_SL(t) = 𝒲₂/(β⁻¹R), Eqs. (12), (56), with the length of the path."""
        times = checked_times("times", times)
        moved, spent = self._moved_and_spent(times)
        return SpeedLimit(time=times, w2_squared=moved, dissipation=spent, arc_length=self.arc_length(times))

    def _moved_and_spent(self, times: Times) -> tuple[Times, Times]:
        moving = self.eigenvalues > 0
        rates = self.eigenvalues[moving]
        squares = self.residual[moving] ** 2
        moved, spent = np.empty_like(times), np.empty_like(times)
        for part in blocks(times, rates.size):
            # With m = e^{−λt} − 1, one exponential serves both: (1 − e^{−λt})² = m² and 1 − e^{−2λt} = −2m − m².
            table = np.multiply.outer(-times[part], rates)
            np.expm1(table, out=table)
            spent[part] = -(table @ squares)
            np.square(table, out=table)
            moved[part] = table @ (squares / rates)
            spent[part] -= 0.5 * (table @ squares)
        return moved, spent

    def _speed(self, times: np.ndarray) -> np.ndarray:
        """√Σλ_kΔ_k²e^{−2λ_k t} at each time."""
        weights = self.eigenvalues * self.residual**2
        total = np.empty_like(times)
        for part in blocks(times, weights.size):
            table = np.multiply.outer(-2.0 * times[part], self.eigenvalues)
            total[part] = np.exp(table, out=table) @ weights
        return np.sqrt(total)


def checked_times(name: str, times: Times) -> Times:
    """The times as an array of floats, or a ValueError if one is negative or not finite."""
    check_non_negative(name, times)
    return np.atleast_1d(np.asarray(times, dtype=float))


def blocks(times: np.ndarray, modes: int) -> Iterator[slice]:
    """Ranges of times whose tables over all modes hold at most `BLOCK` numbers, or one row."""
    rows = max(1, BLOCK // max(modes, 1))
    return (slice(first, first + rows) for first in range(0, times.size, rows))


def relaxation(rates: np.ndarray, times: np.ndarray | float) -> np.ndarray:
    """(1 − e^{−λt})/λ, and its limit t where λ = 0.

    Args:
        rates: λ, not negative [1/time].
        times: t, of a shape that goes with theirs [time].

    Returns:
        The common shape [time].
    """
    flat = rates == 0
    return np.where(flat, times, -np.expm1(-rates * times) / np.where(flat, 1.0, rates))


def path_length(speed: Callable[[np.ndarray], np.ndarray], rate: float, times: np.ndarray) -> Times:
    """∫₀ᵗ speed(s)ds to a relative 1e-12, where the speed's shortest time scale is 1/rate.

    The speed is expanded in Chebyshev polynomials of ln(1 + rate·s), on intervals halved until the expansion
    converges: the number of times costs next to nothing.
    """

    # Modes change the speed at all their times 1/λ_k; u = ln(1 + λ_max s) spreads these evenly.
    def stretched(u: np.ndarray) -> np.ndarray:
        s = np.expm1(u) / rate
        return speed(s) * (s + 1.0 / rate)

    ends = np.log1p(rate * times)
    # Exact for the expansions, and of one sign: short pieces keep their relative precision.
    nodes, node_weights = np.polynomial.legendre.leggauss(DEGREE // 2 + 1)
    lengths = np.zeros_like(times)
    for start, before, series in _pieces(stretched, float(ends.max(initial=0.0))):
        inside = (start < ends) & (ends <= series.domain[1])
        spans = 0.5 * (ends[inside] - start)
        lengths[inside] = before + spans * (series(start + np.outer(spans, 1.0 + nodes)) @ node_weights)
    return lengths


def _pieces(speed: Callable[[np.ndarray], np.ndarray], end: float) -> Iterator[tuple[float, float, Chebyshev]]:
    """Expand the speed on intervals from 0 to the end.

    Yields:
        The start of each, in order, the length of the path before it, and the expansion.
    """
    edges = np.linspace(0.0, end, 1 + int(np.ceil(end))).tolist()
    pending = list(itertools.pairwise(edges))[::-1]
    before = 0.0
    while pending:
        start, stop = pending.pop()
        series = Chebyshev.interpolate(speed, DEGREE, domain=[start, stop])
        length = float(series.integ(lbnd=start)(stop))
        width = stop - start
        if width > FINEST and np.abs(series.coef[-2:]).max() * width > TAIL * (before + length):
            middle = 0.5 * (start + stop)
            pending += [(middle, stop), (start, middle)]
            continue
        yield start, before, series
        before += length
