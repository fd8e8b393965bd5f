r"""How fast a mean can change, given what is dissipated, and given how well it is known: lower limits on β⁻¹R.

The mean of an observable r of the weights moves at :math:`\partial_t\langle r\rangle = \langle\nabla r\cdot v\rangle`,
with the mean velocity v of Eq. (36). Three inequalities bound it. They bound β⁻¹R from BELOW, and so never belong in a
T_SL, which needs it from above; they say how much of β⁻¹R an observer of r alone can be certain of.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from speedlimits._checks import check_covariance, check_finite, check_positive, check_shape
from speedlimits._shapes import Times, Vector
from speedlimits.dissipation.path import time_integral
from speedlimits.theory._cells import Generator, states
from speedlimits.theory.fokker_planck import FokkerPlanckSolution
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck


@dataclass(frozen=True, eq=False, kw_only=True)
class Uncertainty:
    r"""An observable r beside the process that moves it; every field but β is a series over the times.

    Args:
        inverse_temperature: β [1/loss].
        times: t [time].
        rate: ∂_t⟨r⟩.
        variance: of r at t.
        change_variance: of r(θ_t) − r(θ_0), over paths.
        fisher_information: I = ⟨(∂_t ln p)²⟩ [1/time²].
        dissipation: β⁻¹R(t), which is bounded [loss].
        dissipation_in_time: ∫(∂_t⟨r⟩)²/⟨|∇r|²⟩dt [loss].
    """

    inverse_temperature: float
    times: Times
    rate: Times
    variance: Times
    change_variance: Times
    fisher_information: Times
    dissipation: Times
    dissipation_in_time: Times

    @property
    def from_change(self) -> Times:
        r"""Lower limit on β⁻¹R by the thermodynamic uncertainty relation, Eq. (108) [loss].

        .. math:: \beta^{-1}R(t) \ge
                  \frac{2\,(t\,\partial_t\langle r\rangle)^2}{\beta\,\mathrm{Var}[r(\theta_t)-r(\theta_0)]}

        This is the relation of Liu, Gong & Ueda (2020) for arbitrary starts. Proof: with the force f + εv, the law at t
        is that of (1 + ε)t. So the mean of the change moves by εt∂_t⟨r⟩. The paths' Fisher information at ε = 0 is
        :math:`\tfrac\beta2\int\langle|v|^2\rangle dt = R/2`, and the Cramér–Rao inequality is the claim. Equality for a
        mean that is carried along at constant speed, and for t → 0 if r is proportional to the direction of v.
        """
        moved = 2.0 * (self.times * self.rate) ** 2 / self.inverse_temperature
        return _quotient(moved, self.change_variance)

    @property
    def from_rate(self) -> Times:
        r"""Lower limit on β⁻¹R by the mean's rate at all times, Eq. (109) [loss].

        .. math:: \beta^{-1}R(t) = \int_0^t\langle|v|^2\rangle ds
                  \ge \int_0^t\frac{(\partial_s\langle r\rangle)^2}{\langle|\nabla r|^2\rangle}ds

        Cauchy–Schwarz of ⟨∇r·v⟩; equality where ∇r is proportional to v. It is the uncertainty relation of short times,
        in which r(θ) moves back and forth by 2β⁻¹⟨|∇r|²⟩dt.
        """
        return self.dissipation_in_time

    @property
    def accuracy(self) -> Times:
        r"""Share of the possible speed, from 0 to 1, Eq. (110).

        .. math:: \frac{(\partial_t\langle r\rangle)^2}{\mathrm{Var}[r]\,I} \le 1

        A mean that is known well (a small variance) moves fast only if the law changes fast. Cauchy–Schwarz of
        ⟨(r − ⟨r⟩)∂_t ln p⟩; equality for r proportional to ∂_t ln p. Ito & Dechant (2020).
        """
        return _quotient(self.rate**2, self.variance * self.fisher_information)


def of_linear(process: OrnsteinUhlenbeck, observable: Vector, times: Times) -> Uncertainty:
    r"""The observable r = w·θ of an Ornstein–Uhlenbeck process, for Eq. (108).

    .. math:: \partial_t\langle r\rangle = w\cdot\dot m, \quad
              \mathrm{Var}[r_t-r_0] = u^{\mathsf T}C_0u + 2\beta^{-1}w^{\mathsf T}\phi(2H,t)w, \quad
              I = \dot m^{\mathsf T}C^{-1}\dot m + \tfrac12\mathrm{Tr}(C^{-1}\dot C)^2

    with u = w − e^{−Ht}w, and ṁ = b − Hm, Ċ = 2β⁻¹ − HC − CH.

    Args:
        process: with noise, from a start with a width.
        observable: w.
        times: t [time].

    Returns:
        The observable beside its process.

    Raises:
        ValueError: if there is no noise, the start has no width, w is zero, or a time is negative.
    """
    check_positive("inverse_temperature", process.inverse_temperature)
    check_covariance("covariance_start", process.covariance_start, process.force.size, definite=True)
    check_shape("observable", observable, process.force.shape)
    check_finite("observable", observable)
    check_positive("|observable|", np.linalg.norm(observable))
    noise = 2.0 / process.inverse_temperature * np.eye(process.force.size)
    # Carried by the noise-free flow, w becomes e^{−Ht}w; what noise adds is the covariance from a point.
    zero = 0.0 * process.force
    carrier = replace(process, force=zero, mean_start=observable, covariance_start=np.zeros_like(process.stiffness))

    def rate(time: float) -> float:
        return float(observable @ (process.force - process.stiffness @ process.law(time)[0]))

    rows = []
    for time in times.tolist():
        mean, covariance = process.law(time)
        carried, added = carrier.law(time)
        left = observable - carried
        drift = process.force - process.stiffness @ mean
        growth = np.linalg.solve(covariance, noise - process.stiffness @ covariance - covariance @ process.stiffness)
        information = drift @ np.linalg.solve(covariance, drift) + 0.5 * np.trace(growth @ growth)
        changed = left @ process.covariance_start @ left + observable @ added @ observable
        rows.append((rate(time), observable @ covariance @ observable, changed, information))
    rates, variance, changed, information = np.array(rows).T
    return Uncertainty(
        inverse_temperature=process.inverse_temperature,
        times=times,
        rate=rates,
        variance=variance,
        change_variance=changed,
        fisher_information=information,
        dissipation=process.dissipation(times),
        dissipation_in_time=time_integral(lambda time: rate(time) ** 2, times) / float(observable @ observable),
    )


def of_solution(solution: FokkerPlanckSolution, observable: Callable[[np.ndarray], np.ndarray]) -> Uncertainty:
    """Any observable r(x) of one weight, for Eq. (108).

    Between edges of cells r is taken as linear. The law on cells is that of jumps between them, so that Eqs. (108)
    and (110) hold for it on any grid: with the drop of the free energy, which is its β⁻¹R.

    Args:
        solution: of the Fokker–Planck equation, with its times.
        observable: r(x) for an array of x.

    Returns:
        The observable beside its process.

    Raises:
        ValueError: if r is not finite, or the same everywhere.
    """
    edges = solution.edges
    at_edges = np.asarray(observable(edges), dtype=float)
    check_shape("observable", at_edges, edges.shape)
    check_finite("observable", at_edges)
    generator = Generator(solution.potential, solution.inverse_temperature, edges[1] - edges[0])
    slopes = np.diff(at_edges) / generator.width
    check_positive("range of observable", np.ptp(at_edges))
    # From its mean at the start, so that small changes keep their digits.
    values = 0.5 * (at_edges[1:] + at_edges[:-1])
    values = values - solution.start @ values

    def rate(law: np.ndarray) -> float:
        current = generator.current(law)
        return float(slopes @ (current[1:] + current[:-1]) * generator.width / 2.0)

    def short(law: np.ndarray) -> np.ndarray:
        return np.array([rate(law) ** 2 / (slopes**2 @ law)])

    order = np.argsort(solution.times)
    moved, shifted = np.empty((2, solution.times.size)), values - values.min()
    # A law in which each start counts by its value follows what is left of that value.
    weighted = states(generator, shifted * solution.start / (shifted @ solution.start), solution.times[order], short)
    plain = states(generator, solution.start, solution.times[order], short)
    for index, (law, _), (_, integrals) in zip(order, weighted, plain, strict=True):
        moved[:, index] = values @ law * (shifted @ solution.start), integrals[0]
    laws = solution.probabilities
    means, squares = laws @ values, laws @ values**2
    # ⟨r_t r₀⟩, with the part that was added to make all weights positive taken out again.
    products = moved[0] + values.min() * means
    changes = np.array([np.diff(generator.current(law)) for law in laws])
    return Uncertainty(
        inverse_temperature=solution.inverse_temperature,
        times=solution.times,
        rate=np.array([rate(law) for law in laws]),
        variance=squares - means**2,
        change_variance=squares + solution.start @ values**2 - 2.0 * products - means**2,
        fisher_information=np.array([_information(change, law) for change, law in zip(changes, laws, strict=True)]),
        dissipation=solution.free_energy_drop,
        dissipation_in_time=moved[1],
    )


def _information(change: np.ndarray, law: np.ndarray) -> float:
    """Σ(∂ₜp)²/p, without cells that hold nothing but rounding."""
    held = law > 1e-14 * law.max()
    return float(np.sum(change[held] ** 2 / law[held]))


def _quotient(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    """0 where nothing moves."""
    return np.divide(above, below, out=np.zeros_like(above), where=(above > 0) & (below > 0))
