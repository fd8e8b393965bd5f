"""Gradient descent, its path measured step by step and by chords, and kept: no long descent is made twice."""

import json
import math
from collections.abc import Iterator
from pathlib import Path

from torch import Tensor

from speedlimits.dynamics import descent
from speedlimits.dynamics.loss import Loss

# Steps of descent between the ends of a chord, at most: longer than the period of a zigzag, short beside the path. The
# fastest modes die within the first steps, and the path turns there: a chord spans a twentieth of the steps before it.
CHORD, SHARE = 64, 20
# A warm start is made at this share of the time.
WARM = 0.01


def descend(loss: Loss, theta0: Tensor, end: float, rate: float, folder: Path | None = None) -> dict[str, float]:
    """Gradient descent to a time, or the same descent as ``folder`` remembers it.

    Args:
        loss: L(θ).
        theta0: θ_0.
        end: T, about: it is rounded to whole steps.
        rate: η; a little less is taken, so that T is a whole number of steps, in hundreds if there are thousands: the
            warm start is then a step, too.
        folder: of descents made before.

    Returns:
        What the path comes to, its length by steps and by chords, and gradients.

    Raises:
        DivergenceError: if the loss grows a thousandfold.
    """
    rate = descent.whole_steps(end, rate)
    steps = round(end / rate)
    if steps > 1000:
        steps = 100 * math.ceil(steps / 100)
        rate = end / steps
    place = folder and folder / f"{theta0.numel()}-{float(theta0.double().sum()):.17g}-{end:.17g}-{rate:.17g}.json"
    if place and place.exists():
        return json.loads(place.read_text())
    begin = start = state = descent.init(loss, theta0)
    warm, chords = round(WARM * steps), 0.0
    for after, _ in descent.integrate(loss, theta0, begin, ends(steps, warm), learning_rate=rate):
        chords += float((after.displacement - state.displacement).norm())
        start, state = (after if after.step == warm else start), after
    found = {
        "w2_squared": float(state.displacement.square().sum()),
        "inefficiency": inefficiency(begin, state),
        "warm_inefficiency": inefficiency(start, state),
        "arc_length": float(state.arc_length),
        "arc_length_by_chords": chords,
        "loss_drop": float(state.initial_loss - state.loss),
        "path_over_loss_drop": float(state.path_dissipation / (state.initial_loss - state.loss)),
        "gradients": state.gradient_evaluations,
    }
    if place:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(json.dumps(found, indent=2) + "\n")
    return found


def ends(steps: int, warm: int) -> Iterator[int]:
    """The steps at which chords end, and the warm start.

    Args:
        steps: of the descent.
        warm: of the warm start.

    Yields:
        Step numbers in increasing order.
    """
    step = 0
    while step < steps:
        following = min(steps, step + min(CHORD, max(1, step // SHARE)))
        if step < warm < following:
            yield warm
        yield following
        step = following


def inefficiency(start: descent.DescentState, end: descent.DescentState) -> float:
    """T/T_SL between two states, with the loss drop as dissipation."""
    squared = (end.displacement - start.displacement).square().sum()
    return float((end.time - start.time) * (start.loss - end.loss) / squared)
