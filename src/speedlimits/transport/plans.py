r"""Upper bounds on the squared Wasserstein-2 distance: what particular plans of transport cost.

They must never enter a speed limit, which needs 𝒲₂ from below. In high dimensions the optimal plan between samples
costs far more than the distance of the laws, because even nearest neighbours are far apart.
"""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist
from scipy.special import logsumexp

from speedlimits._checks import check_integer, check_positive, check_shape
from speedlimits._shapes import Ensemble
from speedlimits.estimates import Estimate, check_ensemble, from_mean

# Columns that are worked on at a time: cdist copies them in float64.
WIDTH = 4096


def member_cost(start: Ensemble, end: Ensemble) -> Estimate:
    r"""Cost of the plan that the dynamics itself made, ⟨|θ(T) − θ(0)|²⟩.

    Args:
        start: members at the start.
        end: the same members at the end.

    Returns:
        An upper bound on 𝒲₂, unbiased for this plan.

    Raises:
        ValueError: if a number is not finite, the shapes differ, or there are fewer than two members.

    Note:
        Erratum of §2.2: this is not Tβ⁻¹R for a noisy ensemble; in equilibrium R = 0 and the cost tends to 2TrΣ.
    """
    _check(start, end)
    costs = np.zeros(len(start))
    for first in range(0, start.shape[1], WIDTH):
        steps = np.subtract(end[:, first : first + WIDTH], start[:, first : first + WIDTH], dtype=float)
        costs += np.einsum("ij,ij->i", steps, steps)
    return from_mean("cost of the members' own moves", costs, "upper")


def assignment_cost(start: Ensemble, end: Ensemble, *, members: int = 256) -> Estimate:
    r"""Cost of the optimal assignment between the members at the two times.

    By duality its expectation is at least 𝒲₂ of the laws; for two samples of one law N(0, 1) in P dimensions it tends
    to 2P instead of 0 as P grows.

    Args:
        start: members at the start.
        end: members at the end.
        members: use at most this many, the first ones.

    Returns:
        An upper bound on 𝒲₂ in expectation, with the spread of the pairs' costs as error.

    Raises:
        ValueError: if a number is not finite, the shapes differ, or there are fewer than two members.
    """
    _check(start, end)
    check_integer("members", members, minimum=2)
    costs = pair_costs(start[:members], end[:members])
    return from_mean("assignment", costs[linear_sum_assignment(costs)], "upper")


# Sinkhorn's iteration has long settled.
MOST_ITERATIONS = 1_000_000


def sinkhorn_cost(
    start: Ensemble, end: Ensemble, *, temperature: float = 0.05, iterations: int = 200, members: int = 256
) -> Estimate:
    r"""Cost of an entropic plan between the members at the two times, rounded to a plan with the right marginals.

    .. math:: \pi_{ij} \propto e^{(f_i + g_j - c_{ij})/\varepsilon}

    Sinkhorn's iteration, then the rounding of Altschuler, Weed & Rigollet (2017): after any number of
    iterations the result is a plan, so that its cost without the entropy is above the least.

    Args:
        start: members at the start.
        end: members at the end.
        temperature: ε in units of the mean cost.
        iterations: of Sinkhorn.
        members: use at most this many, the first ones.

    Returns:
        An upper bound on 𝒲₂ in expectation.

    Raises:
        ValueError: if a number is not finite, the shapes differ, ε is not positive, or there are too few members.
    """
    _check(start, end)
    check_positive("temperature", temperature)
    check_integer("iterations", iterations, minimum=1)
    if iterations > MOST_ITERATIONS:
        raise ValueError(f"`iterations` must be at most {MOST_ITERATIONS}; iterations = {iterations}.")
    check_integer("members", members, minimum=2)
    costs = pair_costs(start[:members], end[:members])
    n = len(costs)
    scaled = costs / (temperature * max(costs.mean(), np.finfo(float).tiny))
    f = g = np.zeros(n)
    for _ in range(iterations):
        f = -np.asarray(logsumexp(g - scaled, axis=1)) - np.log(n)
        g = -np.asarray(logsumexp(f[:, None] - scaled, axis=0)) - np.log(n)
    plan = np.exp(f[:, None] + g - scaled)
    plan *= np.minimum(1.0 / n / plan.sum(axis=1), 1.0)[:, None]
    plan *= np.minimum(1.0 / n / plan.sum(axis=0), 1.0)
    rows, columns = np.maximum(1.0 / n - plan.sum(axis=1), 0.0), np.maximum(1.0 / n - plan.sum(axis=0), 0.0)
    if rows.sum() > 0:
        plan += np.outer(rows, columns) / rows.sum()
    return from_mean("Sinkhorn plan", n * np.sum(plan * costs, axis=1), "upper")


def pair_costs(start: Ensemble, end: Ensemble) -> Float[np.ndarray, "members members"]:
    """Squared distances |θ_i(0) − θ_j(T)|² from differences, not from dot products, which lose digits.

    Args:
        start: members at the start.
        end: members at the end.

    Returns:
        A row for each member at the start.
    """
    costs = np.zeros((len(start), len(end)))
    for first in range(0, start.shape[1], WIDTH):
        costs += cdist(start[:, first : first + WIDTH], end[:, first : first + WIDTH], "sqeuclidean")
    return costs


def _check(start: np.ndarray, end: np.ndarray) -> None:
    check_ensemble("start", start, 2)
    check_shape("end", end, start.shape)
    check_ensemble("end", end, 2)
