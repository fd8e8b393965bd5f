r"""Gradient descent with finite steps, with or without momentum, in closed form on a quadratic loss.

Heavy ball: δ_n = μδ_{n−1} − η∇L and θ_{n+1} = θ_n + δ_n, from rest; μ = 0 is gradient descent. With x = ηλ a mode
that starts √λ⁻¹Δ away from its minimum takes the steps

.. math:: \delta_{n} = -x\,\lambda^{-1/2}\Delta\,S_{n+1}, \qquad S_{n+1} = (1+\mu-x)S_n - \mu S_{n-1},
          \quad S_0 = 0,\ S_1 = 1

The sums over S are found by doubling the number of steps, which needs no roots: modes that creep, oscillate or sit on
the double root between the two are all the same, and no digits are lost where x or 1 − μ is small.
"""

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_positive
from speedlimits.bound import SpeedLimit
from speedlimits.theory.constant_kernel import blocks, checked

Modes = Float[np.ndarray, " modes"]
Steps = Float[np.ndarray, " times"]


def w2_squared(
    eigenvalues: Modes, residual: Modes, steps: Steps, learning_rate: float, *, momentum: float = 0.0
) -> Steps:
    r"""Squared distance travelled in N finite steps, the discrete Eq. (54).

    .. math:: |\theta_N-\theta_0|^2 = \sum_k \Delta_k^2\lambda_k^{-1}\Bigl(x_k\sum_{n=1}^N S_n(x_k)\Bigr)^2,
              \qquad \mu = 0:\ \sum_k \Delta_k^2\lambda_k^{-1}\bigl(1-(1-x_k)^N\bigr)^2

    Args:
        eigenvalues: Hessian eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k in the same basis [√loss].
        steps: numbers of steps N, whole.
        learning_rate: η [time].
        momentum: μ, at least 0 and below 1.

    Returns:
        |θ_N − θ_0|² after each number of steps; → `ntk.w2_squared` at t = ηN/(1 − μ) as η → 0; infinite where
        divergence passes the largest number.

    Raises:
        ValueError: if an eigenvalue is negative beyond rounding, a step count negative or not whole, η not
            positive, μ outside [0, 1), or the lengths differ.
    """
    eigenvalues, residual, steps = _checked(eigenvalues, residual, steps, learning_rate, momentum)
    scaled = learning_rate * eigenvalues
    weights = learning_rate**2 * eigenvalues * residual**2
    moved = np.empty_like(steps)
    with np.errstate(over="ignore", invalid="ignore"):
        for part in blocks(steps, scaled.size):
            _, total, _ = _sums(scaled, steps[part], momentum)
            moved[part] = total**2 @ weights
    return _diverged(moved)


def path_dissipation(
    eigenvalues: Modes, residual: Modes, steps: Steps, learning_rate: float, *, momentum: float = 0.0
) -> Steps:
    r"""Exact path dissipation Σ|δ|²/Δt of N finite steps, Δt = η/(1 − μ): the discrete Eq. (55).

    .. math:: \sum_{n<N} \frac{|\delta_n|^2}{\Delta t}
              = (1-\mu)\sum_k \Delta_k^2\,x_k\sum_{n=1}^N S_n(x_k)^2,
              \qquad \mu = 0:\ \sum_k \Delta_k^2\,\frac{1-(1-x_k)^{2N}}{2-x_k}

    A plain step moves at the rate η, a step with momentum in the end at the rate η/(1 − μ). For another time per
    step multiply by Δt/its own; the inefficiency T·dissipation/𝒲₂ does not depend on the choice.

    Args:
        eigenvalues: Hessian eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k in the same basis [√loss].
        steps: numbers of steps N, whole.
        learning_rate: η [time].
        momentum: μ, at least 0 and below 1.

    Returns:
        Path dissipation [loss] after each number of steps; without momentum it exceeds the loss drop by the
        discretisation share.

    Raises:
        ValueError: if an eigenvalue is negative beyond rounding, a step count negative or not whole, η not
            positive, μ outside [0, 1), or the lengths differ.
    """
    eigenvalues, residual, steps = _checked(eigenvalues, residual, steps, learning_rate, momentum)
    scaled = learning_rate * eigenvalues
    # x → 2(1+μ) − x only alternates the signs of S: of the two the smaller keeps clear of the zero below.
    mirrored = np.minimum(scaled, 2.0 * (1.0 + momentum) - scaled)
    weights = (1.0 - momentum) * scaled * residual**2 / (2.0 * (1.0 + momentum) - mirrored)
    spent = np.empty_like(steps)
    with np.errstate(over="ignore", invalid="ignore"):
        for part in blocks(steps, scaled.size):
            last, total, lag = _sums(mirrored, steps[part], momentum)
            # ΣS² from S² − S₊S₋ = μⁿ, the recursion's determinant; all terms regular at x = 0.
            squares = total * (2.0 - mirrored * total) + 2.0 * momentum * (lag + last * total)
            spent[part] = squares @ weights
    return _diverged(spent)


def arc_length(
    eigenvalues: Modes, residual: Modes, steps: Steps, learning_rate: float, *, momentum: float = 0.0
) -> Steps:
    r"""Length Σ|δ| of the polygon of N steps, the discrete Eq. (66), by taking all of them: cost N × modes.

    Args:
        eigenvalues: Hessian eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k in the same basis [√loss].
        steps: numbers of steps N, whole.
        learning_rate: η [time].
        momentum: μ, at least 0 and below 1.

    Returns:
        Σ|θ_{n+1} − θ_n| after each number of steps.

    Raises:
        ValueError: if an eigenvalue is negative beyond rounding, a step count negative or not whole, η not
            positive, μ outside [0, 1), or the lengths differ.
    """
    eigenvalues, residual, steps = _checked(eigenvalues, residual, steps, learning_rate, momentum)
    lengths = np.zeros(1 + int(steps.max(initial=0.0)))
    away, step = learning_rate * np.sqrt(eigenvalues) * residual, np.zeros_like(residual)
    scaled = learning_rate * eigenvalues
    with np.errstate(over="ignore", invalid="ignore"):
        for n in range(1, lengths.size):
            # ``away`` is the learning rate times the gradient.
            step = momentum * step - away
            away = away + scaled * step
            lengths[n] = np.sqrt(step @ step)
        return _diverged(np.cumsum(lengths)[steps.astype(int)])


def speed_limit(
    eigenvalues: Modes, residual: Modes, steps: Steps, learning_rate: float, *, momentum: float = 0.0
) -> SpeedLimit:
    r"""The limit T_SL = |θ_N − θ_0|²/Σ(|δ|²/Δt) that holds for finite steps, Eq. (12), with T = Nη/(1 − μ).

    Args:
        eigenvalues: Hessian eigenvalues λ_k [1/time], non-negative.
        residual: Δ_k in the same basis [√loss].
        steps: numbers of steps N, whole.
        learning_rate: η [time].
        momentum: μ, at least 0 and below 1.

    Returns:
        The limit as a series over the numbers of steps.

    Raises:
        ValueError: if an eigenvalue is negative beyond rounding, a step count negative or not whole, η not
            positive, μ outside [0, 1), the lengths differ, or the steps diverge past the largest number.
    """
    eigenvalues, residual, steps = _checked(eigenvalues, residual, steps, learning_rate, momentum)
    arguments = eigenvalues, residual, steps, learning_rate
    return SpeedLimit(
        time=steps * (learning_rate / (1.0 - momentum)),
        w2_squared=w2_squared(*arguments, momentum=momentum),
        dissipation=path_dissipation(*arguments, momentum=momentum),
        arc_length=arc_length(*arguments, momentum=momentum),
    )


def _sums(scaled: np.ndarray, steps: np.ndarray, momentum: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """S_N, T_N = ΣS_n and E_N = (Σμⁿ⁻¹ − S_N)/x after N steps, times × modes, by binary powers of the recursion."""
    count = steps.astype(np.int64)[:, None]
    # The powers μᴺ of the numbers of steps reached so far.
    power = np.ones(count.shape)
    last, total, lag = np.zeros((3, count.size, scaled.size))
    for bit in range(int(count.max(initial=0)).bit_length() - 1, -1, -1):
        left = 1.0 - scaled * total
        last, total, lag = (
            last * (2.0 * left - (1.0 - momentum - scaled) * last),
            total * (1.0 + left) + momentum * last**2,
            lag * (1.0 + power - (1.0 - momentum) * last) + last * (2.0 * total - last),
        )
        power = power**2
        odd = (count >> bit) & 1 == 1
        longer = momentum * last + (1.0 - scaled * total)
        last, total, lag = (
            np.where(odd, longer, last),
            np.where(odd, total + longer, total),
            np.where(odd, momentum * lag + total, lag),
        )
        power = np.where(odd, momentum * power, power)
    return last, total, lag


def _diverged(values: np.ndarray) -> np.ndarray:
    # ∞ − ∞ on the way is still a divergence.
    return np.where(np.isnan(values), np.inf, values)


def _checked(
    eigenvalues: np.ndarray, residual: np.ndarray, steps: np.ndarray, learning_rate: float, momentum: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    eigenvalues, residual, steps = checked(eigenvalues, residual, steps, "steps")
    check_positive("learning_rate", learning_rate)
    if not 0.0 <= momentum < 1.0:
        raise ValueError(f"`momentum` must be at least 0 and below 1; momentum = {momentum}.")
    broken = np.flatnonzero(steps % 1.0)
    if broken.size:
        raise ValueError(f"`steps` must be whole numbers; steps[{broken[0]}] = {steps[broken[0]]:.17g}.")
    return eigenvalues, residual, steps
