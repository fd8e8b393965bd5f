"""A path under a kernel that changes from interval to interval, against the flow of its weights step by step."""

from typing import Any

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.linalg import expm

from speedlimits.theory.adapted_kernel import AdaptedKernel, KernelInterval, interval_edges
from speedlimits.theory.constant_kernel import ConstantKernel

EDGES = np.array([0.0, 0.3, 1.1, 4.0])
ROWS, WEIGHTS = 4, 6
FIELDS: dict[str, Any] = {"start_time": 0.0, "moved_squared": 0.0, "loss": 1.0, "drift": 0.0}


class Flow:
    """θ' = −Jᵀr with r = r* + J(θ − θ_a), another J and r* in each interval: by matrix exponentials."""

    def __init__(self) -> None:
        rng = np.random.default_rng(0)
        # Fewer rows than weights, and a row that moves nothing.
        self.jacobians = rng.standard_normal((3, ROWS, WEIGHTS))
        self.jacobians[1, 0] = 0.0
        self.residuals = rng.standard_normal((3, ROWS))
        self.starts = [np.zeros(WEIGHTS)]
        for j in range(2):
            self.starts.append(self.weights(EDGES[j + 1], j))

    def interval(self, time: float) -> int:
        return min(int(np.searchsorted(EDGES, time, side="right")) - 1, 2)

    def weights(self, time: float, j: int | None = None) -> np.ndarray:
        """θ(t) − θ_0."""
        j = self.interval(time) if j is None else j
        jacobian, size = self.jacobians[j], WEIGHTS + 1
        # The displacement and a 1 obey a linear system without inhomogeneity.
        system = np.zeros((size, size))
        system[:-1, :-1], system[:-1, -1] = -jacobian.T @ jacobian, -jacobian.T @ self.residuals[j]
        return self.starts[j] + expm(system * (time - EDGES[j]))[:-1, -1]

    def speed(self, time: float) -> float:
        j = self.interval(time)
        jacobian = self.jacobians[j]
        return float(
            np.linalg.norm(jacobian.T @ (self.residuals[j] + jacobian @ (self.weights(time) - self.starts[j])))
        )

    def path(self) -> AdaptedKernel:
        found = []
        for j, jacobian in enumerate(self.jacobians):
            eigenvalues, vectors = np.linalg.eigh(jacobian @ jacobian.T)
            found.append(
                KernelInterval(
                    eigenvalues=eigenvalues,
                    residual=vectors.T @ self.residuals[j],
                    moved=vectors.T @ jacobian @ self.starts[j],
                    start_time=EDGES[j],
                    moved_squared=self.starts[j] @ self.starts[j],
                    loss=1.0,
                    drift=0.0,
                )
            )
        return AdaptedKernel(intervals=tuple(found), end_time=EDGES[-1], end_loss=0.5, gradients=7)


def test_path_is_that_of_the_weights():
    """Eq. (119): distance, ∫|v|²dt and length in every interval and beyond, against exponentials and quadrature."""
    flow = Flow()
    times = np.array([2.0, 0.1, 0.3, 0.7, 4.0, 6.0])
    found = flow.path().speed_limit(times)
    for k, time in enumerate(times):
        moved = flow.weights(time)
        breaks = [edge for edge in EDGES[1:] if edge < time]
        spent = quad(lambda t: flow.speed(t) ** 2, 0.0, time, points=breaks or None, epsabs=1e-12)[0]
        length = quad(flow.speed, 0.0, time, points=breaks or None, epsabs=1e-12)[0]
        assert found.w2_squared[k] == pytest.approx(moved @ moved, rel=1e-12)
        assert found.dissipation[k] == pytest.approx(spent, rel=1e-9)
        assert found.arc_length[k] == pytest.approx(length, rel=1e-8)
        assert found.inefficiency[k] == pytest.approx(time * spent / (moved @ moved), rel=1e-8)
    assert (found.inefficiency > 1).all()
    np.testing.assert_allclose(found.geometric * found.pace, found.inefficiency, rtol=1e-13)


def test_spent_loss_is_the_dissipation():
    """What the modes of all intervals spend sums to the dissipation at the end."""
    path = Flow().path()
    whole = sum(path.spent(j).sum() for j in range(3))
    assert path.speed_limit(np.array([4.0])).dissipation[0] == pytest.approx(whole, rel=1e-14)
    np.testing.assert_array_equal(path.edges, EDGES)
    np.testing.assert_array_equal(path.losses, [1.0, 1.0, 1.0, 0.5])


def test_one_interval_is_the_constant_kernel():
    """With one interval the series are those of `ConstantKernel`, a mode that stands still included."""
    modes = {"eigenvalues": np.array([5.0, 1.0, 0.0]), "residual": np.array([1.0, -2.0, 3.0])}
    interval = KernelInterval(**modes, moved=np.zeros(3), **FIELDS)
    path = AdaptedKernel(intervals=(interval,), end_time=2.0, end_loss=0.1, gradients=0)
    times = np.array([0.0, 1e-6, 0.5, 2.0])
    found, expected = path.speed_limit(times), ConstantKernel(**modes).speed_limit(times)
    for name in ("w2_squared", "dissipation", "arc_length"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-14)


def test_edges_are_equal_steps_of_the_stretched_time():
    """Eq. (119): ln(1 + 1.5 λt) grows by the same at each edge and middle; twice as many intervals keep all edges."""
    edges = interval_edges(20.0, 50.0, 8)
    np.testing.assert_allclose(np.diff(np.log1p(30.0 * edges)), np.log1p(1500.0) / 16, rtol=1e-12)
    assert (edges[0], edges[-1], edges.size) == (0.0, 50.0, 17)
    np.testing.assert_allclose(interval_edges(20.0, 50.0, 16)[::2], edges, rtol=1e-12)


def interval(**changes) -> KernelInterval:
    modes = {"eigenvalues": np.ones(2), "residual": np.ones(2), "moved": np.ones(2)}
    return KernelInterval(**modes | FIELDS | changes)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: interval(moved=np.ones(3)), r"`moved` must have shape \(2\); moved.shape = \(3,\)"),
        (lambda: interval(drift=-1.0), "`drift` must be non-negative and finite; drift = -1"),
        (lambda: interval(eigenvalues=-np.ones(2)), r"`eigenvalues` must be non-negative and finite; eigenvalues\[0\]"),
        (
            lambda: AdaptedKernel(intervals=(), end_time=1.0, end_loss=0.0, gradients=0),
            r"`intervals` must follow each other from 0 to the end; they start at \[\]",
        ),
        (
            lambda: AdaptedKernel(intervals=(interval(start_time=1.0),), end_time=2.0, end_loss=0.0, gradients=0),
            r"`intervals` must follow each other from 0 to the end; they start at \[1.0\]",
        ),
        (
            lambda: AdaptedKernel(intervals=(interval(), interval()), end_time=2.0, end_loss=0.0, gradients=0),
            r"`intervals` must follow each other from 0 to the end; they start at \[0.0, 0.0\]",
        ),
        (
            lambda: AdaptedKernel(intervals=(interval(),), end_time=np.inf, end_loss=0.0, gradients=0),
            r"`intervals` must follow each other from 0 to the end",
        ),
        (
            lambda: AdaptedKernel(intervals=(interval(),), end_time=1.0, end_loss=np.nan, gradients=0),
            "`end_loss` must be non-negative and finite; end_loss = nan",
        ),
        (lambda: Flow().path().speed_limit(np.array([-1.0])), r"`times` must be non-negative and finite"),
        (lambda: interval_edges(0.0, 1.0, 2), "`sharpness` must be positive and finite; sharpness = 0"),
        (lambda: interval_edges(1.0, 1.0, 0), "`intervals` must be an integer of at least 1; intervals = 0"),
    ],
)
@pytest.mark.usefixtures("as_user")
def test_bad_input_is_named(call, message):
    """Argument, rule and value stand in the error."""
    with pytest.raises(ValueError, match=message):
        call()
