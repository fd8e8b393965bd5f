"""A kernel's spectrum as numbers: shares of the loss over it, eigenvalues by rank, and a view's name."""

import numpy as np
from jaxtyping import Float64

from speedlimits._shapes import Modes
from speedlimits.runs.kernel import KernelRecord, KernelView
from speedlimits.theory.adapted_kernel import AdaptedKernel

Points = Float64[np.ndarray, " points"]
# Modes drawn one by one are a cloud; a bin of the spectrum shows its mean.
BINS = 60
# More curves than these nobody tells apart.
CURVES = 8


def shares(view: KernelView) -> tuple[Points, Points]:
    """How much of the loss stands at each part of the spectrum: a histogram over ln λ.

    Args:
        view: of the kernel.

    Returns:
        The middles of the bins that hold any modes [1/time], and their shares of Σ_k Δ_k².
    """
    squares = view.residual**2
    places, sums = _binned(view.eigenvalues, squares)
    return places, sums / np.sum(squares)


def spent(path: AdaptedKernel, interval: int) -> tuple[Points, Points]:
    """Where in the spectrum the loss goes in an interval of time.

    Args:
        path: under a kernel that was measured again on the way.
        interval: which, from 0.

    Returns:
        The middles of the bins that hold any modes [1/time], and what each spends of the loss of the whole path.
    """
    whole = sum(path.spent(j).sum() for j in range(len(path.intervals)))
    places, sums = _binned(path.intervals[interval].eigenvalues, path.spent(interval))
    return places, sums / whole


def drawn(path: AdaptedKernel) -> list[int]:
    """Which intervals a picture shows: all, or every so many where they would be more than `CURVES`."""
    count = len(path.intervals)
    return list(range(0, count, -(-count // CURVES)))


def interval_label(path: AdaptedKernel, interval: int) -> str:
    """What an interval is called in a legend: when it is, what it spends, how far the kernel has turned."""
    start, end = path.edges[interval : interval + 2]
    share = spent(path, interval)[1].sum()
    return f"t = {start:.2g} to {end:.2g}: {share:.0%}, turned by {path.intervals[interval].drift:.1g}"


def _binned(eigenvalues: Modes, weights: Modes) -> tuple[Points, Points]:
    """Sums of the weights over equal steps of ln λ, where there are any modes."""
    moving = eigenvalues > 1e-12 * eigenvalues.max(initial=0.0)
    logs = np.log(eigenvalues[moving])
    counts, edges = np.histogram(logs, BINS)
    sums, _ = np.histogram(logs, edges, weights=weights[moving])
    held = counts > 0
    return np.exp(0.5 * (edges[1:] + edges[:-1]))[held], sums[held]


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
