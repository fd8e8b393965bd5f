"""The classical step: the Taylor polynomial of order 4, and order 4 on a nonlinear equation."""

import numpy as np
import pytest
import torch

from speedlimits.dynamics.flow import rk4


def test_linear_equations_see_the_taylor_polynomial():
    """On y' = λy, a step is 1 + z + z²/2 + z³/6 + z⁴/24, its force λ times that, the estimate z⁴/72 − z⁵/144."""
    z = torch.linspace(-3.0, 1.0, 41, dtype=torch.float64)
    change, final, estimate = rk4.step(lambda y: z * y, torch.ones_like(z), z, 1.0)
    following = 1 + change
    np.testing.assert_allclose(following, 1 + z + z**2 / 2 + z**3 / 6 + z**4 / 24, rtol=1e-13, atol=1e-15)
    np.testing.assert_allclose(final, z * following, rtol=1e-13, atol=0)
    np.testing.assert_allclose(estimate, z**4 / 72 - z**5 / 144, rtol=1e-9, atol=1e-15)


def test_global_error_is_of_order_four():
    """On y' = −y³ to t = 2, y = (1 + 2t)^−½: error h⁴, fitted slope 4 ± 0.2."""

    def force(y):
        return -(y**3)

    errors, steps = [], np.array([10, 20, 40, 80])
    for count in steps.tolist():
        y = torch.ones(1, dtype=torch.float64)
        rate = force(y)
        for _ in range(count):
            change, rate, _ = rk4.step(force, y, rate, 2.0 / count)
            y = y + change
        errors.append(abs(float(y) - 5**-0.5))
    assert -np.polyfit(np.log(steps), np.log(errors), 1)[0] == pytest.approx(4.0, abs=0.2)
