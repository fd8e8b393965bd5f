"""The spectrum of a kernel known only by its products: its density, its top, and how far it turns."""

import numpy as np
from jaxtyping import Float64
from scipy.sparse.linalg import LinearOperator, eigsh

from speedlimits._checks import check_integer
from speedlimits.kernel.empirical import kernel_drift
from speedlimits.kernel.lanczos import Lanczos, Nodes, Operator


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
        values, roots = Lanczos(operator, generator.choice([-1.0, 1.0], size=rows)).after(steps)
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
        ValueError: if ``probes`` is not an integer of at least 1, or as `kernel_drift`.
    """
    check_integer("probes", probes, minimum=1)
    signs = generator.choice([-1.0, 1.0], size=(probes, rows))
    first, second = (np.array([product(z) for z in signs]) for product in (operator, later))
    return kernel_drift(first, second)
