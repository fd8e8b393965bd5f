"""A kernel's spectrum as numbers: shares of the loss over it, eigenvalues by rank, and a view's name."""

import numpy as np
from jaxtyping import Float64

from speedlimits.runs.kernel import KernelRecord, KernelView

Points = Float64[np.ndarray, " points"]
# Modes drawn one by one are a cloud; a bin of the spectrum shows its mean.
BINS = 60


def shares(view: KernelView) -> tuple[Points, Points]:
    """How much of the loss stands at each part of the spectrum: a histogram over ln λ.

    Args:
        view: of the kernel.

    Returns:
        The middles of the bins that hold any modes [1/time], and their shares of Σ_k Δ_k².
    """
    top = view.eigenvalues.max(initial=0.0)
    moving = view.eigenvalues > 1e-12 * top
    logs, squares = np.log(view.eigenvalues[moving]), view.residual[moving] ** 2
    counts, edges = np.histogram(logs, BINS)
    sums, _ = np.histogram(logs, edges, weights=squares)
    held = counts > 0
    return np.exp(0.5 * (edges[1:] + edges[:-1]))[held], sums[held] / np.sum(view.residual**2)


def label(view: KernelView) -> str:
    """What a view is called in a legend: where it starts."""
    return f"from t₀ = {view.start_time:.3g}" if view.start_time else "from initialisation"


def ranked(record: KernelRecord) -> tuple[Points, Points]:
    """Eigenvalues at initialisation by rank; only the top where the kernel was not formed.

    Args:
        record: of the kernel.

    Returns:
        Ranks from 1, and positive eigenvalues.
    """
    view = record.views[0]
    eigenvalues = view.top if record.matrix_free else view.eigenvalues
    eigenvalues = eigenvalues[eigenvalues > 1e-12 * eigenvalues[0]]
    return np.arange(1.0, eigenvalues.size + 1), eigenvalues
