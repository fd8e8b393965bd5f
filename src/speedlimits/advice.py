"""What to do about the numbers of a run: a few sentences, each by a rule that a benchmark supports."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from speedlimits.noise import Noise
from speedlimits.trajectory import Trajectory

MOST = 3
# Beyond this headroom a higher rate pays; within it, the steps are at the edge.
ROOM = 1.5
# Fewer steps than that are not worth an effort.
MANY = 50
# Above this share of noise in the dissipation, the raw number is mostly noise.
NOISY = 0.10
# From this pace by steps on, prescribed lengths gained with every seed of plain and momentum descent.
UNEVEN = 4.0
# Below this share of the loss, T/T_SL is near 1 whatever comes later.
LITTLE = 0.10


@dataclass(frozen=True)
class Facts:
    """What the rules look at; NaN for what is not known.

    Args:
        steps: N.
        edge_steps: N_edge.
        room: the least N/N_edge on the way.
        pace: by the clock of steps.
        descent: whether all optimizers are SGD, with momentum or without; not where they are not known.
        inefficiency: T/T_SL by the clock of the flow.
        noise: share of noise in the dissipation; above 1 the steps turn back.
        gone: share of the recorded loss that is gone.
    """

    steps: float
    edge_steps: float
    room: float
    pace: float
    descent: bool
    inefficiency: float
    noise: float
    gone: float


def advise(trajectory: Trajectory, *, noise: Noise | None = None, optimizers: Sequence[str] = ()) -> tuple[str, ...]:
    """What to do, and what the number then means; docs/advice.md has the evidence for each sentence, losses included.

    Args:
        trajectory: of the run.
        noise: what its strides tell, where they were seen.
        optimizers: names of their classes, where they are known.

    Returns:
        At most three sentences, each with its numbers; none where no rule applies or nothing is known.
    """
    facts = _facts(trajectory, noise, optimizers)
    return tuple(said for rule in RULES if (said := rule(facts)))[:MOST]


def _facts(run: Trajectory, noise: Noise | None, optimizers: Sequence[str]) -> Facts:
    losses = run.losses[np.isfinite(run.losses)]
    first, last = (float(losses[0]), float(losses[-1])) if losses.size else (math.nan, math.nan)
    length = float(run.arc_lengths[-1])
    spent = float(run.path_dissipation[-1] * run.time)
    return Facts(
        steps=float(run.steps[-1]),
        edge_steps=float(run.edge_steps[-1]),
        room=run.least_headroom,
        pace=float(run.steps[-1] * run.step_dissipation[-1]) / length**2 if length > 0 else math.nan,
        descent=set(optimizers) == {"SGD"},
        inefficiency=spent / float(run.w2_squared[-1]) if run.w2_squared[-1] > 0 else math.nan,
        noise=math.nan if noise is None else float(noise.share),
        gone=1 - last / first if first > 0 else math.nan,
    )


def _headroom(facts: Facts) -> str:
    if not facts.room > ROOM:
        return ""
    noisy = ", less where noise sets in" if facts.noise > NOISY else ""
    return (
        f"The learning rate could be about {facts.room:.2g} times higher{noisy}: {facts.steps:.0f} steps went where "
        f"{facts.edge_steps:.3g} at the edge of stability would go."
    )


def _curvature(facts: Facts) -> str:
    if not (facts.steps <= ROOM * facts.edge_steps and facts.steps >= MANY):
        return ""
    return (
        f"The steps are at the edge of stability (N = {facts.steps:.0f}, N_edge = {facts.edge_steps:.3g}): a higher "
        "rate gains little, less curvature does. Centre or standardise the inputs, if they are not."
    )


def _lengths(facts: Facts) -> str:
    if not (facts.descent and facts.pace >= UNEVEN and facts.steps >= MANY):
        return ""
    return (
        f"The steps were uneven (pace {facts.pace:.3g} by the clock of steps): steps of prescribed length, by "
        "StepLength, came to a lower training loss in every such training that was tried."
    )


def _turning(facts: Facts) -> str:
    if not facts.noise > 1:
        return ""
    return (
        f"Steps turn back, so that T/T_SL = {facts.inefficiency:.3g} counts an oscillation, at the edge of stability "
        "or in noise, and not the way."
    )


def _noise(facts: Facts) -> str:
    if not NOISY < facts.noise <= 1:
        return ""
    return (
        f"{facts.noise:.0%} of the dissipation is what neighbouring steps do not share, as a rule the noise of "
        f"batches: read the drift's number instead of T/T_SL = {facts.inefficiency:.3g}."
    )


def _little(facts: Facts) -> str:
    if not facts.gone < LITTLE:
        return ""
    return (
        f"Only {max(facts.gone, 0.0):.1%} of the loss is gone: T/T_SL = {facts.inefficiency:.3g} is that of a "
        "beginning, and says nothing of a whole training."
    )


# What to do comes first, then what the number means.
RULES: Sequence[Callable[[Facts], str]] = (_headroom, _curvature, _lengths, _turning, _noise, _little)
