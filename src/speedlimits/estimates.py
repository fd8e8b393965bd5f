"""A measured number that says how uncertain it is and on which side of the truth it stands."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float

from speedlimits import concentration
from speedlimits._checks import check_finite, check_one_of, check_shape

# Numbers of independent members; parts differ in how many.
Part = Float[np.ndarray, " _"]
Side = Literal["lower", "upper", "exact", "unsigned"]
SIDES = ("lower", "upper", "exact", "unsigned")


@dataclass(frozen=True, kw_only=True, eq=False)
class Estimate:
    r"""A number measured on an ensemble, with its error and its side.

    The side compares the expectation with the truth: ``"lower"`` is at most the truth, ``"upper"`` at least,
    ``"exact"`` equal, and ``"unsigned"`` not known. A confidence limit exists on that side. Where the estimate is a sum
    of means of independent numbers, it is the sum of their limits in `concentration`, proved for laws of bounded
    kurtosis. Without the numbers it is Student's,

    .. math:: \text{value} \mp t_{\nu}(\text{confidence})\,\text{standard error},

    which holds for Gaussian numbers and proves nothing for others.

    Args:
        name: what was computed, in a few words.
        value: the number.
        standard_error: of the value, non-negative.
        side: of the expectation.
        degrees_of_freedom: ν of the standard error: independent members less one; infinity for a known error.
        caveat: condition on which the side is right, in a sentence; empty when there is none.
        parts: arrays of independent numbers, one for each member; the value is the sum of their means. Parts may depend
            on each other. Empty where the estimate is no such sum.
        alternatives: other estimates of the same number; a limit holds for each of them too.

    Raises:
        ValueError: if the side is none of the four.
    """

    name: str
    value: float
    standard_error: float
    side: Side
    degrees_of_freedom: float = math.inf
    caveat: str = ""
    parts: tuple[Part, ...] = ()
    alternatives: tuple["Estimate", ...] = ()

    def __post_init__(self) -> None:
        check_one_of("side", self.side, SIDES)

    def bounds_from(self, side: Literal["lower", "upper"]) -> bool:
        """Whether this is a bound from that side; an exact estimate is one from both."""
        return self.side in (side, "exact")

    def limit(self, side: Literal["lower", "upper"], confidence: float) -> float:
        """The confidence limit on that side.

        Args:
            side: from which to bound the truth.
            confidence: probability that the limit holds, between 0 and 1.

        Returns:
            The limit, in the unit of the value; infinite on its side where there is none, as `obstacle` tells.

        Raises:
            ValueError: if the confidence is not between 0 and 1, or the estimate does not bound from that side.
        """
        check_confidence(confidence)
        if not self.bounds_from(side):
            raise ValueError(f"`side` must be one that the estimate bounds; {self.name} is {self.side}, not {side}.")
        worst = min if side == "lower" else max
        return worst(each._own_limit(side, confidence) for each in (self, *self.alternatives))

    def obstacle(self, confidence: float) -> str:
        """Why no limit is proved at this confidence, in a clause; empty where one is."""
        tails = [concentration.obstacle(part, self._share(confidence)) for part in self.parts]
        if not self.parts and self.standard_error > 0:
            tails.append("its error is known as a standard error only, which proves no limit")
        faults = (self.caveat, *(tail and f"{self.name}: {tail}" for tail in tails))
        return next(filter(None, (*faults, *(each.obstacle(confidence) for each in self.alternatives))), "")

    def times(self, factor: float, name: str) -> "Estimate":
        """The estimate of a positive multiple of the number.

        Args:
            factor: by which to multiply, positive.
            name: what the multiple is.

        Returns:
            The same estimate in another unit.
        """
        return replace(
            self,
            name=name,
            value=factor * self.value,
            standard_error=factor * self.standard_error,
            parts=tuple(factor * part for part in self.parts),
            alternatives=tuple(each.times(factor, name) for each in self.alternatives),
        )

    def _own_limit(self, side: Literal["lower", "upper"], confidence: float) -> float:
        if self.parts:
            return sum(concentration.mean_limit(part, side, self._share(confidence)) for part in self.parts)
        # Late: a fifth of a second, which most commands need not wait for.
        from scipy.special import stdtrit

        reach = (
            float(stdtrit(self.degrees_of_freedom, confidence)) * self.standard_error if self.standard_error else 0.0
        )
        return self.value - reach if side == "lower" else self.value + reach

    def _share(self, confidence: float) -> float:
        """The confidence of each part: one of them is wrong if the sum is."""
        return 1.0 - (1.0 - confidence) / len(self.parts)


def check_confidence(confidence: float) -> None:
    """Raise unless it is a probability strictly between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be between 0 and 1; confidence = {confidence}.")


def from_mean(name: str, values: Float[np.ndarray, " members"], side: Side, caveat: str = "") -> Estimate:
    """The mean over independent members.

    Args:
        name: what it is.
        values: one for each member.
        side: of the expectation.
        caveat: as in `Estimate`.

    Returns:
        The estimate.

    Raises:
        ValueError: if there are fewer than two members.
    """
    return from_means(name, [values], side, caveat)


def from_means(name: str, parts: Sequence[Part], side: Side, caveat: str = "") -> Estimate:
    """A sum of means, each over independent members.

    Args:
        name: what it is.
        parts: the numbers of each mean; different parts may depend on each other, such as two halves of an ensemble.
        side: of the expectation of the sum.
        caveat: as in `Estimate`.

    Returns:
        The estimate. Its standard error is the sum of those of the parts, enough for any dependence.

    Raises:
        ValueError: if a part has fewer than two members.
    """
    for values in parts:
        check_members("values", values, 2)
    return Estimate(
        name=name,
        value=float(sum(np.mean(values) for values in parts)),
        standard_error=float(sum(np.std(values, ddof=1) / math.sqrt(values.size) for values in parts)),
        side=side,
        degrees_of_freedom=sum(values.size - 1 for values in parts),
        caveat=caveat,
        parts=tuple(np.asarray(values, dtype=np.float64) for values in parts),
    )


def from_jackknife(
    name: str, whole: float, left_out: Float[np.ndarray, " members"], side: Side, caveat: str = ""
) -> Estimate:
    r"""A smooth statistic without its bias of order 1/n, by the jackknife of Quenouille and Tukey.

    .. math:: \hat s_i = n s - (n-1)s_{-i}, \qquad \text{value} = \overline{\hat s_i}, \qquad
              \text{standard error} = \mathrm{std}(\hat s_i)/\sqrt n

    By the Efron–Stein inequality the standard error is, on average, too large rather than too small.

    Args:
        name: what it is.
        whole: s, of all n members.
        left_out: s₋ᵢ, of all members but the i-th.
        side: of the expectation.
        caveat: as in `Estimate`.

    Returns:
        The estimate.
    """
    members = left_out.size
    pseudo = from_mean(name, members * whole - (members - 1) * left_out, side, caveat)
    # The pseudo-values are not quite independent.
    return replace(pseudo, parts=())


def averaged(name: str, estimates: Iterable[Estimate]) -> Estimate:
    """The mean of estimates of one side that may depend on each other, such as two halves of an ensemble.

    Args:
        name: what it is.
        estimates: of one side.

    Returns:
        Their mean. Its standard error is the mean of theirs, enough for any correlation; the degrees of freedom
        add up.
    """
    each = list(estimates)
    return Estimate(
        name=name,
        value=float(np.mean([one.value for one in each])),
        standard_error=float(np.mean([one.standard_error for one in each])),
        side=each[0].side,
        degrees_of_freedom=sum(one.degrees_of_freedom for one in each),
        caveat=each[0].caveat,
        parts=tuple(part / len(each) for one in each for part in one.parts),
    )


def check_ensemble(name: str, ensemble: np.ndarray, minimum: int) -> None:
    """Raise unless the array has a member in each row, at least so many, and only finite numbers."""
    check_shape(name, ensemble, (None, None))
    check_members(name, ensemble, minimum)
    # Without a copy in float64, for which a large ensemble may leave no memory. A finite sum has finite terms alone.
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.isfinite(ensemble.sum())
    if not whole and not np.isfinite(ensemble).all():
        check_finite(name, ensemble)


def check_members(name: str, ensemble: np.ndarray, minimum: int) -> None:
    """Raise unless the ensemble, a member in each row, has at least so many."""
    if len(ensemble) < minimum:
        raise ValueError(f"`{name}` must have at least {minimum} members; len({name}) = {len(ensemble)}.")
