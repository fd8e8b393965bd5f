"""Stabilised steps of order 4: order by a second route, stability interval, error estimate, and their weak side."""

import math

import numpy as np
import pytest
import torch

from speedlimits.dynamics.flow import rkc2, rock4
from speedlimits.dynamics.flow.rock4_coefficients import DAMPED, coefficients

STAGES = (6, 7, 10, 25, 60, 200)


def tableau(stages: int) -> tuple[np.ndarray, np.ndarray]:
    """The method as a Butcher tableau A, b: each stage as a combination of all forces so far."""
    method = coefficients(stages)
    rows = [np.zeros(stages)]
    forces = np.eye(stages)
    for j, (mu, nu, kappa) in enumerate(method.stages):
        before = rows[j - 1] if j else rows[0]
        rows.append(mu * forces[j] + nu * rows[j] + kappa * before)
    begin = len(rows) - 1
    for weights in method.finish:
        rows.append(rows[begin] + sum(a * forces[begin + i] for i, a in enumerate(weights)))
    return np.array(rows[:-1]), rows[-1]


def stability(stages: int, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """R_s(z) and the error estimate: what one step of y' = λy does to y = 1, at z = hλ."""
    rates = torch.from_numpy(z)
    one = torch.ones_like(rates)
    change, final, estimate = rock4.step(lambda y: rates * y, one, rates, 1.0, stages)
    following = one + change
    np.testing.assert_array_equal(final, rates * following)
    return following.numpy(), estimate.numpy()


def polynomial(stages: int, z: np.ndarray) -> np.ndarray:
    """R_s(z) from the coefficients alone, stages that decay to zero keeping their digits."""
    method = coefficients(stages)
    before, current = np.zeros_like(z), np.ones_like(z)
    for mu, nu, kappa in method.stages:
        before, current = current, (mu * z + nu) * current + kappa * before
    series = [current]
    for row in method.finish:
        series.append(current + z * sum(a * y for a, y in zip(row, series, strict=True)))
    return series[-1]


@pytest.mark.parametrize("stages", STAGES)
def test_order_conditions_hold(stages):
    """The eight conditions of order 4 on the Butcher tableau, to 1e-12."""
    a, b = tableau(stages)
    c = a.sum(axis=1)
    weights = [b.sum(), b @ c, b @ c**2, b @ a @ c, b @ c**3, b @ (c * (a @ c)), b @ a @ c**2, b @ a @ a @ c]
    exact = [1, 1 / 2, 1 / 3, 1 / 6, 1 / 4, 1 / 8, 1 / 12, 1 / 24]
    np.testing.assert_allclose(weights, exact, rtol=0, atol=1e-12)


@pytest.mark.parametrize("stages", STAGES)
def test_stability_interval_is_damped_and_long(stages):
    """|R_s| ≤ 1 on [−l, 0], at most 0.8 beyond −4, above 1 past the end: scanned at 100,000 points; l ≈ 0.34 s²."""
    length = coefficients(stages).length
    z = -np.linspace(0.0, length, 100_001)
    values = np.abs(polynomial(stages, z))
    # Rounding grows with s².
    assert values.max() <= 1 + 1e-11
    assert values[z < -4].max() <= DAMPED + 1e-6
    assert abs(polynomial(stages, np.array([-1.1 * length]))[0]) > 1
    assert length / stages**2 == pytest.approx(0.3435, abs=0.01 if stages >= 20 else 0.09)
    assert length < rock4.LENGTH * stages**2


@pytest.mark.parametrize("stages", [6, 7, 10, 25, 47])
def test_steps_follow_the_polynomial_to_rounding(stages):
    """On y' = λ(y − 1) from 0, the distance from rest shrinks by R_s(hλ): to 1e-5 at the most stages that are used.

    What is left is rounding, the finishing quartic at work on decayed stages; it grows as s⁸.
    """
    assert stages <= rock4.stages(1.25 * rock4.REACH) == 47
    z = -np.linspace(0.0, coefficients(stages).length, 10_001)
    rates = torch.from_numpy(z)
    change = rock4.step(lambda y: rates * (y - 1), torch.zeros_like(rates), -rates, 1.0, stages)[0]
    np.testing.assert_allclose(
        1 - change.numpy(), polynomial(stages, z), rtol=0, atol=1e-5 * (stages / 47) ** 8 + 1e-12
    )


@pytest.mark.parametrize("product", [0.0, 1.0, 9.0, 100.0, 333.3, 1e4])
def test_stage_number_is_enough_and_no_more(product):
    """The chosen s holds h·ρ in its interval; s − 1 would not."""
    stages = rock4.stages(product)
    assert coefficients(stages).length >= product
    assert stages == 6 or coefficients(stages - 1).length < product


def test_global_error_is_of_order_four():
    """Twenty to eighty steps of a nonlinear pair of equations: error h⁴, fitted slope 4 ± 0.2."""

    def force(y):
        return torch.stack([y[0] * (y[1] - y[0] ** 2), -y[0] * y[1] + torch.sin(y[1]) - y[1] ** 2])

    def end(steps):
        y = torch.tensor([1.0, 0.7], dtype=torch.float64)
        rate = force(y)
        for _ in range(steps):
            change, rate, _ = rock4.step(force, y, rate, 2.0 / steps, 9)
            y = y + change
        return y

    exact = end(640)
    steps = np.array([10, 20, 40, 80])
    errors = [float((end(count) - exact).norm()) for count in steps.tolist()]
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(4.0, abs=0.2)


def test_error_estimate_is_of_fourth_order():
    """For y' = λy the estimate is z⁴/24, the term an embedded method of order 3 lacks; it grows on fast modes."""
    z = -np.array([1e-2, 5e-3])
    estimates = stability(20, z)[1]
    # The next term of the series is of relative size z.
    np.testing.assert_allclose(estimates, z**4 / 24, rtol=3e-2, atol=0)
    fast = -np.linspace(10.0, coefficients(20).length, 10_001)
    values, estimates = stability(20, fast)
    # Root mean squares: both pass through zero. An error in θ weighs λ times as much in the velocity.
    assert math.sqrt(np.mean(estimates**2)) > math.sqrt(np.mean((fast * values) ** 2))


def test_fast_modes_that_follow_slow_ones_are_its_weak_side():
    """On y' = z(y − g) + g', g = t²/2, h = 1, at z = −0.9 l: a step errs by z² or so; Chebyshev by 1e-4 at most."""
    rate = -0.9 * coefficients(20).length

    def force(y):
        return torch.stack([rate * (y[0] - y[1] ** 2 / 2) + y[1], torch.ones(()).double()])

    y = torch.zeros(2, dtype=torch.float64)
    mine = rock4.step(force, y, force(y), 1.0, 20)[0]
    other = rkc2.step(force, y, force(y), 1.0, 20)[0]
    assert float(mine[1]) == pytest.approx(1.0, rel=1e-12)
    assert 0.01 < abs(float(mine[0]) - 0.5) / rate**2 < 10
    assert abs(float(other[0]) - 0.5) < 1e-4
