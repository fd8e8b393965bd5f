"""Misprinted formulas of the paper on linear regression, beside their corrections; use none of them.

Each function says what is wrong, how wrong it is, and which function of this package is right.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float

from speedlimits._shapes import Values
from speedlimits.theory.linear_regression import LinearRegression
from speedlimits.theory.regression_limit import RegressionLimit


def drift(problem: LinearRegression, theta: Float[np.ndarray, "*walkers dims"]) -> Float[np.ndarray, "*walkers dims"]:
    r"""The drift as printed in Eq. (74), :math:`-\eta(X(y - X^{\mathsf T}\theta) + \tfrac{\lambda d}\beta\theta)`.

    It climbs the loss: weights run away along every direction in which data outweigh the decay.

    Note:
        Erratum 74: −∇L is :math:`X(y - X^{\mathsf T}\theta)`, as in `LinearRegression.drift`.
    """
    climb = (theta @ problem.inputs - problem.targets) @ problem.inputs.T
    return problem.drift(theta) + 2.0 * problem.mobility * climb


def data_dissipation(problem: LinearRegression) -> float:
    r"""(nβ)⁻¹R at T = ∞ as printed in the last line of Eq. (77), for the given data, whatever the learning rate.

    It is too small: it has 1/d of the work on the mean, :math:`\|\Sigma_T^{-1/2}\mu_T\|^2/(2n)`.

    Note:
        Erratum 77: 1/(2d²n) should be 1/(2dn), as its line before has it; `LinearRegression.dissipation` is right.
    """
    end = np.array([np.inf])
    problem = replace(problem, learning_rate=None)
    # Without targets the mean stays at zero: what is left are all other terms.
    others = replace(problem, targets=np.zeros_like(problem.targets)).dissipation(end)
    return float((others + (problem.dissipation(end) - others) / len(problem.inputs))[0])


def dissipation(system: RegressionLimit) -> Values:
    r"""(nβ)⁻¹R at T = ∞ as in the printed denominator of Eq. (79), whatever α.

    It is too small, by the work on the mean, :math:`\tfrac\alpha2\int s^2/(c\gamma+s)\,d\rho`.

    Note:
        Erratum 79: Eq. (77) has the term; `RegressionLimit.dissipation` is right.
    """
    return replace(system, teacher_variance=np.zeros_like(system.teacher_variance, dtype=float)).dissipation()


def speed_limit(system: RegressionLimit) -> Values:
    r"""T_SL at T = ∞ as printed in Eq. (79).

    It is too large wherever α > 0: by 1 + αλ for β → ∞, and by 1 + 2αλ for β → 0.

    Note:
        Erratum 79: see `dissipation`; `RegressionLimit.speed_limit` is right.
    """
    return system.w2_squared() / dissipation(system)


def limit_zero_temperature(system: RegressionLimit) -> Values:
    r"""T_SL at T = ∞ for β → ∞ as printed in Eqs. (8), (80), 2(1 + αλ)/∫s dρ with ∫s dρ = 1.

    It is too large, by (1 + αλ) max(1, γ).

    Note:
        Erratum 8: `RegressionLimit.limit_zero_temperature`, 2 min(1, 1/γ), is right.
    """
    return np.float64(2.0) + limit_many_samples(system)


def limit_many_samples(system: RegressionLimit) -> Values:
    r"""T_SL at T = ∞ for n → ∞ as printed in Eqs. (10), (83), 2λα.

    It is wrong by the factor αλ, and it is not even the limit of Eq. (79) as printed, 2(1 + αλ).

    Note:
        Erratum 10: `RegressionLimit.limit_many_samples`, 2, is right.
    """
    return system.limit_many_samples() * np.multiply(system.weight_decay, system.teacher_variance)


def limit_zero_temperature_then_wide(system: RegressionLimit) -> Values:
    r"""T_SL at T = ∞ for β → ∞, then d → ∞, as printed below Eq. (80), 2(1 + αλ).

    The right limit is 0, as `RegressionLimit.limit_zero_temperature` falls like 2/γ.

    Note:
        Erratum 80: the paper concludes, also below Eq. (11), that the two limits do not commute. They do.
    """
    return limit_zero_temperature(system)
