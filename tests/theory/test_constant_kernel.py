"""Closed forms under a constant kernel, against the matrix exponential, mpmath and simple quadrature."""

import tracemalloc

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.integrate import quad
from scipy.linalg import expm

from speedlimits.theory import constant_kernel
from speedlimits.theory.constant_kernel import ConstantKernel
from tests.cases import LinearProblem

EIGENVALUES = np.array([5.0, 1.0, 0.3, 0.01, 0.0])
TIMES = np.array([0.0, 1e-3, 0.4, 3.0, 200.0])


@pytest.fixture
def problem() -> LinearProblem:
    return LinearProblem.draw(EIGENVALUES, np.random.default_rng(0))


@pytest.fixture
def kernel(problem) -> ConstantKernel:
    return ConstantKernel(eigenvalues=problem.eigenvalues, residual=problem.residual)


def flow(problem: LinearProblem, time: float) -> np.ndarray:
    """θ(t) of dθ/dt = −Jᵀ(Jθ − y) from θ = 0, by one matrix exponential of the affine system."""
    hessian = problem.jacobian.T @ problem.jacobian
    force = problem.jacobian.T @ problem.targets
    size = force.size
    affine = np.zeros((size + 1, size + 1))
    affine[:size, :size] = -hessian
    affine[:size, size] = force
    return expm(affine * time)[:size, size]


def loss(problem: LinearProblem, theta: np.ndarray) -> float:
    return 0.5 * np.sum((problem.jacobian @ theta - problem.targets) ** 2)


def test_distance_and_dissipation_are_those_of_the_flow(problem, kernel):
    """Eqs. (13), (54), (55), (56) with the ½ restored, against the matrix exponential of the weights' own equation.

    It also proves Eq. (12).
    """
    w2, spent = kernel.w2_squared(TIMES), kernel.dissipation(TIMES)
    for k, time in enumerate(TIMES):
        theta = flow(problem, time)
        assert w2[k] == pytest.approx(theta @ theta, rel=1e-9, abs=1e-14)
        assert spent[k] == pytest.approx(loss(problem, 0 * theta) - loss(problem, theta), rel=1e-9, abs=1e-14)
    limit = kernel.speed_limit(TIMES[1:])
    np.testing.assert_allclose(limit.speed_limit, w2[1:] / spent[1:], rtol=1e-13)
    np.testing.assert_allclose(limit.inefficiency, TIMES[1:] * spent[1:] / w2[1:], rtol=1e-13)
    np.testing.assert_array_equal(limit.arc_length, kernel.arc_length(TIMES[1:]))


def test_arc_length_is_the_integrated_speed(problem, kernel):
    """Eq. (66) against adaptive quadrature in plain time, and in an order other than increasing."""

    def speed(time: float) -> float:
        return np.sqrt(np.sum(EIGENVALUES * problem.residual**2 * np.exp(-2 * EIGENVALUES * time)))

    expected = [quad(speed, 0, time, epsabs=0, epsrel=1e-12, limit=500)[0] if time else 0.0 for time in TIMES]
    assert kernel.arc_length(TIMES) == pytest.approx(expected, rel=1e-10)
    assert kernel.arc_length(TIMES[::-1]) == pytest.approx(expected[::-1], rel=1e-10)


def test_one_mode_runs_straight():
    """With one mode the path is a straight line: l² = W at every time."""
    kernel = ConstantKernel(eigenvalues=np.array([2.0]), residual=np.array([3.0]))
    assert kernel.arc_length(TIMES) ** 2 == pytest.approx(kernel.w2_squared(TIMES), rel=1e-12)


def test_inefficiency_starts_at_one(kernel):
    """T/T_SL → 1 as T → 0: the ½ that the paper's Eq. (13) lacks, which would make it 2."""
    time = np.array([1e-9])
    assert time * kernel.dissipation(time) / kernel.w2_squared(time) == pytest.approx(1.0, rel=1e-7)


def test_error_and_move_are_those_of_the_flow(problem):
    """Eqs. (51), (52), (53): outputs' error and weights, mode by mode, against the matrix exponential."""
    left, _, right = np.linalg.svd(problem.jacobian, full_matrices=False)
    # Same order and signs of the modes as the problem's own.
    signs = np.sign(np.sum(left * (problem.jacobian @ right.T), axis=0))
    residual = -left.T @ problem.targets
    kernel = ConstantKernel(eigenvalues=EIGENVALUES, residual=residual)
    for time, error, move in zip(TIMES, kernel.residual_at(TIMES), kernel.displacement(TIMES), strict=True):
        theta = flow(problem, time)
        np.testing.assert_allclose(error, left.T @ (problem.jacobian @ theta - problem.targets), rtol=0, atol=1e-12)
        # The zero mode's singular vector is arbitrary, and nothing moves along it.
        np.testing.assert_allclose((signs * move)[:4], (right @ theta)[:4], rtol=0, atol=1e-12)
        assert move[4] == 0.0


def test_displacement_has_the_distance_and_the_length():
    """Eqs. (64), (65): the curve's squared end-to-end distance is 𝒲₂, and a polygon of 4,000 chords has its length."""
    kernel = ConstantKernel(eigenvalues=EIGENVALUES, residual=np.array([1.0, -2.0, 0.5, 3.0, 1.0]))
    times = 20.0 * np.linspace(0.0, 1.0, 4001) ** 2
    curve = kernel.displacement(times)
    np.testing.assert_allclose(np.sum(curve**2, axis=1), kernel.w2_squared(times), rtol=1e-13, atol=0)
    chords = np.linalg.norm(np.diff(curve, axis=0), axis=1).sum()
    # A polygon is short by a share of (chord × curvature)²/24.
    assert chords == pytest.approx(kernel.arc_length(times)[-1], rel=1e-6)
    still = ConstantKernel(eigenvalues=np.zeros(2), residual=np.ones(2))
    assert not still.arc_length(times).any()


@pytest.mark.parametrize(
    ("eigenvalues", "residual", "times"),
    [
        ([40.0, 0.3, 2e-4, 5e-7], [1e-3, 1.0, 20.0, 3.0], [1e-12, 0.02, 1e3, 1e8]),
        # Half the length in each of two modes: the speed has a kink where the first dies.
        ([1.0, 1e-6], [1.0, 0.7e-3], [1e-12, 10.0, 1e3, 1e6]),
    ],
)
def test_arc_length_at_high_precision(eigenvalues, residual, times):
    """Eq. (66) to 1e-12 against 25 digits, over eight decades of eigenvalues, at a kink, and from tiny times on."""
    eigenvalues, residual, times = map(np.array, (eigenvalues, residual, times))
    top = mpmath.mpf(eigenvalues.max())

    def speed(u):
        s = mpmath.expm1(u) / top
        squares = [l * r * r * mpmath.exp(-2 * l * s) for l, r in zip(eigenvalues, residual, strict=True)]  # noqa: E741
        return mpmath.sqrt(mpmath.fsum(squares)) * mpmath.exp(u) / top

    with mpmath.workdps(25):
        ends = [mpmath.log1p(top * time) for time in times]
        exact = [float(mpmath.quad(speed, mpmath.linspace(0, end, 2 + int(6 * end)))) for end in ends]
    kernel = ConstantKernel(eigenvalues=eigenvalues, residual=residual)
    np.testing.assert_allclose(kernel.arc_length(times), exact, rtol=1e-12, atol=0)
    still = ConstantKernel(eigenvalues=np.zeros(2), residual=residual[:2])
    assert not still.arc_length(times).any()


def test_length_of_a_noisy_speed_is_found_too():
    """Where the speed is only known to 1e-6 the halving of intervals ends all the same, as near as the noise allows."""
    rng = np.random.default_rng(0)
    length = constant_kernel.path_length(lambda s: 2.0 + 1e-6 * rng.standard_normal(s.size), 1.0, np.array([0.0, 1.0]))
    np.testing.assert_allclose(length, [0.0, 2.0], rtol=1e-6, atol=0)


@given(
    eigenvalues=arrays(float, 6, elements=st.floats(1e-6, 1e3)),
    residual=arrays(float, 6, elements=st.floats(0.01, 10.0)),
    time=st.floats(1e-6, 1e6),
)
def test_no_flow_beats_the_limit(eigenvalues, residual, time):
    """T_SL ≤ T, and both factors are at least 1; their product is T/T_SL."""
    limit = ConstantKernel(eigenvalues=eigenvalues, residual=residual).speed_limit(np.array([time]))
    assert limit.certified
    assert limit.geometric[0] >= 1 - 1e-12
    assert limit.pace[0] >= 1 - 1e-12
    assert limit.geometric[0] * limit.pace[0] == pytest.approx(limit.inefficiency[0], rel=1e-13)


def test_blocks_change_nothing():
    """More modes × times than one block holds: the same numbers as one time after the other."""
    rng = np.random.default_rng(3)
    kernel = ConstantKernel(eigenvalues=rng.random(3000), residual=rng.standard_normal(3000))
    times = np.geomspace(1e-3, 1e3, 100)
    assert times.size * kernel.residual.size > 2 * constant_kernel.BLOCK
    assert times.size % (constant_kernel.BLOCK // kernel.residual.size)
    together = kernel.speed_limit(times)
    for k in (0, 42, 43, 99):
        alone = kernel.speed_limit(times[k : k + 1])
        assert alone.w2_squared[0] == pytest.approx(together.w2_squared[k], rel=1e-13)
        assert alone.dissipation[0] == pytest.approx(together.dissipation[k], rel=1e-13)
        assert alone.arc_length[0] == pytest.approx(together.arc_length[k], rel=1e-12)


def test_memory_stays_bounded():
    """50,000 modes × 300 times, 120 MB in one piece, take less than 10 MB beside the arguments."""
    eigenvalues = np.arange(1, 50_001.0) ** -1.0
    times = np.geomspace(1.0, 1e5, 300)
    tracemalloc.start()
    ConstantKernel(eigenvalues=eigenvalues, residual=eigenvalues).speed_limit(times)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10e6


def test_rounding_below_zero_counts_as_zero():
    """A zero eigenvalue that came out as −1e-12 λ_max adds nothing to distance or length."""
    residual = np.array([1.0, 5.0])
    rounded = ConstantKernel(eigenvalues=np.array([2.0, -2e-12]), residual=residual).speed_limit(TIMES)
    clean = ConstantKernel(eigenvalues=np.array([2.0, 0.0]), residual=residual).speed_limit(TIMES)
    for name in ("w2_squared", "dissipation", "arc_length"):
        np.testing.assert_array_equal(getattr(rounded, name), getattr(clean, name))


@pytest.mark.parametrize(
    ("eigenvalues", "residual", "times", "message"),
    [
        (
            [1.0, -0.12],
            [1.0, 1.0],
            [1.0],
            r"`eigenvalues` must be non-negative and finite; eigenvalues\[1\] = -0.12",
        ),
        ([1.0], [1.0, 1.0], [1.0], r"`residual` must have shape \(1\)"),
        ([1.0], [1.0], [-1.0], r"`times` must be non-negative and finite; times\[0\] = -1"),
        ([1.0, -1e-9], [1.0, 1.0], [1.0], r"`eigenvalues` must be non-negative and finite; eigenvalues\[1\] = -1"),
        ([1.0], [np.nan], [1.0], r"`residual` must be finite; residual\[0\] = nan"),
        ([np.nan], [1.0], [1.0], r"`eigenvalues` must be non-negative and finite; eigenvalues\[0\] = nan"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(eigenvalues, residual, times, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        ConstantKernel(eigenvalues=np.array(eigenvalues), residual=np.array(residual)).w2_squared(np.array(times))
