r"""Power laws fitted to a spectrum and its residual: the two exponents that decide how far from optimal training is.

With eigenvalues :math:`\lambda_k = \Lambda k^{-\alpha}` and modes :math:`\Delta_k^2 = \Delta^2 k^{-\delta}` everything
scales with :math:`a = (1-\delta)/\alpha`, Eqs. (14), (15), (58)–(63). Single modes scatter by their own size, and
tail sums end at the last mode, so a is fitted on band sums inside the window.
"""

from dataclasses import dataclass

import numpy as np

from speedlimits._checks import check_finite, check_integer, check_non_negative, check_shape
from speedlimits._shapes import Modes

Spread = tuple[float, float]

# Values of a that are tried; a parabola through the best three gives the rest.
GRID = np.linspace(-4.0, 4.0, 801)
# Between two borders a has one regime, named as in the paper's §3.2 where it has a name.
BORDERS = (-1.0, 0.0, 1.0)
REGIMES = ("saturated", "non-optimal", "optimal", "straight")


@dataclass(frozen=True)
class PowerLawFit:
    """Exponents of a spectrum and its residual, with the spread of the fit.

    The spread says how far the scatter about the law moves the fit. It is no confidence interval: where the spectrum is
    no power law in the window, the fit is off by more: α of Wishart kernels lies in its spread in 0 to 27 % of draws
    (`benchmarks/intervals.py`).

    Args:
        spectrum_exponent: α.
        residual_exponent: δ = 1 − aα.
        exponent: a = (1 − δ)/α.
        scale: Λ, the eigenvalue that the law gives the first mode [1/time].
        residual_scale: Δ, the residual it gives the first mode [√loss].
        spectrum_spread: of α, lowest and highest.
        residual_spread: of δ.
        exponent_spread: of a.
        window: first and last mode of the fit, counted from 1.
    """

    spectrum_exponent: float
    residual_exponent: float
    exponent: float
    scale: float
    residual_scale: float
    spectrum_spread: Spread
    residual_spread: Spread
    exponent_spread: Spread
    window: tuple[int, int]

    @property
    def regimes(self) -> tuple[str, ...]:
        """The regimes that the spread of a overlaps; a single one where the fit is clear.

        "saturated" (a ≤ −1): T/T_SL ∝ T; "non-optimal" (−1 < a < 0): ∝ T^−a, Eq. (15); "optimal" (0 < a < 1): a
        number of order one, Eq. (14); "straight" (a ≥ 1): → 1.
        """
        first, last = np.searchsorted(BORDERS, self.exponent_spread)
        return REGIMES[int(first) : int(last) + 1]


def fit_power_law(
    eigenvalues: Modes,
    residual: Modes,
    *,
    first: int = 20,
    last: int | None = None,
    resamples: int = 200,
    confidence: float = 0.9,
    generator: np.random.Generator,
) -> PowerLawFit:
    r"""Fit α by ranks and a on band sums, in a window that leaves out the outliers and the cut-off.

    .. math:: \ln\lambda_k = \ln\Lambda - \alpha\ln k, \qquad
              \sum_{k_1<k\le K}\Delta_k^2 = A\,\frac{e^{ax_K}-1}{a}, \quad x_K = \ln\frac{\lambda_{k_1}}{\lambda_K}

    by least squares over all K of the window. The second fit takes the spectrum itself, so that errors of α do not
    enter a. The spread comes from resampling blocks of the scatter about the fit, as long as the root of the window; it
    always holds the fit.

    Args:
        eigenvalues: λ_k, non-negative, in any order [1/time].
        residual: Δ_k in the same order [√loss].
        first: k₁, first mode of the window.
        last: the last; by default half of all modes, or the last eigenvalue above rounding if that comes before.
        resamples: of the bootstrap.
        confidence: the share of the resamples within the spread.
        generator: draws the resamples.

    Returns:
        The fit.

    Raises:
        ValueError: if the lengths differ, an eigenvalue is negative, the residual has nothing in the window, or the
            window has fewer than 8 modes.
    """
    check_shape("residual", residual, eigenvalues.shape)
    check_non_negative("eigenvalues", eigenvalues)
    check_finite("residual", residual)
    check_integer("first", first, minimum=1)
    check_integer("resamples", resamples, minimum=1)
    if not 0 < confidence < 1:
        raise ValueError(f"`confidence` must lie between 0 and 1; confidence = {confidence}.")
    ranks, logs, squares = _window(eigenvalues, residual, first, last)
    (slope,), (intercept,) = _line(np.log(ranks), logs[None])
    bands = _Bands(logs)
    (exponent,), (amplitude,) = bands.fit(squares[None])

    places = _blocks(ranks.size, resamples, generator)
    law = intercept + slope * np.log(ranks)
    slopes, _ = _line(np.log(ranks), law + (logs - law)[places])
    # The law's mode at each eigenvalue, up to a factor; gaps by rank, because degenerate eigenvalues have none.
    expected = np.exp(exponent * (bands.start - logs)) / ranks
    exponents, _ = bands.fit(expected * (squares / expected)[places])
    tails = 0.5 * (1 - confidence), 0.5 * (1 + confidence)

    def spread(values: np.ndarray, found: float) -> Spread:
        low, high = np.quantile(values, tails)
        # Where no one law holds, the resamples may lie around another value; the spread still holds the fit.
        return float(min(low, found)), float(max(high, found))

    return PowerLawFit(
        spectrum_exponent=float(-slope),
        residual_exponent=float(1 + exponent * slope),
        exponent=float(exponent),
        scale=float(np.exp(intercept)),
        residual_scale=float(np.sqrt(-slope * amplitude * np.exp(exponent * (bands.start - intercept)))),
        spectrum_spread=spread(-slopes, -slope),
        residual_spread=spread(1 + exponents * slopes, 1 + exponent * slope),
        exponent_spread=spread(exponents, exponent),
        window=(first, int(ranks[-1])),
    )


def _window(
    eigenvalues: np.ndarray, residual: np.ndarray, first: int, last: int | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Ranks, ln λ_k and Δ_k² of the modes that are fitted."""
    order = np.argsort(eigenvalues)[::-1]
    spectrum, squares = eigenvalues[order], residual[order] ** 2
    # Smaller eigenvalues are rounding errors.
    rounding = 8 * spectrum.size * np.finfo(float).eps * spectrum.max(initial=0.0)
    last = min(spectrum.size // 2 if last is None else last, int(np.sum(spectrum > rounding)))
    if last < first + 7:
        raise ValueError(f"`first` and `last` must leave at least 8 modes between them; they are {first}, {last}.")
    window = slice(first - 1, last)
    if not squares[window].any():
        raise ValueError(f"`residual` must not be zero on all modes {first}…{last}.")
    return np.arange(first, last + 1.0), np.log(spectrum[window]), squares[window]


class _Bands:
    """Band sums from the start of a window, as functions of the eigenvalue they reach down to."""

    def __init__(self, logs: np.ndarray) -> None:
        # Edges halfway between modes: a sum over modes is then the integral between its edges, to second order.
        middles = 0.5 * (logs[1:] + logs[:-1])
        self.edges = np.concatenate([[1.5 * logs[0] - 0.5 * logs[1]], middles, [1.5 * logs[-1] - 0.5 * logs[-2]]])
        self.start = float(self.edges[0])
        self._depths = self.start - self.edges[1:]
        self._shapes = np.array([_integral(a, self._depths) for a in GRID])
        self._norms = (self._shapes**2).sum(axis=1)

    def fit(self, squares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Exponent and amplitude for each row of squared modes."""
        sums = np.cumsum(squares, axis=1)
        # For each a the best A is linear; the best a explains most.
        explained = (sums @ self._shapes.T) ** 2 / self._norms
        best = np.clip(np.argmax(explained, axis=1), 1, GRID.size - 2)
        rows = np.arange(len(squares))
        below, there, above = (explained[rows, best + step] for step in (-1, 0, 1))
        bend = below - 2 * there + above
        shift = np.divide(below - above, 2 * bend, out=np.zeros_like(bend), where=bend < 0)
        exponents = GRID[best] + np.clip(shift, -1, 1) * (GRID[1] - GRID[0])
        shapes = np.array([_integral(a, self._depths) for a in exponents])
        return exponents, (sums * shapes).sum(axis=1) / (shapes**2).sum(axis=1)


def _integral(exponent: float, depths: np.ndarray) -> np.ndarray:
    """∫₀^x e^{as} ds = (e^{ax} − 1)/a."""
    if abs(exponent) < 1e-12:
        return depths
    return np.expm1(exponent * depths) / exponent


def _line(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Slope and intercept of y over x by least squares, for each row of y."""
    centred = x - x.mean()
    slope = y @ centred / (centred @ centred)
    return slope, y.mean(axis=-1) - slope * x.mean()


def _blocks(size: int, resamples: int, generator: np.random.Generator) -> np.ndarray:
    """Rows of indices that put a series together from blocks of itself, to keep the correlation of neighbours."""
    length = int(np.ceil(np.sqrt(size)))
    starts = generator.integers(0, size - length + 1, (resamples, -(-size // length)))
    return (starts[:, :, None] + np.arange(length)).reshape(resamples, -1)[:, :size]
