r"""Samplers that carry noise to data by a velocity: the speed limit of generation, and where to spend the steps.

Diffusion and flow-matching samplers interpolate, :math:`x_t = \alpha_tx_0+\sigma_tz`, with data x₀, noise z ~ N(0, I),
and t from 1 (noise) to ε (data). The law of x_t is carried by the velocity

.. math:: v(x, t) = \dot\alpha\,\langle x_0|x\rangle + \dot\sigma\,\langle z|x\rangle

so that the speed limit holds with ∫⟨|v|²⟩dt as the dissipation. For mixtures of Gaussians v is known exactly, and its
moments by quadrature.
"""

import itertools
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.special import softmax

from speedlimits._checks import check_finite, check_integer, check_one_of, check_positive, check_shape
from speedlimits._shapes import Ensemble, Times
from speedlimits.bound import SpeedLimit
from speedlimits.transport.gaussian import w2_squared as gaussian_w2_squared

SCHEDULES = ("vp-linear", "cosine", "cond-ot")
GRIDS = ("uniform", "speed", "acceleration")
# The variance-preserving schedule with β(t) = β₀ + (β₁ − β₀)t.
BETAS = (0.1, 20.0)
# Where the path ends: at t = 0 some velocities are infinite.
END = 1e-3
# Nodes of the quadrature along each of one, two or three dimensions; more dimensions take too many.
NODES = (96, 24, 12)
# How well the integrals are known with these, checked against finer ones.
ACCURACY = 1e-3
# Panels of time: even where components part, and finer towards the data, where they are narrow.
PANELS = np.append(np.linspace(1.0, 0.1, 13), np.geomspace(0.1, END, 7)[1:])
# The nodes and weights of a quadrature over it, from noise to data.
_NODE, _WEIGHT = np.polynomial.legendre.leggauss(5)
_HALVES = 0.5 * -np.diff(PANELS)[:, None]
TIMES, WEIGHTS = (PANELS[:-1, None] - _HALVES * (1.0 + _NODE)).ravel(), (_HALVES * _WEIGHT).ravel()
# Steps of the path that errors are compared with.
REFERENCE = 400
# Accelerations are differences over this time, both ways.
APART = 1e-5


class Coefficients(NamedTuple):
    """Of signal and noise, α and σ, and their rates."""

    signal: float
    signal_rate: float
    noise: float
    noise_rate: float


def coefficients(schedule: str, time: float) -> Coefficients:
    r"""α, α̇, σ, σ̇ of a schedule at a time.

    `vp-linear`: :math:`\alpha = e^{-\frac12(\beta_0t+\frac12(\beta_1-\beta_0)t^2)}`, σ² = 1 − α².
    `cosine`: α = cos(πt/2), σ = sin(πt/2). `cond-ot`: α = 1 − t, σ = t.

    Args:
        schedule: its name.
        time: t, above 0 and at most 1.

    Raises:
        ValueError: if there is no such schedule.
    """
    check_one_of("schedule", schedule, SCHEDULES)
    if schedule == "cond-ot":
        return Coefficients(1.0 - time, -1.0, time, 1.0)
    if schedule == "cosine":
        turn = 0.5 * np.pi
        signal, noise = np.cos(turn * time), np.sin(turn * time)
        return Coefficients(signal, -turn * noise, noise, turn * signal)
    first, last = BETAS
    exponent = first * time + 0.5 * (last - first) * time**2
    signal, noise = np.exp(-0.5 * exponent), np.sqrt(-np.expm1(-exponent))
    rate = -0.5 * (first + (last - first) * time) * signal
    return Coefficients(signal, rate, noise, -signal * rate / noise)


@dataclass(frozen=True, eq=False, kw_only=True)
class Sampler:
    """The flow from noise to a mixture of Gaussians with equal weights and a common diagonal covariance.

    Args:
        means: μ of each component.
        deviations: s in each dimension, positive.
        schedule: one of `SCHEDULES`.

    Raises:
        ValueError: if there is no such schedule, the shapes differ, a mean is not finite, a deviation not positive, or
            there are more than three dimensions.
    """

    means: Float[np.ndarray, "components dims"]
    deviations: Float[np.ndarray, " dims"]
    schedule: str

    def __post_init__(self) -> None:
        check_one_of("schedule", self.schedule, SCHEDULES)
        check_shape("means", self.means, (None, None))
        check_integer("means.shape[1]", self.means.shape[1], minimum=1, maximum=len(NODES))
        check_integer("means.shape[0]", self.means.shape[0], minimum=1)
        check_shape("deviations", self.deviations, (self.means.shape[1],))
        check_finite("means", self.means)
        check_positive("deviations", self.deviations)

    def velocity(self, points: Ensemble, time: float) -> Ensemble:
        r"""v(x, t), Eq. (111).

        .. math:: v = \frac{\dot V}{2V}x + \Bigl(\dot\alpha-\alpha\frac{\dot V}{2V}\Bigr)\sum_iw_i(x)\mu_i, \qquad
                  V = \alpha^2s^2+\sigma^2

        with the posterior weights :math:`w_i \propto e^{-|x-\alpha\mu_i|^2/2V}`. Proof: within a component x₀ and z are
        Gaussian given x, with the means :math:`\mu_i+\alpha s^2V^{-1}(x-\alpha\mu_i)` and
        :math:`\sigma V^{-1}(x-\alpha\mu_i)`.
        """
        signal, signal_rate, noise, noise_rate = coefficients(self.schedule, time)
        variance = signal**2 * self.deviations**2 + noise**2
        growth = (signal * signal_rate * self.deviations**2 + noise * noise_rate) / variance
        # Of −|x − αμ|²/2V what depends on the component.
        logs = points @ (signal * self.means / variance).T - 0.5 * np.sum((signal * self.means) ** 2 / variance, axis=1)
        return growth * points + (signal_rate - signal * growth) * (softmax(logs, axis=1) @ self.means)

    def law(self, time: float) -> tuple[Float[np.ndarray, " dims"], Float[np.ndarray, "dims dims"]]:
        """Mean and covariance of x_t."""
        signal, _, noise, _ = coefficients(self.schedule, time)
        apart = self.means - self.means.mean(axis=0)
        spread = apart.T @ apart / len(self.means) + np.diag(self.deviations**2)
        return signal * self.means.mean(axis=0), signal**2 * spread + noise**2 * np.eye(self.deviations.size)

    def speed_squared(self, time: float) -> float:
        """⟨|v|²⟩ over the law at a time, Eq. (112)."""
        points, weights = self._nodes(time)
        return float(weights @ np.sum(self.velocity(points, time) ** 2, axis=1))

    def acceleration_squared(self, time: float) -> float:
        r"""⟨|a|²⟩ with :math:`a = \partial_tv+(v\cdot\nabla)v`, the rate of v along the flow, Eq. (113)."""
        points, weights = self._nodes(time)
        velocity = self.velocity(points, time)
        step = APART * time
        ahead, behind = (self.velocity(points + sign * step * velocity, time + sign * step) for sign in (1.0, -1.0))
        return float(weights @ np.sum((ahead - behind) ** 2, axis=1)) / (2.0 * step) ** 2

    @cached_property
    def speed_limit(self) -> SpeedLimit:
        r"""The limit of generation in the time 1 − ε, Eq. (112).

        .. math:: T\int\langle|v|^2\rangle dt \ge \Bigl(\int\sqrt{\langle|v|^2\rangle}\,dt\Bigr)^2
                  \ge \mathcal W_2(p_1, p_\varepsilon)

        For one component 𝒲₂ is exact. For more it is the limit from below by means and covariances: T ≥ T_SL holds all
        the same, and T/T_SL and its geometric factor are at most what is given.
        """
        return SpeedLimit(
            time=1.0 - END,
            w2_squared=gaussian_w2_squared(*self.law(1.0), *self.law(END)),
            dissipation=float(WEIGHTS @ self._speeds),
            arc_length=float(WEIGHTS @ np.sqrt(self._speeds)),
            tolerance=ACCURACY,
        )

    def grid(self, steps: int, kind: str) -> Times:
        r"""Times from 1 to ε that share out a density equally, Eq. (113).

        `speed`: :math:`\sqrt{\langle|v|^2\rangle}`, so that each step covers the same length, with a pace of 1.
        `acceleration`: :math:`\langle|a|^2\rangle^{1/4}`. A step h of Euler's method errs by ½h²a, and the sum of
        :math:`h_k^2|a_k|` over N steps is least where :math:`h_k \propto |a_k|^{-1/2}`.

        Args:
            steps: N.
            kind: one of `GRIDS`.

        Returns:
            N + 1 times.

        Raises:
            ValueError: if N is below 1, or there is no such kind.
        """
        check_integer("steps", steps, minimum=1)
        check_one_of("kind", kind, GRIDS)
        shares = np.linspace(0.0, 1.0, steps + 1)
        if kind == "uniform":
            return 1.0 - shares * (1.0 - END)
        density = np.sqrt(self._speeds) if kind == "speed" else self._accelerations**0.25
        return shared_equally(TIMES, WEIGHTS * density, shares)

    def errors(self, points: Ensemble, grids: list[Times]) -> list[float]:
        """Of each grid: Euler's distance from where the flow ends, over that of the latter from 0, in mean squares."""
        ends = self.exact(points)
        return [float(np.sqrt(np.sum((self.euler(points, grid) - ends) ** 2) / np.sum(ends**2))) for grid in grids]

    def euler(self, points: Ensemble, times: Times) -> Ensemble:
        """Where Euler's method takes points by steps between these times."""
        for time, after in itertools.pairwise(times.tolist()):
            points = points + (after - time) * self.velocity(points, time)
        return points

    def exact(self, points: Ensemble) -> Ensemble:
        """Where the flow takes points from t = 1 to ε, by the method of Runge and Kutta on a grid that follows it."""
        times = self.grid(REFERENCE, "acceleration").tolist()
        for time, after in itertools.pairwise(times):
            step, middle = after - time, 0.5 * (time + after)
            first = self.velocity(points, time)
            second = self.velocity(points + 0.5 * step * first, middle)
            third = self.velocity(points + 0.5 * step * second, middle)
            fourth = self.velocity(points + step * third, after)
            points = points + step / 6.0 * (first + 2.0 * second + 2.0 * third + fourth)
        return points

    def _nodes(self, time: float) -> tuple[np.ndarray, np.ndarray]:
        """Points and weights of a quadrature over the law: Gauss–Hermite about each component."""
        signal, _, noise, _ = coefficients(self.schedule, time)
        width = np.sqrt(signal**2 * self.deviations**2 + noise**2)
        dims = self.deviations.size
        node, weight = np.polynomial.hermite_e.hermegauss(NODES[dims - 1])
        offsets = np.stack([axis.ravel() for axis in np.meshgrid(*[node] * dims, indexing="ij")], axis=1)
        weights = np.prod([axis.ravel() for axis in np.meshgrid(*[weight] * dims, indexing="ij")], axis=0)
        points = (signal * self.means[:, None] + width * offsets).reshape(-1, dims)
        return points, np.tile(weights / (np.sqrt(2.0 * np.pi) ** dims * len(self.means)), len(self.means))

    @cached_property
    def _speeds(self) -> Times:
        """⟨|v|²⟩ at each of `TIMES`."""
        return np.array([self.speed_squared(time) for time in TIMES.tolist()])

    @cached_property
    def _accelerations(self) -> Times:
        """⟨|a|²⟩ at each of `TIMES`."""
        return np.array([self.acceleration_squared(time) for time in TIMES.tolist()])


def shared_equally(nodes: Times, masses: Times, shares: Float[np.ndarray, " shares"]) -> Float[np.ndarray, " shares"]:
    """Times from 1 to ε before which given shares of a mass lie.

    Args:
        nodes: falling times, each in the middle of its mass.
        masses: positive.
        shares: from 0 to 1.

    Returns:
        A time for each share.
    """
    total = np.cumsum(masses)
    middles = (total - 0.5 * masses) / total[-1]
    return np.interp(shares, [0.0, *middles, 1.0], [1.0, *nodes, END])
