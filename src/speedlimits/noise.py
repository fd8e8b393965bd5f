r"""What mini-batch noise does to T/T_SL, and what is left of it when the noise is taken out.

A step of stochastic gradient descent is drift and noise, and the noise is new in every step. Seen at strides of m
steps, noise of share σ in Σ|δ|²/η, with s = σ/(1 − σ), changes the ratio of the drift to

.. math:: \frac{T}{T_{SL}}(m) = \frac{T}{T_{SL}}\bigg|_{\text{drift}}\frac{1+s/m}{1+s/N}

for white noise, a constant drift and N steps. The raw number, m = 1, measures the noise.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from speedlimits._checks import check_momentum

Strides = Float[np.ndarray, " strides"]
Grouped = Float[np.ndarray, "groups strides"]

# Noise moves the weights, too. Up to these shares of |Δθ|² it can be taken out of one run.
NUMBER = 0.02
INTERVAL = 0.10
# Chunks of a stride that give its noise an error worth the name.
FEWEST_CHUNKS = 32
# Chords of a path that is seen coarsely.
COARSE = 8
# Of a kernel's weights: what is smaller does not count.
NEGLIGIBLE = 1e-9


@dataclass(frozen=True, eq=False, repr=False)
class StrideCurve:
    r"""The same path seen every 1, 2, 4, … steps; see `speedlimits.recorder.strides.StrideMeter` for the sums.

    Args:
        strides: m [steps].
        chunks: whole chunks of each stride.
        dissipation: D = Σ|Δ|²/τ by groups of numbers [distance²/time].
        noise: V, the part of D that is new in every chunk, by groups; NaN where a stride has one chunk.
        noise_moved: M, the part of |Δθ|² that is new in every chunk, by groups [distance²].
        scatter: for each stride, Σu·u'·½(τ + τ') and the sum of V, by equal stretches of time.
        w2_squared: |Δθ|² by groups.
        time: T [time].
        steps: N.
    """

    strides: Int[np.ndarray, " strides"]
    chunks: Int[np.ndarray, " strides"]
    dissipation: Grouped
    noise: Grouped
    noise_moved: Grouped
    scatter: list[Float[np.ndarray, "_ 2"]]
    w2_squared: Float[np.ndarray, " groups"]
    time: float
    steps: int

    def __repr__(self) -> str:
        return f"StrideCurve({self.strides.size} strides of {self.steps} steps)"

    @property
    def inefficiency(self) -> Strides:
        """T·D/|Δθ|², noise included, for each stride."""
        return self.time * self.dissipation.sum(0) / self.w2_squared.sum()

    @property
    def coarse(self) -> float:
        """T/T_SL of the 8 to 15 longest chords that the strides have: no noise, no oscillation; NaN for fewer steps."""
        enough = np.flatnonzero(self.chunks >= COARSE)
        return float(self.inefficiency[enough[-1]]) if enough.size else math.nan

    @property
    def standard_error(self) -> Strides:
        """What the sketch leaves open in `inefficiency`; zero where the numbers are the weights themselves."""
        return _jackknife(self.time * self.dissipation, self.w2_squared[:, None])

    @property
    def noise_share(self) -> Strides:
        """V/D: above 1 the chunks turn back, as at the edge of stability."""
        # NaN where nothing moved, or moved without bounds.
        with np.errstate(invalid="ignore"):
            return self.noise.sum(0) / self.dissipation.sum(0)


@dataclass(frozen=True, eq=False, repr=False)
class Noise:
    r"""What mini-batches did to the number.

    Args:
        inefficiency: T/T_SL of the drift, T(D − V)/(|Δθ|² − M); NaN where one run cannot tell.
        standard_error: of it, from the scatter in time and of the sketch.
        interval: two errors and the noise of |Δθ|² to both sides.
        share: of noise in Σ|δ|²/η; above 1 the steps turn back.
        moved_by_noise: share of |Δθ|² that noise moved.
        identifiable: "number" up to 2 % moved by noise, "interval" up to 10 %, else "no".
        reason: why there is no number, and what would give one; otherwise empty.
        curve: all strides.
    """

    inefficiency: float
    standard_error: float
    interval: tuple[float, float]
    share: float
    moved_by_noise: float
    identifiable: Literal["number", "interval", "no"]
    reason: str
    curve: StrideCurve

    def __str__(self) -> str:
        if self.identifiable == "no":
            return f"T/T_SL of the drift is not known: {self.reason}."
        if self.identifiable == "interval":
            return f"T/T_SL of the drift is {self.interval[0]:.3g} to {self.interval[1]:.3g}; {self._noise()}."
        return f"T/T_SL of the drift is {self.inefficiency:.3g} ± {self.standard_error:.2g}; {self._noise()}."

    def __repr__(self) -> str:
        return f"Noise({self})"

    def _noise(self) -> str:
        return f"noise is {self.share:.0%} of the dissipation and moved {self.moved_by_noise:.1%} of |Δθ|²"


def drift(curve: StrideCurve, momentum: float = 0.0, *, nesterov: bool = False) -> Noise:
    """T/T_SL of the drift, from the noise that neighbouring chunks do not share.

    Momentum spreads the noise of a gradient over the steps that follow. How much of it neighbours share is known, and
    counted: see `shared_noise`.

    Args:
        curve: all strides of the path.
        momentum: β; of Adam and its relatives, β₁.
        nesterov: whether the step looks ahead by Nesterov's rule.

    Returns:
        The estimate, or why there is none.

    Raises:
        ValueError: if ``momentum`` is not in [0, 1).
    """
    check_momentum("momentum", momentum)
    usable = np.flatnonzero(curve.chunks >= FEWEST_CHUNKS)
    if not usable.size:
        return _unknown(curve, f"a run of {curve.steps} steps is too short, it takes {FEWEST_CHUNKS}")
    kernel = _kernel(momentum, nesterov)
    strides = [_at(curve, int(place), *shared_noise(kernel, int(curve.strides[place]))) for place in usable]
    value, _, moved = strides[0]
    share = shared_noise(kernel, 1)[0] * float(curve.noise_share[0])
    if curve.noise_share[0] > 1 or not value > 0:
        return _unknown(curve, "the steps turn back, as at the edge of stability or in noise alone", share, moved)
    # Noise bends the drift as well, which dies out with the stride: beyond a number, all strides have a say.
    return _told(curve, strides if moved > NUMBER else strides[:1], share)


def drift_by_halves(
    curve: StrideCurve,
    halves: Float[np.ndarray, "steps 3"],
    dissipation: float,
    w2_squared: float,
    momentum: float = 0.0,
    *,
    nesterov: bool = False,
) -> Noise:
    r"""T/T_SL of the drift, from two gradients a and b in each step, each of one half of the batch.

    The step uses their mean, whose noise has the square q = |a − b|²/4 on average: |(a + b)/2|² = a·b + q, and a·b is
    |∇L|² on average. Of steps :math:`\delta_k = -\eta_k\sum_j w_j g_{k-j}`, noise is

    .. math:: V = \sum_j w_j^2\sum_k\frac{\eta_k^2}{\Delta t_k} q_k, \qquad
       M = \Big(\sum_j w_j\Big)^2\sum_k\eta_k^2 q_k

    in Σ|δ|²/Δt and in |Δθ|². Nothing is assumed of neighbouring steps, so that an oscillation is not taken for noise.

    Args:
        curve: all strides of the path; kept with the result.
        halves: Δt, η and q of each step.
        dissipation: D = Σ|δ|²/Δt [distance²/time].
        w2_squared: |Δθ|² [distance²].
        momentum: β.
        nesterov: whether the step looks ahead by Nesterov's rule.

    Returns:
        The estimate, or why there is none.

    Raises:
        ValueError: if ``momentum`` is not in [0, 1).
    """
    check_momentum("momentum", momentum)
    # A step that takes no time moves nothing, and is no chunk of the curve.
    durations, rates, squares = halves[halves[:, 0] > 0].T
    if len(durations) < FEWEST_CHUNKS:
        return _unknown(curve, f"a run of {len(durations)} steps is too short, it takes {FEWEST_CHUNKS}")
    each = rates**2 * squares / durations
    kernel = _kernel(momentum, nesterov)
    noise = float(np.sum(kernel**2) * each.sum())
    moved = float(kernel.sum() ** 2 * np.sum(rates**2 * squares)) / w2_squared if w2_squared > 0 else math.inf
    share = noise / dissipation if dissipation > 0 else math.nan
    if not dissipation > noise:
        return _unknown(curve, "noise is all that one run shows of the dissipation", share, moved)
    kept = w2_squared * (1 - moved)
    value = curve.time * (dissipation - noise) / kept
    error = curve.time * _error_by_halves(curve, each, kernel) / abs(kept)
    return _told(curve, [(value, error, moved)], share)


def _error_by_halves(
    curve: StrideCurve, noise: Float[np.ndarray, " steps"], kernel: Float[np.ndarray, " lags"]
) -> float:
    """Standard error of D − V from their scatter in time."""
    # Halves of squares of neighbours, by equal stretches of pairs: what they share, and what they do not.
    dissipation = curve.scatter[0].sum(1)
    # The largest power of two that fits so often: the rest is shorter than a stretch.
    length = 1 << (((len(noise) - 1) // len(dissipation)).bit_length() - 1)
    pairs = 0.5 * (noise[1:] + noise[:-1])[: length * len(dissipation)]
    left = dissipation - np.sum(kernel**2) * pairs.reshape(-1, length).sum(1)
    return _error(left, _carried(kernel, length))


def _told(curve: StrideCurve, seen: list[tuple[float, float, float]], share: float) -> Noise:
    """A number, an interval, or neither; of each stride seen, the value, its error, and the share that noise moved."""
    value, error, moved = seen[0]
    if moved > INTERVAL:
        reason = (
            f"noise moved {moved:.0%} of |Δθ|², and beyond {INTERVAL:.0%} one run cannot tell where the drift went; "
            "larger batches, a longer run or a smaller learning rate would show it"
        )
        return _unknown(curve, reason, share, moved)
    # What noise moved is known on average; in one run it may be twice that, or not there.
    low = min((value - 2 * error) * (1 - moved) for value, error, moved in seen)
    high = max((value + 2 * error) * (1 - moved) / max(1 - 2 * moved, INTERVAL) for value, error, moved in seen)
    return Noise(
        inefficiency=value,
        standard_error=error,
        interval=(low, high),
        share=share,
        moved_by_noise=moved,
        identifiable="number" if moved <= NUMBER else "interval",
        reason="",
        curve=curve,
    )


def shared_noise(kernel: Float[np.ndarray, " lags"], stride: int) -> tuple[float, float]:
    r"""What a stride's V and M must be multiplied with, so that they are all of the noise.

    A step is :math:`\sum_j w_j g_{k-j}` with white noise in each g. Chunks of m steps then have the variance and the
    covariance

    .. math:: \mathrm{Var} = \sum_{|h|<m}(m-|h|)\,c_h, \qquad \mathrm{Cov} = \sum_{h=1}^{2m-1}(m-|m-h|)\,c_h, \qquad
       c_h = \sum_j w_j w_{j+h}

    of which V sees Var − Cov; all chunks together move m(Σ_j w_j)² each.

    Args:
        kernel: w, the latest gradient first.
        stride: m [steps].

    Returns:
        The factor of V, Var/(Var − Cov), and that of M.
    """
    lags = np.correlate(kernel, kernel, "full")[len(kernel) - 1 :]
    shifts = np.arange(min(2 * stride, len(lags)))
    covariances = lags[: len(shifts)]
    variance = float(np.sum(np.where(shifts == 0, 1.0, 2.0) * np.clip(stride - shifts, 0, None) * covariances))
    covariance = float(np.sum((stride - np.abs(stride - shifts)) * covariances))
    return variance / (variance - covariance), stride * float(kernel.sum()) ** 2 / (variance - covariance)


def _kernel(momentum: float, nesterov: bool) -> Float[np.ndarray, " lags"]:
    """w_j of a step: β^j, and by Nesterov's rule one more of the latest gradient and β^{j+1} of the others."""
    length = 1 if momentum == 0 else math.ceil(math.log(NEGLIGIBLE) / math.log(momentum))
    powers = momentum ** np.arange(length + 1)
    return momentum * powers + (np.arange(length + 1) == 0) if nesterov else powers


def _at(curve: StrideCurve, place: int, all_noise: float, all_moved: float) -> tuple[float, float, float]:
    """T/T_SL of the drift, its error, and the share of |Δθ|² that noise moved, as one stride has it."""
    left = curve.dissipation[:, place] - all_noise * curve.noise[:, place]
    moved = all_moved * curve.noise_moved[:, place]
    kept = curve.w2_squared - moved
    total = float(curve.w2_squared.sum())
    share = float(moved.sum()) / total if total > 0 else math.inf
    value = curve.time * float(left.sum()) / float(kept.sum())
    in_time = curve.time * _error(curve.scatter[place] @ [1.0, 1.0 - all_noise]) / float(kept.sum())
    of_sketch = float(_jackknife(curve.time * left[:, None], kept[:, None])[0])
    return value, math.hypot(in_time, of_sketch), share


def _error(parts: Float[np.ndarray, " stretches"], carried: float = 1.0) -> float:
    """Standard error of a sum from the scatter of its parts; second differences, so that no steady trend counts."""
    if parts.size < 3:
        return math.nan
    return math.sqrt(carried * parts.size * float(np.mean(np.diff(parts, 2) ** 2)) / 6.0)


def _carried(kernel: Float[np.ndarray, " lags"], length: int) -> float:
    """By what the variance of a long sum exceeds what second differences of stretches show, where noise is carried on.

    With c_h as in `shared_noise` a step adds (Σw)² to the variance of a long sum; neighbours C₁ and C₂ stretches of m
    steps show (6 Var − 8 C₁ + 2 C₂)/6 instead of m(Σw)². That is the noise's product with the drift; its own square is
    forgotten faster, so that the error is rather too large.
    """
    lags = np.correlate(kernel, kernel, "full")
    shifts = np.arange(len(lags)) - (len(kernel) - 1)
    shares = [float(np.sum(np.clip(length - np.abs(shifts - far * length), 0, None) * lags)) for far in range(3)]
    return length * float(kernel.sum()) ** 2 / ((6.0 * shares[0] - 8.0 * shares[1] + 2.0 * shares[2]) / 6.0)


def _unknown(curve: StrideCurve, reason: str, share: float = math.nan, moved: float = math.nan) -> Noise:
    return Noise(math.nan, math.nan, (math.nan, math.nan), share, moved, "no", reason, curve)


def _jackknife(above: Grouped, below: Float[np.ndarray, "groups #strides"]) -> Strides:
    """Standard error of a ratio of sums over groups, each group left out in turn."""
    groups = len(above)
    if groups == 1:
        return np.zeros(above.shape[1])
    ratios = (above.sum(0) - above) / (below.sum(0) - below)
    return np.sqrt((groups - 1) / groups * np.sum((ratios - ratios.mean(0)) ** 2, 0))
