"""Dissipation of training to equilibrium by integration and annealing, on a quadratic loss with known free energies."""

import numpy as np
import pytest

from speedlimits.dissipation import equilibrium

BETA = 1.5
JACOBIAN = np.random.default_rng(1).standard_normal((6, 4))
TARGETS = np.random.default_rng(2).standard_normal(6)


def loss(theta: np.ndarray) -> np.ndarray:
    """L = ½|Jθ − y|² of each member."""
    return 0.5 * np.sum((theta @ JACOBIAN.T - TARGETS) ** 2, axis=-1)


def at_strength(strength: float, members: int, rng: np.random.Generator) -> np.ndarray:
    """Exact draws from e^{−β(|θ|² + λL)}."""
    stiffness = 2 * np.eye(4) + strength * JACOBIAN.T @ JACOBIAN
    mean = strength * np.linalg.solve(stiffness, JACOBIAN.T @ TARGETS)
    return mean + rng.standard_normal((members, 4)) @ np.linalg.cholesky(np.linalg.inv(stiffness) / BETA).T


def exact() -> float:
    """β⁻¹R_∞ = ⟨L⟩₀ + β⁻¹ ln(𝒵_∞/𝒵₀) from determinants."""
    stiffness = 2 * np.eye(4) + JACOBIAN.T @ JACOBIAN
    pull = JACOBIAN.T @ TARGETS
    least = 0.5 * TARGETS @ TARGETS - 0.5 * pull @ np.linalg.solve(stiffness, pull)
    log_ratio = -0.5 * np.linalg.slogdet(stiffness / 2)[1] - BETA * least
    mean_loss = 0.5 * TARGETS @ TARGETS + 0.25 * np.sum(JACOBIAN**2) / BETA
    return float(mean_loss + log_ratio / BETA)


def test_sums_enclose_the_integral():
    """With 2 and with 200 strengths R_∞ lies between the sums, and the finer ones meet within 2 %."""
    rng = np.random.default_rng(3)
    for count in (2, 200):
        strengths = np.linspace(0, 1, count) ** 2
        losses = np.array([loss(at_strength(strength, 4000, rng)) for strength in strengths])
        below, above = equilibrium.thermodynamic_integration(strengths, losses)
        assert below.value - 4 * below.standard_error < exact() < above.value + 4 * above.standard_error
        assert below.caveat == above.caveat == equilibrium.EQUILIBRIUM
    assert above.value - below.value < 0.02 * exact()


def test_annealing_encloses_the_free_energy():
    """Forward weights fall short, reverse ones exceed, and with many steps both come within 4 errors and 1 %."""
    rng = np.random.default_rng(4)
    for count, closeness in ((3, np.inf), (400, 0.01)):
        strengths = np.linspace(0, 1, count)
        # Perfect mixing: a fresh draw at each strength.
        start = at_strength(0.0, 4000, rng)
        states = [start, *(at_strength(strength, 4000, rng) for strength in strengths[1:])]
        steps = BETA * np.diff(strengths)
        forward = -sum(step * loss(theta) for step, theta in zip(steps, states[:-1], strict=True))
        reverse = sum(step * loss(theta) for step, theta in zip(steps, states[1:], strict=True))
        below = equilibrium.annealed_importance(forward, loss(start), BETA)
        above = equilibrium.annealed_importance(reverse, loss(start), BETA, direction="reverse")
        assert -closeness * exact() < below.value - exact() + 4 * below.standard_error
        assert below.value < exact() + 4 * below.standard_error
        assert exact() < above.value + 4 * above.standard_error
        assert above.value - exact() - 4 * above.standard_error < closeness * exact()
        assert (below.side, above.side, below.caveat) == ("lower", "upper", "")


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        (np.array([0.0, 0.5]), "`strengths` must run from 0 to 1; they run from 0 to 0.5."),
        (np.array([0.0, 1.0, 1.0]), "`strengths` must be strictly increasing;"),
    ],
)
def test_strengths_must_cover_the_way(strengths, message):
    """Strengths must begin at 0 and end at 1."""
    with pytest.raises(ValueError, match=message):
        equilibrium.thermodynamic_integration(strengths, np.ones((strengths.size, 5)))
