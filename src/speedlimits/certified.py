r"""Certified speed limits of noisy ensembles: distance from below, dissipation from above, at a stated confidence.

.. math:: T \ge T_{SL} = \frac{\mathcal W_2}{\beta^{-1}R} \ge
          \frac{\text{lower limit of }\mathcal W_2}{\text{upper limit of }\beta^{-1}R}
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from speedlimits._checks import check_positive
from speedlimits.bound import SpeedLimit
from speedlimits.estimates import Estimate, check_confidence


@dataclass(frozen=True, kw_only=True)
class CertifiedLimit:
    """A speed limit from two estimates: one of the distance, one of the dissipation.

    Args:
        time: T [time].
        confidence: probability that all the limits hold from which the best were chosen.
        w2_squared: the estimate of 𝒲₂ it uses.
        dissipation: the estimate of β⁻¹R it uses [loss].
        w2_squared_limit: confidence limit of 𝒲₂ from below, at least 0; for an uncertified one, the value.
        dissipation_limit: confidence limit of β⁻¹R from above; for an uncertified one, the value.
        reasons: why it is not certified; empty when it is.
    """

    time: float
    confidence: float
    w2_squared: Estimate
    dissipation: Estimate
    w2_squared_limit: float
    dissipation_limit: float
    reasons: tuple[str, ...] = ()

    def with_reasons(self, reasons: tuple[str, ...]) -> "CertifiedLimit":
        """The same limit with more reasons against it."""
        return replace(self, reasons=self.reasons + reasons)

    @property
    def limit(self) -> SpeedLimit:
        """The same as a `SpeedLimit`, with the reasons as its caveats."""
        return SpeedLimit(
            time=self.time,
            w2_squared=self.w2_squared_limit,
            dissipation=self.dissipation_limit,
            caveats=self.reasons,
        )

    @property
    def speed_limit(self) -> float:
        """T_SL at the stated confidence [time]."""
        return float(self.limit.speed_limit)

    @property
    def certified(self) -> bool:
        """Whether the distance bounds from below, the dissipation from above, and T_SL ≤ T."""
        return self.limit.certified

    def __str__(self) -> str:
        pair = f"{self.w2_squared.name} over {self.dissipation.name}"
        if self.certified:
            return f"T_SL ≥ {self.speed_limit:.4g} at {self.confidence:.4g} confidence ({pair}); T = {self.time:.4g}."
        return f"T_SL ≈ {self.speed_limit:.4g} ({pair}), NOT certified: {'; '.join(self.limit.reasons)}."


def certified_speed_limit(
    w2_squared: Sequence[Estimate], dissipation: Sequence[Estimate], time: float, *, confidence: float = 0.95
) -> CertifiedLimit:
    """The best speed limit that these estimates allow.

    It takes the lower bound on the distance with the highest confidence limit, and the upper bound on the dissipation
    with the lowest. The best of k limits can only be wrong if one of the k is, so each is taken at the confidence
    1 − (1 − confidence)/k (Bonferroni). Only proved limits certify (`Estimate.obstacle`).

    Args:
        w2_squared: estimates of 𝒲₂; those that are upper or unsigned, or whose limit is not proved, do not certify.
        dissipation: estimates of β⁻¹R [loss]; those that are lower or unsigned, or whose limit is not proved, do not
            certify.
        time: T [time].
        confidence: joint probability that the limit is below the true T_SL.

    Returns:
        The limit; where one side has no estimate to certify with, the plain ratio of the first estimates, marked as not
        certified with the reason.

    Raises:
        ValueError: if a list is empty, the time is not positive, or the confidence is not between 0 and 1.
    """
    check_positive("time", time)
    check_confidence(confidence)
    for name, estimates in (("w2_squared", w2_squared), ("dissipation", dissipation)):
        if not estimates:
            raise ValueError(f"`{name}` must hold at least one estimate; it is empty.")
    candidates = sum(each.bounds_from("lower") for each in w2_squared)
    candidates += sum(each.bounds_from("upper") for each in dissipation)
    each = 1.0 - (1.0 - confidence) / max(candidates, 1)
    below, short = _usable(w2_squared, "lower", each)
    above, long = _usable(dissipation, "upper", each)
    reasons = [fault for usable, fault in ((below, short), (above, long)) if not usable]
    if reasons:
        plain = (below or w2_squared)[0], (above or dissipation)[0]
        return CertifiedLimit(
            time=time,
            confidence=confidence,
            w2_squared=plain[0],
            dissipation=plain[1],
            w2_squared_limit=max(plain[0].value, 0.0),
            dissipation_limit=max(plain[1].value, 0.0),
            reasons=tuple(dict.fromkeys(reasons)),
        )
    longest = max(below, key=lambda estimate: estimate.limit("lower", each))
    least = min(above, key=lambda estimate: estimate.limit("upper", each))
    return CertifiedLimit(
        time=time,
        confidence=confidence,
        w2_squared=longest,
        dissipation=least,
        w2_squared_limit=max(longest.limit("lower", each), 0.0),
        # A dissipation is never negative; a limit below zero only shows the error of its estimate.
        dissipation_limit=max(least.limit("upper", each), 0.0),
    )


def _usable(
    estimates: Sequence[Estimate], side: Literal["lower", "upper"], confidence: float
) -> tuple[list[Estimate], str]:
    """The estimates with a proved limit on that side, and why the first of the others has none."""
    fault, usable = "", []
    for estimate in estimates:
        own = estimate.bounds_from(side)
        wrong = estimate.obstacle(confidence) if own else f"{estimate.name} is {estimate.side}, not {side}"
        fault = fault or wrong
        usable += [] if wrong else [estimate]
    return usable, fault
