r"""A kernel known only by its products: its quadrature on the residual, its density and its top.

:math:`\mathcal W_2` and :math:`\Delta L` are quadratic forms :math:`\Delta^\top g(\Theta)\Delta`. Lanczos' recurrence
from the residual gives Gauss quadrature for them all: its nodes and weights stand for eigenvalues and squared modes in
every formula of `ConstantKernel`, at every time at once (Golub and Meurant, "Matrices, Moments and Quadrature").
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.linalg import eigh_tridiagonal
from scipy.sparse.linalg import LinearOperator, eigsh

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

    def _rule(self, diagonal: list[float], off_diagonal: list[float]) -> tuple[Nodes, Nodes]:
        values, vectors = eigh_tridiagonal(diagonal, off_diagonal)
        # Zero eigenvalues come out as rounding, on both sides of zero; the length feels the root of one times t.
        rounding = self._basis.shape[1] * np.finfo(float).eps * values.max()
        return np.where(values > rounding, values, 0.0), self.norm * np.abs(vectors[0])


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
    check_non_negative("times", times)
    check_positive("tolerance", tolerance)
    check_integer("modes", modes, minimum=0)
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
            error = 0.0
        elif steps >= min(next_try, max_products):
            next_try = int(np.ceil(TRY_GROWTH * steps))
            error = _error(krylov, moving)
        else:
            continue
        if krylov.exhausted or steps == max_products or (error <= tolerance and krylov.converged() >= modes):
            nodes, modes_there = krylov.gauss(steps)
            return ResidualMeasure(
                eigenvalues=nodes, residual=modes_there, error=error, products=steps, converged=krylov.converged()
            )


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


def spectral_density(
    operator: Operator, rows: int, *, probes: int = 8, steps: int = 64, generator: np.random.Generator
) -> tuple[Nodes, Nodes]:
    r"""Density of the kernel's eigenvalues, by stochastic Lanczos quadrature.

    .. math:: \operatorname{Tr} g(\Theta) \approx \sum_j w_j\, g(\lambda_j)

    Args:
        operator: u → Θu.
        rows: of the operator.
        probes: random vectors of signs; the relative error of a smooth count falls as their number^−½.
        steps: products for each, and nodes.
        generator: draws the probes.

    Returns:
        Nodes λ_j in increasing order [1/time], and weights w_j: numbers of eigenvalues, which sum to ``rows``.

    Raises:
        ValueError: if a number is not an integer of at least 1.
    """
    for name, number in (("rows", rows), ("probes", probes), ("steps", steps)):
        check_integer(name, number, minimum=1)
    nodes, weights = [], []
    for _ in range(probes):
        krylov = Lanczos(operator, generator.choice([-1.0, 1.0], size=rows))
        while len(krylov.diagonal) < steps and not krylov.exhausted:
            krylov.step()
        values, roots = krylov.gauss(len(krylov.diagonal))
        nodes.append(values)
        weights.append(roots**2 / probes)
    order = np.argsort(np.concatenate(nodes))
    return np.concatenate(nodes)[order], np.concatenate(weights)[order]


def top_eigenpairs(
    operator: Operator, rows: int, count: int, *, generator: np.random.Generator
) -> tuple[Float64[np.ndarray, " count"], Float64[np.ndarray, "rows count"]]:
    """The largest eigenvalues and their eigenvectors, by ARPACK's restarted Lanczos method, to rounding.

    Args:
        operator: u → Θu.
        rows: of the operator.
        count: how many, fewer than ``rows``.
        generator: draws the first direction.

    Returns:
        The eigenvalues, the largest first, and the eigenvectors in columns.

    Raises:
        ValueError: if ``count`` is not an integer from 1 to ``rows`` − 1.
    """
    check_integer("count", count, minimum=1)
    if count >= rows:
        raise ValueError(f"`count` must be below the {rows} rows of the operator; count = {count}.")
    linear = LinearOperator(  # the stub knows its subclasses' signature alone
        (rows, rows),  # pyright: ignore
        matvec=lambda vector: operator(vector.ravel()),  # pyright: ignore
        dtype=np.float64,  # pyright: ignore
    )
    values, vectors = eigsh(linear, count, which="LA", v0=generator.standard_normal(rows))
    return values[::-1], vectors[:, ::-1]


def estimated_drift(
    operator: Operator, later: Operator, rows: int, *, probes: int = 16, generator: np.random.Generator
) -> float:
    r"""`empirical.kernel_drift` without forming the kernels, from ⟨K, K'⟩ = E[(Kz)·(K'z)] for random signs z.

    Args:
        operator: u → Ku.
        later: u → K'u.
        rows: of both.
        probes: random vectors.
        generator: draws them.

    Returns:
        The estimate of 1 − ⟨K, K'⟩/(|K||K'|); the same vectors in all three products keep it in [0, 1] and exactly
        zero for proportional kernels.

    Raises:
        ValueError: if ``probes`` is not an integer of at least 1.
    """
    check_integer("probes", probes, minimum=1)
    signs = generator.choice([-1.0, 1.0], size=(probes, rows))
    first, second = (np.array([product(z) for z in signs]) for product in (operator, later))
    return float(0.5 * np.sum((first / np.linalg.norm(first) - second / np.linalg.norm(second)) ** 2))
