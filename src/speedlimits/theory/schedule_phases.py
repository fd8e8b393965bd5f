"""How fast the loss of power laws falls with the steps: as the speed limit allows, without noise, and with noise."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from speedlimits._checks import check_finite

Numbers = Float[np.ndarray, "*numbers"] | float

# Steeper spectra leave one mode in float64.
STEEPEST = 10.0


class ScheduleExponents(NamedTuple):
    """How the loss falls: as steps to the power of minus these.

    Args:
        limit: if every state of the flow were reached at its speed limit; infinite where T_SL stays finite.
        flow: without noise, at the largest rate throughout: −a = (δ − 1)/α.
        schedule: with noise and the best schedule.
    """

    limit: Numbers
    flow: Numbers
    schedule: Numbers


def schedule_exponents(spectrum_exponent: Numbers, residual_exponent: Numbers) -> ScheduleExponents:
    r"""Exponents of the loss over the steps, on the plane of α and δ, Eq. (121).

    Without noise L ∝ T^a, a = (1 − δ)/α < 0, and the speed limit of the same move grows as T^{1+a}. With noise, the
    best decay leaves :math:`v(\int_0^T\sqrt K)^2/N \propto T^{1/\alpha}/N`, since K ∝ x^{−2+1/α}. Both parts are alike
    at T ∝ N^{α/δ}, where :math:`L \propto N^{-(\delta-1)/\delta}`. If δ ≤ α, N steps do not reach so far: T ∝ N, as
    without noise, and a vanishing share of the steps is enough to forget it.

    Args:
        spectrum_exponent: α.
        residual_exponent: δ.

    Returns:
        Numbers, or arrays of the common shape.

    Raises:
        ValueError: if α or δ is not above 1, or α above 10.
    """
    alpha, delta = check_exponents(spectrum_exponent, residual_exponent)
    flow = (delta - 1.0) / alpha
    with np.errstate(divide="ignore"):
        limit = flow / np.maximum(1.0 - flow, 0.0)
    return ScheduleExponents(limit[()], flow[()], ((delta - 1.0) / np.maximum(alpha, delta))[()])


def check_exponents(spectrum_exponent: Numbers, residual_exponent: Numbers) -> tuple[np.ndarray, np.ndarray]:
    """α and δ as arrays of one shape, or a ValueError if one is not above 1, or α above 10."""
    alpha, delta = np.broadcast_arrays(np.asarray(spectrum_exponent, float), np.asarray(residual_exponent, float))
    for name, values in (("spectrum_exponent", alpha), ("residual_exponent", delta)):
        check_finite(name, values)
        if not (values > 1).all():
            raise ValueError(f"`{name}` must be above 1, or the loss is not finite; {name} = {values.min():g}.")
    if (alpha > STEEPEST).any():
        raise ValueError(f"`spectrum_exponent` must be at most {STEEPEST:g}; spectrum_exponent = {alpha.max():g}.")
    return alpha, delta
