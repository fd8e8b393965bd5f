"""What an ensemble under Langevin dynamics shows at one time: energies, entropy, and 𝒲₂ and β⁻¹R from both sides."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from speedlimits._numbers import plain
from speedlimits.certified import CertifiedLimit, certified_speed_limit
from speedlimits.concentration import fewest_members
from speedlimits.dissipation import bounds as dissipation_bounds
from speedlimits.dynamics.noise.doubled import LARGEST_SHARE, DoubledState
from speedlimits.dynamics.noise.langevin import Langevin, LangevinState
from speedlimits.estimates import Estimate, from_mean, from_means
from speedlimits.gaussian_start import FITTED, Change, Passage, fitting, steepest_directions
from speedlimits.runs.noisy import NoisyConfig
from speedlimits.training.fresh_starts import Fresh
from speedlimits.transport import bounds, plans
from speedlimits.transport.directions import changed_directions

# Of the error that is allowed for β⁻¹R: two parts, so that each certified mean has the confidence of the others.
SIDES = 2


@dataclass(frozen=True)
class Measured:
    """All estimates at one time.

    Args:
        time: T [time].
        share: the step as a share of the limit of stability, the largest seen.
        w2_squared: estimates of 𝒲₂, each with its side.
        dissipation: estimates of β⁻¹R [loss], each with its side.
        limit: what the first of each certify.
        means: of energies and temperature over the members.
    """

    time: float
    share: float
    w2_squared: list[Estimate]
    dissipation: list[Estimate]
    limit: CertifiedLimit
    means: list[Estimate]


def check_enough_members(config: NoisyConfig) -> None:
    """Refuse an ensemble too small for its confidence.

    Args:
        config: the run.

    Raises:
        ValueError: naming the least number of members.
    """
    # Each side has half of the error, and β⁻¹R has two means.
    held = fewest_members(1.0 - 0.5 * (1.0 - config.confidence) / SIDES)
    needed = math.ceil(held * FITTED / (FITTED - 1))
    if config.members < needed:
        raise ValueError(
            f"`members` must be at least {needed} for a limit at {config.confidence:g} confidence; "
            f"members = {config.members}."
        )


def measure(
    dynamics: Langevin,
    start: LangevinState,
    state: DoubledState,
    fresh: Fresh,
    *,
    share: float,
    blocks: Sequence[int],
    confidence: float,
    seed: int,
) -> Measured:
    """Look at an ensemble.

    Args:
        dynamics: what moved it.
        start: the ensemble at its start.
        state: the ensemble now, at least two steps later, and its twin.
        fresh: other draws of the start.
        share: the step as a share of the limit of stability.
        blocks: numbers of weights in each layer.
        confidence: of the certified limit.
        seed: of the random directions.

    Returns:
        Energies and brackets.
    """
    now = state.single
    first, last = start.thetas.cpu().numpy(), now.thetas.cpu().numpy()
    time = now.steps * dynamics.time_step
    energies = [dynamics.potentials(each.thetas, each.losses).cpu().numpy() for each in (start, now)]
    distance, spent = bracket(dynamics, start, state, fresh, share)
    limit = certified_speed_limit([distance], [spent], time, confidence=confidence)
    entropies = [_maximum_entropy(dynamics, energies, last, structure) for structure in ("diagonal", "isotropic")]
    changed = changed_directions(first, last)
    distances = [
        bounds.mean_shift(first, last),
        bounds.trace_bound(first, last, blocks=blocks),
        bounds.gelbrich(first, last, directions=changed),
        bounds.max_sliced(first, last, directions=changed),
        bounds.sliced(first, last, generator=np.random.default_rng(seed)),
    ]
    above = [plans.member_cost(first, last), plans.assignment_cost(first, last)]
    return Measured(
        time=time,
        share=share,
        w2_squared=[distance, *distances, *above],
        dissipation=[
            spent,
            dissipation_bounds.initial_loss(fresh.losses),
            *entropies,
            dissipation_bounds.distance_over_time(distance, time),
        ],
        limit=limit,
        means=[*_means(dynamics, now, energies[1]), from_mean("potential_drop", energies[0] - energies[1], "exact")],
    )


def bracket(
    dynamics: Langevin, start: LangevinState, state: DoubledState, fresh: Fresh, share: float
) -> tuple[Estimate, Estimate]:
    """𝒲₂ from below and β⁻¹R from above, with room for the error of the step: what certifies.

    Args:
        dynamics: what moved the ensemble.
        start: the ensemble at its start.
        state: the ensemble now, and its twin.
        fresh: other draws of the start.
        share: the step as a share of the limit of stability.

    Returns:
        Both estimates; with a caveat where the error of the step is not known.
    """
    passage = _passage(start, state.single)
    fit, held = fitting(len(passage.start))
    gradients = np.concatenate([fresh.gradients, state.single.gradients[fit].cpu().numpy()])
    change = Change.fitted(
        passage[fit],
        steepest_directions(gradients),
        start_variance=dynamics.start_variance,
        inverse_temperature=dynamics.inverse_temperature,
    )
    own = passage[held]
    single = change.w2_squared(own), change.dissipation(own, fresh.losses)
    fault = ""
    if share > LARGEST_SHARE:
        fault = f"the step is {share:.2g} of the limit of stability; its error is known up to {LARGEST_SHARE:g}"
    if state.doubled is None:
        return dataclasses.replace(single[0], caveat=fault), dataclasses.replace(single[1], caveat=fault)
    twin = _passage(start, state.doubled)[held]
    return (
        with_step_error(single[0], change.w2_squared(twin), fault),
        with_step_error(single[1], change.dissipation(twin, fresh.losses), fault),
    )


def with_step_error(single: Estimate, doubled: Estimate, caveat: str = "") -> Estimate:
    r"""An estimate whose limits hold in continuous time too.

    By `dynamics.noise.doubled` the mean f₀ in continuous time lies between f_h and 2f_h − f_{2h}, or for higher orders
    nearer to f_h. Limits are taken of f_h and of :math:`3f_h - 2f_{2h}`, which leaves room for twice that.

    Args:
        single: at the step h.
        doubled: the same means of the same members at 2h.
        caveat: as in `Estimate`.

    Returns:
        The estimate at h, with the other as an alternative.
    """
    pairs = zip(single.parts, doubled.parts, strict=True)
    moved = from_means(single.name, [3.0 * fine - 2.0 * coarse for fine, coarse in pairs], single.side)
    return dataclasses.replace(single, caveat=caveat, alternatives=(moved,))


def _passage(start: LangevinState, state: LangevinState) -> Passage:
    return Passage(
        start=start.thetas.cpu().numpy(),
        end=state.thetas.cpu().numpy(),
        losses_start=start.losses.cpu().numpy(),
        losses_end=state.losses.cpu().numpy(),
    )


def _maximum_entropy(
    dynamics: Langevin, energies: Sequence[np.ndarray], last: np.ndarray, structure: dissipation_bounds.Structure
) -> Estimate:
    # S₀ of N(0, σ²) in P dimensions.
    entropy = 0.5 * last.shape[1] * math.log(2 * math.pi * math.e * dynamics.start_variance)
    return dissipation_bounds.maximum_entropy(
        energies[0],
        energies[1],
        last,
        entropy_start=entropy,
        inverse_temperature=dynamics.inverse_temperature,
        structure=structure,
    )


def _means(dynamics: Langevin, state: LangevinState, energies: np.ndarray) -> list[Estimate]:
    forces = dynamics.forces(state.thetas, state.gradients)
    # ⟨θ·∇V⟩ = P/β in equilibrium (equipartition), and above or below it on the way there.
    virial = -(forces * state.thetas).sum(1) / state.thetas.shape[1]
    return [
        from_mean("loss", state.losses.cpu().numpy(), "exact"),
        from_mean("potential", energies, "exact"),
        from_mean("effective_temperature", virial.cpu().numpy(), "exact"),
    ]


def row(measured: Measured, inverse_temperature: float, entropy_start: float) -> dict[str, float | None]:
    """One row of the time courses.

    Args:
        measured: from `measure`.
        inverse_temperature: β.
        entropy_start: S₀.

    Returns:
        Numbers by name: means with their errors, brackets at 95 % each, and the certified limit; None where there is
        none.
    """
    numbers: dict[str, float | None] = {"time": measured.time}
    for mean in measured.means:
        numbers |= {mean.name: mean.value, f"{mean.name}_error": mean.standard_error}
    above = min((each for each in measured.dissipation if each.bounds_from("upper")), key=lambda each: each.value)
    # F(0) − F(t) = β⁻¹R, and S from the energy that went with it.
    entropic = min((each for each in measured.dissipation if "entropy" in each.name), key=lambda each: each.value)
    energy, drop = (next(mean.value for mean in measured.means if mean.name == name) for name in _ENERGIES)
    numbers["entropy_upper"] = inverse_temperature * (entropic.value - drop) + entropy_start
    numbers["free_energy_lower"] = energy - numbers["entropy_upper"] / inverse_temperature
    numbers["dissipation_upper"] = above.value
    for name, estimates in (("w2_squared", measured.w2_squared), ("dissipation", measured.dissipation)):
        for side in ("lower", "upper"):
            numbers[f"{name}_{side}_limit"] = extreme(estimates, side)
    numbers["speed_limit"] = measured.limit.speed_limit if measured.limit.certified else None
    return plain(numbers)


_ENERGIES = ("potential", "potential_drop")


def extreme(estimates: Sequence[Estimate], side: Any) -> float:
    """The tightest proved 95 % limit on one side, never below zero; infinite where there is none from above."""
    proved = [each for each in estimates if each.bounds_from(side) and not each.obstacle(0.95)]
    limits = [each.limit(side, 0.95) for each in proved]
    return max([*limits, 0.0]) if side == "lower" else max(min(limits, default=math.inf), 0.0)


def as_json(estimate: Estimate) -> dict[str, Any]:
    """An estimate with its 95 % limits; what does not exist is null."""
    proved = not estimate.obstacle(0.95)
    limits = {
        f"{side}_limit": estimate.limit(side, 0.95) if proved and estimate.bounds_from(side) else None
        for side in ("lower", "upper")
    }
    return {
        "name": estimate.name,
        "value": estimate.value,
        "standard_error": estimate.standard_error,
        "side": estimate.side,
        **limits,
        "caveat": estimate.caveat,
    }


def rising(rows: Sequence[Mapping[str, float | None]]) -> list[float]:
    """Times by which F has certainly risen: β⁻¹R from above falls below what was spent before.

    No Langevin dynamics does that, by Eq. (39).

    Args:
        rows: time courses.

    Returns:
        The times; empty for a sound run.
    """
    spent = np.maximum.accumulate([0.0, *(row["dissipation_lower_limit"] or 0.0 for row in rows)])[:-1]
    above = [math.inf if row["dissipation_upper_limit"] is None else row["dissipation_upper_limit"] for row in rows]
    return [row["time"] for row, most, least in zip(rows, above, spent, strict=True) if most < least]  # type: ignore[misc]


def rise_reason(times: Sequence[float]) -> tuple[str, ...]:
    """Why a run whose free energy rose certifies nothing; empty for a sound one."""
    return (f"the free energy rose, against Eq. (39) (at time {times[0]:.4g})",) if times else ()
