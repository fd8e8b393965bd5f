r"""A kernel known only by its products: its quadrature on the residual.

:math:`\mathcal W_2` and :math:`\Delta L` are quadratic forms :math:`\Delta^\top g(\Theta)\Delta`. Lanczos' recurrence
from the residual gives Gauss quadrature for them all: its nodes and weights stand for eigenvalues and squared modes in
every formula of `ConstantKernel`, at every time at once (Golub and Meurant, "Matrices, Moments and Quadrature").
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.linalg import eigh_tridiagonal

from speedlimits._checks import check_finite, check_integer, check_non_negative, check_positive, check_shape
from speedlimits._shapes import Times
from speedlimits.theory.constant_kernel import ConstantKernel

Vector = Float64[np.ndarray, " rows"]
Nodes = Float64[np.ndarray, " nodes"]
Operator = Callable[[np.ndarray], np.ndarray]

# A rule is tried after so many further steps, and when they have grown by so much.
FIRST_TRY, TRY_GROWTH = 8, 1.1
# How far the operator may take a node's vector from itself, relative to the node, for it to be an eigenvector.
CONVERGED = 1e-8


class Lanczos:
    """Lanczos' recurrence with full reorthogonalisation: an orthonormal basis in which the operator is tridiagonal.

    Args:
        operator: v → Θv, symmetric and without negative eigenvalues.
        start: the first direction, of any length but zero.

    Raises:
        ValueError: if the start is zero or not finite.
    """

    def __init__(self, operator: Operator, start: Vector) -> None:
        check_finite("start", start)
        self.norm = float(np.linalg.norm(start))
        if self.norm == 0.0:
            raise ValueError("`start` must not be zero everywhere.")
        self._operator = operator
        self._basis = np.empty((FIRST_TRY, start.size))
        self._basis[0] = start / self.norm
        self.diagonal: list[float] = []
        self.off_diagonal: list[float] = []

    @property
    def exhausted(self) -> bool:
        """Whether the operator leaves the space spanned so far to itself: every rule is then exact."""
        if not self.off_diagonal:
            return False
        scale = max(*self.diagonal, *self.off_diagonal)
        return bool(self.off_diagonal[-1] <= self._basis.shape[1] * np.finfo(float).eps * scale)

    def step(self) -> None:
        """One product with the operator."""
        k = len(self.diagonal)
        if k + 1 == len(self._basis):
            self._basis = np.concatenate([self._basis, np.empty_like(self._basis)])
        product = self._operator(self._basis[k])
        known = self._basis[: k + 1]
        overlaps = known @ product
        product = product - overlaps @ known
        # Twice is enough (Kahan): what the first pass leaves is rounding of a larger vector.
        product -= (known @ product) @ known
        size = float(np.linalg.norm(product))
        self.diagonal.append(float(overlaps[k]))
        self.off_diagonal.append(size)
        self._basis[k + 1] = product / size if size > 0 else 0.0

    def after(self, steps: int) -> tuple[Nodes, Nodes]:
        """Gauss' rule after so many steps, or as many as there are directions.

        Args:
            steps: from the start; one at least.

        Returns:
            The nodes, and the square roots of the weights.
        """
        while len(self.diagonal) < steps and not self.exhausted:
            self.step()
        return self.gauss(len(self.diagonal))

    def gauss(self, nodes: int) -> tuple[Nodes, Nodes]:
        """Gauss' rule, exact for polynomials of degree 2·nodes − 1.

        Args:
            nodes: how many, at most the steps so far.

        Returns:
            The nodes, and the square roots of the weights.
        """
        return self._rule(self.diagonal[:nodes], self.off_diagonal[: nodes - 1])

    def radau(self) -> tuple[Nodes, Nodes]:
        """Gauss' rule at all steps with one more node at zero, exact for one degree more (Golub and Meurant, ch. 6).

        Returns:
            The nodes, and the square roots of the weights.
        """
        # The last pivot of T = LDLᵀ: the next diagonal element that makes the longer matrix singular.
        pivot, before = 0.0, 0.0
        floor = self._basis.shape[1] * np.finfo(float).eps * max(*self.diagonal, *self.off_diagonal)
        for element, off in zip(self.diagonal, self.off_diagonal, strict=True):
            # Where the operator has a zero itself, rounding takes a pivot below it.
            pivot = max(element - before, floor)
            before = off**2 / pivot
        return self._rule([*self.diagonal, before], self.off_diagonal)

    def converged(self) -> int:
        """How many nodes of Gauss' rule at all steps, from the largest on, are eigenvalues: their weights are modes.

        Of an eigenvalue that several eigenvectors share, the start has a part in one vector alone: it counts once.

        Returns:
            The number before the first whose residual norm is above 1e-8 of it.
        """
        steps = len(self.diagonal)
        values, vectors = eigh_tridiagonal(self.diagonal, self.off_diagonal[:-1])
        found = self.off_diagonal[-1] * np.abs(vectors[-1, ::-1]) <= CONVERGED * values[::-1]
        return steps if found.all() else int(np.argmin(found))

    def ritz(self) -> tuple[Nodes, Float64[np.ndarray, "rows nodes"]]:
        """What stands for eigenvalues and eigenvectors in functions of the operator on the first direction.

        Returns:
            The nodes of Gauss' rule at all steps, and the vectors that belong to them, in columns.
        """
        values, vectors = self._solved(self.diagonal, self.off_diagonal[:-1])
        return values, self._basis[: values.size].T @ vectors

    def _rule(self, diagonal: list[float], off_diagonal: list[float]) -> tuple[Nodes, Nodes]:
        values, vectors = self._solved(diagonal, off_diagonal)
        return values, self.norm * np.abs(vectors[0])

    def _solved(self, diagonal: list[float], off_diagonal: list[float]) -> tuple[Nodes, Float64[np.ndarray, "n n"]]:
        values, vectors = eigh_tridiagonal(diagonal, off_diagonal)
        # Zero eigenvalues come out as rounding, on both sides of zero; the length feels the root of one times t.
        rounding = self._basis.shape[1] * np.finfo(float).eps * values.max()
        return np.where(values > rounding, values, 0.0), vectors


@dataclass(frozen=True, eq=False, kw_only=True)
class ResidualMeasure(ConstantKernel):
    """How the residual is spread over the kernel's eigenvalues: a constant kernel of a few modes that stand for all.

    Its distance, dissipation and length hold within the times that the measure was made for.

    Args:
        eigenvalues: nodes, in increasing order; the outermost are eigenvalues [1/time].
        residual: the modes that stand at them [√loss]; their squares sum to the residual's.
        error: largest relative error at the times, of distance and dissipation at most this, of the length about this;
            infinite where the products did not suffice to know it.
        products: with the kernel.
        converged: how many of the largest nodes are eigenvalues, each, and the residual there that of its eigenvector.
    """

    error: float
    products: int
    converged: int


def residual_measure(
    operator: Operator,
    residual: Vector,
    times: Times,
    *,
    tolerance: float = 1e-9,
    modes: int = 0,
    max_products: int = 1000,
) -> ResidualMeasure:
    r"""The residual's spectral measure, fine enough for the speed limit at all these times.

    Products needed grow as :math:`\sqrt{\lambda_{max} t}`. Distance and dissipation lie between the rules of Gauss and
    Radau, so their errors have a proved bound at every time, up to rounding; that of the length is estimated from the
    same two rules.

    Args:
        operator: u → Θu, as `KernelOperator`.
        residual: f − y at the start, over the operator's rows [√loss].
        times: t at which it shall hold [time]; only the last matters much.
        tolerance: relative error to stop at.
        modes: largest eigenvalues to find as well, about 1.7 products each.
        max_products: to stop after in any case; the error then says how far it came, or is infinite.

    Returns:
        The measure.

    Raises:
        ValueError: if the residual is zero, a time or number of modes is negative or another setting is not positive.
    """
    check_integer("modes", modes, minimum=0)
    krylov, error = recurrence(operator, residual, times, tolerance=tolerance, modes=modes, max_products=max_products)
    nodes, modes_there = krylov.gauss(len(krylov.diagonal))
    return ResidualMeasure(
        eigenvalues=nodes,
        residual=modes_there,
        error=error,
        products=len(krylov.diagonal),
        converged=krylov.converged(),
    )


def recurrence(
    operator: Operator, residual: Vector, times: Times, *, tolerance: float, modes: int = 0, max_products: int = 1000
) -> tuple[Lanczos, float]:
    """Lanczos' recurrence until Gauss' rule is good enough at all times: what `residual_measure` is made from.

    Args:
        operator: u → Θu.
        residual: where to start.
        times: t at which the rule shall hold.
        tolerance: relative error to stop at.
        modes: largest eigenvalues to find as well.
        max_products: to stop after in any case.

    Returns:
        The recurrence, and the error of its rule, as that of `ResidualMeasure`.

    Raises:
        ValueError: as `residual_measure`.
    """
    check_non_negative("times", times)
    check_positive("tolerance", tolerance)
    check_integer("max_products", max_products, minimum=2)
    check_shape("residual", residual, (None,))
    check_finite("residual", residual)
    if not residual.any():
        raise ValueError("`residual` must not be zero everywhere.")
    krylov = Lanczos(operator, residual)
    moving = times[times > 0]
    error, next_try = np.inf, FIRST_TRY
    while True:
        krylov.step()
        steps = len(krylov.diagonal)
        if krylov.exhausted:
            return krylov, 0.0
        if steps >= min(next_try, max_products):
            next_try = int(np.ceil(TRY_GROWTH * steps))
            error = _error(krylov, moving)
            if steps == max_products or (error <= tolerance and krylov.converged() >= modes):
                return krylov, error


def _error(krylov: Lanczos, times: Times) -> float:
    r"""How far Gauss' rule may be from the truth at any of the times; infinite where that is not known.

    Completely monotone functions of λ lie between the rules of Gauss and Radau: 1 − e^{−2λt} of the dissipation, and
    both parts of :math:`(1-e^{-x})^2/x = \int_0^1 e^{-xs}ds - \int_1^2 e^{-xs}ds` for the distance. The length has no
    such form: there the two rules are compared.
    """
    gauss, radau = (
        ConstantKernel(eigenvalues=nodes, residual=modes)
        for nodes, modes in (krylov.gauss(len(krylov.diagonal)), krylov.radau())
    )
    spent, length, moved = radau.dissipation(times), gauss.arc_length(times), gauss.w2_squared(times)
    parts = [_parts(rule, times) for rule in (gauss, radau)]
    early, late = (np.maximum(parts[0][k] - parts[1][k], 0.0) for k in (0, 1))
    gaps = (
        (np.abs(gauss.dissipation(times) - spent), spent),
        (np.maximum(early, late), moved - late),
        (np.abs(radau.arc_length(times) - length), length),
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        errors = [np.where(least > 0, gap / least, np.inf) for gap, least in gaps]
    return float(np.max(errors, initial=0.0))


def _parts(rule: ConstantKernel, times: Times) -> tuple[Times, Times]:
    """Sums t∑Δ²(1 − φ(λt)) and t∑Δ²(1 − e^{−λt}φ(λt)) with φ(x) = (1 − e^{−x})/x, without loss of digits."""
    x = np.outer(times, rule.eigenvalues)
    left = -np.expm1(-x)
    with np.errstate(divide="ignore", invalid="ignore"):
        rest = np.where(x < 0.01, x / 2 * (1 - x / 3 * (1 - x / 4 * (1 - x / 5 * (1 - x / 6)))), 1 - left / x)
    squares = rule.residual**2
    return times * (rest @ squares), times * ((left + (1 - left) * rest) @ squares)
