r"""The thermodynamic speed limit: T ≥ T_SL = W₂²/dissipation, Eqs. (7), (12), (26), (78).

Everything here takes one time or a whole series of times; `speedlimits.measured` has the limits of trajectories.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy.typing import ArrayLike

from speedlimits._checks import check_non_negative, check_share, check_time
from speedlimits._display import card, limit_picture

# Sums in float64 hold their inequalities to this relative precision: nine million steps lose no more, 2⁻⁵³ each.
ROUNDING = 1e-9

Series = Float64[np.ndarray, "*times"]
# One time gives a number, many give a series.
Values = Series | np.float64
# A reason that holds at all times; or one with a size for each time, NaN where it does not hold.
Caveat = str | tuple[str, ArrayLike]


@dataclass(frozen=True, eq=False, init=False, repr=False)
class SpeedLimit:
    r"""The shortest time in which any process can make this move with this dissipation.

    .. math:: T_{SL} = \frac{\mathcal W_2}{\beta^{-1}R}, \qquad
              \frac{T}{T_{SL}} =
              \underbrace{\frac{l_\gamma^2}{\mathcal W_2}}_{\text{geometric}} \times
              \underbrace{\frac{T\,\beta^{-1}R}{l_\gamma^2}}_{\text{pace}}

    *geometric* is 1 for a straight path, *pace* is 1 for constant speed along it; both are at least 1 when
    the dissipation is that of the path, ∫|v|²dt. All fields broadcast against each other.

    Args:
        time: T [time], non-negative; flow time, learning rate × step (mobility 1). Infinity for the end.
        w2_squared: 𝒲₂, the SQUARED Wasserstein-2 distance between start and end, non-negative.
        dissipation: β⁻¹R [loss], non-negative; NaN where it is not known.
        arc_length: l_γ, length of the path; NaN (the default) where there is none, as for noisy ensembles.
        points: how many points of the path were seen, if dissipation and length are those of the polygon through them.
            The path itself has no less of both, so T_SL is then an upper bound on its own limit, and `inefficiency` and
            `geometric` are lower bounds. NaN (the default) where every step counts.
        tolerance: relative error of the numbers; T_SL ≤ T and l² ≥ 𝒲₂ count as violated beyond it.
        confidence: with which the tolerance holds, where the numbers are estimates.
        unit: of the times in the verdict; none for flow time.
        caveats: reasons why the limit is not certain, from whoever measured the numbers: a sentence for all times, or a
            pair of a sentence and a size for each time, NaN where it does not hold. A ``{}`` in the sentence is filled
            with the largest size.
        hints: what to do about the last of the times, a sentence each, from whoever measured the numbers.

    Raises:
        ValueError: if a distance, dissipation or length is negative or infinite, a time negative, or shapes do
            not broadcast.
    """

    time: Series
    w2_squared: Series
    dissipation: Series
    arc_length: Series
    points: Series
    tolerance: Series
    confidence: float
    unit: str
    caveats: tuple[Caveat, ...]
    hints: tuple[str, ...]

    def __init__(
        self,
        *,
        time: ArrayLike,
        w2_squared: ArrayLike,
        dissipation: ArrayLike,
        arc_length: ArrayLike = np.nan,
        points: ArrayLike = np.nan,
        tolerance: ArrayLike = ROUNDING,
        confidence: float = 1.0,
        unit: str = "",
        caveats: tuple[Caveat, ...] = (),
        hints: tuple[str, ...] = (),
    ) -> None:
        given = {
            "time": time,
            "w2_squared": w2_squared,
            "dissipation": dissipation,
            "arc_length": arc_length,
            "points": points,
            "tolerance": tolerance,
        }
        check_time("time", time)
        check_non_negative("w2_squared", w2_squared)
        check_non_negative("tolerance", tolerance)
        for name in ("dissipation", "arc_length", "points"):
            # NaN says "not known" here, and only here.
            values = np.asarray(given[name], dtype=np.float64)
            check_non_negative(name, np.where(np.isnan(values), 0.0, values))
        try:
            arrays = np.broadcast_arrays(*(np.asarray(values, dtype=np.float64) for values in given.values()))
        except ValueError:
            shapes = ", ".join(f"{name}: {np.shape(values)}" for name, values in given.items())
            raise ValueError(f"the fields of a SpeedLimit must broadcast; shapes are {shapes}.") from None
        for name, array in zip(given, arrays, strict=True):
            object.__setattr__(self, name, _frozen(array, arrays[0].shape))
        check_share("confidence", confidence)
        object.__setattr__(self, "confidence", confidence)
        object.__setattr__(self, "unit", unit)
        object.__setattr__(self, "hints", tuple(hints))
        sized = [each if isinstance(each, str) else (each[0], _frozen(each[1], arrays[0].shape)) for each in caveats]
        object.__setattr__(self, "caveats", tuple(sized))

    @property
    def speed_limit(self) -> Values:
        """T_SL = 𝒲₂/(β⁻¹R), Eqs. (7), (26), (78) [time]; 0 where nothing moved, NaN where R is not known."""
        return _ratio(self.w2_squared, self.dissipation, zero_over_zero=0.0)

    @property
    def inefficiency(self) -> Values:
        """T/T_SL = Tβ⁻¹R/𝒲₂, Eq. (12); NaN at T = 0, where it is 0/0 and tends to 1 for every smooth path."""
        return _ratio(self._cost, self.w2_squared, zero_over_zero=np.nan)

    @property
    def geometric(self) -> Values:
        """l_γ²/𝒲₂ ≥ 1: what the path loses by not being straight; the paper's (l_γ/l_geo)², Eq. (16)."""
        return _ratio(self.arc_length**2, self.w2_squared, zero_over_zero=np.nan)

    @property
    def pace(self) -> Values:
        """Tβ⁻¹R/l_γ² ≥ 1: what the path loses by not being travelled at constant speed."""
        return _ratio(self._cost, self.arc_length**2, zero_over_zero=np.nan)

    @property
    def _cost(self) -> Values:
        """Tβ⁻¹R; NaN for T = ∞ without dissipation."""
        with np.errstate(invalid="ignore"):
            return self.time * self.dissipation

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the limit is not certified, one sentence each with its times; empty when it is."""
        violated = self.speed_limit > self.time * (1 + self.tolerance)
        shortcut = self.w2_squared > self.arc_length**2 * (1 + self.tolerance)
        own = (
            ("the dissipation is not known", np.isnan(self.dissipation)),
            ("T_SL exceeds T: distance and dissipation are not of one process", violated),
            ("the arc length is below the distance", shortcut),
        )
        found = [*self.caveats, *((sentence, np.where(flags, 1.0, np.nan)) for sentence, flags in own)]
        said = (each if isinstance(each, str) else _said(each[0], each[1], self.time) for each in found)
        return tuple(filter(None, said))

    @property
    def certified(self) -> bool:
        """Whether T_SL is a lower limit on T at every time, to within the tolerance: nothing stands in `reasons`."""
        return not self.reasons

    def __len__(self) -> int:
        """Number of times; a limit at a single time has no length, like a NumPy scalar."""
        return len(self.time)

    def __getitem__(self, index: int | slice | np.ndarray) -> "SpeedLimit":
        """The limit at some of the times, with the caveats that hold there."""
        return type(self)(
            time=self.time[index],
            w2_squared=self.w2_squared[index],
            dissipation=self.dissipation[index],
            arc_length=self.arc_length[index],
            points=self.points[index],
            tolerance=self.tolerance[index],
            confidence=self.confidence,
            unit=self.unit,
            caveats=tuple(
                each if isinstance(each, str) else (each[0], np.asarray(each[1])[index]) for each in self.caveats
            ),
            hints=self.hints if np.max(self.time[index], initial=0.0) == np.max(self.time, initial=0.0) else (),
        )

    @property
    def final(self) -> "SpeedLimit":
        """The limit at the last time."""
        return self[-1] if self.time.ndim else self

    def advice(self) -> tuple[str, ...]:
        """What to do about it: at most three sentences, each by a rule of `speedlimits.advice`; often none.

        Returns:
            The sentences, about the last time.
        """
        return self.hints

    def verdict(self) -> str:
        """One sentence on the last time: how far training was from the fastest possible.

        Returns:
            For example "T = 1, T_SL = 0.24: 4.2 times slower than the limit (geometric 1.49 × pace 2.8), certified to
            1e-09." The number at its end is the tolerance. Where only some points of the path were seen, bounds are
            named as such.
        """
        last, bounds = self.final, bool(np.isfinite(self.final.points))
        if last.time == 0:
            return "T = 0: no time has passed, and there is no limit yet."
        unit = f" {self.unit}" * bool(self.unit)
        sentence = f"T = {last.time:.4g}{unit}, T_SL {'at most' if bounds else '='} {last.speed_limit:.4g}{unit}"
        if np.isfinite(last.inefficiency):
            sentence += f": {'at least ' * bounds}{last.inefficiency:.3g} times slower than the limit"
        if bounds:
            sentence += f", seen at {last.points:.0f} points"
        if np.isfinite(last.geometric):
            pace = f" × pace {last.pace:.3g}"
            sentence += f" (geometric {'at least ' * bounds}{last.geometric:.3g}{'' if bounds else pace})"
        if not last.certified:
            return f"{sentence}; not certified: {'; '.join(last.reasons)}."
        sentence += f", certified to {last.tolerance:.2g}"
        if self.confidence < 1:
            sentence += f" with {self.confidence:.0%} confidence"
        if not self.certified:
            sentence += f", but not on the way: {'; '.join(self.reasons)}"
        return sentence + "."

    def __str__(self) -> str:
        return self.verdict()

    def __repr__(self) -> str:
        name = type(self).__name__
        if self.time.ndim > 1 or not self.time.size:
            return f"{name}(shape {self.time.shape})"
        last, count = self.final, f", the last of {len(self)}" if self.time.ndim else ""
        return f"{name}(T = {last.time:.4g}, T_SL = {last.speed_limit:.4g}, T/T_SL = {last.inefficiency:.3g}{count})"

    def _repr_html_(self) -> str:
        """A card for notebooks."""
        if self.time.ndim > 1 or not self.time.size:
            return card(repr(self))
        return card(self.verdict(), [limit_picture(self.time, self.speed_limit)] if self.time.ndim else [])


def _ratio(numerator: Values, denominator: Values, *, zero_over_zero: float) -> Values:
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.asarray(numerator / denominator)
    ratio = np.where((numerator == 0) & (denominator == 0), zero_over_zero, ratio)
    # A 0-d array prints and formats like an array; a scalar like a number.
    return ratio[()]


def _frozen(values: ArrayLike, shape: tuple[int, ...]) -> np.ndarray:
    array = np.array(np.broadcast_to(np.asarray(values, dtype=np.float64), shape))
    array.setflags(write=False)
    return array


def _said(sentence: str, sizes: ArrayLike, time: np.ndarray) -> str:
    """The sentence with its largest size and where that is, or without one where it begins; empty if nowhere."""
    sizes = np.broadcast_to(sizes, time.shape)
    places = np.flatnonzero(~np.isnan(sizes))
    if not places.size:
        return ""
    worst = places[np.argmax(np.abs(sizes.flat[places]))]
    others = f" and {places.size - 1} more" if places.size > 1 else ""
    return f"{sentence.format(sizes.flat[worst])} (at time {time.flat[worst]:.4g}{others})"
