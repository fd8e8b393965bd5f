"""Misprinted formulas of the paper on linear regression, evaluable beside their corrections; use none of them.

Each function says what is wrong, how wrong it is, and which function of this package is right.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Float, Float64
from numpy.typing import ArrayLike

from speedlimits._checks import check_non_negative, check_positive
from speedlimits.theory import regression_limit
from speedlimits.theory.linear_regression import LinearRegression

Values = Float64[np.ndarray, "*points"] | np.float64


def drift(problem: LinearRegression, theta: Float[np.ndarray, "*walkers dims"]) -> Float[np.ndarray, "*walkers dims"]:
    r"""The drift as printed in Eq. (74), :math:`-\eta(X(y - X^{\mathsf T}\theta) + \tfrac{\lambda d}\beta\theta)`.

    Args:
        problem: data, weight decay and temperature.
        theta: weights.

    Returns:
        A drift that climbs the loss: weights run away along every direction in which data outweigh the decay.

    Raises:
        ValueError: if the lengths differ.

    Note:
        Erratum 74: −∇L is :math:`X(y - X^{\mathsf T}\theta)`, as in `LinearRegression.drift`.
    """
    climb = (theta @ problem.inputs - problem.targets) @ problem.inputs.T
    return problem.drift(theta) + 2.0 * problem.mobility * climb


def data_dissipation(problem: LinearRegression) -> float:
    r"""Dissipation per sample at T = ∞ as printed in the last line of Eq. (77), for the given data.

    Args:
        problem: data, weight decay and temperature; its learning rate does not enter.

    Returns:
        (nβ)⁻¹R with 1/d of the work on the mean, :math:`\|\Sigma_T^{-1/2}\mu_T\|^2/(2n)`: too small.

    Note:
        Erratum 77: 1/(2d²n) should be 1/(2dn), as its line before has it; `LinearRegression.dissipation` is right.
    """
    end = np.array([np.inf])
    problem = replace(problem, learning_rate=None)
    # Without targets the mean stays at zero: what is left are all other terms.
    others = replace(problem, targets=np.zeros_like(problem.targets)).dissipation(end)
    return float((others + (problem.dissipation(end) - others) / len(problem.inputs))[0])


def dissipation(
    *,
    weight_decay: ArrayLike,
    inverse_temperature: ArrayLike,
    aspect_ratio: ArrayLike,
    teacher_variance: ArrayLike,
) -> Values:
    r"""Dissipation per sample at T = ∞ as in the printed denominator of Eq. (79), whatever α.

    Args:
        weight_decay: λ, positive.
        inverse_temperature: β [1/loss], positive and finite.
        aspect_ratio: γ = d/n, positive.
        teacher_variance: α, non-negative; it only gives the result its shape.

    Returns:
        Too little, by the work on the mean, :math:`\tfrac\alpha2\int s^2/(c\gamma+s)\,d\rho`.

    Raises:
        ValueError: if a parameter breaks its rule or the shapes do not broadcast.

    Note:
        Erratum 79: Eq. (77) has the term; `regression_limit.dissipation` is right.
    """
    check_non_negative("teacher_variance", teacher_variance)
    return regression_limit.dissipation(
        weight_decay=weight_decay,
        inverse_temperature=inverse_temperature,
        aspect_ratio=aspect_ratio,
        teacher_variance=np.zeros_like(teacher_variance, dtype=np.float64),
    )


def speed_limit(
    *,
    weight_decay: ArrayLike,
    inverse_temperature: ArrayLike,
    aspect_ratio: ArrayLike,
    teacher_variance: ArrayLike,
) -> Values:
    r"""T_SL at T = ∞ as printed in Eq. (79).

    Args:
        weight_decay: λ, positive.
        inverse_temperature: β [1/loss], positive and finite.
        aspect_ratio: γ = d/n, positive.
        teacher_variance: α, non-negative.

    Returns:
        T_SL [time], too large wherever α > 0; by 1 + αλ for β → ∞, by 1 + 2αλ for β → 0.

    Raises:
        ValueError: if a parameter breaks its rule or the shapes do not broadcast.

    Note:
        Erratum 79: see `dissipation`; `regression_limit.speed_limit` is right.
    """
    point = {
        "weight_decay": weight_decay,
        "inverse_temperature": inverse_temperature,
        "aspect_ratio": aspect_ratio,
        "teacher_variance": teacher_variance,
    }
    return regression_limit.w2_squared(**point) / dissipation(**point)


def limit_zero_temperature(*, weight_decay: ArrayLike, aspect_ratio: ArrayLike, teacher_variance: ArrayLike) -> Values:
    r"""T_SL at T = ∞ for β → ∞ as printed in Eqs. (8), (80), 2(1 + αλ)/∫s dρ with ∫s dρ = 1.

    Args:
        weight_decay: λ, positive.
        aspect_ratio: γ = d/n, positive; it only gives the result its shape.
        teacher_variance: α, non-negative.

    Returns:
        T_SL [time], too large by (1 + αλ) max(1, γ).

    Raises:
        ValueError: if a parameter breaks its rule.

    Note:
        Erratum 8: `regression_limit.limit_zero_temperature`, 2 min(1, 1/γ), is right.
    """
    check_positive("weight_decay", weight_decay)
    check_positive("aspect_ratio", aspect_ratio)
    check_non_negative("teacher_variance", teacher_variance)
    one = np.ones_like(aspect_ratio, dtype=np.float64)
    return (2.0 * (one + np.multiply(weight_decay, teacher_variance)))[()]


def limit_many_samples(*, weight_decay: ArrayLike, teacher_variance: ArrayLike) -> Values:
    r"""T_SL at T = ∞ for n → ∞ as printed in Eqs. (10), (83), 2λα.

    Args:
        weight_decay: λ, positive.
        teacher_variance: α, non-negative.

    Returns:
        T_SL [time], wrong by the factor αλ, and not even the limit of Eq. (79) as printed, 2(1 + αλ).

    Raises:
        ValueError: if a parameter breaks its rule.

    Note:
        Erratum 10: `regression_limit.limit_many_samples`, 2, is right.
    """
    check_positive("weight_decay", weight_decay)
    check_non_negative("teacher_variance", teacher_variance)
    return np.multiply(2.0, np.multiply(weight_decay, teacher_variance))[()]


def limit_zero_temperature_then_wide(*, weight_decay: ArrayLike, teacher_variance: ArrayLike) -> Values:
    r"""T_SL at T = ∞ for β → ∞, then d → ∞, as printed below Eq. (80), 2(1 + αλ).

    Args:
        weight_decay: λ, positive.
        teacher_variance: α, non-negative.

    Returns:
        T_SL [time], which is 0, as `regression_limit.limit_zero_temperature` falls like 2/γ.

    Raises:
        ValueError: if a parameter breaks its rule.

    Note:
        Erratum 80: the paper concludes, also below Eq. (11), that the two limits do not commute. They do.
    """
    return limit_zero_temperature(weight_decay=weight_decay, aspect_ratio=1.0, teacher_variance=teacher_variance)
