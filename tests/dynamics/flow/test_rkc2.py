"""Runge–Kutta–Chebyshev steps: consistency, stability domain, error estimate."""

import numpy as np
import pytest
import torch

from speedlimits.dynamics.flow import rkc2

STAGES = (2, 3, 5, 10, 40, 150)


def stability(stages: int, z: np.ndarray) -> np.ndarray:
    """P_s(z): what one step of y' = λy does to y, at z = hλ."""
    rates = torch.from_numpy(z)
    one = torch.ones_like(rates)
    return (one + rkc2.step(lambda y: rates * y, one, rates, 1.0, stages)[0]).numpy()


def reach(stages: int) -> float:
    """β_s, the length of the stability interval: (2.6) of the source."""
    return 2 / 3 * (stages**2 - 1) * (1 - 2 / 15 * rkc2.DAMPING)


@pytest.mark.parametrize("stages", STAGES[1:])
def test_step_is_of_order_two(stages):
    """P_s(z) = 1 + z + z²/2 + O(z³)."""
    z = np.array([1e-3, 5e-4])
    remainders = stability(stages, -z) - (1 - z + z**2 / 2)
    order = np.log(remainders[0] / remainders[1]) / np.log(2)
    assert order == pytest.approx(3.0, abs=0.01)


@pytest.mark.parametrize("stages", STAGES)
def test_stability_interval_is_as_long_as_promised(stages):
    """|P_s(z)| ≤ 1 on [−β_s, 0], near 1 − ε/3 between its ends, above 1 beyond: scanned at 200,000 points."""
    z = np.linspace(0.0, reach(stages), 200_001)
    values = np.abs(stability(stages, -z))
    # 1e-11: the recursion's rounding grows with s.
    assert values.max() <= 1 + 1e-11
    inside = (z > min(4.0, 0.5 * reach(stages))) & (z < 0.9 * reach(stages))
    assert values[inside].max() < 1 - rkc2.DAMPING / 4
    assert abs(stability(stages, np.array([-1.1 * reach(stages) - 1]))[0]) > 1


@pytest.mark.parametrize("product", [0.0, 0.1, 1.9, 2.0, 10.0, 333.3, 1e4, 1e6])
def test_stage_number_is_enough_and_no_more(product):
    """The chosen s holds h·ρ in its interval; s − 1 would not."""
    s = rkc2.stages(product)
    z = -np.linspace(0.0, product, 20_001)
    assert np.abs(stability(s, z)).max() <= 1 + 1e-11
    assert s == 2 or reach(s - 1) < product


def test_error_estimate_is_of_third_order():
    """On a nonlinear equation the estimate falls as h³ and is of the size of the true local error."""

    def force(y):
        return -(y**3)

    y = torch.tensor([1.0], dtype=torch.float64)
    sizes = np.array([0.04, 0.02, 0.01, 0.005])
    estimates, errors = [], []
    for size in sizes.tolist():
        change, _, estimate = rkc2.step(force, y, force(y), size, 5)
        estimates.append(abs(float(estimate)))
        errors.append(abs(float(y + change) - (1 + 2 * size) ** -0.5))
    assert np.polyfit(np.log(sizes), np.log(estimates), 1)[0] == pytest.approx(3.0, abs=0.1)
    assert np.polyfit(np.log(sizes), np.log(errors), 1)[0] == pytest.approx(3.0, abs=0.1)
