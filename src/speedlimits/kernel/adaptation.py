"""How training goes on while its kernel changes, without following it: linearised in the middle of each interval."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor, nn

from speedlimits._checks import check_integer, check_positive
from speedlimits.dynamics.samples import Inputs
from speedlimits.kernel.empirical import eigenmodes, empirical_kernel, kernel_drift
from speedlimits.kernel.lanczos import Lanczos, recurrence
from speedlimits.kernel.operator import KernelOperator, Vector
from speedlimits.theory.adapted_kernel import AdaptedKernel, KernelInterval, interval_edges
from speedlimits.theory.constant_kernel import relaxation

Named = Mapping[str, Tensor | np.ndarray]
# Of Lanczos' rule in an interval.
TOLERANCE = 1e-8
# Products that tell the largest eigenvalue well enough to set the intervals by, where the kernel is not formed.
SHARPNESS_PRODUCTS = 16
# Random vectors that tell how far such a kernel turns.
PROBES = 16


def adapted_kernel(
    model: nn.Module,
    inputs: Inputs,
    targets: Tensor | np.ndarray,
    time: float,
    *,
    intervals: int = 8,
    weights: Named | None = None,
    matrix_free: bool = False,
    memory: float | None = None,
) -> AdaptedKernel:
    r"""Predict gradient flow on L = ½Σ(f − y)² while the kernel changes, by two kernels an interval, Eq. (119).

    From the weights θ_a at the start of an interval, the kernel there predicts those in its middle, θ_m. The outputs
    are then taken to be linear around θ_m,

    .. math:: r^* = r_m + J_m(\theta_a-\theta_m), \qquad
              \theta_b = \theta_a - J_m^\top\varphi\bigl(J_mJ_m^\top, b-a\bigr)\,r^*, \qquad
              \varphi(\lambda, t) = \frac{1-e^{-\lambda t}}{\lambda}

    which is their exact flow from a to b. Kernels at the starts alone would leave an error of first order.

    Args:
        model: f, in evaluation mode, as for `empirical_kernel`.
        inputs: x, n samples.
        targets: y, as many rows.
        time: T, how far to predict.
        intervals: k, of `interval_edges`; the error falls as k⁻².
        weights: where to start, by name; by default the model's own.
        matrix_free: never form a kernel; about 2√(λ_max T) gradients an interval at the end of a long time.
        memory: bytes for `empirical_kernel`.

    Returns:
        The path. It counts c gradients for a formed kernel of c outputs, 2 for a product, and 1 for J or Jᵀ alone.

    Raises:
        ValueError: as `empirical_kernel` and `KernelOperator`, if the time is not positive, ``intervals`` not an
            integer of at least 1, or nothing moves the weights.
    """
    check_positive("time", time)
    check_integer("intervals", intervals, minimum=1)
    problem = _Problem(model, inputs, targets, matrix_free, memory)
    start = first = problem.at(weights)
    beginning = [weight.clone() for weight in first.operator.weights]
    edges = interval_edges(first.sharpness(), time, intervals)
    found: list[KernelInterval] = []
    for a, middle_time, b in zip(edges[:-2:2], edges[1::2], edges[2::2], strict=True):
        half, _ = start.move(start.residual, middle_time - a)
        middle = problem.at(start.shifted(half))
        moved = _difference(start.operator.weights, beginning)
        ahead = [-step for step in half]
        residual = middle.residual + middle.push(ahead)
        whole, modes = middle.move(residual, b - a)
        found.append(
            KernelInterval(
                eigenvalues=modes.eigenvalues,
                residual=modes.vectors.T @ residual,
                moved=modes.vectors.T @ middle.push(moved),
                start_time=float(a),
                moved_squared=_squared(moved),
                loss=start.loss,
                drift=first.drift(middle),
            )
        )
        start = problem.at(start.shifted(whole))
    return AdaptedKernel(
        intervals=tuple(found), end_time=float(edges[-1]), end_loss=start.loss, gradients=problem.gradients
    )


@dataclass(frozen=True, eq=False)
class _Modes:
    """Eigenvalues, the largest first, and eigenvectors in columns; or what stands for them on one vector."""

    eigenvalues: Vector
    vectors: Float64[np.ndarray, "rows modes"]


class _Problem:
    """The model and its data, and what has been spent on them so far."""

    def __init__(
        self,
        model: nn.Module,
        inputs: Inputs,
        targets: Tensor | np.ndarray,
        matrix_free: bool,
        memory: float | None,
    ) -> None:
        self.model, self.inputs, self.matrix_free, self.memory = model, inputs, matrix_free, memory
        self.targets = targets.detach().cpu().numpy() if isinstance(targets, Tensor) else targets
        self.gradients = 0

    def at(self, weights: Named | None) -> "_Place":
        return _Place(self, weights)


class _Place:
    """The model at some weights: its residual, J, Jᵀ, and the kernel, formed when it is first asked for."""

    def __init__(self, problem: _Problem, weights: Named | None) -> None:
        self._problem = problem
        self.operator = KernelOperator(problem.model, problem.inputs, weights=weights)
        self.residual = self.operator.residual(problem.targets)

    @property
    def loss(self) -> float:
        return 0.5 * float(self.residual @ self.residual)

    def push(self, direction: list[Tensor]) -> Vector:
        self._problem.gradients += 1
        return self.operator.forwards(direction)

    def shifted(self, step: list[Tensor]) -> dict[str, Tensor]:
        pairs = zip(self.operator.weights, step, strict=True)
        return dict(zip(self.operator.names, (weight + part for weight, part in pairs), strict=True))

    @cached_property
    def kernel(self) -> Float64[np.ndarray, "rows rows"]:
        problem = self._problem
        weights = dict(zip(self.operator.names, self.operator.weights, strict=True))
        problem.gradients += self.operator.outputs.shape[1]
        return empirical_kernel(problem.model, problem.inputs, weights=weights, memory=problem.memory)

    def sharpness(self) -> float:
        """About the largest eigenvalue, to set the intervals by."""
        if not self.residual.any():
            raise ValueError("`targets` must differ from the outputs at the start, or nothing moves.")
        if not self._problem.matrix_free:
            return self._moving(float(self.modes(self.residual, 0.0).eigenvalues[0]))
        krylov = Lanczos(self._product, self.residual)
        return self._moving(float(krylov.after(SHARPNESS_PRODUCTS)[0].max()))

    @cached_property
    def _formed(self) -> _Modes:
        return _Modes(*eigenmodes(self.kernel))

    def modes(self, vector: Vector, time: float) -> _Modes:
        if not self._problem.matrix_free:
            return self._formed
        if not vector.any():
            return _Modes(np.zeros(1), np.zeros((vector.size, 1)))
        krylov, _ = recurrence(self._product, vector, np.array([time]), tolerance=TOLERANCE)
        values, vectors = krylov.ritz()
        return _Modes(values[::-1], vectors[:, ::-1])

    def move(self, residual: Vector, time: float) -> tuple[list[Tensor], _Modes]:
        """−Jᵀφ(Θ, t)r, by weight, and the modes it was found by."""
        modes = self.modes(residual, time)
        pace = relaxation(modes.eigenvalues, time)
        self._problem.gradients += 1
        return self.operator.backwards(-modes.vectors @ (pace * (modes.vectors.T @ residual))), modes

    def drift(self, later: "_Place") -> float:
        """How far the kernel there has turned from this one."""
        return kernel_drift(self.seen, later.seen)

    @cached_property
    def seen(self) -> Float64[np.ndarray, "rows columns"]:
        """The kernel, or its products with random signs, whose overlaps are on average those of kernels."""
        if not self._problem.matrix_free:
            return self.kernel
        signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(PROBES, self.residual.size))
        return np.array([self._product(vector) for vector in signs])

    def _product(self, vector: Vector) -> Vector:
        self._problem.gradients += 2
        return self.operator(vector)

    @staticmethod
    def _moving(sharpness: float) -> float:
        if sharpness <= 0:
            raise ValueError("`model` must have derivatives that are not zero everywhere, or nothing moves.")
        return sharpness


def _difference(weights: list[Tensor], others: list[Tensor]) -> list[Tensor]:
    return [weight - other for weight, other in zip(weights, others, strict=True)]


def _squared(direction: list[Tensor]) -> float:
    return float(sum(torch.sum(part**2) for part in direction))
