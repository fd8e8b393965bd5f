"""The fastest training between two Gaussians: straight, at constant speed, with the potential that drives it."""

from dataclasses import dataclass

import numpy as np

from speedlimits._checks import check_covariance, check_inverse_temperature, check_positive, check_shape
from speedlimits._shapes import Matrix, Vector
from speedlimits.transport.gaussian import displacement, w2_squared
from speedlimits.transport.maps import fastest_map


@dataclass(frozen=True, eq=False, kw_only=True)
class OptimalProtocol:
    r"""Time-dependent quadratic potential under which the Langevin dynamics Eq. (1) saturates T = T_SL, Eq. (26).

    The law moves along the displacement interpolation at s = t/T with the velocity field

    .. math:: v(\theta, t) = \frac{m_1-m_0}{T} + A_t(\theta-m_t), \qquad
              A_t = \frac{M - 1}{T}\Bigl(1 + \tfrac tT(M-1)\Bigr)^{-1},

    where M is the symmetric positive matrix that carries one covariance into the other, MΣ₀M = Σ₁.

    Args:
        mean_start: m₀.
        covariance_start: Σ₀, positive definite.
        mean_end: m₁.
        covariance_end: Σ₁, positive definite.
        time: T [time], positive.

    Raises:
        ValueError: if T is not positive, a covariance is not positive definite, or the shapes differ.
    """

    mean_start: Vector
    covariance_start: Matrix
    mean_end: Vector
    covariance_end: Matrix
    time: float

    def __post_init__(self) -> None:
        check_positive("time", self.time)
        check_shape("mean_start", self.mean_start, (None,))
        check_shape("mean_end", self.mean_end, self.mean_start.shape)
        for name in ("covariance_start", "covariance_end"):
            check_covariance(name, getattr(self, name), self.mean_start.size, definite=True)

    @property
    def dissipation(self) -> float:
        r"""Least possible β⁻¹R = 𝒲₂/T, Eq. (26) with equality [1/time]."""
        return w2_squared(self.mean_start, self.covariance_start, self.mean_end, self.covariance_end) / self.time

    def law(self, time: float) -> tuple[Vector, Matrix]:
        """Mean and covariance at time t, from 0 to T, `transport.gaussian.displacement`."""
        return displacement(
            self.mean_start, self.covariance_start, self.mean_end, self.covariance_end, time / self.time
        )

    def velocity(self, time: float) -> tuple[Vector, Matrix]:
        r"""Velocity field of Eq. (22) at time t: its mean (m₁ − m₀)/T and its gradient A_t, symmetric [1/time]."""
        stretch = fastest_map(self.covariance_start, self.covariance_end) - np.eye(self.mean_start.size)
        eigenvalues, vectors = np.linalg.eigh(stretch)
        rates = eigenvalues / (self.time + time * eigenvalues)
        return (self.mean_end - self.mean_start) / self.time, (vectors * rates) @ vectors.T

    def potential(self, time: float, inverse_temperature: float) -> tuple[Matrix, Vector]:
        r"""Stiffness H and force b of the potential V = ½θᵀHθ − bᵀθ that drives the motion, by Eq. (36).

        .. math:: H_t = \beta^{-1}\Sigma_t^{-1} - A_t, \qquad b_t = \dot m + H_tm_t

        Args:
            time: t, from 0 to T [time].
            inverse_temperature: β [1/loss]; infinity for no noise.

        Returns:
            H, possibly with negative eigenvalues where the law must widen faster than it diffuses, and b.

        Raises:
            ValueError: if β is not positive or t lies outside 0…T.
        """
        check_inverse_temperature("inverse_temperature", inverse_temperature)
        mean, covariance = self.law(time)
        drift, gradient = self.velocity(time)
        stiffness = np.linalg.inv(covariance) / inverse_temperature - gradient
        return stiffness, drift + stiffness @ mean
