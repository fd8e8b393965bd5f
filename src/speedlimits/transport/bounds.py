r"""Lower bounds on the squared Wasserstein-2 distance of two laws known by samples, in any number of dimensions.

Each holds for laws of ANY shape, in expectation and at its confidence limit. Directions and maps are fitted on some
members and evaluated on others; quadratic terms are corrected for their bias. Row i of ``start`` and row i of ``end``
are one member at two times; independent ensembles of equal size work as well.

Ensembles are read in slices, in whatever precision they are stored: 1,000 members of 100,000 weights in float32 are
0.8 GB, and nothing of that size is added.
"""

import math
from collections.abc import Callable, Sequence

import numpy as np

from speedlimits._checks import check_integer
from speedlimits._shapes import Ensemble
from speedlimits.estimates import Estimate, averaged, from_jackknife, from_mean
from speedlimits.transport._ensembles import (
    SLICE,
    check_pair,
    halves,
    mean_shift_squared,
    projected,
    split,
    total_variance,
)
from speedlimits.transport.directions import Directions, HeldOut, check_directions, held_out
from speedlimits.transport.maps import LinearMap, MonotoneMap, fastest_map


def mean_shift(start: Ensemble, end: Ensemble) -> Estimate:
    r"""Squared distance between the means, without the bias of the plain difference.

    .. math:: \mathcal W_2 \ge |m_T - m_0|^2, \qquad
              \widehat{|\Delta m|^2} = \frac1{n(n-1)}\sum_{i\ne j}d_i\cdot d_j, \quad d_i = \theta_i(T)-\theta_i(0)

    Args:
        start: members at the start.
        end: the same members at the end.

    Returns:
        A lower bound on 𝒲₂, unbiased for |Δm|²: around zero, of either sign, when the laws are equal. The plain
        |Δm̂|² is too large by Tr Cov(d)/n.

    Raises:
        ValueError: if a number is not finite, the shapes differ, or there are fewer than 8 members.
    """
    check_pair(start, end)
    return from_jackknife("mean shift", *mean_shift_squared(start, end), "lower")


def trace_bound(start: Ensemble, end: Ensemble, *, blocks: Sequence[int] | None = None) -> Estimate:
    r"""Mean shift and the change of total variance, block by block: the trace-only Gelbrich bound.

    .. math:: \mathcal W_2 \ge |\Delta m|^2 + \sum_b\bigl(\sqrt{\mathrm{Tr}\,\Sigma_{T,b}}
              - \sqrt{\mathrm{Tr}\,\Sigma_{0,b}}\bigr)^2

    One block gives the coarsest bound and the smallest error. Blocks may be layers or single weights.

    Args:
        start: members at the start.
        end: the same members at the end.
        blocks: numbers of consecutive weights in each block, of sum dims; by default a single block.

    Returns:
        A lower bound on 𝒲₂, its bias of order 1/n removed.

    Raises:
        ValueError: if a number is not finite, the shapes differ, there are fewer than 8 members, or the blocks do not
            add up to the dimensions.
    """
    check_pair(start, end)
    dims = start.shape[1]
    sizes = [dims] if blocks is None else list(blocks)
    if min(sizes, default=0) < 1 or sum(sizes) != dims:
        raise ValueError(f"`blocks` must be positive and of sum {dims}; sum(blocks) = {sum(sizes)}.")
    whole, left_out = mean_shift_squared(start, end)
    first = 0
    for size in sizes:
        traces, without = zip(
            *(total_variance(ensemble, first, first + size) for ensemble in (start, end)), strict=True
        )
        whole += (math.sqrt(traces[1]) - math.sqrt(traces[0])) ** 2
        left_out += (np.sqrt(without[1]) - np.sqrt(without[0])) ** 2
        first += size
    name = "traces" if len(sizes) == 1 else f"traces of {len(sizes)} blocks"
    return from_jackknife(name, whole, left_out, "lower")


def gelbrich(start: Ensemble, end: Ensemble, *, rank: int = 16, directions: HeldOut | None = None) -> Estimate:
    r"""Gelbrich's bound, the Gaussian distance of the first two moments, by a dual certificate on held-out members.

    .. math:: \mathcal W_2 \ge 2a\cdot(m_T - m_0) - |a|^2
              + \bigl\langle x^{\mathsf T}(1-A)x\bigr\rangle_0 + \bigl\langle y^{\mathsf T}(1-A^{-1})y\bigr\rangle_T

    holds for every positive A and every shift a, with x and y measured from any two points a apart; Gelbrich's bound is
    the maximum. A, a and the points are fitted on one half of the members, and the right-hand side is a plain mean over
    the other; then the halves swap. Sample covariances put into the formula would exceed the distance, by far where
    weights outnumber members.

    Args:
        start: members at the start.
        end: the same members at the end.
        rank: dimensions of the subspace in which A is general; outside A is a multiple of 1. With ``rank`` at or
            above the number of dimensions A is general everywhere. The subspace, where the second moments change
            most, is itself found on members that A is not fitted on.
        directions: those of `changed_directions` for these members, if they are known: ``rank`` of them or more.

    Returns:
        A lower bound on 𝒲₂.

    Raises:
        ValueError: if a number is not finite, the shapes differ, there are fewer than 8 members, rank is below 1, or
            the directions are not orthonormal.
    """
    check_pair(start, end)
    check_integer("rank", rank, minimum=1)
    dims, parts = start.shape[1], []
    bases = held_out(start, end, rank, directions) if rank < dims else (np.eye(dims), np.eye(dims))
    for basis, (fitted, held) in zip(bases, halves(len(start)), strict=True):
        # The directions were found on the other members of this half.
        carried = _fit(start, end, split(fitted)[1] if rank < dims else fitted, basis)
        centre, shift = start[fitted].mean(axis=0, dtype=float), _shift(start[fitted], end[fitted])
        gains = _gains(start[held], centre, carried.start_gain, -2.0 * shift)
        gains += _gains(end[held], centre + shift, carried.end_gain, 2.0 * shift)
        parts.append(from_mean("", gains - shift @ shift, "lower"))
    name = "Gelbrich" if rank >= dims else f"Gelbrich, rank {rank}"
    return averaged(name, parts)


def projections(start: Ensemble, end: Ensemble, directions: Directions) -> Estimate:
    r"""The sum of the distances of the laws' projections on orthonormal directions.

    .. math:: \mathcal W_2(p_0, p_T) \ge \sum_k \mathcal W_2(u_k\cdot p_0,\, u_k\cdot p_T)

    Each term is bounded from below by the increasing map between the projections of one half of the members,
    evaluated on the other half, and the other way round.

    Args:
        start: members at the start.
        end: the same members at the end.
        directions: u_k, orthonormal columns, chosen without looking at these members.

    Returns:
        A lower bound on 𝒲₂.

    Raises:
        ValueError: if a number is not finite, the shapes differ, there are fewer than 8 members, or the directions
            are not orthonormal.
    """
    check_pair(start, end)
    check_directions(directions, start.shape[1])
    along = projected(start, directions), projected(end, directions)
    parts = [from_mean("", _line_gains(*along, *half).sum(axis=1), "lower") for half in halves(len(start))]
    return averaged(f"{directions.shape[1]} projections", parts)


def sliced(start: Ensemble, end: Ensemble, *, slices: int = 64, generator: np.random.Generator) -> Estimate:
    r"""The sliced distance, the mean over all directions, times the number of dimensions.

    .. math:: \mathcal W_2(p_0, p_T) \ge d\,\bigl\langle \mathcal W_2(u\cdot p_0,\, u\cdot p_T)\bigr\rangle_u

    Args:
        start: members at the start.
        end: the same members at the end.
        slices: random directions, orthonormal among themselves; at most the number of dimensions are used.
        generator: draws them.

    Returns:
        A lower bound on 𝒲₂; its error includes the choice of directions and of members.

    Raises:
        ValueError: if a number is not finite, the shapes differ, there are fewer than 8 members, or slices < 2.
    """
    check_pair(start, end)
    check_integer("slices", slices, minimum=2)
    dims = start.shape[1]
    count = min(slices, dims)
    directions, _ = np.linalg.qr(generator.standard_normal((dims, count)))
    along = projected(start, directions), projected(end, directions)
    parts = []
    for half in halves(len(start)):
        gains = dims * _line_gains(*along, *half)
        by_member = from_mean("", gains.mean(axis=1), "lower")
        if count == dims:
            # With a whole basis the choice of directions adds no error.
            parts.append(by_member)
            continue
        by_direction = from_mean("", gains.mean(axis=0), "lower")
        parts.append(
            Estimate(
                name="",
                value=by_member.value,
                standard_error=math.hypot(by_member.standard_error, by_direction.standard_error),
                side="lower",
                degrees_of_freedom=min(by_member.degrees_of_freedom, by_direction.degrees_of_freedom),
            )
        )
    return averaged(f"{count} slices", parts)


def max_sliced(start: Ensemble, end: Ensemble, *, count: int = 1, directions: HeldOut | None = None) -> Estimate:
    r"""The distance along the direction in which the laws differ most; the direction is found on other members.

    .. math:: \mathcal W_2(p_0, p_T) \ge \max_u \mathcal W_2(u\cdot p_0,\, u\cdot p_T)

    Args:
        start: members at the start.
        end: the same members at the end.
        count: orthonormal directions, those in which the second moments change most; their distances add up.
        directions: those of `changed_directions` for these members, if they are known: ``count`` of them or more.

    Returns:
        A lower bound on 𝒲₂.

    Raises:
        ValueError: if a number is not finite, the shapes differ, there are fewer than 8 members, count < 1, or the
            directions are not orthonormal.
    """
    check_pair(start, end)
    check_integer("count", count, minimum=1)
    parts = []
    bases = held_out(start, end, count, directions)
    for basis, (fitted, held) in zip(bases, halves(len(start)), strict=True):
        along = projected(start, basis), projected(end, basis)
        gains = _line_gains(*along, split(fitted)[1], held)
        parts.append(from_mean("", gains.sum(axis=1), "lower"))
    return averaged("max-sliced" if count == 1 else f"{count} held-out directions", parts)


def _shift(start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """The mean shift, shortened until its square is the unbiased one: of noise alone nothing is left."""
    shift = end.mean(axis=0, dtype=float) - start.mean(axis=0, dtype=float)
    square, unbiased = float(shift @ shift), mean_shift_squared(start, end)[0]
    return shift * (max(unbiased, 0.0) / square) if square > 0 else shift


def _gains(
    ensemble: np.ndarray, centre: np.ndarray, gain: Callable[[np.ndarray], np.ndarray], slope: np.ndarray
) -> np.ndarray:
    """The gain of each member under a map of weights measured from a centre, and along a slope."""
    height = max(1, SLICE // ensemble.shape[1])
    slices = (ensemble[row : row + height] - centre for row in range(0, len(ensemble), height))
    return np.concatenate([gain(centred) + centred @ slope for centred in slices]) + centre @ slope


def _line_gains(start: np.ndarray, end: np.ndarray, fitted: slice, held: slice) -> np.ndarray:
    """The gain of each held-out member along each direction."""
    gains = np.empty((len(start[held]), start.shape[1]))
    for k, (x, y) in enumerate(zip(start.T, end.T, strict=True)):
        # A common origin near both samples keeps the digits of the squares.
        origin = x[fitted].mean()
        carried = MonotoneMap.between(x[fitted] - origin, y[fitted] - origin)
        gains[:, k] = carried.start_gain(x[held] - origin) + carried.end_gain(y[held] - origin)
    return gains


def _fit(start: np.ndarray, end: np.ndarray, fitted: slice, basis: np.ndarray) -> LinearMap:
    """The fastest linear map between the laws of these members, general in a subspace that is found on others."""
    dims = start.shape[1]
    inside, outside = [], []
    for ensemble in (start[fitted], end[fitted]):
        along = projected(ensemble, basis)
        covariance = np.atleast_2d(np.cov(along, rowvar=False))
        total = total_variance(ensemble, 0, dims)[0]
        rest = max(total - np.trace(covariance), 0.0)
        # A small multiple of 1 keeps A finite where members are fewer than directions; every A is valid.
        inside.append(covariance + (total / dims) * len(covariance) / len(along) * np.eye(len(covariance)))
        outside.append(rest)
    scale = math.sqrt(outside[1] / outside[0]) if min(outside) > 0 else 1.0
    return LinearMap(basis, fastest_map(*inside), scale)
