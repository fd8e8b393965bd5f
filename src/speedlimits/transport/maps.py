r"""Maps that are gradients of convex functions: each proves a lower bound on the squared distance of two laws.

For any convex u and its conjugate :math:`u^*(y) = \sup_x x\cdot y - u(x)`, Kantorovich's duality gives

.. math:: \mathcal W_2(p, q) \ge \langle g(x)\rangle_p + \langle h(y)\rangle_q, \qquad
          g = |x|^2 - 2u(x), \quad h = |y|^2 - 2u^*(y),

because g(x) + h(y) ≤ |x − y|² everywhere, with equality for u whose gradient carries p to q.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_covariance
from speedlimits._shapes import Ensemble, Members

Line = Float[np.ndarray, " points"]
Matrix = Float[np.ndarray, "rank rank"]


@dataclass(frozen=True, eq=False)
class MonotoneMap:
    r"""An increasing, piecewise linear map of the line, with slope 1 outside its knots.

    Args:
        knots: x_k, strictly increasing.
        images: y_k, strictly increasing, to which the knots are mapped.
    """

    knots: Float[np.ndarray, " knots"]
    images: Float[np.ndarray, " knots"]

    @classmethod
    def between(cls, start: Line, end: Line) -> "MonotoneMap":
        """The map that carries the quantiles of one sample to those of another.

        Args:
            start: points of the first law.
            end: points of the second.

        Returns:
            The map through √n evenly spaced quantiles of each, fewer where they coincide.
        """
        count = max(2, round(min(start.size, end.size) ** 0.5))
        levels = (np.arange(count) + 0.5) / count
        knots, images = np.quantile(start, levels), np.quantile(end, levels)
        # Equal points (rectified units, say) have no slope between them: one knot of each group is kept.
        kept = np.flatnonzero((np.diff(knots, prepend=-np.inf) > 0) & (np.diff(images, prepend=-np.inf) > 0))
        return cls(knots[kept], images[kept])

    def start_gain(self, points: Line) -> Line:
        """g(x) = x² − 2u(x) with u = ∫(map) and u(x₀) = 0 at the first knot."""
        return points**2 - 2.0 * _integral(points, self.knots, self.images)

    def end_gain(self, points: Line) -> Line:
        """h(y) = y² − 2u*(y) with u* = ∫(inverse map), and u*(y₀) = x₀y₀ by Young's equality."""
        return points**2 - 2.0 * (_integral(points, self.images, self.knots) + self.knots[0] * self.images[0])


def _integral(points: np.ndarray, knots: np.ndarray, images: np.ndarray) -> np.ndarray:
    """∫ of the map from its first knot to each point: quadratic pieces."""
    slopes = np.concatenate(([1.0], np.diff(images) / np.diff(knots), [1.0]))
    areas = np.concatenate(([0.0], np.cumsum(0.5 * (images[1:] + images[:-1]) * np.diff(knots))))
    piece = np.searchsorted(knots, points)
    # Left of the first knot the piece is anchored at that knot too.
    anchor = np.maximum(piece - 1, 0)
    step = points - knots[anchor]
    return areas[anchor] + images[anchor] * step + 0.5 * slopes[piece] * step**2


@dataclass(frozen=True, eq=False)
class LinearMap:
    r"""A symmetric positive map of centred weights, general inside a subspace and a multiple of 1 outside.

    .. math:: A = U B U^{\mathsf T} + s\,(1 - UU^{\mathsf T})

    Args:
        basis: U, orthonormal columns; as many as dimensions for the whole space.
        inside: B, symmetric positive definite.
        outside: s, positive.
    """

    basis: Float[np.ndarray, "dims rank"]
    inside: Matrix
    outside: float

    def start_gain(self, centred: Ensemble) -> Members:
        """xᵀ(1 − A)x."""
        return self._gain(centred, self.inside, self.outside)

    def end_gain(self, centred: Ensemble) -> Members:
        """yᵀ(1 − A⁻¹)y."""
        return self._gain(centred, np.linalg.inv(self.inside), 1.0 / self.outside)

    def _gain(self, centred: np.ndarray, inside: np.ndarray, outside: float) -> np.ndarray:
        along = np.asarray(centred @ self.basis, dtype=float)
        total = np.einsum("ij,ij->i", centred, centred, dtype=float)
        return (1.0 - outside) * total + np.sum(along * (along @ (outside * np.eye(len(inside)) - inside)), axis=1)


def fastest_map(start: Matrix, end: Matrix) -> Matrix:
    r"""The linear map that carries one centred Gaussian to another along the shortest way.

    .. math:: A = \Sigma_0^{-1/2}(\Sigma_0^{1/2}\Sigma_1\Sigma_0^{1/2})^{1/2}\Sigma_0^{-1/2}

    Args:
        start: Σ₀, positive definite.
        end: Σ₁, positive definite.

    Returns:
        A, symmetric positive definite, with AΣ₀A = Σ₁.

    Raises:
        ValueError: if a matrix is no covariance, or the first is not definite.
    """
    check_covariance("start", start, len(start), definite=True)
    check_covariance("end", end, len(start))
    values, vectors = np.linalg.eigh(start)
    root, inverse = ((vectors * values**power) @ vectors.T for power in (0.5, -0.5))
    values, vectors = np.linalg.eigh(root @ end @ root)
    carried = inverse @ (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T @ inverse
    return 0.5 * (carried + carried.T)
