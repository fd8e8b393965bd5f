"""Figures of the closed forms: the numbers given are the numbers drawn, at the times asked for."""

import numpy as np
import pytest

from speedlimits.report.figures import theory
from speedlimits.theory.constant_kernel import ConstantKernel
from speedlimits.theory.fokker_planck import FokkerPlanck

EIGENVALUES, RESIDUAL = np.array([2.0, 0.5]), np.array([3.0, 1.0])


def limit(times: np.ndarray):
    return ConstantKernel(eigenvalues=EIGENVALUES, residual=RESIDUAL).speed_limit(times)


def drawn(axes) -> dict[str, np.ndarray]:
    """Label to x and y of each curve."""
    return {line.get_label(): np.array(line.get_data()) for line in axes.lines}


@pytest.mark.parametrize("asked", [[0.0], [np.inf], [1e-9, 1e9], [0.3, 40.0]])
def test_grid_reaches_what_was_asked_for(asked):
    """Every finite positive time lies on the grid's span, and so does the system's own."""
    grid = theory.time_grid(np.array(asked), 2.0)
    inside = [time for time in (*asked, 2.0) if 0 < time < np.inf]
    # The ends of a logarithmic grid are exact to rounding.
    assert grid[0] <= min(inside) * (1 + 1e-12)
    assert grid[-1] >= max(inside) * (1 - 1e-12)


def test_curves_are_the_limit():
    """Speed limit, inefficiency and factors over the grid, and points at the user's times."""
    curve, asked = limit(np.geomspace(0.01, 10, 20)), limit(np.array([0.5, 3.0]))
    left, right = theory.flow(curve, asked, "title").axes
    np.testing.assert_array_equal(drawn(left)["$T_{SL}$"], [curve.time, curve.speed_limit])
    np.testing.assert_array_equal(left.lines[-1].get_data(), [asked.time, asked.speed_limit])
    np.testing.assert_array_equal(drawn(right)["$T/T_{SL}$"][1], curve.inefficiency)
    np.testing.assert_array_equal(drawn(right)["geometric: bends"][1], curve.geometric)
    np.testing.assert_array_equal(drawn(right)["pace: uneven speed"][1], curve.pace)


def test_decades_are_logarithmic():
    """An inefficiency of order one has a plain axis, one that grows for decades a logarithmic one."""
    scales = []
    for end in (1.0, 1000.0):
        curve = limit(np.geomspace(0.01, end, 20))
        scales.append(theory.flow(curve, curve[-1:], "title").axes[1].get_yscale())
    assert scales == ["linear", "log"]


def test_densities_are_probabilities_per_width():
    """Start, equilibrium and each time are drawn as densities of area 1."""
    solution = FokkerPlanck(lambda x: 2 * (x - 1) ** 2, inverse_temperature=1.0, cells=200).solution(
        np.array([0.1, 0.4])
    )
    left = theory.densities(solution, solution.speed_limit, "title").axes[0]
    width = solution.points[1] - solution.points[0]
    assert len(left.lines) == 4
    for line in left.lines:
        assert np.sum(line.get_ydata()) * width == pytest.approx(1.0, rel=1e-9)


def test_errors_of_draws_are_two_standard_errors():
    """The bars are ±2 standard errors, on both panels."""
    curve = limit(np.geomspace(0.01, 10, 20))
    asked = limit(np.array([1.0, 4.0]))
    names = ("speed_limit", "w2_squared", "dissipation")
    sampled = {"mean": dict.fromkeys(names, np.ones(2)), "standard_error": dict.fromkeys(names, np.full(2, 0.05))}
    figure = theory.regression(curve, asked, sampled, "title")
    for axes in figure.axes:
        _, _, (bars,) = axes.containers[0]
        np.testing.assert_allclose([segment[:, 1] for segment in bars.get_segments()], [[0.9, 1.1]] * 2, rtol=1e-12)
