"""Lower limits on β⁻¹R by a mean that moves: against other routes to each number, and where they are equalities."""

import re

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from speedlimits.dissipation.free_energy import gaussian_divergence
from speedlimits.theory._cells import Generator
from speedlimits.theory.fokker_planck import FokkerPlanck
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.theory.uncertainty import Uncertainty, of_linear, of_solution

BETA = 0.8
TIMES = np.array([1.5, 0.01, 0.3])


def process(seed: int = 0, rates: tuple[float, ...] = (3.0, 0.7, 0.0)) -> OrnsteinUhlenbeck:
    rng = np.random.default_rng(seed)
    basis, _ = np.linalg.qr(rng.standard_normal((len(rates), len(rates))))
    factor = rng.standard_normal((len(rates), len(rates) + 2))
    return OrnsteinUhlenbeck(
        stiffness=(basis * np.array(rates)) @ basis.T,
        force=rng.standard_normal(len(rates)),
        mean_start=rng.standard_normal(len(rates)),
        covariance_start=factor @ factor.T,
        inverse_temperature=BETA,
    )


def assert_bounded(found: Uncertainty) -> None:
    """All three inequalities, with room for rounding."""
    assert np.all(found.from_change <= found.dissipation * (1 + 1e-9))
    assert np.all(found.from_rate <= found.dissipation * (1 + 1e-9))
    assert np.all(found.accuracy <= 1 + 1e-9)


def test_linear_observables_by_other_routes():
    """Eqs. (108), (109), (110) from differences of laws, the matrix exponential, and divergences of near laws."""
    ou, weights = process(), np.array([1.0, -2.0, 0.5])
    found = of_linear(ou, weights, TIMES)

    def mean(time: float) -> float:
        return float(weights @ ou.law(time)[0])

    def rate(time: float, step: float = 1e-4) -> float:
        return (mean(time + step) - mean(time - step)) / (2 * step)

    for place, time in enumerate(TIMES):
        covariance = ou.law(time)[1]
        assert found.rate[place] == pytest.approx(rate(time), rel=1e-7)
        assert found.variance[place] == pytest.approx(weights @ covariance @ weights, rel=1e-12)
        shared = expm(-ou.stiffness * time) @ ou.covariance_start
        change = covariance + ou.covariance_start - shared - shared.T
        assert found.change_variance[place] == pytest.approx(weights @ change @ weights, rel=1e-9)
        step = 1e-3
        apart = sum(gaussian_divergence(*ou.law(time + sign * step), *ou.law(time)) for sign in (-1, 1))
        assert found.fisher_information[place] == pytest.approx(apart / step**2, rel=2e-3)
        expected = quad(lambda t: rate(t + 1e-4) ** 2, 0, time)[0] / (weights @ weights)
        assert found.from_rate[place] == pytest.approx(expected, rel=3e-3)
        assert found.dissipation[place] == pytest.approx(ou.path_dissipation(TIMES)[place], rel=1e-9)
        by_hand = 2 / BETA * (time * found.rate[place]) ** 2 / found.change_variance[place]
        assert found.from_change[place] == pytest.approx(by_hand, rel=1e-12)
        known = found.rate[place] ** 2 / (found.variance[place] * found.fisher_information[place])
        assert found.accuracy[place] == pytest.approx(known, rel=1e-12)
    assert_bounded(found)


@pytest.mark.parametrize("seed", range(12))
def test_nothing_moves_faster(seed):
    """Random processes, stable and not, and random observables: all inequalities hold."""
    rng = np.random.default_rng(seed)
    assert_bounded(of_linear(process(seed, (2.0, 0.1, -0.5)), rng.standard_normal(3), np.geomspace(1e-3, 4, 9)))


def test_a_law_that_is_carried_along_meets_the_limits():
    """A Gaussian of the equilibrium's shape, seen along its way: Eqs. (109), (110) are equalities, (108) for t → 0."""
    ou = OrnsteinUhlenbeck(
        stiffness=2.0 * np.eye(2),
        force=np.array([3.0, -1.0]),
        mean_start=np.zeros(2),
        covariance_start=np.eye(2) / (2.0 * BETA),
        inverse_temperature=BETA,
    )
    found = of_linear(ou, ou.force, np.array([1e-6, 0.5, 2.0, 0.0]))
    assert found.from_rate == pytest.approx(found.dissipation, rel=1e-9)
    assert found.accuracy == pytest.approx(np.ones(4), rel=1e-12)
    assert found.from_change[3] == 0
    assert found.from_change[0] == pytest.approx(found.dissipation[0], rel=1e-5)
    # With time the mean slows down, and the relation of the change is no equality any more.
    assert found.from_change[2] < 0.1 * found.dissipation[2]


def test_constant_drift_meets_the_relation_of_the_change_at_all_times():
    """A wide law in a flat potential: Eq. (108) is an equality at every time."""
    ou = OrnsteinUhlenbeck(
        stiffness=np.zeros((2, 2)),
        force=np.array([3.0, -1.0]),
        mean_start=np.zeros(2),
        covariance_start=1e9 * np.eye(2),
        inverse_temperature=BETA,
    )
    found = of_linear(ou, ou.force, np.array([0.1, 1.0, 10.0]))
    assert found.from_change == pytest.approx(10.0 * found.times, rel=1e-9)
    assert found.from_change == pytest.approx(ou.path_dissipation(found.times), rel=1e-6)


def well(cells: int = 100) -> FokkerPlanck:
    return FokkerPlanck(lambda x: x**2 + 0.5 * (x - 1) ** 4, inverse_temperature=BETA, cells=cells, domain=(-5.5, 5.5))


def test_cells_by_the_exponential_of_their_generator():
    """Eqs. (108), (109), (110) of x³ on 100 cells, with every law by a full matrix exponential."""
    times = np.append(TIMES, 0.0)
    solution = well().solution(times)
    found = of_solution(solution, lambda x: x**3)
    generator = Generator(solution.potential, BETA, solution.edges[1] - solution.edges[0])
    matrix = np.diag(generator.bands[1]) + np.diag(generator.bands[0, 1:], 1) + np.diag(generator.bands[2, :-1], -1)
    values, start = 0.5 * (solution.edges[1:] ** 3 + solution.edges[:-1] ** 3), solution.start
    slopes = np.diff(solution.edges**3) / generator.width

    def rate(time: float) -> float:
        return float(values @ matrix @ expm(matrix * time) @ start)

    def short(time: float) -> float:
        return rate(time) ** 2 / float(slopes**2 @ expm(matrix * time) @ start)

    for place, time in enumerate(times):
        moves = expm(matrix * time)
        law = moves @ start
        assert found.rate[place] == pytest.approx(rate(time), rel=1e-9)
        assert found.variance[place] == pytest.approx(values**2 @ law - (values @ law) ** 2, rel=1e-9)
        changes = values[:, None] - values
        joint = moves * start
        spread = np.sum(changes**2 * joint) - np.sum(changes * joint) ** 2
        assert found.change_variance[place] == pytest.approx(spread, rel=1e-8, abs=1e-12)
        assert found.fisher_information[place] == pytest.approx(np.sum((matrix @ law) ** 2 / law), rel=1e-8)
        assert found.from_rate[place] == pytest.approx(quad(short, 0, time, epsrel=1e-8)[0], rel=1e-7)
        by_hand = 2 / BETA * (time * rate(time)) ** 2 / spread if time else 0.0
        assert found.from_change[place] == pytest.approx(by_hand, rel=1e-7)
    assert_bounded(found)
    assert found.dissipation == pytest.approx(solution.free_energy_drop, rel=1e-12)


def test_fine_cells_tend_to_the_harmonic_closed_form():
    """The weight in a harmonic well is the linear observable of an Ornstein–Uhlenbeck process, up to O(h²)."""
    times = np.array([0.05, 0.4])
    gaussian = OrnsteinUhlenbeck(
        stiffness=np.array([[2.0]]),
        force=np.array([3.0]),
        mean_start=np.zeros(1),
        covariance_start=np.array([[1 / (2 * BETA)]]),
        inverse_temperature=BETA,
    )
    exact = of_linear(gaussian, np.ones(1), times)
    errors = []
    for cells in (150, 300):
        system = FokkerPlanck(lambda x: x**2 - 3 * x, inverse_temperature=BETA, cells=cells, domain=(-6.0, 7.0))
        found = of_solution(system.solution(times), lambda x: x)
        errors.append([abs(getattr(found, name) / getattr(exact, name) - 1) for name in ("from_change", "from_rate")])
    assert np.max(errors[1]) < 2e-3
    np.testing.assert_allclose(np.divide(*errors), 4, rtol=0.3)


def test_an_observable_along_the_velocity_meets_the_rate():
    """∇r = v at some time: there (∂ₜ⟨r⟩)²/⟨|∇r|²⟩ is the whole rate of dissipation, Eq. (109), up to O(h²)."""
    system, time, step = well(800), 0.2, 1e-4
    solution = system.solution(np.array([time]))
    generator = Generator(solution.potential, BETA, solution.edges[1] - solution.edges[0])
    law = solution.probabilities[0]
    current = generator.current(law)
    flow = 0.5 * (current[1:] + current[:-1]) * generator.width
    # Far out the law is rounding.
    velocity = np.divide(flow, law, out=np.zeros_like(law), where=law > 1e-12)
    at_edges = np.append(0.0, np.cumsum(velocity) * generator.width)
    near = system.solution(np.array([time - step, time + step]))
    found = of_solution(near, lambda x: np.interp(x, solution.edges, at_edges))
    rates = np.diff(found.from_rate)[0], np.diff(near.dissipation)[0]
    assert rates[0] == pytest.approx(rates[1], rel=1e-3)
    other = of_solution(near, lambda x: x)
    assert np.diff(other.from_rate)[0] < 0.95 * rates[1]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"inverse_temperature": np.inf}, "`inverse_temperature` must be positive and finite"),
        ({"covariance_start": np.zeros((3, 3))}, "`covariance_start` must"),
    ],
)
def test_a_law_without_width_or_noise_is_refused(changed, message):
    """Paths have no density without noise, and a point has no ln p."""
    given = {name: getattr(process(), name) for name in ("stiffness", "force", "mean_start", "covariance_start")}
    ou = OrnsteinUhlenbeck(**{"inverse_temperature": BETA, **given} | changed)
    with pytest.raises(ValueError, match=re.escape(message)):
        of_linear(ou, np.ones(3), TIMES)


def test_observables_that_do_not_vary_are_refused():
    """A constant has no rate, and infinity no mean."""
    solution = well().solution(TIMES)
    with pytest.raises(ValueError, match="`range of observable` must be positive"):
        of_solution(solution, np.ones_like)
    with pytest.raises(ValueError, match="`observable` must be finite"), np.errstate(divide="ignore"):
        of_solution(solution, lambda x: np.log(x**2 * 0))
