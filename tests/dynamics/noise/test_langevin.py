"""Langevin integrators, against Ornstein–Uhlenbeck, Fokker–Planck and each other."""

import re
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.integrate import quad

from speedlimits.dissipation.bounds import maximum_entropy
from speedlimits.dissipation.equilibrium import annealed_importance, thermodynamic_integration
from speedlimits.dissipation.fluctuation import fluctuation_theorem
from speedlimits.dissipation.free_energy import gaussian_entropy
from speedlimits.dissipation.path_measure import log_path_ratio
from speedlimits.dynamics.loss import FlatLoss, value_and_gradient
from speedlimits.dynamics.noise import langevin
from speedlimits.dynamics.noise.annealing import anneal
from speedlimits.dynamics.noise.ensemble import laplacians, losses_and_gradients
from speedlimits.dynamics.noise.exact_steps import ExactSteps
from speedlimits.dynamics.noise.stability import check_stable, stable_time_step
from speedlimits.dynamics.state import from_arrays, to_arrays
from speedlimits.errors import DivergenceError
from speedlimits.models.fcn import FCN
from speedlimits.theory.fokker_planck import FokkerPlanck
from speedlimits.theory.ornstein_uhlenbeck import OrnsteinUhlenbeck
from speedlimits.transport.bounds import mean_shift

BETA = 2.0


def linear_loss(dims: int, seed: int = 1) -> tuple[langevin.Loss, OrnsteinUhlenbeck]:
    """L = ½|Jθ − y|² in torch, and the process of the paper's V = |θ|² + L, without its constant."""
    rng = np.random.default_rng(seed)
    jacobian, targets = rng.standard_normal((dims, dims)) / np.sqrt(dims), rng.standard_normal(dims)
    matrix, vector = torch.from_numpy(jacobian), torch.from_numpy(targets)
    process = OrnsteinUhlenbeck(
        stiffness=2 * np.eye(dims) + jacobian.T @ jacobian,
        force=jacobian.T @ targets,
        mean_start=np.zeros(dims),
        covariance_start=np.eye(dims) / (2 * BETA),
        inverse_temperature=BETA,
    )
    return (lambda theta: 0.5 * (matrix @ theta - vector).square().sum()), process


def well(theta: torch.Tensor) -> torch.Tensor:
    """L of the double well V = x² + 1.5(x² − 1.2)²."""
    return 1.5 * (theta.square() - 1.2).square().sum()


def network(depth: int) -> FlatLoss:
    """A small network on random data."""
    generator = torch.Generator().manual_seed(3)
    model = FCN(5, 2, width=4, depth=depth, generator=generator)
    inputs, targets = (torch.randn(6, size, generator=generator, dtype=torch.float64) for size in (5, 2))
    return FlatLoss(model, inputs, targets)


def run(
    dynamics: langevin.Langevin, members: int, parameters: int, steps: int, seed: int = 0
) -> list[langevin.LangevinState]:
    """First and last state."""
    start = langevin.init(dynamics, langevin.prior(dynamics, members, parameters, seed=seed), seed=seed + 1)
    (end,) = langevin.integrate(dynamics, start, [steps])
    return [start, end]


def check_law(thetas: torch.Tensor, mean: np.ndarray, covariance: np.ndarray) -> None:
    """Mean and covariance of Gaussian members within 4.5 standard errors, every entry."""
    members = thetas.numpy()
    n, variances = len(members), np.diag(covariance)
    assert np.max(np.abs(members.mean(axis=0) - mean) / np.sqrt(variances / n)) < 4.5
    errors = np.sqrt((np.outer(variances, variances) + covariance**2) / n)
    assert np.max(np.abs(np.cov(members, rowvar=False) - covariance) / errors) < 4.5


def test_members_are_evaluated_as_one_by_one():
    """In chunks, vmap gives the losses and gradients of single networks; Hutchinson's mean is the Laplacian."""
    loss = network(1)
    thetas = torch.randn(7, loss.initial.numel(), dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    losses, gradients = losses_and_gradients(loss, thetas, chunk=3)
    for k, theta in enumerate(thetas):
        value, gradient = value_and_gradient(loss, theta)
        torch.testing.assert_close(losses[k], value)
        torch.testing.assert_close(gradients[k], gradient)
    many = thetas[:1].expand(4000, -1)
    estimates = laplacians(loss, many, generator=torch.Generator().manual_seed(2))
    exact = torch.func.jacrev(torch.func.grad(loss))(thetas[0]).trace()
    assert abs(estimates.mean() - exact) < 4 * estimates.std() / 4000**0.5


@pytest.mark.parametrize("scheme", langevin.SCHEMES)
def test_transient_follows_ornstein_uhlenbeck(scheme):
    """Mean and covariance at t = 0.3 in 4 dimensions; steps so small that O(h) is below the error of 4,000 members."""
    loss, process = linear_loss(4)
    dynamics = langevin.Langevin(loss=loss, inverse_temperature=BETA, time_step=0.3 / 60, scheme=scheme)
    _, end = run(dynamics, 4000, 4, 60)
    check_law(end.thetas, *process.law(0.3))


def test_exact_steps_are_exact():
    """One step of any length gives the law of Ornstein–Uhlenbeck in 100 dimensions."""
    loss, process = linear_loss(100)
    dynamics = langevin.Langevin(loss=loss, inverse_temperature=BETA, time_step=1.0)
    start = langevin.prior(dynamics, 4000, 100, seed=0)
    end = ExactSteps.of(dynamics, start).step(start, 0.7, generator=torch.Generator().manual_seed(4))
    check_law(end[:, :20], *(law[(slice(20),) * law.ndim] for law in process.law(0.7)))
    assert abs(end.mean() - process.law(0.7)[0].mean()) < 4 * end.mean(1).std() / 4000**0.5


def test_exact_steps_refuse_a_deep_network():
    """A loss that is not quadratic has no exact steps; a linear network's is."""
    shallow, deep = network(0), network(1)
    dynamics = langevin.Langevin(loss=deep, inverse_temperature=BETA, time_step=1.0)
    with pytest.raises(ValueError, match="`dynamics` must have a quadratic loss"):
        ExactSteps.of(dynamics, langevin.prior(dynamics, 9, deep.initial.numel(), seed=0))
    ExactSteps.of(replace(dynamics, loss=shallow), langevin.prior(dynamics, 9, shallow.initial.numel(), seed=0))


@pytest.mark.parametrize(
    ("scheme", "variance"),
    [
        ("euler-maruyama", lambda curvature, step: 1 / (BETA * curvature * (1 - step * curvature / 2))),
        ("leimkuhler-matthews", lambda curvature, step: 1 / (BETA * curvature)),
        ("metropolis", lambda curvature, step: 1 / (BETA * curvature)),
    ],
)
def test_equilibrium_variance_at_a_coarse_step(scheme, variance):
    """With hk = 0.5 Euler–Maruyama's variance is 1/(βk(1 − hk/2)), a third too large; the other two are exact."""
    dynamics = langevin.Langevin(
        loss=lambda theta: theta.square().sum(), inverse_temperature=BETA, time_step=0.125, scheme=scheme
    )
    _, end = run(dynamics, 20_000, 1, 60)
    expected = variance(4.0, 0.125)
    assert abs(end.thetas.var() / expected - 1) < 4 * np.sqrt(2 / 20_000)


def test_isotropic_quadratic_at_infinite_time():
    """V = |θ|² − a·θ, curvature 2, only shifts the start: T_SL(∞) = 2/2 from measured numbers within 4 errors.

    It also proves Eq. (18).
    """
    pull = torch.tensor([1.5, -2.0, 0.5], dtype=torch.float64)
    dynamics = langevin.Langevin(
        loss=lambda theta: -pull @ theta, inverse_temperature=BETA, time_step=0.01, scheme="leimkuhler-matthews"
    )
    start, end = run(dynamics, 4000, 3, 400)
    distance = mean_shift(start.thetas.numpy(), end.thetas.numpy())
    spent = maximum_entropy(
        dynamics.potentials(start.thetas, start.losses).numpy(),
        dynamics.potentials(end.thetas, end.losses).numpy(),
        end.thetas.numpy(),
        entropy_start=gaussian_entropy(np.eye(3) / (2 * BETA)),
        inverse_temperature=BETA,
        structure="full",
    )
    error = np.hypot(distance.standard_error / distance.value, spent.standard_error / spent.value)
    assert abs(distance.value / spent.value - 2 / 2.0) < 4 * error


@pytest.mark.parametrize("time", [0.2, 1.0])
def test_double_well_follows_fokker_planck(time):
    """Eq. (2): ⟨V⟩ and ⟨θ²⟩ of 20,000 members in the double well, within 4 standard errors of the solved density."""
    solution = FokkerPlanck(lambda x: x**2 + 1.5 * (x**2 - 1.2) ** 2, inverse_temperature=2.0).solution(
        np.array([time])
    )
    dynamics = langevin.Langevin(loss=well, inverse_temperature=2.0, time_step=0.005, scheme="leimkuhler-matthews")
    _, end = run(dynamics, 20_000, 1, round(time / 0.005))
    for values, density in (
        (dynamics.potentials(end.thetas, end.losses), solution.potential),
        (end.thetas.square()[:, 0], solution.points**2),
    ):
        assert abs(values.mean() - solution.probabilities[0] @ density) < 4 * values.std() / 20_000**0.5


def flat(theta: torch.Tensor) -> torch.Tensor:
    return 0.0 * theta.sum()


def test_potential_is_the_loss_and_the_prior():
    """Eq. (2) with its weights: V = κ|θ|² + λL of each member."""
    dynamics = langevin.Langevin(loss=flat, inverse_temperature=2.0, time_step=0.1, prior_precision=0.3, strength=0.7)
    thetas = torch.tensor([[1.0, -2.0], [0.5, 3.0]], dtype=torch.float64)
    potentials = dynamics.potentials(thetas, torch.tensor([4.0, 0.2], dtype=torch.float64))
    expected = [0.3 * 5.0 + 0.7 * 4.0, 0.3 * 9.25 + 0.7 * 0.2]
    np.testing.assert_allclose(potentials.numpy(), expected, rtol=1e-15)


def test_start_is_the_gibbs_law_of_the_prior():
    """Eq. (18): e^{−βκ|θ|²} has the variance 1/(2βκ) in each weight, as quadrature finds it and as it is drawn."""
    dynamics = langevin.Langevin(loss=flat, inverse_temperature=3.0, time_step=0.1, prior_precision=0.4)
    mass, second = (quad(lambda x, n=n: x**n * np.exp(-3.0 * 0.4 * x * x), -9, 9)[0] for n in (0, 2))
    assert dynamics.start_variance == pytest.approx(second / mass, rel=1e-10)
    draws = langevin.prior(dynamics, 40_000, 5, seed=3).numpy()
    # 200,000 draws know a variance to a third of a per cent.
    assert draws.var() * mass / second == pytest.approx(1.0, abs=0.008)
    # The draws of one seed are those of a unit Gaussian, times the width.
    unit = torch.randn(40_000, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64).numpy()
    np.testing.assert_allclose(draws, unit * np.sqrt(second / mass), rtol=1e-9)


@pytest.mark.parametrize("scheme", ["euler-maruyama", "metropolis"])
def test_fluctuation_theorem_at_any_step(scheme):
    """⟨e^{−ΔS}⟩ = 1 on coarse paths in the double well, from the path ratio that the integrator adds up."""
    dynamics = langevin.Langevin(loss=well, inverse_temperature=2.0, time_step=0.05, scheme=scheme)
    start, end = run(dynamics, 20_000, 1, 8)
    # Reversed from the start's own law: ln p₀(θ₀) − ln p₀(θ_N).
    boundary = 2.0 * (end.thetas.square() - start.thetas.square()).sum(1)
    result = fluctuation_theorem((boundary + end.path_ratio).numpy())
    assert result.computable
    assert abs(result.average.value - 1) < 4 * result.average.standard_error


def test_path_ratio_is_that_of_the_path_measure():
    """Eq. (37): the sum kept by the integrator, against `log_path_ratio` on the whole path."""
    loss, process = linear_loss(3)
    dynamics = langevin.Langevin(loss=loss, inverse_temperature=BETA, time_step=0.1)
    start = langevin.init(dynamics, langevin.prior(dynamics, 5, 3, seed=0), seed=1)
    states = list(langevin.integrate(dynamics, start, range(6)))
    path = np.stack([state.thetas.numpy() for state in states], axis=1)
    forces = process.force - path @ process.stiffness
    expected = log_path_ratio(path, forces, BETA, 0.1)
    np.testing.assert_allclose(states[-1].path_ratio.numpy(), expected, rtol=1e-12)


def test_annealing_encloses_the_dissipation_to_equilibrium():
    """Metropolis annealing both ways, and the two sums, on a linear model with known free energies."""
    loss, process = linear_loss(4)
    dynamics = langevin.Langevin(loss=loss, inverse_temperature=BETA, time_step=0.1)
    strengths = np.linspace(0, 1, 17) ** 2
    start = langevin.prior(dynamics, 4000, 4, seed=0)
    forward = anneal(dynamics, start, strengths, steps=4, seed=1)
    # A long rest in equilibrium before the way back.
    rest = anneal(dynamics, forward.thetas, np.ones(2), steps=40, seed=2)
    reverse = anneal(dynamics, rest.thetas, strengths[::-1].copy(), steps=4, seed=3)
    truth = process.dissipation(np.array([60.0]))[0]
    losses = forward.losses.numpy()
    below = annealed_importance(forward.log_weights.numpy(), losses[0], BETA)
    above = annealed_importance(reverse.log_weights.numpy(), losses[0], BETA, direction="reverse")
    left, right = thermodynamic_integration(strengths, losses)
    for estimate, sign in ((below, 1), (above, -1), (left, 1), (right, -1)):
        assert sign * (truth - estimate.value) > -4 * estimate.standard_error
        assert abs(truth - estimate.value) < 0.15 * truth + 4 * estimate.standard_error
    assert 0.5 < forward.acceptance < 1


@pytest.mark.parametrize("scheme", langevin.SCHEMES)
def test_resumed_is_bit_identical(scheme):
    """Saved as arrays half way and gone on with: the same bits as without a stop."""
    dynamics = langevin.Langevin(loss=network(1), inverse_temperature=BETA, time_step=0.05, scheme=scheme)
    start, whole = run(dynamics, 6, 28, 10)
    (half,) = langevin.integrate(dynamics, start, [4])
    again = from_arrays(start, to_arrays(half))
    (end,) = langevin.integrate(dynamics, again, [10])
    for name, array in to_arrays(whole).items():
        assert np.array_equal(array, to_arrays(end)[name]), name


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inverse_temperature": -1.0}, "`inverse_temperature` must be positive and finite; inverse_temperature = -1."),
        ({"prior_precision": np.inf}, "`prior_precision` must be positive and finite; prior_precision = inf."),
        ({"time_step": 0.0}, "`time_step` must be positive and finite; time_step = 0."),
        ({"scheme": "heun"}, "`scheme` must be one of 'euler-maruyama', 'leimkuhler-matthews', 'metropolis'; scheme"),
    ],
)
def test_bad_dynamics_are_named(change, message):
    """Argument, rule and value in one line."""
    with pytest.raises(ValueError, match=re.escape(message)):
        langevin.Langevin(**{"loss": well, "inverse_temperature": 1.0, "time_step": 0.1} | change)


def test_point_start_is_explained():
    """From one point the entropy production is infinite at every finite temperature: refused, and told why."""
    dynamics = langevin.Langevin(loss=well, inverse_temperature=1.0, time_step=0.1)
    with pytest.raises(ValueError, match="`thetas` must start from a law with width; all members are equal"):
        langevin.init(dynamics, torch.ones(5, 2, dtype=torch.float64), seed=0)


def test_step_beyond_stability_is_named():
    """V = |θ|² + θ² has λ_max = 4 and the limit 0.5; a step of 0.6 is refused."""
    dynamics = langevin.Langevin(loss=lambda theta: theta.square().sum(), inverse_temperature=1.0, time_step=0.6)
    thetas = langevin.prior(dynamics, 4, 2, seed=0)
    message = re.escape("`time_step` must be below 2/λ_max = 0.5, the limit of stability; time_step = 0.6.")
    with pytest.raises(ValueError, match=message):
        check_stable(dynamics, stable_time_step(dynamics, thetas))
    check_stable(replace(dynamics, time_step=0.4), 0.5)


def test_divergence_is_named():
    """A loss without a lower bound leaves the finite numbers: member and step are told."""
    dynamics = langevin.Langevin(loss=lambda theta: -theta.square().sum() * 5, inverse_temperature=1.0, time_step=0.2)
    with pytest.raises(DivergenceError, match=r"member \d+ left the finite numbers at step \d+ of 0.2"):
        run(dynamics, 10, 1, 2000)


def test_steep_members_are_refined():
    """L = x⁸ at a step that throws the tail of the start to infinity: ⟨x²⟩ is that of the Fokker–Planck equation."""
    loss = lambda theta: theta.pow(8).sum()  # noqa: E731
    dynamics = langevin.Langevin(loss=loss, inverse_temperature=1.0, time_step=0.01, prior_precision=0.2)
    thetas = langevin.prior(dynamics, 4000, 1, seed=1)
    # 2/λ is exceeded some thousand times at the outermost member.
    assert dynamics.time_step * 56 * float(thetas.abs().max()) ** 6 > 1e3
    *_, state = langevin.integrate(dynamics, langevin.init(dynamics, thetas, seed=2), [30])
    assert 0 < state.refined < 4000 * 30
    prior = lambda x: 0.2 * x**2  # noqa: E731
    equation = FokkerPlanck(lambda x: prior(x) + x**8, inverse_temperature=1.0, start_potential=prior, cells=4000)
    law = equation.solution(np.array([0.3]))
    squares = state.thetas.square().numpy()
    truth = float(law.probabilities[0] @ law.points**2)
    # A step of 0.01 is off by 1 %.
    assert abs(squares.mean() - truth) < 4 * squares.std() / 4000**0.5 + 0.01 * truth
