r"""The same noise at the step h and at 2h: how far an ensemble is from continuous time.

An average that a scheme of weak order p ≥ 1 gives as f_h is off by :math:`f_h - f_0 \approx (f_{2h} - f_h)/(2^p - 1)`:
at most what doubling the step has changed. Two steps of one ensemble and one of the other share their noise, so the
difference of the averages has little error of its own.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from speedlimits.dynamics.noise import langevin
from speedlimits.dynamics.noise.langevin import Langevin
from speedlimits.dynamics.noise.state import Draws, LangevinState

# Of the limit of stability, for h. In equilibrium a mode of hλ = x has the variance 1/(1 − x) at 2h, 1/(1 − x/2) at h:
# the difference is at least the error at h for every x < 1, where the ensemble at 2h diverges. Half of that leaves room
# for a sharpness that grows on the way.
LARGEST_SHARE = 0.25


@dataclass(frozen=True, kw_only=True)
class DoubledState:
    """An ensemble, and its twin at the doubled step.

    Args:
        single: after an even number of steps of h.
        doubled: after half as many of 2h; None where there is no twin.
    """

    single: LangevinState
    doubled: LangevinState | None


def init(dynamics: Langevin, state: LangevinState, *, twin: bool = True) -> DoubledState:
    """Both ensembles at their common start.

    Args:
        dynamics: at the step h.
        state: from `langevin.init`.
        twin: whether to have one.

    Returns:
        The state.
    """
    return DoubledState(single=state, doubled=state if twin else None)


def step(dynamics: Langevin, state: DoubledState) -> DoubledState:
    """Two steps of h, and one of 2h.

    Args:
        dynamics: at the step h.
        state: from `init` or `step`.

    Returns:
        The state 2h later.

    Raises:
        DivergenceError: if a member leaves the finite numbers.
    """
    first = langevin.draw(dynamics, state.single)
    middle = langevin.step(dynamics, state.single, first)
    second = langevin.draw(dynamics, middle)
    single = langevin.step(dynamics, middle, second)
    if state.doubled is None:
        return DoubledState(single=single, doubled=None)
    both = Draws(noise=(first.noise + second.noise) / math.sqrt(2.0), uniform=first.uniform, random=second.random)
    coarse = replace(dynamics, time_step=2.0 * dynamics.time_step)
    return DoubledState(single=single, doubled=langevin.step(coarse, state.doubled, both))


def integrate(dynamics: Langevin, state: DoubledState, stops: Iterable[int]) -> Iterator[DoubledState]:
    """The states after given numbers of steps of h.

    Args:
        dynamics: at the step h.
        state: where to go on from.
        stops: even numbers of steps since the start, increasing.

    Yields:
        The state at each stop not before the given one.

    Raises:
        DivergenceError: if a member leaves the finite numbers.
    """
    for stop in stops:
        if stop < state.single.steps:
            continue
        while state.single.steps < stop:
            state = step(dynamics, state)
        yield state
