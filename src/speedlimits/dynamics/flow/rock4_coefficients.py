r"""The numbers of `rock4`, from its conditions: four orders, a long stability interval, and damping on it.

The stability polynomial is :math:`R_s(z) = w(z)\,P_{s-4}(z)`, where P is orthogonal with weight w²/√(1 − x²) on the
interval −l ≤ z ≤ 0, x = 1 + 2z/l: such a product oscillates between almost constant bounds. w is a quartic. Its four
coefficients and l follow from the four orders and one bound.

Source of the construction: Abdulle, "Fourth order Chebyshev methods with recurrence relation", SIAM J. Sci. Comput. 23
(2002) 2041–2054. The numbers are computed here, none is taken from there.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import polynomial

# |R_s| on the stability interval but next to zero. The classical 0.95 gains 3 % in length; this rids a step of what it
# leaves of a fast mode, which weighs λ times more in the loss than in the distance.
DAMPED = 0.8
FEWEST = 6
# Near its limit for many stages: w_1…w_4 and l/s².
GUESS = np.array([0.665, 0.227, 0.0525, 0.00928, 0.343])
# Taylor coefficients of e^z.
EXPONENTIAL = np.array([1, 1, 1 / 2, 1 / 6, 1 / 24])
# The classical method of order 4, row by row: a_21; a_31, a_32; a_41, a_42, a_43; b. The finishing step is close to it.
CLASSICAL = np.array([1 / 2, 0, 1 / 2, 0, 0, 1, 1 / 6, 1 / 3, 1 / 3, 1 / 6])
# What B-series of the exact flow have on the eight rooted trees of up to four nodes, in the order of `graft`.
FLOW = 1 / np.array([1, 2, 3, 6, 4, 8, 12, 24])
NEWTON = 50


@dataclass(frozen=True)
class Coefficients:
    """One method's numbers.

    Args:
        length: l, of the stability interval.
        stages: (μ, ν, κ) of Y_j = μ h f(Y_{j−1}) + ν Y_{j−1} + κ Y_{j−2} for j = 1…s−4.
        finish: rows of a, then b: each gives a stage, the last y_{n+1}, as Y_{s−4} + h Σ a_i f_i.
        error: d, five: h Σ d_i f_i is the error of an embedded method of order 3.
    """

    length: float
    stages: tuple[tuple[float, float, float], ...]
    finish: tuple[tuple[float, ...], ...]
    error: tuple[float, ...]


@lru_cache(maxsize=1024)
def coefficients(stages: int) -> Coefficients:
    """Solve the conditions.

    Args:
        stages: s, at least `FEWEST`.

    Returns:
        The coefficients.
    """
    unknowns = _newton(lambda unknowns: _polynomial_conditions(unknowns, stages), GUESS)
    rows, _, _ = _recurrence(unknowns, stages)
    begin = _series(rows)
    # w_1 is the share of the step that P leaves to the finish.
    entries = _newton(lambda entries: _finished(begin, entries)[-1] - FLOW[:, None], unknowns[0] * CLASSICAL)
    forces = np.array([graft(series) for series in _finished(begin, entries)])
    # Four trees of up to three nodes, five forces: one combination is left, normalised to the term z⁴/24.
    *_, null = np.linalg.svd(forces[:, :4].T)[2]
    error = null / (24 * null @ forces[:, 7])
    return Coefficients(
        float(unknowns[4]) * stages**2,
        tuple((float(mu), float(nu), float(kappa)) for mu, nu, kappa in rows),
        tuple(tuple(map(float, row)) for row in _rows(entries)),
        tuple(map(float, error)),
    )


def graft(series: np.ndarray) -> np.ndarray:
    """The B-series of h·f(Y) from that of Y: a new root under products of trees.

    Args:
        series: of Y, on the trees τ, [τ], [τ,τ], [[τ]], [τ,τ,τ], [τ,[τ]], [[τ,τ]], [[[τ]]].

    Returns:
        That of h·f(Y), on the same trees.
    """
    t, tt, broad, tall = series[:4]
    return np.array([np.ones_like(t), t, t * t, tt, t**3, t * tt, broad, tall])


def _newton(conditions: Callable[[np.ndarray], np.ndarray], guess: np.ndarray) -> np.ndarray:
    """A root of analytic conditions close to the guess; derivatives by complex steps are exact."""
    unknowns = guess
    columns = np.eye(guess.size)
    for _ in range(NEWTON):
        found = conditions(unknowns[:, None] + 1e-30j * columns)
        change = np.linalg.lstsq(np.imag(found) / 1e-30, np.real(found)[:, 0], rcond=None)[0]
        unknowns = unknowns - change
        if np.abs(change).max() <= 1e-13:
            break
    return unknowns


def _polynomial_conditions(unknowns: np.ndarray, stages: int) -> np.ndarray:
    """Four orders of R_s = w·P_{s−4}, and the logarithm of its amplitude over `DAMPED`."""
    _, taylor, amplitude = _recurrence(unknowns, stages)
    weight = [np.ones_like(unknowns[0]), *unknowns[:4]]
    orders = [sum(weight[i] * taylor[j - i] for i in range(j + 1)) - EXPONENTIAL[j] for j in range(1, 5)]
    return np.array([*orders, np.log(amplitude / DAMPED)])


def _recurrence(unknowns: np.ndarray, stages: int) -> tuple[list, np.ndarray, np.ndarray]:
    """The orthogonal polynomials with P_j(0) = 1, by Stieltjes' procedure on Gauss–Chebyshev nodes, exact here.

    Any further axis of the unknowns is carried along.
    """
    weight, length = np.array([np.ones_like(unknowns[0]), *unknowns[:4]]), unknowns[4] * stages**2
    count = stages + 4
    x = np.cos((np.arange(count) + 0.5) * np.pi / count)
    z = np.multiply.outer(length, (x - 1) / 2)
    measure = polynomial.polyval(z, weight[..., None], tensor=False) ** 2 / count
    previous, current = np.zeros_like(z), np.ones_like(z)
    before, taylor = (np.zeros((5, *length.shape), dtype=z.dtype) for _ in range(2))
    taylor[0] = 1.0
    norm, rows = None, []
    for _ in range(stages - 4):
        weighted = measure * current
        square = (weighted * current).sum(-1)
        shift = (weighted * current * z).sum(-1) / square
        back = 0 * shift if norm is None else (weighted * previous * z).sum(-1) / norm
        scale = -1 / (shift + back)
        mu, nu, kappa = scale, -scale * shift, -scale * back
        following = (mu[..., None] * z + nu[..., None]) * current + kappa[..., None] * previous
        raised = np.concatenate([np.zeros_like(taylor[:1]), taylor[:-1]])
        before, taylor = taylor, mu * raised + nu * taylor + kappa * before
        previous, current, norm = current, following, square
        rows.append((mu, nu, kappa))
    # A sine's mean square is half the square of its amplitude.
    return rows, taylor, np.asarray(np.sqrt(2 * (measure * current**2).sum(-1)))


def _series(rows: list) -> np.ndarray:
    """The B-series of Y_{s−4}."""
    previous, current = np.zeros(8), np.zeros(8)
    for mu, nu, kappa in rows:
        previous, current = current, mu * graft(current) + nu * current + kappa * previous
    return current


def _rows(entries: np.ndarray) -> list[np.ndarray]:
    """The finishing step's a_2, a_3, a_4 and b."""
    return np.split(entries, [1, 3, 6])


def _finished(begin: np.ndarray, entries: np.ndarray) -> list[np.ndarray]:
    """The B-series of the finishing step's four stages and of y_{n+1}."""
    begin = begin.reshape(-1, *[1] * (entries.ndim - 1))
    series, forces = [begin], []
    for row in _rows(entries):
        forces.append(graft(series[-1]))
        series.append(begin + sum(a * force for a, force in zip(row, forces, strict=True)))
    return series
