"""The speed limit of a trajectory: what its dissipation is, and what counts as time."""

from typing import Literal

import numpy as np

from speedlimits._checks import check_non_negative, check_one_of
from speedlimits._columns import CLOCKS
from speedlimits.advice import advise
from speedlimits.bound import ROUNDING, SpeedLimit
from speedlimits.trajectory import Trajectory

KINDS = ("path", "loss_drop", "averaged")


def speed_limit(
    trajectory: Trajectory,
    *,
    dissipation: Literal["path", "loss_drop", "averaged"] = "path",
    clock: Literal["flow", "step", "seconds", "edge"] = "flow",
    tolerance: float = 0.05,
) -> SpeedLimit:
    r"""The speed limit of a trajectory, at each of its records.

    By Cauchy–Schwarz and the triangle inequality, for any positive clock τ of the steps

    .. math:: \sum_k\tau_k\,\sum_k\frac{|\delta_k|^2}{\tau_k} \ge \Big(\sum_k|\delta_k|\Big)^2 \ge |\Delta\theta|^2

    with equality where a straight path is walked at a constant speed by that clock.

    Args:
        trajectory: of a member, from its start; `Trajectory.from_start` gives later starts.
        dissipation: how to measure what was spent.
            ``"path"``: Σ|δ|²/Δt. By Cauchy–Schwarz (ΣΔt)(Σ|δ|²/Δt) ≥ l² ≥ |θ_T − θ_0|² for any optimizer and
            any step sizes, so this limit always holds.
            ``"loss_drop"``: ΔL, Eqs. (6), (12), as the paper does. It is the dissipation of a gradient flow;
            a run with finite steps spends more, by the discretisation share.
            ``"averaged"``: Σ|δ̄|²/Δt of the path through the midpoints of the steps, which runs from the same start to
            the same end in the same time. Its limit holds too, is never below that of the path itself, and is much
            closer to T at the edge of stability, where the weights oscillate with period two.
        clock: what time is; with another one than ``"flow"`` the dissipation must be that of the path.
            ``"flow"``: the learning rates added up, as in the paper. No schedule of rates changes this limit much: a
            flow has one speed at each place.
            ``"step"``: the optimizer's steps, N ≥ N_SL. The pace is then N/N_eff with N_eff = (Σ|δ|)²/Σ|δ|²: the steps
            moved as far as so many equal ones. For any optimizer.
            ``"seconds"``: the wall clock.
            ``"edge"``: τ = ηλ_max/s, where s is the largest stable ηλ, 2 for plain descent. T is then N_edge, the steps
            that a schedule at the edge of stability takes for this flow. Stable is ηλ_max ≤ s in each step, so that
            N = Σ1 ≥ Σηλ_max/s = N_edge, and Σηλ_max/s → ∫λ_max dt/s is the same for all schedules of one flow;
            headroom is N/N_edge (`Trajectory.headroom`). Walked at rates that are as stable everywhere, a straight line
            has N_edge = T_SL.
        tolerance: largest discretisation share, in size, at which the run still counts as a flow and its
            loss-drop limit as certified. The default, 5 %, is ηλ_max/2 at the learning rate 0.1/λ_max.

    Returns:
        The limit as a series over the records, and its advice. With ``"loss_drop"``, NaN where the loss is above its
        start.

    Raises:
        ValueError: if ``dissipation`` or ``clock`` is none of these, they do not go together, the clock was not
            recorded, or ``tolerance`` is not in [0, 1).
    """
    check_non_negative("tolerance", tolerance)
    if tolerance >= 1:
        raise ValueError(f"`tolerance` must be below 1; tolerance = {tolerance}.")
    check_one_of("dissipation", dissipation, KINDS)
    check_one_of("clock", clock, ("flow", *CLOCKS))
    if clock != "flow":
        return _by_clock(trajectory, clock, dissipation)
    if dissipation == "loss_drop":
        return _by_loss_drop(trajectory, tolerance)
    averaged = dissipation == "averaged"
    return SpeedLimit(
        time=trajectory.times,
        w2_squared=trajectory.w2_squared,
        dissipation=trajectory.averaged_dissipation if averaged else trajectory.path_dissipation,
        # The length of the path is not that of the path through its midpoints.
        arc_length=np.nan if averaged else trajectory.arc_lengths,
        points=trajectory.points,
        tolerance=np.maximum(ROUNDING, trajectory.tolerances),
        confidence=trajectory.confidence,
        hints=advise(trajectory),
    )


def _by_clock(trajectory: Trajectory, clock: str, dissipation: str) -> SpeedLimit:
    if dissipation != "path":
        raise ValueError(f"`dissipation` must be 'path' with this clock; clock = {clock!r}.")
    time, spent = (getattr(trajectory, name) for name in CLOCKS[clock])
    if np.isnan(time).any():
        raise ValueError(f"`clock` must be one that was recorded; clock = {clock!r}, which this trajectory has not.")
    return SpeedLimit(
        time=time,
        w2_squared=trajectory.w2_squared,
        dissipation=spent,
        arc_length=trajectory.arc_lengths,
        points=trajectory.points,
        # A sketch's error is known for the flow; by another clock the errors of 𝒲₂ and R add up at most.
        tolerance=np.maximum(ROUNDING, 2 * trajectory.tolerances),
        confidence=trajectory.confidence,
        hints=advise(trajectory),
        unit="s" if clock == "seconds" else "steps",
    )


def _by_loss_drop(trajectory: Trajectory, tolerance: float) -> SpeedLimit:
    share, seen = trajectory.discretisation_share, trajectory.points
    return SpeedLimit(
        time=trajectory.times,
        w2_squared=trajectory.w2_squared,
        dissipation=np.where(trajectory.loss_drop >= 0, trajectory.loss_drop, np.nan),
        arc_length=trajectory.arc_lengths,
        # A dissipation too small by the share s makes T_SL too large by 1/(1 − s).
        tolerance=np.maximum(ROUNDING, tolerance / (1 - tolerance) + trajectory.tolerances),
        confidence=trajectory.confidence,
        hints=advise(trajectory),
        caveats=(
            (
                f"the loss drop misses the path dissipation by {{:.2%}}, more than the {tolerance:.2%} of a flow",
                np.where(np.abs(share) > tolerance, share, np.nan),
            ),
            (
                "the path dissipation, seen at {:.0f} points only, cannot tell whether this is a flow",
                np.where(trajectory.times > 0, seen, np.nan),
            ),
        ),
    )
