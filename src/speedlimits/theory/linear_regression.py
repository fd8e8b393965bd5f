r"""Linear regression on given data: the law of the weights, its free energy, dissipation and speed limit, exactly.

Loss :math:`L = \tfrac12|y - X^{\mathsf T}\theta|^2`, weight decay, noise, and a start in equilibrium with the weight
decay alone. One singular value decomposition of X serves every time, T = ∞ included; directions without data stay
as they are.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import svd

from speedlimits._checks import check_finite, check_non_negative, check_positive, check_shape, check_time
from speedlimits._shapes import Matrix, Times, Vector
from speedlimits.bound import SpeedLimit
from speedlimits.theory._mode import moved_and_spent, variance_ratio

Inputs = Float[np.ndarray, "dims samples"]


class _Modes(NamedTuple):
    """The directions that data can pull: eigenvectors of XXᵀ, pulls u, ends m = μ_T and rates ηh along them."""

    vectors: np.ndarray
    pulls: np.ndarray
    means: np.ndarray
    rates: np.ndarray


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearRegression:
    r"""Langevin dynamics, Eq. (74), on the data X, y: Gaussian at every time.

    .. math:: d\theta = -\eta\nabla V\,dt + \sqrt{2\eta\beta^{-1}}\,d\mathcal B, \quad
              V = \tfrac12|y-X^{\mathsf T}\theta|^2 + \tfrac{\lambda d}{2\beta}|\theta|^2, \quad
              \theta(0) \sim \mathcal N(0, (\lambda d)^{-1}I)

    All methods take times t from 0 to infinity, in any order, and raise a ValueError if one is negative or NaN.

    Args:
        inputs: X, a column per sample.
        targets: y.
        weight_decay: λ, positive.
        inverse_temperature: β [1/loss], positive and finite.
        learning_rate: η; None stands for the paper's 1/n.

    Raises:
        ValueError: if X is empty, a number is not finite, λ, β or η is not positive, or the lengths differ.

    Note:
        Erratum 74: the paper prints the pull of the data, −∇L, with the opposite sign.
    """

    inputs: Inputs
    targets: Float[np.ndarray, " samples"]
    weight_decay: float
    inverse_temperature: float
    learning_rate: float | None = None

    def __post_init__(self) -> None:
        _check_inputs(self.inputs)
        check_shape("targets", self.targets, (self.inputs.shape[1],))
        check_finite("targets", self.targets)
        check_positive("weight_decay", self.weight_decay)
        check_positive("inverse_temperature", self.inverse_temperature)
        if self.learning_rate is not None:
            check_positive("learning_rate", self.learning_rate)

    @classmethod
    def averaged(
        cls,
        *,
        inputs: Inputs,
        teacher_variance: float,
        weight_decay: float,
        inverse_temperature: float,
        learning_rate: float | None = None,
    ) -> "LinearRegression":
        r"""The targets of the root-mean-square teacher: its distance and dissipation are averages over θ⋆.

        Distance, free energy and dissipation are quadratic in :math:`y = X^{\mathsf T}\theta_\star`, and have no mixed
        terms between eigenvectors of XXᵀ. So a teacher with the weight √(α/d) along each of them has exactly their
        means over :math:`\theta_\star \sim \mathcal N(0, (\alpha/d)I)`, as in Eqs. (77), (79).

        The law is that of this one teacher. The arguments and their rules are those of the class, and α, the teacher's
        variance, must not be negative.
        """
        _check_inputs(inputs)
        check_non_negative("teacher_variance", teacher_variance)
        decomposition = svd(inputs, full_matrices=False)
        _, singular, right = decomposition
        problem = cls(
            inputs=inputs,
            targets=np.sqrt(teacher_variance / len(inputs)) * singular @ right,
            weight_decay=weight_decay,
            inverse_temperature=inverse_temperature,
            learning_rate=learning_rate,
        )
        # The one expensive step is done already: put it where `cached_property` looks.
        vars(problem)["_decomposition"] = decomposition
        return problem

    @property
    def mobility(self) -> float:
        """η: the learning rate, 1/n unless given."""
        return 1.0 / self.targets.size if self.learning_rate is None else self.learning_rate

    def drift(self, theta: Float[np.ndarray, "*walkers dims"]) -> Float[np.ndarray, "*walkers dims"]:
        r"""−η∇V, the drift of Eq. (74): :math:`-\eta(X(X^{\mathsf T}\theta - y) + \tfrac{\lambda d}\beta\theta)`."""
        gradient = (theta @ self.inputs - self.targets) @ self.inputs.T
        return -self.mobility * (gradient + self._decay * theta)

    def law(self, time: float) -> tuple[Vector, Matrix]:
        r"""Mean and covariance at time t; at t = ∞ the posterior, :math:`\mathcal N(\mu_T, \beta^{-1}\Sigma_T)`."""
        check_time("time", time)
        vectors, pulls, means, _ = self._modes
        advance = self._advance(np.array([time]))[0]
        covariance = vectors * (self._variance_start * variance_ratio(pulls, advance)) @ vectors.T
        if pulls.size < len(vectors):
            covariance += self._variance_start * (np.eye(len(vectors)) - vectors @ vectors.T)
        return vectors @ (advance * means), 0.5 * (covariance + covariance.T)

    def free_energy(self, time: float) -> float:
        r"""F(t) = ⟨V⟩ + β⁻¹⟨ln p⟩, which falls from F(0) to −β⁻¹ ln 𝒵_T at t = ∞, Eq. (75) [loss].

        .. math:: F(0) = \langle L(\theta(0))\rangle - \beta^{-1}\ln\mathcal Z_0
        """
        check_time("time", time)
        dims = len(self.inputs)
        loss = 0.5 * (np.sum(self.targets**2) + self._variance_start * np.sum(self.inputs**2))
        start = loss - 0.5 * dims / self.inverse_temperature * np.log(2.0 * np.pi * self._variance_start)
        return float(start - self.dissipation(np.array([time]))[0] / self.mobility)

    def w2_squared(self, times: Times) -> Times:
        """Squared Wasserstein-2 distance 𝒲₂ from the start, the two lines before Eq. (78) at every time."""
        return self._variance_start * self._moved_and_spent(times)[0]

    def dissipation(self, times: Times) -> Times:
        r"""Dissipation as the bound takes it, ηβ⁻¹R = η(F(0) − F(t)); Eqs. (76), (77) at t = ∞, η = 1/n.

        With the default learning rate it is β⁻¹R per sample [loss].

        Note:
            Erratum 77: the paper's last line has 1/(2d²n) where 1/(2dn) is right.
        """
        return 0.5 * self.mobility / self.inverse_temperature * self._moved_and_spent(times)[1]

    def speed_limit(self, times: Times) -> SpeedLimit:
        """The speed limit T_SL(t) = 𝒲₂/(ηβ⁻¹R), Eqs. (26), (78)."""
        return SpeedLimit(time=times, w2_squared=self.w2_squared(times), dissipation=self.dissipation(times))

    @property
    def _decay(self) -> float:
        """λd/β, the curvature of the weight decay."""
        return self.weight_decay * len(self.inputs) / self.inverse_temperature

    @property
    def _variance_start(self) -> float:
        """σ₀ = 1/(λd)."""
        return 1.0 / (self.weight_decay * len(self.inputs))

    @cached_property
    def _decomposition(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        # Of X, not of XXᵀ: small eigenvalues keep their digits, and weak decay asks for them.
        return svd(self.inputs, full_matrices=False)

    @cached_property
    def _modes(self) -> _Modes:
        vectors, singular, right = self._decomposition
        curvatures = singular**2 + self._decay
        means = singular / curvatures * (right @ self.targets)
        return _Modes(vectors, singular**2 / self._decay, means, self.mobility * curvatures)

    def _advance(self, times: Times) -> np.ndarray:
        """How far each direction has come, a = 1 − e^{−ηht}: a row per time."""
        return -np.expm1(-np.outer(times, self._modes.rates))

    def _moved_and_spent(self, times: Times) -> tuple[Times, Times]:
        """𝒲₂/σ₀ and 2R: sums over the directions; those without data add nothing."""
        check_shape("times", times, (None,))
        check_time("times", times)
        _, pulls, means, _ = self._modes
        terms = moved_and_spent(pulls, self._advance(times), means**2 / self._variance_start)
        moved, spent = (np.sum(term, axis=1) for term in terms)
        return moved, spent


def _check_inputs(inputs: np.ndarray) -> None:
    check_shape("inputs", inputs, (None, None))
    check_finite("inputs", inputs)
    if not inputs.size:
        raise ValueError(f"`inputs` must not be empty; inputs.shape = {inputs.shape}.")
