"""Misprinted formulas of the paper on entropy production, beside their corrections; use none of them.

Each function says what is wrong, how wrong it is, and which function of this package is right. Arguments and errors
are those of the right function.
"""

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_positive, check_shape
from speedlimits._shapes import Matrix, Path, Vector
from speedlimits.dissipation import path_measure
from speedlimits.dissipation.path import gaussian_rate_terms

Batch = Float[np.ndarray, "*batch"]
States = Float[np.ndarray, "*batch dims"]


def gibbs_density(
    potential: Float[np.ndarray, "*points"], log_partition: float, inverse_temperature: float
) -> Float[np.ndarray, "*points"]:
    r"""Equilibrium density as printed below Eq. (4), e^{−βV}/ln 𝒵, from V at some points, ln 𝒵 and β.

    Its total mass is 𝒵/ln 𝒵 instead of 1, and it is negative where 𝒵 < 1.

    Note:
        Erratum below Eq. (4): the density is e^{−βV}/𝒵, as in Eqs. (18), (19).
    """
    check_positive("inverse_temperature", inverse_temperature)
    return np.asarray(np.exp(-inverse_temperature * potential) / log_partition)


def euler_maruyama_step(
    theta: States, gradient: States, normal: States, inverse_temperature: float, time_step: float
) -> States:
    r"""One Langevin step as printed in Eq. (28), where f = +∇V, from the gradient ∇V(θ_l).

    The walk climbs the potential and has no equilibrium in a well.

    Note:
        Erratum 28: f = −∇V; `path_measure.euler_maruyama_step` takes that force.
    """
    return path_measure.euler_maruyama_step(theta, gradient, normal, inverse_temperature, time_step)


def log_path_density(path: Path, gradients: Path, inverse_temperature: float, time_step: float) -> Batch:
    r"""Log density ln p(θ₁ … θ_N | θ₀) as printed in Eqs. (28), (29), where f = +∇V, from ∇V at each state.

    The force is reversed, so the density of true paths is too low by βT⟨|∇V|²⟩ in the mean.

    Note:
        Erratum 29: f = −∇V; `path_measure.log_path_density` takes that force.
    """
    return path_measure.log_path_density(path, gradients, inverse_temperature, time_step)


def bath_entropy_production(path: Path, forces: Path, inverse_temperature: float) -> Batch:
    r"""β∫f·dθ of Eq. (38) with the product of Eq. (27), Itô's: the force at the left end of each step.

    The mean over paths is R₁ − ∫⟨∇·f⟩dt, too large by ∫⟨ΔV⟩dt.

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

    It is too large by 2(1 − β⁻¹)Tr H, and right at β = 1 only. Infinite β is not allowed.

    Note:
        Erratum 47: the coefficient is 2, as in Eqs. (5), (24), (48); `path.gaussian_rate_terms` has it.
    """
    check_positive("inverse_temperature", inverse_temperature)
    terms = gaussian_rate_terms(stiffness, force, mean, covariance, inverse_temperature)
    return inverse_temperature * (terms.gradient + terms.score) + terms.curvature
