"""Misprinted formulas of the paper on entropy production, evaluable beside their corrections; use none of them.

Each function says what is wrong, how wrong it is, and which function of this package is right.
"""

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_positive, check_shape
from speedlimits.dissipation import path_measure
from speedlimits.dissipation.path import gaussian_rate_terms

Vector = Float[np.ndarray, " dims"]
Matrix = Float[np.ndarray, "dims dims"]
Path = Float[np.ndarray, "*batch states dims"]


def gibbs_density(
    potential: Float[np.ndarray, "*points"], log_partition: float, inverse_temperature: float
) -> Float[np.ndarray, "*points"]:
    r"""Equilibrium density as printed below Eq. (4), e^{−βV}/ln 𝒵.

    Args:
        potential: V at some points [loss].
        log_partition: ln 𝒵.
        inverse_temperature: β [1/loss].

    Returns:
        A function of total mass 𝒵/ln 𝒵 instead of 1, negative where 𝒵 < 1.

    Raises:
        ValueError: if β is not positive and finite.

    Note:
        Erratum below Eq. (4): the density is e^{−βV}/𝒵, as in Eqs. (18), (19).
    """
    check_positive("inverse_temperature", inverse_temperature)
    return np.asarray(np.exp(-inverse_temperature * potential) / log_partition)


def euler_maruyama_step(
    theta: Float[np.ndarray, "*batch dims"],
    gradient: Float[np.ndarray, "*batch dims"],
    normal: Float[np.ndarray, "*batch dims"],
    inverse_temperature: float,
    time_step: float,
) -> Float[np.ndarray, "*batch dims"]:
    r"""One Langevin step as printed in Eq. (28), where f = +∇V.

    Args:
        theta: θ_l.
        gradient: ∇V(θ_l).
        normal: standard normal numbers.
        inverse_temperature: β.
        time_step: dt [time].

    Returns:
        θ_{l+1} of a walk that climbs the potential and has no equilibrium in a well.

    Raises:
        ValueError: if β or dt is not positive and finite, or the shapes differ.

    Note:
        Erratum 28: f = −∇V; `path_measure.euler_maruyama_step` takes that force.
    """
    return path_measure.euler_maruyama_step(theta, gradient, normal, inverse_temperature, time_step)


def log_path_density(
    path: Path, gradients: Path, inverse_temperature: float, time_step: float
) -> Float[np.ndarray, "*batch"]:
    r"""Log density ln p(θ₁ … θ_N | θ₀) as printed in Eqs. (28), (29), where f = +∇V.

    Args:
        path: θ₀ … θ_N.
        gradients: ∇V at each of these states.
        inverse_temperature: β.
        time_step: dt [time].

    Returns:
        The log density under the reversed force: too low by βT⟨|∇V|²⟩ in the mean over true paths.

    Raises:
        ValueError: if β or dt is not positive and finite, or the shapes differ.

    Note:
        Erratum 29: f = −∇V; `path_measure.log_path_density` takes that force.
    """
    return path_measure.log_path_density(path, gradients, inverse_temperature, time_step)


def bath_entropy_production(path: Path, forces: Path, inverse_temperature: float) -> Float[np.ndarray, "*batch"]:
    r"""β∫f·dθ of Eq. (38) with the product of Eq. (27), Itô's: the force at the left end of each step.

    Args:
        path: θ₀ … θ_N.
        forces: f = −∇V at each of these states.
        inverse_temperature: β.

    Returns:
        A number for each path; its mean is R₁ − ∫⟨∇·f⟩dt, too large by ∫⟨ΔV⟩dt.

    Raises:
        ValueError: if β is not positive and finite, or the shapes differ.

    Note:
        Erratum 38: the product is Stratonovich's (midpoint); `path_measure.log_path_ratio` is exact for steps.
    """
    check_positive("inverse_temperature", inverse_temperature)
    check_shape("forces", forces, path.shape)
    work = np.sum(forces[..., :-1, :] * np.diff(path, axis=-2), axis=(-2, -1))
    return np.asarray(inverse_temperature * work)


def gaussian_entropy_production_rate(
    stiffness: Matrix, force: Vector, mean: Vector, covariance: Matrix, inverse_temperature: float
) -> float:
    r"""∂_tR of a Gaussian law as printed in the last line of Eq. (47).

    .. math:: \beta\langle|f|^2\rangle + 2\beta^{-1}\langle\nabla\cdot f\rangle
              + \beta^{-1}\langle|\nabla\ln p|^2\rangle

    Args:
        stiffness: H of V = ½θᵀHθ − bᵀθ [loss].
        force: b [loss].
        mean: m.
        covariance: C, positive definite.
        inverse_temperature: β, finite.

    Returns:
        A rate [1/time] too large by 2(1 − β⁻¹)Tr H, right at β = 1 only.

    Raises:
        ValueError: if β is not positive and finite, C not positive definite, or the shapes differ.

    Note:
        Erratum 47: the coefficient is 2, as in Eqs. (5), (24), (48); `path.gaussian_rate_terms` has it.
    """
    check_positive("inverse_temperature", inverse_temperature)
    terms = gaussian_rate_terms(stiffness, force, mean, covariance, inverse_temperature)
    return inverse_temperature * (terms.gradient + terms.score) + terms.curvature
