"""Langevin dynamics in a quadratic potential: the law, its free energy, dissipation and speed limit at every time."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from speedlimits._checks import (
    check_covariance,
    check_finite,
    check_inverse_temperature,
    check_non_negative,
    check_shape,
    check_symmetric,
)
from speedlimits._shapes import Matrix, Times, Vector
from speedlimits.bound import SpeedLimit
from speedlimits.dissipation.free_energy import gaussian_entropy, nonequilibrium_free_energy
from speedlimits.dissipation.path import gaussian_rate_terms, gaussian_velocity_squared, time_integral
from speedlimits.theory.constant_kernel import relaxation
from speedlimits.transport.gaussian import w2_squared as gaussian_w2_squared


@dataclass(frozen=True, eq=False, kw_only=True)
class OrnsteinUhlenbeck:
    r"""Eq. (1) with η = 1 and V = ½θᵀHθ − bᵀθ, from a Gaussian start: Gaussian at every time.

    .. math:: m(t) = e^{-Ht}m_0 + \phi(H, t)\,b, \quad
              C(t) = e^{-Ht}C_0e^{-Ht} + 2\beta^{-1}\phi(2H, t), \quad \phi(H, t) = H^{-1}(1-e^{-Ht})

    All methods take times t ≥ 0, in any order, and raise a ValueError if one is negative or not finite.

    Args:
        stiffness: H, symmetric; zero or negative eigenvalues, flat or unstable directions, are allowed [loss].
        force: b, −∇V at θ = 0 [loss].
        mean_start: m₀.
        covariance_start: C₀; without noise it may be singular or zero.
        inverse_temperature: β [1/loss]; infinity for no noise.

    Raises:
        ValueError: if H is not symmetric, C₀ not a covariance, β not positive, or the shapes differ.
    """

    stiffness: Matrix
    force: Vector
    mean_start: Vector
    covariance_start: Matrix
    inverse_temperature: float

    def __post_init__(self) -> None:
        check_shape("force", self.force, (None,))
        check_shape("mean_start", self.mean_start, self.force.shape)
        check_shape("stiffness", self.stiffness, (self.force.size, self.force.size))
        check_finite("force", self.force)
        check_finite("mean_start", self.mean_start)
        check_symmetric("stiffness", self.stiffness)
        check_covariance("covariance_start", self.covariance_start, self.force.size)
        check_inverse_temperature("inverse_temperature", self.inverse_temperature)

    def law(self, time: float) -> tuple[Vector, Matrix]:
        """Mean and covariance of Eq. (1) at time t ≥ 0."""
        check_non_negative("time", time)
        rates, modes = self._modes
        decay = np.exp(-rates * time)
        mean = decay * (modes.T @ self.mean_start) + relaxation(rates, time) * (modes.T @ self.force)
        spread = decay[:, None] * (modes.T @ self.covariance_start @ modes) * decay
        spread += np.diag(2.0 / self.inverse_temperature * relaxation(2.0 * rates, time))
        covariance = modes @ spread @ modes.T
        return modes @ mean, 0.5 * (covariance + covariance.T)

    def free_energy(self, time: float) -> float:
        r"""F(t) = ⟨V⟩ + β⁻¹⟨ln p⟩, Eq. (46), of the law at time t [loss]."""
        entropy = gaussian_entropy(self.law(time)[1])
        return nonequilibrium_free_energy(self.mean_potential(time), entropy, self.inverse_temperature)

    def mean_potential(self, time: float) -> float:
        r"""⟨V⟩ = ½mᵀHm + ½Tr(HC) − bᵀm at time t [loss]."""
        mean, covariance = self.law(time)
        return float(mean @ (0.5 * self.stiffness @ mean - self.force) + 0.5 * np.sum(self.stiffness * covariance))

    def dissipation_rate(self, time: float) -> float:
        r"""∂_t(β⁻¹R) = ⟨|v|²⟩ = −∂_tF [loss/time]: the steps Eqs. (40), (41), (42) to Eqs. (43), (45)."""
        return gaussian_velocity_squared(self.stiffness, self.force, *self.law(time), self.inverse_temperature)

    def w2_squared(self, times: Times) -> Times:
        """Squared Wasserstein-2 distance 𝒲₂ between the law at the start and at each time."""
        start = self.law(0.0)
        return np.array([gaussian_w2_squared(*start, *self.law(time)) for time in times.tolist()])

    def dissipation(self, times: Times) -> Times:
        r"""β⁻¹R = F(0) − F(t), Eqs. (39), (44), from the two ends alone [loss].

        With noise, it is infinite from a start without width.
        """
        return self.free_energy(0.0) - np.array([self.free_energy(time) for time in times.tolist()])

    def path_dissipation(self, times: Times) -> Times:
        r"""β⁻¹R as the time integral of the three terms of Eqs. (5), (24), (48), by quadrature [loss].

        This is `dissipation` by another route. With noise, the start must have a width.
        """

        def rate(time: float) -> float:
            return sum(gaussian_rate_terms(self.stiffness, self.force, *self.law(time), self.inverse_temperature))

        return time_integral(rate, times)

    def arc_length(self, times: Times) -> Times:
        """Length ∫√⟨|v|²⟩dt of the path of laws; with noise, the start must have a width."""
        return time_integral(lambda time: np.sqrt(self.dissipation_rate(time)), times)

    def speed_limit(self, times: Times) -> SpeedLimit:
        r"""The speed limit T_SL(t) = 𝒲₂/(β⁻¹R), Eqs. (7), (26), with the length of the path of laws.

        Args:
            times: t [time].

        Returns:
            The limit as a series over the times. Its dissipation is the integral of `dissipation_rate`.

        Raises:
            ValueError: if a time is negative, or the start has no width although there is noise.
        """
        return SpeedLimit(
            time=times,
            w2_squared=self.w2_squared(times),
            dissipation=time_integral(self.dissipation_rate, times),
            arc_length=self.arc_length(times),
        )

    @cached_property
    def _modes(self) -> tuple[np.ndarray, np.ndarray]:
        return np.linalg.eigh(self.stiffness)
