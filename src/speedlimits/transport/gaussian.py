r"""Gaussian laws: squared Wasserstein-2 distance, displacement interpolation and action, all in closed form.

A covariance is held through a factor, Σ = FFᵀ; an optimal coupling is then :math:`\theta_0 = m_0 + F_0 z`,
:math:`\theta_1 = m_1 + F_1 Q z` with one standard normal z and the orthogonal Q that brings the factors closest
(the orthogonal Procrustes problem). Distances are sums of squares of differences: never negative, never NaN for
singular covariances, and without cancellation when the two laws are nearly equal.
"""

import numpy as np
from jaxtyping import Float
from scipy.linalg import eigh, solve_continuous_lyapunov, svd

from speedlimits._checks import (
    check_covariance,
    check_finite,
    check_increasing,
    check_non_negative,
    check_shape,
    check_symmetric,
)
from speedlimits._shapes import Matrix, Times, Vector


def w2_squared_deltas(start: Vector, end: Vector) -> float:
    r"""Squared distance between two Dirac deltas (§2.2), :math:`\mathcal W_2 = |\theta_T - \theta_0|^2`.

    Args:
        start: θ₀.
        end: θ_T.

    Returns:
        |θ_T − θ₀|².

    Raises:
        ValueError: if a coordinate is not finite or the lengths differ.
    """
    check_shape("start", start, (None,))
    check_shape("end", end, start.shape)
    check_finite("start", start)
    check_finite("end", end)
    return float(np.sum((end - start) ** 2))


def w2_squared_diagonal(
    mean_start: Float[np.ndarray, "*batch dims"],
    variance_start: Float[np.ndarray, "*batch dims"],
    mean_end: Float[np.ndarray, "*batch dims"],
    variance_end: Float[np.ndarray, "*batch dims"],
) -> Float[np.ndarray, "*batch"]:
    r"""Squared distance between Gaussians with diagonal covariances, the last line before Eq. (78) mode by mode.

    .. math:: \mathcal W_2 = \sum_i (m_i - m'_i)^2 + (\sqrt{C_i} - \sqrt{C'_i})^2

    Args:
        mean_start: m.
        variance_start: C, non-negative.
        mean_end: m′.
        variance_end: C′, non-negative.

    Returns:
        𝒲₂, summed over the last axis.

    Raises:
        ValueError: if a mean is not finite, a variance is negative, or the shapes differ.
    """
    for name, mean in (("mean_start", mean_start), ("mean_end", mean_end)):
        check_shape(name, mean, mean_start.shape)
        check_finite(name, mean)
    for name, variance in (("variance_start", variance_start), ("variance_end", variance_end)):
        check_shape(name, variance, mean_start.shape)
        check_non_negative(name, variance)
    # √a − √b = (a − b)/(√a + √b) keeps the digits of a − b.
    widths = np.sqrt(variance_start) + np.sqrt(variance_end)
    change = (variance_end - variance_start) / np.where(widths > 0, widths, 1.0)
    return np.asarray(np.sum((mean_end - mean_start) ** 2 + change**2, axis=-1))


def w2_squared(mean_start: Vector, covariance_start: Matrix, mean_end: Vector, covariance_end: Matrix) -> float:
    r"""Squared Wasserstein-2 distance between two Gaussians, the minimum of Eq. (25), as used before Eq. (78).

    .. math:: \mathcal W_2 = |m-m'|^2 + \mathrm{Tr}\bigl(\Sigma+\Sigma'-2(\Sigma^{1/2}\Sigma'\Sigma^{1/2})^{1/2}\bigr)

    Args:
        mean_start: m.
        covariance_start: Σ, symmetric, without negative eigenvalues; may be singular.
        mean_end: m′.
        covariance_end: Σ′, likewise.

    Returns:
        𝒲₂ ≥ 0, exact to rounding of the covariances' entries: for well-conditioned laws a relative distance
        δ in the covariances comes out with a relative error of order 10⁻¹⁶/δ, not 10⁻¹⁶/δ².

    Raises:
        ValueError: if a mean is not finite, a covariance is not valid, or the shapes differ.
    """
    factors = _checked_factors(mean_start, covariance_start, mean_end, covariance_end)
    return w2_squared_factors(mean_start, factors[0], mean_end, factors[1])


def w2_squared_factors(
    mean_start: Vector,
    factor_start: Float[np.ndarray, "dims rank_start"],
    mean_end: Vector,
    factor_end: Float[np.ndarray, "dims rank_end"],
) -> float:
    r"""Squared distance between Gaussians given by factors of their covariances, Σ = FFᵀ, without forming Σ.

    .. math:: \mathcal W_2 = |m-m'|^2 + \|F\|_F^2 + \|F'\|_F^2 - 2\|F'^{\mathsf T}F\|_* = |m-m'|^2 + \min_Q\|F-F'Q\|_F^2

    The second form is computed. The cost is that of one singular value decomposition of rank × rank: N samples
    of P ≫ N weights, centred and divided by √N, are such a factor.

    Args:
        mean_start: m.
        factor_start: F, of any rank, also 0 (a Dirac delta).
        mean_end: m′.
        factor_end: F′, of any rank.

    Returns:
        𝒲₂ ≥ 0.

    Raises:
        ValueError: if a number is not finite or the numbers of dimensions differ.
    """
    check_shape("mean_start", mean_start, (None,))
    check_shape("mean_end", mean_end, mean_start.shape)
    check_finite("mean_start", mean_start)
    check_finite("mean_end", mean_end)
    for name, factor in (("factor_start", factor_start), ("factor_end", factor_end)):
        check_shape(name, factor, (mean_start.size, None))
        check_finite(name, factor)
    start, end = _aligned(factor_start, factor_end)
    return w2_squared_deltas(mean_start, mean_end) + float(np.sum((end - start) ** 2))


def displacement(
    mean_start: Vector, covariance_start: Matrix, mean_end: Vector, covariance_end: Matrix, fraction: float
) -> tuple[Vector, Matrix]:
    r"""The law at a fraction s of the shortest path, the minimiser of Eq. (25); it is a Gaussian again.

    .. math:: m_s = (1-s)m_0 + s m_1, \qquad \Sigma_s = F_sF_s^{\mathsf T}, \quad F_s = (1-s)F_0 + sF_1Q

    Args:
        mean_start: m₀.
        covariance_start: Σ₀; may be singular.
        mean_end: m₁.
        covariance_end: Σ₁.
        fraction: s, from 0 (start) to 1 (end).

    Returns:
        Mean and covariance at s.

    Raises:
        ValueError: if s lies outside 0…1, a mean is not finite, a covariance is not valid, or the shapes differ.
    """
    factors = _checked_factors(mean_start, covariance_start, mean_end, covariance_end)
    if not 0.0 <= fraction <= 1.0:
        raise ValueError(f"`fraction` must lie in 0…1; fraction = {fraction!r}.")
    start, end = _aligned(*factors)
    factor = (1.0 - fraction) * start + fraction * end
    return (1.0 - fraction) * mean_start + fraction * mean_end, factor @ factor.T


def speed_squared(mean_rate: Vector, covariance: Matrix, covariance_rate: Matrix) -> float:
    r"""Mean squared velocity ⟨|v|²⟩ of a moving Gaussian, the integrand of Eq. (25).

    The velocity of least ⟨|v|²⟩ that moves N(m, C) as prescribed is linear and a gradient,

    .. math:: v = \dot m + A(\theta-m), \quad AC + CA = \dot C, \quad A = A^{\mathsf T}, \qquad
              \langle|v|^2\rangle = |\dot m|^2 + \mathrm{Tr}(ACA)

    Args:
        mean_rate: ṁ [1/time].
        covariance: C, positive definite.
        covariance_rate: Ċ, symmetric [1/time].

    Returns:
        ⟨|v|²⟩ [1/time²].

    Raises:
        ValueError: if C is not positive definite, Ċ not symmetric, a number not finite, or the shapes differ.
    """
    check_shape("mean_rate", mean_rate, (None,))
    check_finite("mean_rate", mean_rate)
    check_covariance("covariance", covariance, mean_rate.size, definite=True)
    check_shape("covariance_rate", covariance_rate, covariance.shape)
    check_symmetric("covariance_rate", covariance_rate)
    gradient = solve_continuous_lyapunov(covariance, covariance_rate)
    return float(mean_rate @ mean_rate + np.trace(gradient @ covariance @ gradient.T))


def action(
    times: Times,
    means: Float[np.ndarray, "times dims"],
    covariances: Float[np.ndarray, "times dims dims"],
) -> float:
    r"""Benamou–Brenier action T∫⟨|v|²⟩dt of a Gaussian path, Eq. (25), known at some times.

    .. math:: (t_K-t_0)\sum_k \frac{\mathcal W_2(p_k, p_{k+1})}{t_{k+1}-t_k}
              \;\geq\; \Bigl(\sum_k\sqrt{\mathcal W_2(p_k,p_{k+1})}\Bigr)^2 \;\geq\; \mathcal W_2(p_0,p_K)

    This is exact for the path that is straight between the given laws. For a smooth path it is a lower bound, with
    an error of second order in the spacing.

    Args:
        times: t_k [time], strictly increasing, at least two.
        means: mean at each time.
        covariances: covariance at each time; may be singular.

    Returns:
        The action, at least 𝒲₂ between the ends, with equality for the straight path at constant speed.

    Raises:
        ValueError: if times do not increase, a covariance is not valid, or the shapes differ.
    """
    check_shape("means", means, (times.size, None))
    check_shape("covariances", covariances, (times.size, means.shape[1], means.shape[1]))
    check_finite("times", times)
    check_increasing("times", times)
    if times.size < 2:
        raise ValueError(f"`times` must be at least two; times.size = {times.size}.")
    pieces = [
        w2_squared(means[k], covariances[k], means[k + 1], covariances[k + 1]) / (times[k + 1] - times[k])
        for k in range(times.size - 1)
    ]
    return float((times[-1] - times[0]) * np.sum(pieces))


def _checked_factors(
    mean_start: np.ndarray, covariance_start: np.ndarray, mean_end: np.ndarray, covariance_end: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    check_shape("mean_start", mean_start, (None,))
    check_shape("mean_end", mean_end, mean_start.shape)
    check_covariance("covariance_start", covariance_start, mean_start.size)
    check_covariance("covariance_end", covariance_end, mean_start.size)
    return _root(covariance_start), _root(covariance_end)


def _root(covariance: np.ndarray) -> np.ndarray:
    eigenvalues, vectors = eigh(covariance)
    return vectors * np.sqrt(np.maximum(eigenvalues, 0.0))


def _aligned(start: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both factors with as many columns as the wider one; the second is rotated close to the first."""
    rank = max(start.shape[1], end.shape[1])
    start, end = (np.hstack([each, np.zeros((len(each), rank - each.shape[1]))]) for each in (start, end))
    if rank == 0:
        return start, end
    left, _, right = svd(end.T @ start)
    return start, end @ (left @ right)
