"""The share of finite steps in the dissipation: orders on losses that are no quadratics, and the exact two-cycle."""

import re

import numpy as np
import pytest

from speedlimits.theory.discretisation import TwoCycle, first_order, second_order
from speedlimits.theory.heavy_ball import HeavyBall

START = np.array([1.2, -0.8])
MIX = np.array([[1.0, 0.5], [-0.3, 1.2]])


def loss(theta: np.ndarray) -> float:
    """A loss with third and fourth derivatives, Σ log cosh of mixed weights and a quarter of a fourth power."""
    return float(np.sum(np.log(np.cosh(MIX @ theta))) + 0.25 * theta[0] ** 4)


def gradient(theta: np.ndarray) -> np.ndarray:
    return MIX.T @ np.tanh(MIX @ theta) + np.array([theta[0] ** 3, 0.0])


def hessian(theta: np.ndarray) -> np.ndarray:
    curved = MIX.T @ np.diag(1 / np.cosh(MIX @ theta) ** 2) @ MIX
    return curved + np.diag([3 * theta[0] ** 2, 0.0])


def descend(rate: float, steps: int, momentum: float = 0.0) -> tuple[float, np.ndarray]:
    """Σ|δ|²/Δt of steps of the iteration, and L, |∇L|², ∇LᵀH∇L, ηΣ|H∇L|² at both ends."""
    theta, step, spent, stretch = START, np.zeros(2), 0.0, 0.0
    ends = []
    for number in range(steps + 1):
        slope = gradient(theta)
        bent = hessian(theta) @ slope
        if number in (0, steps):
            ends.append([loss(theta), slope @ slope, slope @ bent, stretch])
        stretch += rate * (bent @ bent)
        step = momentum * step - rate * slope
        if number < steps:
            spent += step @ step * (1 - momentum) / rate
            theta = theta + step
    return spent, np.array(ends).T


@pytest.mark.parametrize("momentum", [0.0, 0.4, 0.8])
def test_the_ends_tell_the_share_to_first_order(momentum):
    """Half the steps leave a quarter of the error of Eq. (114), with momentum and without; the loss drop misses η."""
    missed, of_drop = [], []
    for number in (800, 1600, 3200):
        rate = 1.6 / number * (1 - momentum)
        spent, (losses, squares, _, _) = descend(rate, number, momentum)
        found = first_order(losses, squares, rate, momentum)
        assert found[0] == 0
        missed.append(found[1] - spent)
        of_drop.append(losses[0] - losses[1] - spent)
    assert missed[0] / missed[1] == pytest.approx(4, rel=0.02 + 0.1 * momentum)
    assert missed[1] / missed[2] == pytest.approx(4, rel=0.01 + 0.05 * momentum)
    assert of_drop[1] / of_drop[2] == pytest.approx(2, rel=0.05)
    assert abs(missed[2]) < 0.02 * abs(of_drop[2])


def test_bends_and_stretches_tell_it_to_second_order():
    """Half the steps leave an eighth of the error of Eq. (115)."""
    missed = []
    for number in (200, 400, 800):
        rate = 1.6 / number
        spent, (losses, squares, bends, stretches) = descend(rate, number)
        missed.append(second_order(losses, squares, bends, stretches, rate)[1] - spent)
    assert missed[0] / missed[1] == pytest.approx(8, rel=0.05)
    assert missed[1] / missed[2] == pytest.approx(8, rel=0.03)


def test_quadratic_losses_have_the_series_of_their_closed_form():
    """Σ½Δ²(1 + x/2 + x²/4)(1 − q^{2N}) is what Eqs. (114), (115) make of a quadratic loss, term by term."""
    descent = HeavyBall(eigenvalues=np.array([2.0, 0.3]), residual=np.array([0.7, -1.5]), learning_rate=0.1)
    steps = np.array([0.0, 5.0, 30.0])
    losses, squares, bends = (descent.moments(steps, power) for power in (0, 1, 2))
    scaled = 0.1 * descent.eigenvalues
    gone = 0.5 * descent.residual**2 * (1 - (1 - scaled) ** (2 * steps[:, None]))
    found = first_order(losses / 2, squares, 0.1)
    np.testing.assert_allclose(found, gone @ (1 + scaled / 2), rtol=1e-12)
    found = second_order(losses / 2, squares, bends, (bends[0] - bends) / 2, 0.1)
    np.testing.assert_allclose(found, gone @ (1 + scaled / 2 + scaled**2 / 4), rtol=1e-12)
    np.testing.assert_allclose(found, descent.dissipation(steps), rtol=3e-3)


def cycle() -> TwoCycle:
    return TwoCycle(
        eigenvalues=np.array([1.0, 0.2]),
        residual=np.array([2.0, -1.0]),
        learning_rate=0.5,
        sharpness=4.6,
        softening=3.0,
    )


def test_the_two_cycle_is_what_descent_settles_in():
    """Descent from nearby settles in ±a; every step and every midpoint sum to the closed forms, Eq. (116)."""
    edge = cycle()
    x = 0.2
    for _ in range(400):
        x -= 0.5 * (4.6 * x - 3.0 * x**3)
    assert x**2 == pytest.approx(edge.amplitude_squared, rel=1e-12)
    start = edge.residual / np.sqrt(edge.eigenvalues)
    path = np.array([[(-1.0) ** n * x, *(start * (1 - 0.5 * edge.eigenvalues) ** n)] for n in range(9)])
    midpoints = 0.5 * (path[1:] + path[:-1])
    for found, walk in ((edge.raw, path), (edge.averaged, midpoints)):
        steps = np.arange(len(walk), dtype=float)
        limit = found(steps)
        moved = np.sum((walk - walk[0]) ** 2, axis=1)
        spent = np.append(0.0, np.cumsum(np.sum(np.diff(walk, axis=0) ** 2, axis=1))) / 0.5
        np.testing.assert_allclose(limit.w2_squared, moved, rtol=1e-9, atol=1e-12)
        np.testing.assert_allclose(limit.dissipation, spent, rtol=1e-9)
        np.testing.assert_allclose(limit.time, 0.5 * steps)
        assert limit.certified


def test_one_calm_direction_has_its_own_ratio():
    """The averaged path of one calm direction is slower than the limit by as much as that direction alone."""
    edge = TwoCycle(eigenvalues=np.array([0.5]), residual=np.ones(1), learning_rate=0.5, sharpness=4.2, softening=1.0)
    steps = np.array([1.0, 10.0, 40.0])
    alone = HeavyBall(eigenvalues=np.array([0.5]), residual=np.ones(1), learning_rate=0.5).speed_limit(steps)
    np.testing.assert_allclose(edge.averaged(steps).inefficiency, alone.inefficiency, rtol=1e-12)
    assert np.all(edge.raw(steps)[1:].inefficiency > 2 * alone[1:].inefficiency)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"sharpness": 3.9}, "`sharpness` × learning_rate must be above 2 and below 3; it is 1.95."),
        ({"sharpness": 6.0}, "`sharpness` × learning_rate must be above 2 and below 3; it is 3."),
        ({"softening": 0.0}, "`softening` must be positive"),
        ({"eigenvalues": np.array([1.0, 5.0])}, "`eigenvalues` × learning_rate must be at most 2; the largest is 2.5."),
    ],
)
def test_cycles_that_do_not_hold_are_refused(changed, message):
    """One line with the argument, its rule and its value."""
    given = {name: getattr(cycle(), name) for name in TwoCycle.__dataclass_fields__}
    with pytest.raises(ValueError, match=re.escape(message)):
        TwoCycle(**given | changed)
