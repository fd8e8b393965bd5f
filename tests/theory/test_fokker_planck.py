"""The one-dimensional solver against matrix exponentials, closed forms and its own second route."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm
from scipy.special import erf

from speedlimits.theory._cells import Generator
from speedlimits.theory.fokker_planck import FokkerPlanck, FokkerPlanckSolution
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.transport.points import w2_squared_densities

BETA = 2.0
TIMES = np.array([0.2, 1.0])


def double_well(x: np.ndarray) -> np.ndarray:
    return x**2 + 1.5 * (x**2 - 1.2) ** 2


def harmonic(x: np.ndarray) -> np.ndarray:
    return 1.3 * (x - 0.7) ** 2


@pytest.fixture(scope="module")
def solution() -> FokkerPlanckSolution:
    return FokkerPlanck(double_well, inverse_temperature=BETA).solution(np.append(np.geomspace(1e-4, 10, 30), TIMES))


def test_known_answers():
    """The double well from e^{−βx²} at β = 2: R, 𝒲₂ and T_SL at two times, converged in the grid.

    It also proves Eqs. (7), (23), (26).
    """
    solved = FokkerPlanck(double_well, inverse_temperature=BETA, cells=2000).solution(TIMES)
    # The grid's error at 2000 cells is 4e-5; the digits asked for are those known.
    assert solved.entropy_production == pytest.approx([0.83066, 0.99662], abs=5e-5)
    assert solved.w2_squared == pytest.approx([0.0746, 0.190], abs=2e-4)
    assert solved.speed_limit.speed_limit == pytest.approx([0.180, 0.382], abs=5e-4)
    np.testing.assert_array_equal(solved.speed_limit.time, TIMES)
    np.testing.assert_array_equal(solved.speed_limit.arc_length, solved.arc_length)
    np.testing.assert_array_equal(solved.speed_limit.dissipation, solved.entropy_production / BETA)


def test_speed_is_the_integral_of_the_squared_current():
    """Eqs. (23), (47): ∫J²/p with J from edge to edge along a line and p even in each cell, by quadrature."""
    law = np.array([0.1, 0.3, 0.05, 0.35, 0.2])
    width = 0.4
    generator = Generator(np.array([0.3, -0.5, 0.1, 0.9, 0.2]), BETA, width)
    current = generator.current(law)
    # The current is what the law loses on one side of an edge, by the generator as a matrix.
    matrix = np.diag(generator.bands[1]) + np.diag(generator.bands[0, 1:], 1) + np.diag(generator.bands[2, :-1], -1)
    np.testing.assert_allclose(current[1:], -np.cumsum(matrix @ law), rtol=1e-12, atol=1e-14)
    assert current[0] == current[-1] == 0.0
    expected = sum(
        quad(lambda x, k=k: np.interp(x, [0, width], current[k : k + 2]) ** 2 / (law[k] / width), 0, width)[0]
        for k in range(5)
    )
    assert generator.speed_squared(law) == pytest.approx(expected, rel=1e-12)


def test_sixth_order_differences_agree():
    """R at T = 0.2 by the free energies of a wholly different scheme: central differences and a dense exponential.

    It also proves Eqs. (23), (39), (44), (46).
    """
    x = np.linspace(-3.6, 3.6, 300)
    h = x[1] - x[0]
    first = sum(np.eye(300, k=k) * c - np.eye(300, k=-k) * c for k, c in ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))) / h
    second = np.eye(300) * (-49 / 18)
    second += sum((np.eye(300, k=k) + np.eye(300, k=-k)) * c for k, c in ((1, 3 / 2), (2, -3 / 20), (3, 1 / 90)))
    slope = 2 * x + 6 * x * (x**2 - 1.2)
    start = np.exp(-BETA * x**2) / np.sum(np.exp(-BETA * x**2) * h)
    end = expm(0.2 * (first * slope + second / h**2 / BETA)) @ start

    def free_energy(law: np.ndarray) -> float:
        return h * np.sum(law * double_well(x) + law * np.log(np.where(law > 1e-14, law, 1.0)) / BETA)

    expected = BETA * (free_energy(start) - free_energy(end))
    solved = FokkerPlanck(double_well, inverse_temperature=BETA, cells=2000).solution(TIMES[:1])
    assert expected == pytest.approx(0.830664, abs=1e-6)
    assert BETA * solved.free_energy_drop[0] == pytest.approx(expected, abs=1e-5)


def test_times_may_come_in_any_order(solution):
    """The appended times come out as when solved for alone: no error accumulates over outputs."""
    alone = FokkerPlanck(double_well, inverse_temperature=BETA).solution(TIMES[::-1])
    assert solution.probabilities[-2:] == pytest.approx(alone.probabilities[::-1], abs=1e-14)
    assert solution.dissipation[-2:] == pytest.approx(alone.dissipation[::-1], rel=1e-9)


def test_time_is_exact():
    """Eqs. (32), (33): e^{Wt} of the generator as a dense matrix, to rounding, at all times; and what it spends."""
    times = np.array([0.0, 1e-3, 0.05, 0.7, 20.0, 40.0])
    solved = FokkerPlanck(double_well, inverse_temperature=BETA, cells=150).solution(times)
    width, values = np.diff(solved.edges)[0], solved.potential
    generator = np.zeros((150, 150))
    for i, j in [(i, i + s) for i in range(150) for s in (-1, 1) if 0 <= i + s < 150]:
        z = BETA * (values[j] - values[i])
        generator[j, i] = z / np.expm1(z) / (BETA * width**2)
        generator[i, i] -= generator[j, i]
    for time, law in zip(times, solved.probabilities, strict=True):
        assert law == pytest.approx(expm(generator * time) @ solved.start, abs=1e-12)
    np.testing.assert_array_equal(solved.times, times)
    rates, modes = np.linalg.eig(generator)
    start = np.linalg.solve(modes, solved.start)

    def rate(log_time: float) -> float:
        law = ((modes * np.exp(rates * np.exp(log_time))) @ start).real
        return np.exp(log_time) * Generator(values, BETA, width).speed_squared(law)

    # What is spent before t = 1e-9 is a rectangle: it is a millionth of the first of these.
    first = 1e-9 * Generator(values, BETA, width).speed_squared(solved.start)
    spent = [quad(rate, np.log(1e-9), np.log(time), epsabs=0.0, epsrel=1e-9, limit=400)[0] for time in times[1:]]
    np.testing.assert_allclose(solved.dissipation[1:], first + np.array(spent), rtol=1e-7)


def test_probability_is_conserved(solution):
    """Σp = 1 to 1e-12 at every time, and no probability is negative."""
    assert solution.probabilities.sum(axis=1) == pytest.approx(np.ones(len(solution.times)), abs=1e-12)
    assert solution.probabilities.min() >= 0.0


def test_gibbs_law_stands_still():
    """Eqs. (32), (33), (34): started in equilibrium, nothing moves and nothing is dissipated."""
    still = FokkerPlanck(double_well, inverse_temperature=BETA, start_potential=double_well).solution(TIMES)
    assert still.probabilities == pytest.approx(np.stack([still.gibbs] * 2), abs=1e-14)
    assert still.dissipation == pytest.approx(np.zeros(2), abs=1e-16)


def test_everything_ends_in_equilibrium(solution):
    """Eq. (34): after ten relaxation times the law is e^{−βV}/𝒵, and R is KL(p₀‖p_∞) by quadrature, Eqs. (4), (21)."""
    late = FokkerPlanck(double_well, inverse_temperature=BETA, cells=2000).solution(np.array([60.0]))
    assert late.probabilities[0] == pytest.approx(late.gibbs, abs=1e-12)

    def integral(function) -> float:
        return quad(function, -6, 6, epsabs=1e-13, limit=200)[0]

    log_start = np.log(integral(lambda x: np.exp(-BETA * x**2)))
    log_end = np.log(integral(lambda x: np.exp(-BETA * double_well(x))))
    loss = integral(lambda x: np.exp(-BETA * x**2 - log_start) * 1.5 * (x**2 - 1.2) ** 2)
    expected = log_end - log_start + BETA * loss
    assert late.entropy_production[0] == pytest.approx(expected, rel=1e-4)
    assert BETA * late.free_energy_drop[0] == pytest.approx(expected, rel=1e-5)


def test_free_energy_never_grows(solution):
    """∂ₜF = −⟨v²⟩ ≤ 0, below Eq. (46)."""
    order = np.argsort(solution.times)
    drops = solution.free_energy_drop[order]
    assert drops[0] > 0
    assert np.all(np.diff(drops) >= -1e-14)


def test_speed_limit_holds(solution):
    """T_SL ≤ T at every time, on coarse grids too, both factors at least 1; only coarse cells are a reservation."""
    coarse = FokkerPlanck(double_well, inverse_temperature=BETA, cells=80).solution(solution.times)
    for limit in (solution.speed_limit, coarse.speed_limit):
        assert all("the cells are too coarse" in reason for reason in limit.reasons)
        assert np.all(limit.speed_limit <= limit.time * (1 + 1e-9))
        assert np.all(limit.geometric >= 1 - 1e-9)
        assert np.all(limit.pace >= 1 - 1e-9)
    assert solution.speed_limit.certified
    assert solution.speed_limit.inefficiency[0] == pytest.approx(1.0, abs=0.01)


def test_speed_limit_holds_from_the_first_instant_to_the_last():
    """Eqs. (7), (26): T from 1e-9 to 1e9: T_SL → T at first, 2/κ = 1 at last, and rounding never breaks the limit."""
    times = np.geomspace(1e-9, 1e9, 10)
    shifted = FokkerPlanck(lambda x: x**2 + x, inverse_temperature=1.0).speed_limit(times)
    assert shifted.certified
    assert shifted.speed_limit == pytest.approx(np.tanh(times), rel=2e-3)


def test_distance_is_known_to_the_rounding_of_places():
    """Eqs. (7), (26): √𝒲₂ is known to two roundings of 2e-15 of the domain, and no better than all numbers: 1e-9.

    The same holds for T_SL; where nothing has moved there is nothing to round.
    """
    solved = FokkerPlanck(lambda x: x**2 + x, inverse_temperature=1.0).solution(np.array([0.0, 1e-9, 1e-6, 1.0]))
    extent, moved = solved.edges[-1] - solved.edges[0], np.sqrt(solved.w2_squared[1:])
    tolerance = np.array([1e-9, *np.maximum(1e-9, 2 * 2e-15 * extent / moved)])
    assert solved.w2_squared[0] == 0
    assert tolerance[1] > 1e-9 == tolerance[3]
    np.testing.assert_allclose(solved.speed_limit.tolerance, tolerance, rtol=1e-12)


def test_equilibrium_has_no_limit_to_break():
    """Where nothing moves T_SL = 0, whatever the rounding."""
    still = FokkerPlanck(np.square, inverse_temperature=1.0).speed_limit(np.geomspace(1e-9, 1e6, 16))
    assert still.certified
    assert np.all(still.speed_limit == 0.0)


def test_coarse_cells_are_told():
    """A wall too steep for the cells: the two routes to R part, and the limit is not certified from there on.

    It also proves Eqs. (7), (26).
    """
    steep = FokkerPlanck(lambda x: np.exp(x**2), inverse_temperature=1.0).solution(np.array([0.0, 0.1]))
    limit, gap = steep.speed_limit, abs(steep.free_energy_drop[1] / steep.dissipation[1] - 1)
    assert limit.reasons == (
        f"the cells are too coarse: dissipation by velocity and by free energy differ by {gap:.2%} (at time 0.1)",
    )
    assert [limit[k].certified for k in range(2)] == [True, False]


def order_of(errors: list[float]) -> float:
    return float(-np.polyfit(np.log([200, 400, 800]), np.log(np.abs(errors)), 1)[0])


def test_two_routes_meet_quadratically():
    """Eqs. (39), (44), (46): ∫∫J²/p and the free energy drop part by O(h²) and agree in the limit."""
    solved = [FokkerPlanck(double_well, inverse_temperature=BETA, cells=n).solution(TIMES) for n in (200, 400, 800)]
    gaps = [each.dissipation[1] - each.free_energy_drop[1] for each in solved]
    assert order_of(gaps) == pytest.approx(2.0, abs=0.2)
    assert abs(gaps[-1]) < 1e-4 * solved[-1].dissipation[1] * 2


def test_harmonic_well_converges_quadratically_to_closed_forms():
    """Ornstein–Uhlenbeck: dissipation, distance, length and density, each of order 2 ± 0.2 in the cell width.

    It also proves Eqs. (23), (32), (33), (39), (44), (46), (47).
    """
    time = np.array([0.35])
    exact = OrnsteinUhlenbeck(
        stiffness=np.array([[2.6]]),
        force=np.array([1.82]),
        mean_start=np.zeros(1),
        covariance_start=np.array([[1 / (2 * BETA)]]),
        inverse_temperature=BETA,
    )
    limit, (mean, covariance) = exact.speed_limit(time), exact.law(0.35)
    # The potential there is without the constant.
    free_energy = exact.free_energy(0.35) + 1.3 * 0.7**2
    names = ("dissipation", "free_energy", "free_energy_drop", "w2_squared", "arc_length", "law")
    errors = {name: [] for name in names}
    for cells in (200, 400, 800):
        solved = FokkerPlanck(harmonic, inverse_temperature=BETA, cells=cells).solution(time)
        errors["dissipation"].append(solved.dissipation[0] - limit.dissipation[0])
        errors["free_energy"].append(solved.free_energies[0] - free_energy)
        errors["free_energy_drop"].append(solved.free_energy_drop[0] - limit.dissipation[0])
        errors["w2_squared"].append(solved.w2_squared[0] - limit.w2_squared[0])
        errors["arc_length"].append(solved.arc_length[0] - limit.arc_length[0])
        cumulative = 0.5 * (1 + erf((solved.edges - mean[0]) / np.sqrt(2 * covariance[0, 0])))
        errors["law"].append(np.abs(solved.probabilities[0] - np.diff(cumulative)).sum())
    for name, values in errors.items():
        assert order_of(values) == pytest.approx(2.0, abs=0.2), name
        assert abs(values[-1]) < 2e-4, name


def test_distance_agrees_with_smooth_quantiles(solution):
    """𝒲₂ of the piecewise uniform laws is that of splines through the densities, to the grid's accuracy."""
    start = solution.start / np.diff(solution.edges)
    for index in (-2, -1):
        smooth = w2_squared_densities(solution.points, start, solution.densities[index])
        assert solution.w2_squared[index] == pytest.approx(smooth, rel=1e-4)


def test_convex_potentials_obey_their_curvature():
    """V″ ≥ κ bounds T_SL(∞) ≤ 2/κ, strictly for a quartic."""
    curved = FokkerPlanck(lambda x: (x - 1) ** 2 + x**4, inverse_temperature=1.0).solution(np.array([30.0]))
    assert curved.speed_limit.speed_limit[0] < 1.0


def test_a_shifted_narrow_law_is_found():
    """The domain follows the laws: a well at x = 100, of width 0.01, from a start beside it."""
    solved = FokkerPlanck(
        lambda x: 5e3 * (x - 100.0) ** 2, inverse_temperature=1.0, start_potential=lambda x: 5e3 * (x - 100.05) ** 2
    ).solution(np.array([1e-4]))
    assert 99.85 < solved.edges[0] < 99.92
    assert 100.13 < solved.edges[-1] < 100.20
    # A Gibbs law moved by a: 𝒲₂ = a²(1 − e^{−κt})², κ = 1e4.
    assert solved.w2_squared[0] == pytest.approx(0.05**2 * (1 - np.exp(-1.0)) ** 2, rel=1e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"potential": np.zeros_like}, r"`potential` must confine its law; .* does not decay within \|x\| < 5e8"),
        ({"start_potential": lambda x: -(x**2)}, r"`start_potential` must confine its law"),
        ({"potential": lambda x: np.log(x - 1) + x**2, "domain": (-2.0, 2.0)}, r"`potential` must be finite; .* = nan"),
        ({"domain": (-0.5, 3.0)}, r"`domain` must hold the law at all times; at time 0\.1 its lower cell of -0\.5…3 "),
        ({"domain": (1.0, -1.0)}, r"`domain` must be strictly increasing"),
        ({"cells": 12}, r"`cells` must be enough that no cell holds more than 10% of a law; one of 12 holds"),
        ({"cells": 3}, r"`cells` must be an integer of at least 10; cells = 3"),
        ({"times": np.array([-1.0])}, r"`times` must be non-negative and finite; times\[0\] = -1"),
        ({"inverse_temperature": 0.0}, r"`inverse_temperature` must be positive and finite; .* = 0"),
        ({"potential": lambda _: 3.0}, r"`potential` must have shape \(20001\); potential.shape = \(\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(change, message):
    """Argument, rule and value stand in the error."""
    arguments = {"potential": double_well, "times": np.array([0.1]), "inverse_temperature": BETA} | change
    times = arguments.pop("times")
    with pytest.raises(ValueError, match=message):
        FokkerPlanck(**arguments).solution(times)
