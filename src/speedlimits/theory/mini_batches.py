r"""Mini-batch descent in linear regression on given data: mean and covariance after every step, exactly.

The loss is the mean over samples, :math:`L = \frac1{2n}|y-X^{\mathsf T}\theta|^2`, with the Hessian S = XXᵀ/n. Each
step draws B of the n samples anew, and moves by the mean of their gradients :math:`x_ir_i`, with the errors
:math:`r = X^{\mathsf T}\theta-y`. Passes over a shuffled order are another process. Their batches depend on each other:
moments would have to be followed for every set of samples seen so far, 2ⁿ of them, and the mean of a pass alone is a
sum over all orders of n/B matrices that do not commute.
"""

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy.linalg import svd

from speedlimits._checks import check_finite, check_integer, check_non_negative, check_positive, check_shape
from speedlimits._shapes import Matrix, Vector
from speedlimits.theory.mini_batch_path import LONGEST, MiniBatchPath

# Singular values below this share of the largest are rounding.
ROUNDING = 1e-12


class _Modes(NamedTuple):
    """Along directions that data pull: these, curvatures λ, inputs, starts u₀; and the errors at the least loss."""

    vectors: np.ndarray
    curvatures: np.ndarray
    inputs: np.ndarray
    start: np.ndarray
    errors: np.ndarray


class _State(NamedTuple):
    """⟨uuᵀ⟩ of a step, the diagonal of what noise has added to it, and ⟨|ξ|²⟩ of the step to come."""

    second_moment: np.ndarray
    scatter: np.ndarray
    gradient_noise: float


@dataclass(frozen=True, eq=False, kw_only=True)
class MiniBatches:
    """Mini-batch descent on the data X, y.

    Args:
        inputs: X, a column per sample.
        targets: y.
        start: the mean of θ₀.
        batch: B, samples in a batch.
        learning_rate: η [time].
        replacement: whether a batch may hold a sample twice; otherwise B ≤ n.
        start_variance: of each weight of θ₀; 0 for one start.

    Raises:
        ValueError: if X is empty, a number is not finite, a size or rate not positive, or the lengths differ.
    """

    inputs: Float[np.ndarray, "dims samples"]
    targets: Float[np.ndarray, " samples"]
    start: Vector
    batch: int
    learning_rate: float
    replacement: bool = False
    start_variance: float = 0.0

    def __post_init__(self) -> None:
        check_shape("inputs", self.inputs, (None, None))
        dims, samples = self.inputs.shape
        if not self.inputs.size:
            raise ValueError(f"`inputs` must not be empty; inputs.shape = {self.inputs.shape}.")
        check_shape("targets", self.targets, (samples,))
        check_shape("start", self.start, (dims,))
        for name in ("inputs", "targets", "start"):
            check_finite(name, getattr(self, name))
        check_integer("batch", self.batch, minimum=1, maximum=None if self.replacement else samples)
        check_positive("learning_rate", self.learning_rate)
        check_non_negative("start_variance", self.start_variance)

    def path(self, steps: int) -> MiniBatchPath:
        r"""Follow N steps; second moments close exactly, Eq. (101).

        .. math:: \langle u_{k+1}u_{k+1}^{\mathsf T}\rangle = (1-\eta S)M_k(1-\eta S) + \eta^2\frac fB
                  \Bigl[\frac1n\sum_i\langle r_i^2\rangle x_ix_i^{\mathsf T} - SM_kS\Bigr], \qquad
                  \langle r_i^2\rangle = x_i^{\mathsf T}M_kx_i + 2e_ix_i^{\mathsf T}\langle u_k\rangle + e_i^2

        with M = ⟨uuᵀ⟩, u = θ − θ⋆, e the errors at θ⋆ and :math:`f = (n-B)/(n-1)`, or 1 with replacement. Proof: given
        θ, the mean of B draws has the covariance f/B of that of one, :math:`\frac1n\sum x_ix_i^{\mathsf T}r_i^2 -
        \nabla L\nabla L^{\mathsf T}` with ∇L = Su because Xe = 0; r is linear in u, so only first and second moments
        enter the mean of that.

        Args:
            steps: N. Each takes 4 d²n operations for d ≤ n.

        Returns:
            All steps along the eigenvectors of S with eigenvalues above 0; along the others nothing moves.

        Raises:
            ValueError: if N is not a whole number from 1 to 100,000.
        """
        check_integer("steps", steps, minimum=1, maximum=LONGEST)
        scatter, gradient_noise = zip(
            *((state.scatter, state.gradient_noise) for state in self._states(steps)), strict=True
        )
        modes = self._modes
        return MiniBatchPath(
            learning_rate=self.learning_rate,
            curvatures=modes.curvatures,
            weights=np.ones_like(modes.curvatures),
            start=modes.start**2 + self.start_variance,
            scatter=np.array(scatter),
            gradient_noise=np.array(gradient_noise[:-1]),
            floor=0.5 * float(np.mean(modes.errors**2)),
            directions=modes.curvatures.size / self.targets.size,
        )

    def law(self, step: int) -> tuple[Vector, Matrix]:
        """Mean and covariance of the weights after a step, Eq. (101); the law is no Gaussian.

        Raises:
            ValueError: if the step is not a whole number of at least 0.
        """
        check_integer("step", step, minimum=0)
        modes = self._modes
        last = deque(self._states(step), maxlen=1).pop()
        carried = (1.0 - self.learning_rate * modes.curvatures) ** step
        mean = carried * modes.start
        outside = self.start_variance * (np.eye(self.start.size) - modes.vectors @ modes.vectors.T)
        covariance = modes.vectors @ (last.second_moment - np.outer(mean, mean)) @ modes.vectors.T + outside
        return self.start + modes.vectors @ (mean - modes.start), covariance

    @cached_property
    def _modes(self) -> _Modes:
        vectors, singular, right = svd(self.inputs, full_matrices=False)
        pulled = singular > ROUNDING * singular.max()
        vectors, singular, right = vectors[:, pulled], singular[pulled], right[pulled]
        start = vectors.T @ self.start - right @ self.targets / singular
        errors = right.T @ (right @ self.targets) - self.targets
        return _Modes(vectors, singular**2 / self.targets.size, singular[:, None] * right, start, errors)

    def _states(self, steps: int) -> Iterator[_State]:
        """Follow the moments.

        Yields:
            The state at the start and after each step.
        """
        _, curvatures, inputs, mean, errors = self._modes
        samples = self.targets.size
        left = 1.0 if self.replacement else (samples - self.batch) / max(samples - 1, 1)
        carried = 1.0 - self.learning_rate * curvatures
        moment = np.outer(mean, mean) + self.start_variance * np.eye(mean.size)
        scatter = np.zeros_like(mean)
        for step in range(steps + 1):
            squares = np.sum(inputs * (moment @ inputs), axis=0) + 2.0 * errors * (mean @ inputs) + errors**2
            pulls = (inputs * squares) @ inputs.T / samples - curvatures[:, None] * moment * curvatures
            noise = left / self.batch * pulls
            yield _State(moment, scatter, float(np.trace(noise)))
            if step < steps:
                added = self.learning_rate**2 * noise
                moment = carried[:, None] * moment * carried + added
                scatter = carried**2 * scatter + np.diag(added)
                mean = carried * mean
