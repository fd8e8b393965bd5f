"""Errors, and the gradients that methods need for equal ones."""

import math
from typing import Any

QUANTITIES = ("w2_squared", "inefficiency", "warm_inefficiency", "arc_length", "loss_drop")

OURS = {"rkc2", "rock4", "smooth", "rkc2_float64"}


def errors(found: dict[str, float], exact: dict[str, float]) -> dict[str, float]:
    """Relative errors, and the worst of them."""
    each = {quantity: abs(found[quantity] / exact[quantity] - 1) for quantity in QUANTITIES if quantity in exact}
    return {**each, "worst": max(each.values())}


def converges(rows: list[dict[str, Any]]) -> bool:
    """Whether our errors of |Δθ|² fall with the tolerance, threefold at least: without that, no gain means anything."""
    curve = sorted((row["setting"], row["errors"]["w2_squared"]) for row in rows if row["method"] == "rkc2")
    return curve[0][1] <= curve[-1][1] / 3


def ratios(rows: list[dict[str, Any]], disagreement: dict[str, float]) -> list[dict[str, Any]]:
    """Gradients of each baseline over those that our methods need for its error, or what the references agree to."""
    found = []
    for base in rows:
        if base["method"] in OURS or base["errors"] is None:
            continue
        for method in sorted(OURS):
            curve = [row for row in rows if row["method"] == method and row["errors"]]
            if not curve:
                continue
            gains = {}
            for quantity, error in base["errors"].items():
                needed = gradients_for(curve, quantity, max(error, disagreement[quantity]))
                gains[quantity] = base["gradients"] / needed if needed else None
            found.append({"baseline": base["method"], "setting": base["setting"], "method": method, "gain": gains})
    return found


def gradients_for(curve: list[dict[str, Any]], quantity: str, error: float) -> float | None:
    """Gradients at an error on a work-precision curve, interpolated in logarithms, never beyond its ends."""
    points = sorted((row["gradients"], row["errors"][quantity]) for row in curve)
    for i, (gradients, reached) in enumerate(points):
        if reached <= error:
            if i == 0 or reached == 0:
                return gradients
            before, missed = points[i - 1]
            share = math.log(missed / error) / math.log(missed / reached)
            return before * (gradients / before) ** share
    return None
