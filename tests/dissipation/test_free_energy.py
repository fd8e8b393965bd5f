"""Free energies, entropies and relative entropies: the end-point forms of R against each other and quadrature."""

import mpmath
import numpy as np
import pytest
from scipy.integrate import dblquad, quad

from speedlimits.dissipation import free_energy as ends
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.transport.gaussian import w2_squared

BETA = 1.7


@pytest.fixture
def process() -> OrnsteinUhlenbeck:
    """The paper's case: start e^{−β|θ|²}, potential |θ|² + L with L = ½|Jθ − y|², in three dimensions."""
    rng = np.random.default_rng(2)
    jacobian, targets = rng.standard_normal((4, 3)), rng.standard_normal(4)
    return OrnsteinUhlenbeck(
        stiffness=2 * np.eye(3) + jacobian.T @ jacobian,
        force=jacobian.T @ targets,
        mean_start=np.zeros(3),
        covariance_start=np.eye(3) / (2 * BETA),
        inverse_temperature=BETA,
    )


def quadratic_pieces(process: OrnsteinUhlenbeck) -> tuple[float, float, float]:
    """The values of ln 𝒵₀, ln 𝒵_∞ and ⟨L(θ(0))⟩, the constant ½|y|² of L dropped from both of the latter."""
    loss_stiffness = process.stiffness - 2 * np.eye(3)
    mean_loss = 0.5 * np.sum(loss_stiffness * process.covariance_start)
    start = ends.log_partition(2 * np.eye(3), np.zeros(3), 0.0, BETA)
    return start, ends.log_partition(process.stiffness, process.force, 0.0, BETA), mean_loss


def test_partition_function_is_the_integral():
    """Eqs. (18), (19): ln ∫e^{−βV} in closed form, against two-dimensional quadrature."""
    stiffness, force, offset = np.array([[2.0, 0.6], [0.6, 1.5]]), np.array([0.4, -0.9]), 0.3

    def weight(y: float, x: float) -> float:
        theta = np.array([x, y])
        return np.exp(-BETA * (0.5 * theta @ stiffness @ theta - force @ theta + offset))

    integral = dblquad(weight, -9, 9, -9, 9, epsabs=1e-11, epsrel=1e-11)[0]
    assert ends.log_partition(stiffness, force, offset, BETA) == pytest.approx(np.log(integral), abs=1e-9)


def test_partition_function_of_the_start():
    """Below Eq. (18): 𝒵₀ = (π/β)^{D/2}."""
    start = ends.log_partition(2 * np.eye(5), np.zeros(5), 0.0, BETA)
    assert start == pytest.approx(2.5 * np.log(np.pi / BETA), rel=1e-14)


def test_equilibrium_form_is_the_divergence(process):
    """Eqs. (4), (21) at T = ∞ equal β⁻¹KL(p₀‖p_∞), and both the free energy drop of Eq. (39)."""
    equilibrium = np.linalg.inv(process.stiffness)
    start = ends.gaussian_divergence(
        process.mean_start, process.covariance_start, equilibrium @ process.force, equilibrium / BETA
    )
    log_start, log_end, mean_loss = quadratic_pieces(process)
    by_partition = ends.equilibrium_dissipation(log_start, log_end, mean_loss, BETA)
    assert by_partition == pytest.approx(ends.divergence_dissipation(start, 0.0, BETA), rel=1e-12)
    assert by_partition == pytest.approx(process.dissipation(np.array([40.0]))[0], rel=1e-12)


def test_equilibrium_form_needs_the_temperature_in_the_start(process):
    """Erratum of §2: started from e^{−|θ|²} without β, Eq. (4) is off by far more than rounding."""
    equilibrium = np.linalg.inv(process.stiffness)
    mean, covariance = np.zeros(3), np.eye(3) / 2
    truth = ends.gaussian_divergence(mean, covariance, equilibrium @ process.force, equilibrium / BETA) / BETA
    loss = 0.5 * np.sum((process.stiffness - 2 * np.eye(3)) * covariance)
    log_start = ends.log_partition(2 * np.eye(3), np.zeros(3), 0.0, 1.0)
    printed = ends.equilibrium_dissipation(log_start, quadratic_pieces(process)[1], loss, BETA)
    assert abs(printed / truth - 1) > 0.1


def test_divergence_form_holds_at_every_time(process):
    """Eqs. (39), (46): KL(p₀‖p_∞) − KL(p_T‖p_∞) = β(F(0) − F(T)) at finite T, where Eq. (21) fails."""
    equilibrium = np.linalg.inv(process.stiffness)
    reference = equilibrium @ process.force, equilibrium / BETA
    log_start, log_end, mean_loss = quadratic_pieces(process)
    for time in (0.01, 0.2, 1.0):
        divergences = [ends.gaussian_divergence(*process.law(t), *reference) for t in (0.0, time)]
        expected = process.dissipation(np.array([time]))[0]
        assert ends.divergence_dissipation(*divergences, BETA) == pytest.approx(expected, rel=1e-11)
        assert ends.equilibrium_dissipation(log_start, log_end, mean_loss, BETA) > expected


def test_boundary_and_bath_parts_add_up(process):
    """Eqs. (17), (20), (38): R₀ is the entropy gained, R₁ the heat given off, and R₀ + R₁ is R of Eq. (21)."""
    log_start, log_end, mean_loss = quadratic_pieces(process)
    start_potential = np.trace(process.covariance_start)
    potential_start, potential_end = process.mean_potential(0.0), process.mean_potential(40.0)
    boundary = ends.boundary_entropy_production(potential_end, start_potential, log_start, log_end, BETA)
    gain = ends.gaussian_entropy(process.law(40.0)[1]) - ends.gaussian_entropy(process.covariance_start)
    assert boundary == pytest.approx(gain, rel=1e-12)
    bath = ends.bath_entropy_production(potential_start, potential_end, BETA)
    total = ends.equilibrium_dissipation(log_start, log_end, mean_loss, BETA)
    assert (boundary + bath) / BETA == pytest.approx(total, rel=1e-12)


def test_equilibrium_free_energy(process):
    """Eq. (46): ⟨V⟩ + β⁻¹⟨ln p⟩ = −β⁻¹ ln 𝒵 for the Gibbs law."""
    assert process.free_energy(40.0) == pytest.approx(-quadratic_pieces(process)[1] / BETA, rel=1e-12)
    # Without noise a delta's entropy costs nothing.
    assert ends.nonequilibrium_free_energy(1.3, -np.inf, np.inf) == 1.3


def test_gaussian_entropy_is_the_integral():
    """Eq. (46): S = −∫p ln p by quadrature."""
    variance = 0.37
    density = lambda x: np.exp(-0.5 * x**2 / variance) / np.sqrt(2 * np.pi * variance)  # noqa: E731
    integral = quad(lambda x: -density(x) * np.log(density(x)), -12, 12, epsabs=1e-13)[0]
    assert ends.gaussian_entropy(np.array([[variance]])) == pytest.approx(integral, rel=1e-11)
    assert ends.gaussian_entropy(np.diag([1.0, 0.0])) == -np.inf


@pytest.mark.parametrize("excess", [-0.9, -0.05, 1e-3, 1e-8, 0.3, 40.0])
def test_divergence_keeps_its_digits(excess):
    """Eqs. (39), (46): KL of N(0, 1 + x) from N(0, 1) is ½(x − ln(1 + x)), to 1e-13 even where it is 1e-16."""
    # 1 + x as the function sees it, in floats.
    variance = 1.0 + excess
    with mpmath.workdps(50):
        exact = float((mpmath.mpf(variance) - 1 - mpmath.log(mpmath.mpf(variance))) / 2)
    mean, one = np.zeros(1), np.eye(1)
    assert ends.gaussian_divergence(mean, variance * one, mean, one) == pytest.approx(exact, rel=1e-13, abs=0.0)


def test_divergence_of_correlated_laws():
    """Eqs. (39), (46): four dimensions, general means and covariances, against the textbook trace formula."""
    rng = np.random.default_rng(3)
    factors = rng.standard_normal((2, 4, 6))
    p, q = factors @ factors.transpose(0, 2, 1)
    mean, reference = rng.standard_normal((2, 4))
    inverse = np.linalg.inv(q)
    log_ratio = np.linalg.slogdet(q)[1] - np.linalg.slogdet(p)[1]
    shift = reference - mean
    expected = 0.5 * (np.trace(inverse @ p) - 4 + log_ratio + shift @ inverse @ shift)
    assert ends.gaussian_divergence(mean, p, reference, q) == pytest.approx(expected, rel=1e-11)


def test_loss_drop_is_the_noise_free_limit(process):
    """Eq. (6): without noise the ensemble of gradient flows dissipates the mean drop of its own loss."""
    rng = np.random.default_rng(4)
    starts = rng.standard_normal((5, 3))
    losses = []
    totals = []
    for start in starts:
        flow = OrnsteinUhlenbeck(
            stiffness=process.stiffness,
            force=process.force,
            mean_start=start,
            covariance_start=np.zeros((3, 3)),
            inverse_temperature=np.inf,
        )
        losses.append([flow.mean_potential(time) for time in (0.0, 0.4)])
        totals.append(flow.path_dissipation(np.array([0.4]))[0])
    before, after = np.array(losses).T
    assert ends.loss_drop(before, after) == pytest.approx(np.mean(totals), rel=1e-11)


def test_cost_of_the_plan_is_no_dissipation():
    """Erratum of §2.2: in equilibrium R = 0, yet ⟨|θ(T) − θ(0)|²⟩ → 2TrΣ as the ends become independent."""
    stiffness = np.array([[2.0, 0.5], [0.5, 1.0]])
    sigma = np.linalg.inv(stiffness) / BETA
    still = OrnsteinUhlenbeck(
        stiffness=stiffness,
        force=np.zeros(2),
        mean_start=np.zeros(2),
        covariance_start=sigma,
        inverse_temperature=BETA,
    )
    time = 40.0
    assert [still.dissipation_rate(t) for t in (0.0, 0.3, time)] == pytest.approx([0.0] * 3, abs=1e-14)
    assert w2_squared(*still.law(0.0), *still.law(time)) == pytest.approx(0.0, abs=1e-15)
    # θ(T) given θ(0) has mean e^{−HT}θ(0); sampled, to 4 standard errors.
    rng = np.random.default_rng(6)
    starts, finals = rng.multivariate_normal(np.zeros(2), sigma, (2, 40_000))
    cost = np.sum((finals - starts) ** 2, axis=1)
    assert cost.mean() == pytest.approx(2 * np.trace(sigma), abs=4 * cost.std() / 200)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: ends.log_partition(np.array([[1.0, 0.0], [0.0, 0.0]]), np.zeros(2), 0.0, 1.0),
            r"`stiffness` must be positive definite; its smallest eigenvalue is 0\.",
        ),
        (
            lambda: ends.nonequilibrium_free_energy(1.0, 0.0, 0.0),
            r"`inverse_temperature` must be positive \(infinity .*\); .* = 0\.",
        ),
        (lambda: ends.divergence_dissipation(1.0, -0.1, 1.0), r"`divergence_end` must be non-negative and finite"),
        (lambda: ends.loss_drop(np.ones(2), np.array([1.0, np.nan])), r"`losses_end` .* losses_end\[1\] = nan"),
        (lambda: ends.loss_drop(np.ones(0), np.ones(0)), r"`losses_start` must have at least one seed"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(call, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        call()
