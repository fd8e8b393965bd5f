"""A measured number that says how uncertain it is and on which side of the truth it stands."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.special import stdtrit

from speedlimits._checks import check_finite, check_one_of, check_shape

Side = Literal["lower", "upper", "exact", "unsigned"]
SIDES = ("lower", "upper", "exact", "unsigned")


@dataclass(frozen=True, kw_only=True)
class Estimate:
    r"""A number measured on an ensemble, with its error and its side.

    The side compares the expectation with the truth: ``"lower"`` is at most the truth, ``"upper"`` at least,
    ``"exact"`` equal, and ``"unsigned"`` not known. A confidence limit,

    .. math:: \text{value} \mp t_{\nu}(\text{confidence})\,\text{standard error},

    exists on that side, with Student's t for ν degrees of freedom.

    Args:
        name: what was computed, in a few words.
        value: the number.
        standard_error: of the value, non-negative.
        side: of the expectation.
        degrees_of_freedom: ν of the standard error: independent members less one; infinity for a known error.
        caveat: condition on which the side is right, in a sentence; empty when there is none.

    Raises:
        ValueError: if the side is none of the four.
    """

    name: str
    value: float
    standard_error: float
    side: Side
    degrees_of_freedom: float = math.inf
    caveat: str = ""

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
            The limit, in the unit of the value.

        Raises:
            ValueError: if the confidence is not between 0 and 1, the estimate does not bound from that side, or
                there are fewer than 1/(1 − confidence) members.
        """
        check_confidence(confidence)
        if not self.bounds_from(side):
            raise ValueError(f"`side` must be one that the estimate bounds; {self.name} is {self.side}, not {side}.")
        members = self.degrees_of_freedom + 1
        needed = members_needed(confidence)
        if members < needed:
            raise ValueError(
                f"`confidence` must be within reach of the members; {confidence:.6g} takes {needed}, "
                f"{self.name} rests on {members:.0f}."
            )
        reach = float(stdtrit(self.degrees_of_freedom, confidence)) * self.standard_error
        return self.value - reach if side == "lower" else self.value + reach


def check_confidence(confidence: float) -> None:
    """Raise unless it is a probability strictly between 0 and 1."""
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"`confidence` must be between 0 and 1; confidence = {confidence}.")


def members_needed(confidence: float) -> int:
    """Fewest members for a limit at this confidence: with fewer, none is expected in the tail beyond it."""
    # 1 − 0.95 is a little more than 0.05 in binary.
    return math.ceil(1.0 / (1.0 - confidence) - 1e-9)


def from_mean(name: str, values: Float[np.ndarray, " members"], side: Side, caveat: str = "") -> Estimate:
    """The mean over independent members and its standard error.

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
    check_members("values", values, 2)
    return Estimate(
        name=name,
        value=float(np.mean(values)),
        standard_error=float(np.std(values, ddof=1) / math.sqrt(values.size)),
        side=side,
        degrees_of_freedom=values.size - 1,
        caveat=caveat,
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
    return from_mean(name, members * whole - (members - 1) * left_out, side, caveat)


def averaged(name: str, estimates: Iterable[Estimate]) -> Estimate:
    """The mean of estimates of one side that may depend on each other, such as two halves of an ensemble.

    Args:
        name: what it is.
        estimates: of one side.

    Returns:
        Their mean. Its standard error is the mean of theirs, enough for any correlation; the degrees of freedom
        add up.
    """
    parts = list(estimates)
    return Estimate(
        name=name,
        value=float(np.mean([part.value for part in parts])),
        standard_error=float(np.mean([part.standard_error for part in parts])),
        side=parts[0].side,
        degrees_of_freedom=sum(part.degrees_of_freedom for part in parts),
        caveat=parts[0].caveat,
    )


def check_ensemble(name: str, ensemble: np.ndarray, minimum: int) -> None:
    """Raise unless the array has a member in each row, at least so many, and only finite numbers."""
    check_shape(name, ensemble, (None, None))
    check_members(name, ensemble, minimum)
    # Without a copy in float64, for which a large ensemble may leave no memory.
    if not np.isfinite(ensemble).all():
        check_finite(name, ensemble)


def check_members(name: str, ensemble: np.ndarray, minimum: int) -> None:
    """Raise unless the ensemble, a member in each row, has at least so many."""
    if len(ensemble) < minimum:
        raise ValueError(f"`{name}` must have at least {minimum} members; len({name}) = {len(ensemble)}.")
