"""One direction of linear regression: its distance and dissipation to the last digits, however little it moves."""

import mpmath
import numpy as np
import pytest

from speedlimits.theory._mode import moved_and_spent, variance_ratio

PULLS = np.array([1e-12, 1e-5, 0.04, 0.11, 0.12, 0.4, 3.0, 1e6, 1e15])


@pytest.mark.parametrize("advance", [1e-13, 1e-6, 0.03, 0.06, 0.5, 1.0 - 1e-9, 1.0])
def test_digits(advance):
    """v, (1 − √v)² and E(1 + u)m² + Eu + ln v in 60 digits, over 27 decades of pull and 13 of advance.

    They are the terms of Eqs. (11), (76), (77), (78), (79), (82), mode by mode.
    """
    signal = 0.3 * (PULLS / (1 + PULLS)) ** 2
    moved, spent = moved_and_spent(PULLS, advance, signal)
    variances = variance_ratio(PULLS, advance)
    with mpmath.workdps(60):
        a = mpmath.mpf(advance)
        relaxed = 1 - (1 - a) ** 2
        for k, (pull, mean) in enumerate(zip(map(mpmath.mpf, PULLS), map(mpmath.mpf, signal), strict=True)):
            variance = 1 - relaxed * pull / (1 + pull)
            distance = a**2 * mean + (1 - mpmath.sqrt(variance)) ** 2
            cost = relaxed * (1 + pull) * mean + relaxed * pull + mpmath.log(variance)
            # A few rounding errors; where the series ends the logarithm loses a factor of 20 more.
            assert variances[k] == pytest.approx(float(variance), rel=1e-15, abs=1e-31)
            assert moved[k] == pytest.approx(float(distance), rel=2e-15, abs=0.0)
            assert spent[k] == pytest.approx(float(cost), rel=4e-14, abs=0.0)
