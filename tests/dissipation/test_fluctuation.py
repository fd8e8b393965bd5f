"""The integral fluctuation theorem, on discrete paths where it is exact at any step size."""

import numpy as np
import pytest

from speedlimits.dissipation.fluctuation import fluctuation_theorem
from speedlimits.dissipation.path_measure import euler_maruyama_step, log_path_ratio

BETA, STEP = 1.3, 0.2


def entropy_productions(reference_width: float, members: int = 20_000) -> np.ndarray:
    """ΔS of coarse Euler–Maruyama paths in V = ½(x − 0.7)⁴ from N(0, ½²), reversed from N(0, width²)."""
    rng = np.random.default_rng(1)
    states = [0.5 * rng.standard_normal((members, 1))]
    force = lambda x: -2.0 * (x - 0.7) ** 3  # noqa: E731
    for _ in range(5):
        states.append(euler_maruyama_step(states[-1], force(states[-1]), rng.standard_normal((members, 1)), BETA, STEP))
    path = np.stack(states, axis=1)
    log_start = -0.5 * (path[:, 0, 0] / 0.5) ** 2 - np.log(0.5)
    log_reference = -0.5 * (path[:, -1, 0] / reference_width) ** 2 - np.log(reference_width)
    return log_start - log_reference + log_path_ratio(path, force(path), BETA, STEP)


@pytest.mark.parametrize("width", [0.5, 0.7])
def test_average_is_one(width):
    """⟨e^{−ΔS}⟩ = 1 within 4 standard errors for any reference law and coarse steps."""
    result = fluctuation_theorem(entropy_productions(width))
    assert result.computable
    assert abs(result.average.value - 1.0) < 4 * result.average.standard_error
    assert result.average.standard_error < 0.05


def test_far_from_equilibrium_it_says_so():
    """ΔS that spreads by 20 leaves the average to a few members: not computable."""
    result = fluctuation_theorem(200.0 + 20.0 * np.random.default_rng(2).standard_normal(1000))
    assert not result.computable
    assert 1.0 <= result.effective_members < 10.0
