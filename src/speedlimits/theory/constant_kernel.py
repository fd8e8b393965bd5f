r"""Training under a constant kernel: distance, dissipation and arc length in closed form.

The outputs' error decays mode by mode, :math:`\Delta_k(t) = e^{-\lambda_k t}\Delta_k`, Eq. (52), for the loss
:math:`L = \tfrac12\sum(f-y)^2`. Everything here is exact for models linear in their weights and for infinitely
wide networks, at any time. `heavy_ball` has the same for finite steps.

Negative eigenvalues down to −1e-10 of the largest are rounding of whatever found them, and count as 0.
"""

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float
from numpy.polynomial import Chebyshev

from speedlimits._checks import check_finite, check_non_negative, check_shape
from speedlimits.bound import SpeedLimit

Modes = Float[np.ndarray, " modes"]
Times = Float[np.ndarray, " times"]
Table = Float[np.ndarray, "times modes"]

# Times × modes held at once: 1 MiB stays in a core's cache.
BLOCK = 2**17
# Of the expansions of the speed, and the size of their last coefficients against the length so far.
DEGREE = 23
TAIL = 1e-14
# Intervals are not halved below this: modes that differ by e⁷⁰⁰ in weight have their kinks as wide, noise has none.
FINEST = 2.0**-8
# An n × n kernel in float64 has its zero eigenvalues within 8nε of the largest; this is n = 50,000.
ROUNDING = 1e-10


def residual_at(eigenvalues: Modes, residual: Modes, times: Times) -> Table:
    r"""Error of the outputs left at time t, Eq. (52).

    .. math:: \Delta_k(t) = e^{-\lambda_k t}\Delta_k

    Args:
        eigenvalues: NTK eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k, initial output minus target in the NTK eigenbasis [√loss].
        times: flow time t = learning rate × step [time].

    Returns:
        Δ_k(t), a row for each time; the loss is half its squared norm.

    Raises:
        ValueError: if an eigenvalue or time is negative or not finite, or the lengths differ.
    """
    eigenvalues, residual, times = checked(eigenvalues, residual, times)
    return np.exp(-np.outer(times, eigenvalues)) * residual


def displacement(eigenvalues: Modes, residual: Modes, times: Times) -> Table:
    r"""Move of the weights along each of the Jacobian's right singular vectors, Eqs. (51), (53), (65).

    .. math:: \theta_k(t) - \theta_k(0) = -\lambda_k^{-1/2}(1 - e^{-\lambda_k t})\Delta_k

    Args:
        eigenvalues: NTK eigenvalues λ_k [1/time], non-negative; λ = 0 contributes its limit, 0.
        residual: Δ_k, initial output minus target in the NTK eigenbasis [√loss].
        times: flow time t = learning rate × step [time].

    Returns:
        θ_k(t) − θ_k(0), a row for each time: the curve whose length is `arc_length`.

    Raises:
        ValueError: if an eigenvalue or time is negative or not finite, or the lengths differ.
    """
    eigenvalues, residual, times = checked(eigenvalues, residual, times)
    roots = np.sqrt(eigenvalues)
    scale = np.divide(residual, roots, out=np.zeros_like(residual), where=roots > 0)
    return np.expm1(-np.outer(times, eigenvalues)) * scale


def w2_squared(eigenvalues: Modes, residual: Modes, times: Times) -> Times:
    r"""Squared distance travelled in weight space, Eqs. (13), (54).

    .. math:: \mathcal W_2(t) = |\theta(t)-\theta(0)|^2
              = \sum_k \Delta_k^2 \lambda_k^{-1} (1 - e^{-\lambda_k t})^2

    Args:
        eigenvalues: NTK eigenvalues λ_k [1/time], non-negative; λ = 0 contributes its limit, 0.
        residual: Δ_k, initial output minus target in the NTK eigenbasis [√loss].
        times: flow time t = learning rate × step [time].

    Returns:
        |θ(t) − θ(0)|² at each time.

    Raises:
        ValueError: if an eigenvalue or time is negative or not finite, or the lengths differ.

    Note:
        Erratum 54: the paper's left side has θ(∞) where it means θ(t).
    """
    return _moved_and_spent(*checked(eigenvalues, residual, times))[0]


def dissipation(eigenvalues: Modes, residual: Modes, times: Times) -> Times:
    r"""Loss spent by time t under a constant kernel, Eq. (13), second line, and Eq. (55).

    .. math:: \beta^{-1}R(t) = \Delta L(t) = \tfrac12 \sum_k \Delta_k^2 (1 - e^{-2\lambda_k t})

    Args:
        eigenvalues: NTK eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k, initial output minus target in the NTK eigenbasis [√loss].
        times: flow time t = learning rate × step [time].

    Returns:
        β⁻¹R at each time [loss].

    Raises:
        ValueError: if an eigenvalue or time is negative or not finite, or the lengths differ.

    Note:
        Erratum 13: the paper prints no ½; Eqs. (49) and (56) need it, and without it T/T_SL → 2 as T → 0.
    """
    return _moved_and_spent(*checked(eigenvalues, residual, times))[1]


def arc_length(eigenvalues: Modes, residual: Modes, times: Times) -> Times:
    r"""Length of the path travelled in weight space, Eqs. (64), (66).

    .. math:: l_\gamma(t) = \int_0^t \sqrt{\textstyle\sum_k \lambda_k \Delta_k^2 e^{-2\lambda_k s}}\,ds

    Args:
        eigenvalues: NTK eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k, initial output minus target in the NTK eigenbasis [√loss].
        times: flow time t [time], in any order.

    Returns:
        l_γ at each time, to a relative 1e-12.

    Raises:
        ValueError: if an eigenvalue or time is negative or not finite, or the lengths differ.
    """
    eigenvalues, residual, times = checked(eigenvalues, residual, times)
    weights = eigenvalues * residual**2
    top = eigenvalues.max(initial=0.0)
    if top == 0.0:
        return np.zeros_like(times)

    return path_length(lambda s: np.sqrt(_decaying_sum(eigenvalues, weights, s)), top, times)


def speed_limit(eigenvalues: Modes, residual: Modes, times: Times) -> SpeedLimit:
    r"""The speed limit T_SL(t) = 𝒲₂/(β⁻¹R), Eqs. (12), (56), with the length of the path.

    Args:
        eigenvalues: NTK eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k, initial output minus target in the NTK eigenbasis [√loss].
        times: flow time t = learning rate × step [time], in any order.

    Returns:
        The limit as a series over the times: `w2_squared`, `dissipation` and `arc_length`.

    Raises:
        ValueError: if an eigenvalue or time is negative or not finite, or the lengths differ.
    """
    eigenvalues, residual, times = checked(eigenvalues, residual, times)
    moved, spent = _moved_and_spent(eigenvalues, residual, times)
    length = arc_length(eigenvalues, residual, times)
    return SpeedLimit(time=times, w2_squared=moved, dissipation=spent, arc_length=length)


def checked(
    eigenvalues: np.ndarray, residual: np.ndarray, times: np.ndarray, times_name: str = "times"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The arguments of this module as checked float arrays, rounding below zero removed from the eigenvalues."""
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    residual = np.asarray(residual, dtype=float)
    check_shape("eigenvalues", eigenvalues, (None,))
    check_shape("residual", residual, (eigenvalues.size,))
    rounding = (eigenvalues < 0) & (eigenvalues >= -ROUNDING * eigenvalues.max(initial=0.0))
    eigenvalues = np.where(rounding, 0.0, eigenvalues)
    check_non_negative("eigenvalues", eigenvalues)
    check_finite("residual", residual)
    check_non_negative(times_name, times)
    return eigenvalues, residual, np.atleast_1d(np.asarray(times, dtype=float))


def blocks(times: np.ndarray, modes: int) -> Iterator[slice]:
    """Ranges of times whose tables over all modes hold at most `BLOCK` numbers, or one row."""
    rows = max(1, BLOCK // max(modes, 1))
    return (slice(first, first + rows) for first in range(0, times.size, rows))


def _moved_and_spent(eigenvalues: np.ndarray, residual: np.ndarray, times: np.ndarray) -> tuple[Times, Times]:
    moving = eigenvalues > 0
    rates = eigenvalues[moving]
    squares = residual[moving] ** 2
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


def _decaying_sum(eigenvalues: np.ndarray, weights: np.ndarray, times: np.ndarray) -> np.ndarray:
    """Σ w_k e^{−2λ_k t} at each time."""
    total = np.empty_like(times)
    for part in blocks(times, eigenvalues.size):
        table = np.multiply.outer(-2.0 * times[part], eigenvalues)
        total[part] = np.exp(table, out=table) @ weights
    return total


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
