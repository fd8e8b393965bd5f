r"""Dissipation along the way: the stochastic velocity and its mean square.

Every law here has a velocity field :math:`v = f - \beta^{-1}\nabla\ln p`, Eq. (36), and dissipates
:math:`\partial_t(\beta^{-1}R) = \langle|v|^2\rangle`. Closed forms are for Gaussian laws in quadratic potentials
V = ½θᵀHθ − bᵀθ.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.integrate import quad_vec

from speedlimits._checks import (
    check_covariance,
    check_finite,
    check_inverse_temperature,
    check_non_negative,
    check_shape,
    check_symmetric,
)
from speedlimits._shapes import Matrix, Times, Vector

Field = Float[np.ndarray, "*points"]


class RateTerms(NamedTuple):
    r"""The three terms of Eqs. (5), (24), (48) at one time; their sum is ∂_t(β⁻¹R) [loss/time].

    Args:
        gradient: ⟨|∇V|²⟩.
        curvature: −2β⁻¹⟨ΔV⟩.
        score: β⁻²⟨|∇ln p|²⟩.
    """

    gradient: float
    curvature: float
    score: float


def velocity(force: Field, score: Field, inverse_temperature: float) -> Field:
    r"""Velocity that carries the density as the stochastic dynamics does, Eqs. (22), (35), (36).

    .. math:: v = f - \beta^{-1}\nabla\ln p

    Args:
        force: f = −∇V, any shape.
        score: ∇ln p at the same places.
        inverse_temperature: β; infinity for no noise, where v = f.

    Returns:
        v; zero everywhere in equilibrium, Eq. (34).

    Raises:
        ValueError: if β is not positive or the shapes differ.
    """
    check_inverse_temperature("inverse_temperature", inverse_temperature)
    check_shape("score", score, force.shape)
    return force - score / inverse_temperature


def probability_current(density: Field, density_gradient: Field, force: Field, inverse_temperature: float) -> Field:
    r"""Probability current of the Fokker–Planck equation ∂ₜp = −∇·J, Eqs. (32), (33).

    .. math:: J = f p - \beta^{-1}\nabla p = v p

    Args:
        density: p, one value for each component of the force.
        density_gradient: ∇p.
        force: f = −∇V.
        inverse_temperature: β; infinity for no noise.

    Returns:
        J.

    Raises:
        ValueError: if β is not positive or the shapes differ.
    """
    check_inverse_temperature("inverse_temperature", inverse_temperature)
    check_shape("density", density, force.shape)
    check_shape("density_gradient", density_gradient, force.shape)
    return force * density - density_gradient / inverse_temperature


def gaussian_velocity_squared(
    stiffness: Matrix, force: Vector, mean: Vector, covariance: Matrix, inverse_temperature: float
) -> float:
    r"""Dissipation rate ⟨|v|²⟩ of a Gaussian law by its velocity, Eqs. (23), (36), (45).

    .. math:: v = b - Hm + A(\theta-m), \quad A = \beta^{-1}C^{-1}-H, \qquad
              \langle|v|^2\rangle = |b-Hm|^2 + \mathrm{Tr}(ACA)

    Args:
        stiffness: H, symmetric [loss].
        force: b [loss].
        mean: m.
        covariance: C, positive definite; without noise it may be singular.
        inverse_temperature: β; infinity for no noise.

    Returns:
        ⟨|v|²⟩ = ∂_t(β⁻¹R) [loss/time].

    Raises:
        ValueError: if β is not positive, C not positive definite, a number not finite, or the shapes differ.
    """
    terms = _checked(stiffness, force, mean, covariance, inverse_temperature)
    drift = force - stiffness @ mean
    gradient = terms / inverse_temperature - stiffness
    return float(drift @ drift + np.sum((gradient @ covariance) * gradient))


def gaussian_rate_terms(
    stiffness: Matrix, force: Vector, mean: Vector, covariance: Matrix, inverse_temperature: float
) -> RateTerms:
    r"""Dissipation rate of a Gaussian law split as in Eqs. (5), (24), (48).

    .. math:: \langle|\nabla V|^2\rangle = |Hm-b|^2+\mathrm{Tr}(HCH), \quad
              \langle\Delta V\rangle = \mathrm{Tr} H, \quad \langle|\nabla\ln p|^2\rangle = \mathrm{Tr} C^{-1}

    Args:
        stiffness: H, symmetric [loss].
        force: b [loss].
        mean: m.
        covariance: C, positive definite; without noise it may be singular.
        inverse_temperature: β; infinity for no noise, where only the first term is left.

    Returns:
        The three terms [loss/time]. Near equilibrium their sum loses digits; `gaussian_velocity_squared` does not.

    Raises:
        ValueError: if β is not positive, C not positive definite, a number not finite, or the shapes differ.

    Note:
        Erratum 47: its last line has 2β⁻¹⟨∇·f⟩ for R where 2⟨∇·f⟩ is meant; Eqs. (5), (24) and (48) are right.
    """
    precision = _checked(stiffness, force, mean, covariance, inverse_temperature)
    slope = stiffness @ mean - force
    return RateTerms(
        gradient=float(slope @ slope + np.sum((stiffness @ covariance) * stiffness)),
        curvature=float(-2.0 * np.trace(stiffness) / inverse_temperature),
        score=float(np.trace(precision) / inverse_temperature**2),
    )


def time_integral(rate: Callable[[float], float], times: Times) -> Times:
    r"""Dissipation from its rate, Eqs. (23), (44): β⁻¹R(t) = ∫₀ᵗ⟨|v|²⟩ds.

    Args:
        rate: ⟨|v|²⟩ at a time [loss/time].
        times: t [time], in any order.

    Returns:
        β⁻¹R at each time [loss], to about 1e-12.

    Raises:
        ValueError: if a time is negative or not finite.
    """
    check_shape("times", times, (None,))
    check_non_negative("times", times)
    order = np.argsort(times)
    ends = times[order]
    starts = np.concatenate(([0.0], ends[:-1]))
    # `limit` ends the search for digits that a rate at rounding level (as in equilibrium) does not have.
    pieces = [
        quad_vec(rate, start, end, epsabs=0.0, epsrel=1e-12, quadrature="gk21", limit=100)[0] if end > start else 0.0
        for start, end in zip(starts, ends, strict=True)
    ]
    totals = np.empty(times.shape)
    totals[order] = np.cumsum(pieces)
    return totals


def _checked(
    stiffness: np.ndarray, force: np.ndarray, mean: np.ndarray, covariance: np.ndarray, inverse_temperature: float
) -> np.ndarray:
    """Check the law and the potential; return C⁻¹, or zero without noise."""
    check_shape("force", force, (None,))
    check_shape("mean", mean, force.shape)
    check_shape("stiffness", stiffness, (force.size, force.size))
    check_finite("force", force)
    check_finite("mean", mean)
    check_symmetric("stiffness", stiffness)
    check_inverse_temperature("inverse_temperature", inverse_temperature)
    noisy = bool(np.isfinite(inverse_temperature))
    check_covariance("covariance", covariance, force.size, definite=noisy)
    return np.linalg.inv(covariance) if noisy else np.zeros_like(covariance)
