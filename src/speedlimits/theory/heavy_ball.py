r"""Gradient descent with finite steps, with or without momentum, in closed form on a quadratic loss.

Heavy ball: δ_n = μδ_{n−1} − η∇L and θ_{n+1} = θ_n + δ_n, from rest; μ = 0 is gradient descent. Let x = ηλ. A mode
that starts at a distance of √λ⁻¹Δ from its minimum takes the steps

.. math:: \delta_{n} = -x\,\lambda^{-1/2}\Delta\,S_{n+1}, \qquad S_{n+1} = (1+\mu-x)S_n - \mu S_{n-1},
          \quad S_0 = 0,\ S_1 = 1

The sums over S come from doubling the number of steps. This needs no roots, so modes that creep, oscillate or sit on
the double root between the two are all the same, and no digits are lost where x or 1 − μ is small.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from speedlimits._checks import check_positive
from speedlimits._shapes import Times
from speedlimits.bound import SpeedLimit
from speedlimits.theory.constant_kernel import QuadraticLoss, blocks, checked_times


@dataclass(frozen=True, eq=False, kw_only=True)
class HeavyBall(QuadraticLoss):
    """Gradient descent with finite steps and momentum.

    All methods take numbers of steps N, in any order. They raise a ValueError if one is negative or not whole. Where
    the steps diverge past the largest number, a result is infinite.

    Args:
        eigenvalues: λ_k of the Hessian, non-negative [1/time]. Negative ones down to −1e-10 of the largest are
            rounding, and count as 0.
        residual: Δ_k in the same basis [√loss].
        learning_rate: η [time].
        momentum: μ, at least 0 and below 1.

    Raises:
        ValueError: if an eigenvalue is negative beyond rounding, η not positive, μ outside [0, 1), a number not
            finite, or the lengths differ.
    """

    learning_rate: float
    momentum: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_positive("learning_rate", self.learning_rate)
        if not 0.0 <= self.momentum < 1.0:
            raise ValueError(f"`momentum` must be at least 0 and below 1; momentum = {self.momentum}.")

    def w2_squared(self, steps: Times) -> Times:
        r"""Squared distance after N steps, the discrete Eq. (54).

        .. math:: |\theta_N-\theta_0|^2 = \sum_k \Delta_k^2\lambda_k^{-1}\Bigl(x_k\sum_{n=1}^N S_n(x_k)\Bigr)^2,
                  \qquad \mu = 0:\ \sum_k \Delta_k^2\lambda_k^{-1}\bigl(1-(1-x_k)^N\bigr)^2

        As η → 0 it tends to `ConstantKernel.w2_squared` at t = ηN/(1 − μ).
        """
        weights = self.learning_rate**2 * self.eigenvalues * self.residual**2
        return self._weighted(steps, self._scaled, lambda last, total, lag: total**2, weights)

    def dissipation(self, steps: Times) -> Times:
        r"""Exact path dissipation Σ|δ|²/Δt of N steps, Δt = η/(1 − μ): the discrete Eq. (55) [loss].

        .. math:: \sum_{n<N} \frac{|\delta_n|^2}{\Delta t}
                  = (1-\mu)\sum_k \Delta_k^2\,x_k\sum_{n=1}^N S_n(x_k)^2,
                  \qquad \mu = 0:\ \sum_k \Delta_k^2\,\frac{1-(1-x_k)^{2N}}{2-x_k}

        A plain step moves at the rate η, a step with momentum in the end at the rate η/(1 − μ). For another time per
        step, multiply by Δt and divide by that time. The inefficiency T·dissipation/𝒲₂ does not depend on the choice.
        Without momentum the result exceeds the loss drop by the discretisation share.
        """
        # x → 2(1+μ) − x only alternates the signs of S. The smaller of the two keeps clear of the zero below.
        mirrored = np.minimum(self._scaled, 2.0 * (1.0 + self.momentum) - self._scaled)
        weights = (1.0 - self.momentum) * self._scaled * self.residual**2 / (2.0 * (1.0 + self.momentum) - mirrored)

        def squares(last: np.ndarray, total: np.ndarray, lag: np.ndarray) -> np.ndarray:
            # ΣS² from S² − S₊S₋ = μⁿ, the recursion's determinant; all terms are regular at x = 0.
            return total * (2.0 - mirrored * total) + 2.0 * self.momentum * (lag + last * total)

        return self._weighted(steps, mirrored, squares, weights)

    def moments(self, steps: Times, power: int) -> Times:
        r"""Σλ^pΔ² of the error that N steps have left: twice the loss, |∇L|², ∇LᵀH∇L for p = 0, 1, 2.

        .. math:: \sum_k\lambda_k^p\Delta_k^2\Bigl(1-x_k\sum_{n=1}^NS_n(x_k)\Bigr)^2
        """
        weights = self.eigenvalues**power * self.residual**2
        return self._weighted(steps, self._scaled, lambda last, total, lag: (1.0 - self._scaled * total) ** 2, weights)

    def arc_length(self, steps: Times) -> Times:
        r"""Length Σ|δ| of the polygon of N steps, the discrete Eq. (66). It takes all of them: cost N × modes."""
        steps = _checked(steps)
        lengths = np.zeros(1 + int(steps.max(initial=0.0)))
        away, step = self.learning_rate * np.sqrt(self.eigenvalues) * self.residual, np.zeros_like(self.residual)
        with np.errstate(over="ignore", invalid="ignore"):
            for n in range(1, lengths.size):
                # ``away`` is the learning rate times the gradient.
                step = self.momentum * step - away
                away = away + self._scaled * step
                lengths[n] = np.sqrt(step @ step)
            return _diverged(np.cumsum(lengths)[steps.astype(int)])

    def speed_limit(self, steps: Times) -> SpeedLimit:
        """The limit T_SL = |θ_N − θ_0|²/Σ(|δ|²/Δt) that holds for finite steps, Eq. (12), with T = Nη/(1 − μ).

        Args:
            steps: numbers of steps N, whole.

        Returns:
            The limit as a series over the numbers of steps.

        Raises:
            ValueError: if a number of steps is negative or not whole, or the steps diverge past the largest number.
        """
        return SpeedLimit(
            time=_checked(steps) * (self.learning_rate / (1.0 - self.momentum)),
            w2_squared=self.w2_squared(steps),
            dissipation=self.dissipation(steps),
            arc_length=self.arc_length(steps),
        )

    @property
    def _scaled(self) -> np.ndarray:
        """Each mode's x = ηλ."""
        return self.learning_rate * self.eigenvalues

    def _weighted(
        self, steps: Times, scaled: np.ndarray, form: Callable[..., np.ndarray], weights: np.ndarray
    ) -> Times:
        """A form of the sums over S, added up over the modes."""
        steps = _checked(steps)
        values = np.empty_like(steps)
        with np.errstate(over="ignore", invalid="ignore"):
            for part in blocks(steps, scaled.size):
                values[part] = form(*_sums(scaled, steps[part], self.momentum)) @ weights
        return _diverged(values)


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


def _checked(steps: Times) -> Times:
    steps = checked_times("steps", steps)
    broken = np.flatnonzero(steps % 1.0)
    if broken.size:
        raise ValueError(f"`steps` must be whole numbers; steps[{broken[0]}] = {steps[broken[0]]:.17g}.")
    return steps
