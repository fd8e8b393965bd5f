r"""Training under a constant kernel: distance, dissipation and arc length in closed form.

The outputs' error decays mode by mode, :math:`\Delta_k(t) = e^{-\lambda_k t}\Delta_k`, Eq. (52), for the loss
:math:`L = \tfrac12\sum(f-y)^2`. Everything here is exact for models linear in their weights and for infinitely
wide networks, at any time.
"""

import numpy as np
from jaxtyping import Float
from scipy.integrate import quad_vec

from speedlimits._checks import check_non_negative, check_positive, check_shape

Modes = Float[np.ndarray, " modes"]
Times = Float[np.ndarray, " times"]


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
    eigenvalues, residual, times = _checked(eigenvalues, residual, times)
    moving = eigenvalues > 0
    rates = eigenvalues[moving]
    weights = residual[moving] ** 2 / rates
    return np.expm1(-np.outer(times, rates)) ** 2 @ weights


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
    eigenvalues, residual, times = _checked(eigenvalues, residual, times)
    return -0.5 * np.expm1(-2.0 * np.outer(times, eigenvalues)) @ residual**2


def arc_length(eigenvalues: Modes, residual: Modes, times: Times) -> Times:
    r"""Length of the path travelled in weight space, Eqs. (64), (66).

    .. math:: l_\gamma(t) = \int_0^t \sqrt{\textstyle\sum_k \lambda_k \Delta_k^2 e^{-2\lambda_k s}}\,ds

    Args:
        eigenvalues: NTK eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k, initial output minus target in the NTK eigenbasis [√loss].
        times: flow time t [time], in any order.

    Returns:
        l_γ at each time.

    Raises:
        ValueError: if an eigenvalue or time is negative or not finite, or the lengths differ.
    """
    eigenvalues, residual, times = _checked(eigenvalues, residual, times)
    weights = eigenvalues * residual**2
    top = eigenvalues.max(initial=0.0)
    if top == 0.0:
        return np.zeros_like(times)

    # The speed varies on the scales 1/λ of all modes at once; u = ln(1 + λ_max s) spreads them evenly.
    def speed(u: float) -> float:
        s = np.expm1(u) / top
        return np.sqrt(weights @ np.exp(-2.0 * eigenvalues * s)) * (s + 1.0 / top)

    order = np.argsort(times)
    ends = np.log1p(top * times[order])
    pieces = [
        quad_vec(speed, start, end, epsabs=0.0, epsrel=1e-13, quadrature="gk21")[0] if end > start else 0.0
        for start, end in zip(np.concatenate(([0.0], ends[:-1])), ends, strict=True)
    ]
    lengths = np.empty_like(times)
    lengths[order] = np.cumsum(pieces)
    return lengths


def discrete_w2_squared(eigenvalues: Modes, residual: Modes, steps: Times, learning_rate: float) -> Times:
    r"""Squared distance travelled by gradient descent with a finite step, exact for a quadratic loss.

    .. math:: |\theta_N-\theta_0|^2 = \sum_k \Delta_k^2\lambda_k^{-1}(1-q_k^N)^2, \qquad q_k = 1-\eta\lambda_k

    Args:
        eigenvalues: Hessian eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k in the same basis [√loss].
        steps: numbers of steps N.
        learning_rate: η [time].

    Returns:
        |θ_N − θ_0|² after each number of steps; → `w2_squared` at t = ηN as η → 0.

    Raises:
        ValueError: if an eigenvalue or step count is negative, η is not positive, or the lengths differ.
    """
    eigenvalues, residual, steps = _checked(eigenvalues, residual, steps, "steps")
    check_positive("learning_rate", learning_rate)
    moving = eigenvalues > 0
    rates = eigenvalues[moving]
    powers = (1.0 - learning_rate * rates) ** steps[:, None]
    return (1.0 - powers) ** 2 @ (residual[moving] ** 2 / rates)


def discrete_path_dissipation(eigenvalues: Modes, residual: Modes, steps: Times, learning_rate: float) -> Times:
    r"""Exact path dissipation Σ|δ|²/η of gradient descent with a finite step on a quadratic loss.

    .. math:: \sum_n |\theta_{n+1}-\theta_n|^2/\eta = \sum_k \Delta_k^2\,\frac{1-q_k^{2N}}{2-\eta\lambda_k},
              \qquad q_k = 1-\eta\lambda_k

    Args:
        eigenvalues: Hessian eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k in the same basis [√loss].
        steps: numbers of steps N.
        learning_rate: η [time], not exactly 2/λ for any λ.

    Returns:
        Path dissipation [loss] after each number of steps; it exceeds the loss drop by the discretisation share.

    Raises:
        ValueError: if an eigenvalue or step count is negative, η is not positive, or the lengths differ.
    """
    eigenvalues, residual, steps = _checked(eigenvalues, residual, steps, "steps")
    check_positive("learning_rate", learning_rate)
    scaled = learning_rate * eigenvalues
    powers = (1.0 - scaled) ** (2.0 * steps[:, None])
    return (1.0 - powers) @ (residual**2 / (2.0 - scaled))


def _checked(
    eigenvalues: np.ndarray, residual: np.ndarray, times: np.ndarray, times_name: str = "times"
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    eigenvalues = np.asarray(eigenvalues, dtype=float)
    residual = np.asarray(residual, dtype=float)
    check_shape("eigenvalues", eigenvalues, (None,))
    check_shape("residual", residual, (eigenvalues.size,))
    check_non_negative("eigenvalues", eigenvalues)
    check_non_negative(times_name, times)
    return eigenvalues, residual, np.atleast_1d(np.asarray(times, dtype=float))
