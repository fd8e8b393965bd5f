r"""What finite steps add to the dissipation of a gradient flow: from the modified loss, and at the edge of stability.

Steps of descent dissipate Σ|δ|²/Δt, the flow its loss drop. The difference is known from the two ends of the path,
without following it, for any smooth loss: descent follows the flow of a modified loss up to the order of the steps
(Barrett & Dherin 2021 for descent, Ghosh et al. 2023 for momentum), and the sum over steps is an integral along it.
"""

from dataclasses import dataclass

import numpy as np

from speedlimits._checks import check_momentum, check_non_negative, check_positive, check_shape
from speedlimits._shapes import Modes, Times
from speedlimits.bound import SpeedLimit
from speedlimits.theory.heavy_ball import HeavyBall


def first_order(losses: Times, gradients_squared: Times, learning_rate: float, momentum: float = 0.0) -> Times:
    r"""Dissipation Σ|δ|²/Δt of steps from the ends of their path, up to the square of the steps, Eq. (114).

    .. math:: \sum\frac{|\delta|^2}{\Delta t} = \Bigl[L+\frac{\Delta t}4\frac{1-\mu}{1+\mu}|\nabla L|^2\Bigr]_0
              - \Bigl[L+\frac{\Delta t}4\frac{1+\mu}{1-\mu}|\nabla L|^2\Bigr]_N + O(\Delta t^2),
              \qquad \Delta t = \frac\eta{1-\mu}

    Proof: steps that have been going for a while follow :math:`\dot\theta = -\nabla\tilde L` with
    :math:`\tilde L = L+c\,\Delta t|\nabla L|^2`, :math:`c = (1+\mu)/4(1-\mu)`. The sum over steps of |δ|²/Δt is
    ∫|v|²dt up to Δt², as the corrections of step and of sum cancel, and so it is the drop of L̃. From rest, the first
    steps are short by μᵏ. They dissipate less, by :math:`\Delta t|\nabla L|^2(2\mu/(1-\mu)-\mu^2/(1-\mu^2))`, and
    leave the path behind, on the flow that came from higher up by :math:`\Delta t|\nabla L|^2\mu/(1-\mu)`. Both change
    c at the start to :math:`(1-\mu)/4(1+\mu)`.

    Args:
        losses: L at the start and at each record [loss].
        gradients_squared: |∇L|² there [loss/time].
        learning_rate: η [time].
        momentum: μ of the heavy ball, from rest.

    Returns:
        The dissipation up to each record; what it has beyond the loss drop is the share of the steps.

    Raises:
        ValueError: if η is not positive, μ outside [0, 1), a square negative, or the lengths differ.
    """
    check_positive("learning_rate", learning_rate)
    check_momentum("momentum", momentum)
    check_non_negative("gradients_squared", gradients_squared)
    check_shape("gradients_squared", gradients_squared, losses.shape)
    step, ratio = learning_rate / (1.0 - momentum), (1.0 - momentum) / (1.0 + momentum)
    start = losses[0] + 0.25 * step * ratio * gradients_squared[0]
    spent = start - losses - 0.25 * step / ratio * gradients_squared
    # Nothing is spent before the first step; the two ends differ in how they count.
    return np.append(0.0, spent[1:])


def second_order(
    losses: Times, gradients_squared: Times, bends: Times, stretches: Times, learning_rate: float
) -> Times:
    r"""The same for descent without momentum up to the cube of the steps, Eq. (115).

    .. math:: \sum\frac{|\delta|^2}\eta = \Bigl[L+\frac\eta4|\nabla L|^2
              +\frac{\eta^2}{12}\nabla L^{\mathsf T}H\nabla L\Bigr]_0 - \Bigl[\cdots\Bigr]_N
              + \frac{\eta^2}{12}\int|H\nabla L|^2dt + O(\eta^3)

    Proof: with g = ∇L and T the third derivatives, a step makes

    - L fall by :math:`\eta|g|^2-\tfrac{\eta^2}2g^{\mathsf T}Hg+\tfrac{\eta^3}6T(g,g,g)`,
    - :math:`\tfrac\eta4|g|^2` by :math:`\tfrac{\eta^2}2g^{\mathsf T}Hg-\tfrac{\eta^3}4(|Hg|^2+T(g,g,g))`,
    - :math:`\tfrac{\eta^2}{12}g^{\mathsf T}Hg` by :math:`\tfrac{\eta^3}{12}(2|Hg|^2+T(g,g,g))`.

    What is left of their sum beside η|g|² is :math:`-\tfrac{\eta^3}{12}|Hg|^2`. No function of the place alone has
    that as its change: there is no modified loss of this order. For a quadratic loss the integral is half the drop of
    gᵀHg.

    Args:
        losses: L at the start and at each record [loss].
        gradients_squared: |∇L|² there [loss/time].
        bends: ∇LᵀH∇L there [loss/time²].
        stretches: ∫|H∇L|²dt until there, at leading order ηΣ|H∇L|² [loss/time²].
        learning_rate: η [time].

    Returns:
        The dissipation up to each record.

    Raises:
        ValueError: if η is not positive, a square negative, or the lengths differ.
    """
    check_shape("bends", bends, losses.shape)
    check_shape("stretches", stretches, losses.shape)
    change = bends[0] - bends + stretches
    return first_order(losses, gradients_squared, learning_rate) + learning_rate**2 / 12.0 * change


@dataclass(frozen=True, eq=False, kw_only=True)
class TwoCycle:
    r"""Descent at the edge of stability: one sharp direction in its two-cycle, beside calm ones that go on falling.

    .. math:: L = \tfrac12\sharp x^2 - \tfrac14\kappa x^4 + \tfrac12\sum\lambda_k y_k^2, \qquad
              x_n = (-1)^n a, \quad a^2 = \frac{\sharp-2/\eta}\kappa

    Here ♯ is the sharpness at x = 0, above 2/η, and κ how fast it falls. Proof: x → x(1 − η♯ + ηκx²) is x → −x at that
    a; its slope there is 2η♯ − 5, so the cycle is stable for η♯ below 3.

    Args:
        eigenvalues: λ_k of the calm directions, at most 2/η [1/time].
        residual: Δ_k = √λ_k y_k at the start [√loss].
        learning_rate: η [time].
        sharpness: ♯ [1/time].
        softening: κ, positive.

    Raises:
        ValueError: if η♯ is not above 2 and below 3, κ not positive, or a calm direction is not calm.
    """

    eigenvalues: Modes
    residual: Modes
    learning_rate: float
    sharpness: float
    softening: float

    def __post_init__(self) -> None:
        check_positive("softening", self.softening)
        check_positive("learning_rate", self.learning_rate)
        scaled = self.learning_rate * self.sharpness
        if not 2.0 < scaled < 3.0:
            raise ValueError(f"`sharpness` × learning_rate must be above 2 and below 3; it is {scaled:.6g}.")
        calm = self._calm
        if np.any(self.learning_rate * calm.eigenvalues > 2.0):
            largest = self.learning_rate * calm.eigenvalues.max()
            raise ValueError(f"`eigenvalues` × learning_rate must be at most 2; the largest is {largest:.6g}.")

    @property
    def amplitude_squared(self) -> float:
        """Square a² of the amplitude of the cycle."""
        return (self.sharpness - 2.0 / self.learning_rate) / self.softening

    def raw(self, steps: Times) -> SpeedLimit:
        r"""The limit by every step, Eq. (116): each adds 4a²/η to the dissipation, and nothing in the end to |Δθ|².

        After an odd number of steps |Δθ|² has 4a² more, too.
        """
        calm = self._calm.speed_limit(steps)
        jump = 4.0 * self.amplitude_squared
        return SpeedLimit(
            time=calm.time,
            w2_squared=calm.w2_squared + jump * (steps % 2.0),
            dissipation=calm.dissipation + jump / self.learning_rate * steps,
        )

    def averaged(self, steps: Times) -> SpeedLimit:
        r"""The limit of the path through the midpoints of steps, from the first to the one after N steps, Eq. (116).

        .. math:: \bar\theta_n = \tfrac12(\theta_n+\theta_{n+1}): \qquad \bar x_n = 0, \quad
                  \bar y_n = (1-\tfrac12\eta\lambda)y_n

        The cycle is gone, and what is left is descent in the calm directions with the residual
        :math:`(1-\tfrac12\eta\lambda)\Delta`: T/T_SL is theirs, exactly for one of them and up to η for several.
        """
        calm = self._calm
        factor = 1.0 - 0.5 * self.learning_rate * calm.eigenvalues
        midpoints = HeavyBall(
            eigenvalues=calm.eigenvalues, residual=factor * calm.residual, learning_rate=self.learning_rate
        )
        return midpoints.speed_limit(steps)

    @property
    def _calm(self) -> HeavyBall:
        return HeavyBall(eigenvalues=self.eigenvalues, residual=self.residual, learning_rate=self.learning_rate)
