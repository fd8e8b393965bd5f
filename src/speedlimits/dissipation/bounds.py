r"""Bounds on the dissipation of a noisy ensemble: energies are means over members, entropy is bounded.

Langevin dynamics, Eq. (1) with η = 1, from a start of known entropy S₀:
:math:`\beta^{-1}R = \langle V\rangle_0 - \langle V\rangle_T + \beta^{-1}(S_T - S_0)`, where only S_T is not a mean
over members. An upper bound needs S_T from above. Row i of an ensemble is one member.
"""

import math
from dataclasses import replace
from typing import Literal

import numpy as np
from scipy.spatial import KDTree
from scipy.special import digamma, gammaln

from speedlimits._checks import check_finite, check_integer, check_one_of, check_positive, check_shape
from speedlimits._shapes import Ensemble, Members
from speedlimits.estimates import Estimate, averaged, check_ensemble, check_members, from_jackknife, from_mean

Structure = Literal["full", "diagonal", "isotropic"]

FEWEST = 8
# Columns that are worked on in float64 at a time.
WIDTH = 4096


def initial_loss(losses_start: Members, *, infimum: float = 0.0) -> Estimate:
    r"""The loss at the start, an upper bound at every time that needs no entropy, from Eq. (21).

    .. math:: \beta^{-1}R_T \le \beta^{-1}R_\infty = \langle L\rangle_0 + \beta^{-1}\ln\langle e^{-\beta L}\rangle_0
              \le \langle L\rangle_0 - \inf L

    It holds where the start is in equilibrium with the potential without the loss, e^{−β(V−L)}/𝒵₀.

    Args:
        losses_start: L(θ(0)) of each member [loss].
        infimum: a number below which L never falls [loss]; zero for squares.

    Returns:
        An upper bound on β⁻¹R [loss].

    Raises:
        ValueError: if a number is not finite, a loss is below the infimum, or there are fewer than two members.
    """
    check_shape("losses_start", losses_start, (None,))
    check_members("losses_start", losses_start, 2)
    check_finite("losses_start", losses_start)
    check_finite("infimum", infimum)
    if np.min(losses_start, initial=math.inf) < infimum:
        raise ValueError(f"`infimum` must be at most every loss; infimum = {infimum}, loss {np.min(losses_start)}.")
    return from_mean("initial loss", losses_start - infimum, "upper")


def maximum_entropy(
    potentials_start: Members,
    potentials_end: Members,
    end: Ensemble,
    *,
    entropy_start: float,
    inverse_temperature: float,
    structure: Structure = "diagonal",
) -> Estimate:
    r"""Energy spent, and the largest entropy that the variances at the end allow, that of a Gaussian.

    .. math:: S_T \le \tfrac12\ln\det(2\pi e\,\Sigma_T) \le \tfrac12\sum_i\ln(2\pi e\,\Sigma_{T,ii})
              \le \tfrac P2\ln(2\pi e\,\mathrm{Tr}\,\Sigma_T/P)

    Logarithms of sample variances are too small on average, which no upper bound may be. The jackknife removes this
    bias, and gives the error of energy and entropy together.

    Args:
        potentials_start: V(θ(0)) of each member, in the potential of the dynamics [loss].
        potentials_end: V(θ(T)) of the same members [loss].
        end: the members at the end.
        entropy_start: S₀ of the start's law, in units of k_B.
        inverse_temperature: β [1/loss].
        structure: which of the three forms; ``"full"`` takes three members for each dimension.

    Returns:
        An upper bound on β⁻¹R [loss].

    Raises:
        ValueError: if a number is not finite, β is not positive and finite, shapes differ, members are too few, or a
            weight does not vary among them.
    """
    check_one_of("structure", structure, ("full", "diagonal", "isotropic"))
    energies = _energies(potentials_start, potentials_end, end, entropy_start, inverse_temperature)
    if structure == "full":
        check_members("end", end, 3 * end.shape[1])
    entropy, left_out = {"full": _full, "diagonal": _diagonal, "isotropic": _isotropic}[structure](end)
    if not math.isfinite(entropy):
        raise ValueError("`end` must vary in every direction; the entropy of the Gaussian with its variances is -inf.")
    n = energies.size
    whole = energies.mean() + entropy / inverse_temperature
    without = (energies.sum() - energies) / (n - 1) + left_out / inverse_temperature
    return from_jackknife(f"maximum entropy ({structure})", whole, without, "upper")


def cross_entropy(
    potentials_start: Members,
    potentials_end: Members,
    end: Ensemble,
    *,
    entropy_start: float,
    inverse_temperature: float,
    structure: Structure = "diagonal",
) -> Estimate:
    r"""Energy spent, and the surprise of the end under a Gaussian that was fitted to other members.

    .. math:: S_T \le -\langle\ln q(\theta_T)\rangle \quad\text{for every density } q \text{ (Gibbs)}

    q is fitted on one half of the members, and what is left is a plain mean over the other half, which has a proved
    limit; then the halves swap. `maximum_entropy` is the tightest of these bounds, and has the smaller error.

    Args:
        potentials_start: V(θ(0)) of each member, in the potential of the dynamics [loss].
        potentials_end: V(θ(T)) of the same members [loss].
        end: the members at the end.
        entropy_start: S₀ of the start's law, in units of k_B.
        inverse_temperature: β [1/loss].
        structure: of q's covariance: general, diagonal or a multiple of 1; ``"full"`` takes three members in each half
            for each dimension.

    Returns:
        An upper bound on β⁻¹R [loss].

    Raises:
        ValueError: if a number is not finite, β is not positive and finite, shapes differ, members are too few, or a
            weight does not vary among them.
    """
    check_one_of("structure", structure, ("full", "diagonal", "isotropic"))
    energies = _energies(potentials_start, potentials_end, end, entropy_start, inverse_temperature)
    if structure == "full":
        check_members("end", end, 6 * end.shape[1])
    middle = energies.size // 2
    halves = (slice(0, middle), slice(middle, None))
    parts = [
        energies[held] + _surprises(end[fitted], end[held], structure) / inverse_temperature
        for fitted, held in (halves, halves[::-1])
    ]
    return averaged(f"cross entropy ({structure})", [from_mean("", part, "upper") for part in parts])


def _surprises(fitted: np.ndarray, held: np.ndarray, structure: Structure) -> np.ndarray:
    """−ln q of each held-out member, for the Gaussian q of the others."""
    dims = fitted.shape[1]
    mean = fitted.mean(axis=0, dtype=float)
    if structure == "full":
        covariance = np.atleast_2d(np.cov(fitted, rowvar=False))
        sign, volume = np.linalg.slogdet(covariance)
        away = held - mean
        squares = np.einsum("ij,ji->i", away, np.linalg.solve(covariance, away.T)) if sign > 0 else np.zeros(len(held))
        volume = volume if sign > 0 else -math.inf
    else:
        slices = [slice(first, first + WIDTH) for first in range(0, dims, WIDTH)]
        variances = np.concatenate([fitted[:, columns].var(axis=0, ddof=1, dtype=float) for columns in slices])
        if structure == "isotropic":
            variances = np.full(dims, variances.mean())
        with np.errstate(divide="ignore", invalid="ignore"):
            volume = float(np.log(variances).sum())
            away = ((held[:, columns] - mean[columns]) ** 2 / variances[columns] for columns in slices)
            squares = np.sum([part.sum(axis=1) for part in away], axis=0)
    if not math.isfinite(volume):
        raise ValueError("`end` must vary in every direction; the entropy of the Gaussian with its variances is -inf.")
    return 0.5 * (dims * math.log(2 * math.pi) + volume + squares)


def energy_entropy(
    potentials_start: Members,
    potentials_end: Members,
    end: Ensemble,
    *,
    entropy_start: float,
    inverse_temperature: float,
    neighbour: int = 4,
) -> Estimate:
    r"""Energy spent, and the entropy of the end estimated from nearest neighbours, for few dimensions.

    .. math:: S_T \approx \psi(n) - \psi(k) + \ln V_d + d\,\langle\ln r_k\rangle

    with the distance r_k of each member to its k-th neighbour and the volume V_d of the unit ball: the estimator of
    Kozachenko and Leonenko (1987). Its bias, n^{−2/d} and worse, may have either sign.

    Args:
        potentials_start: V(θ(0)) of each member, in the potential of the dynamics [loss].
        potentials_end: V(θ(T)) of the same members [loss].
        end: the members at the end.
        entropy_start: S₀ of the start's law, in units of k_B.
        inverse_temperature: β [1/loss].
        neighbour: k.

    Returns:
        β⁻¹R [loss], of unknown side.

    Raises:
        ValueError: if a number is not finite, β is not positive and finite, shapes differ, or members are too few.
    """
    energies = _energies(potentials_start, potentials_end, end, entropy_start, inverse_temperature)
    check_integer("neighbour", neighbour, minimum=1)
    check_members("end", end, neighbour + 1)
    members, dims = end.shape
    distances = KDTree(end).query(end, k=neighbour + 1)[0][:, -1]
    ball = 0.5 * dims * math.log(math.pi) - gammaln(0.5 * dims + 1)
    surprises = digamma(members) - digamma(neighbour) + ball + dims * np.log(distances)
    return from_mean("energy and nearest neighbours", energies + surprises / inverse_temperature, "unsigned")


def distance_over_time(w2_squared: Estimate, time: float) -> Estimate:
    r"""The least that any process dissipates to move this far in this time, Eq. (26) solved for R.

    .. math:: \beta^{-1}R \ge \mathcal W_2/T

    Args:
        w2_squared: 𝒲₂ from below.
        time: T [time].

    Returns:
        A lower bound on β⁻¹R [loss]; of no use for a speed limit, which would become T ≥ T.

    Raises:
        ValueError: if the distance is no lower bound or the time not positive and finite.
    """
    check_positive("time", time)
    if not w2_squared.bounds_from("lower"):
        raise ValueError(f"`w2_squared` must bound from below; {w2_squared.name} is {w2_squared.side}.")
    return replace(w2_squared.times(1.0 / time, f"{w2_squared.name}/T"), side="lower")


def _energies(start: np.ndarray, end: np.ndarray, ensemble: np.ndarray, entropy: float, beta: float) -> np.ndarray:
    """V₀ − V_T − β⁻¹S₀ of each member."""
    check_shape("potentials_start", start, (None,))
    check_shape("potentials_end", end, start.shape)
    check_shape("end", ensemble, (start.size, None))
    for name, values in (("potentials_start", start), ("potentials_end", end), ("entropy_start", entropy)):
        check_finite(name, values)
    check_ensemble("end", ensemble, FEWEST)
    check_positive("inverse_temperature", beta)
    return start - end - entropy / beta


def _full(ensemble: np.ndarray) -> tuple[float, np.ndarray]:
    n, dims = ensemble.shape
    centred = np.asarray(ensemble - ensemble.mean(axis=0, dtype=float), dtype=float)
    scatter = centred.T @ centred
    sign, log_determinant = np.linalg.slogdet(scatter)
    if sign <= 0:
        return -math.inf, np.zeros(n)
    # Leaving i out takes n/(n−1) cᵢcᵢᵀ from the scatter: the determinant lemma.
    leverage = np.einsum("ij,ji->i", centred, np.linalg.solve(scatter, centred.T))
    without = log_determinant + np.log1p(-n / (n - 1) * leverage)
    constant = 0.5 * dims * math.log(2 * math.pi * math.e)
    # Wishart's E ln det, exact for Gaussian members, removes most of the bias before the jackknife.
    return (
        constant + 0.5 * (log_determinant - _wishart(n - 1, dims)),
        constant + 0.5 * (without - _wishart(n - 2, dims)),
    )


def _wishart(degrees: int, dims: int) -> float:
    """⟨ln det⟩ of a scatter matrix of unit Gaussians."""
    return float(np.sum(digamma(0.5 * (degrees - np.arange(dims)))) + dims * math.log(2))


def _diagonal(ensemble: np.ndarray) -> tuple[float, np.ndarray]:
    n, dims = ensemble.shape
    whole, without = 0.0, np.zeros(n)
    with np.errstate(divide="ignore"):
        for first in range(0, dims, WIDTH):
            squares = _squares(ensemble[:, first : first + WIDTH])
            sums = squares.sum(axis=0)
            whole += float(np.sum(np.log(sums / (n - 1))))
            without += np.sum(np.log(np.maximum(sums - n / (n - 1) * squares, 0.0) / (n - 2)), axis=1)
    constant = 0.5 * dims * math.log(2 * math.pi * math.e)
    return constant + 0.5 * whole, constant + 0.5 * without


def _isotropic(ensemble: np.ndarray) -> tuple[float, np.ndarray]:
    n, dims = ensemble.shape
    squares = np.zeros(n)
    for first in range(0, dims, WIDTH):
        squares += _squares(ensemble[:, first : first + WIDTH]).sum(axis=1)
    with np.errstate(divide="ignore"):
        whole = math.log(squares.sum() / (n - 1)) if squares.any() else -math.inf
        without = np.log(np.maximum(squares.sum() - n / (n - 1) * squares, 0.0) / (n - 2))
    constant = math.log(2 * math.pi * math.e / dims)
    return 0.5 * dims * (constant + whole), 0.5 * dims * (constant + without)


def _squares(columns: np.ndarray) -> np.ndarray:
    values = np.asarray(columns, dtype=float)
    return (values - values.mean(axis=0)) ** 2
