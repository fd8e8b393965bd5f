"""What an ensemble under Langevin dynamics shows at one time: energies, entropy, and 𝒲₂ and β⁻¹R from both sides."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from speedlimits.certified import CertifiedLimit, certified_speed_limit
from speedlimits.dissipation import bounds as dissipation_bounds
from speedlimits.dynamics.noise.langevin import Langevin, LangevinState
from speedlimits.estimates import Estimate, from_mean, members_needed
from speedlimits.runs.noisy import NoisyConfig
from speedlimits.transport import bounds, plans

# Distances from below and dissipations from above that a certified limit is chosen from; each has its share of error.
DISTANCES: tuple[Callable[[np.ndarray, np.ndarray, Sequence[int]], Estimate], ...] = (
    lambda first, last, _: bounds.mean_shift(first, last),
    lambda first, last, blocks: bounds.trace_bound(first, last, blocks=blocks),
    lambda first, last, _: bounds.gelbrich(first, last),
    lambda first, last, _: bounds.max_sliced(first, last),
)
# Of the entropy's upper bounds; beside them, the loss at the start.
STRUCTURES = ("diagonal", "isotropic")
CANDIDATES = len(DISTANCES) + len(STRUCTURES) + 1


@dataclass(frozen=True)
class Measured:
    """All estimates at one time.

    Args:
        time: T [time].
        w2_squared: estimates of 𝒲₂, each with its side.
        dissipation: estimates of β⁻¹R [loss], each with its side.
        limit: what they certify.
        means: of energies and temperature over the members.
    """

    time: float
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
    # One more: two halves have one degree of freedom less than a whole.
    needed = members_needed(1.0 - (1.0 - config.confidence) / CANDIDATES) + 1
    if config.members < needed:
        raise ValueError(
            f"`members` must be at least {needed} for a limit at {config.confidence:g} confidence, chosen from "
            f"{CANDIDATES} candidates; members = {config.members}."
        )


def measure(
    dynamics: Langevin,
    start: LangevinState,
    state: LangevinState,
    *,
    blocks: Sequence[int],
    confidence: float,
    seed: int,
) -> Measured:
    """Look at an ensemble.

    Args:
        dynamics: what moved it.
        start: the ensemble at its start.
        state: the ensemble now, at least one step later.
        blocks: numbers of weights in each layer.
        confidence: of the certified limit.
        seed: of the random directions.

    Returns:
        Energies and brackets.
    """
    first, last = start.thetas.cpu().numpy(), state.thetas.cpu().numpy()
    time = state.steps * dynamics.time_step
    energies = [dynamics.potentials(each.thetas, each.losses).cpu().numpy() for each in (start, state)]
    distances = [bound(first, last, blocks) for bound in DISTANCES]
    beta = dynamics.inverse_temperature
    # S₀ of N(0, σ²) in P dimensions.
    entropy_start = 0.5 * first.shape[1] * np.log(2 * np.pi * np.e * dynamics.start_variance)
    spent = [
        dissipation_bounds.initial_loss(start.losses.cpu().numpy()),
        *(
            dissipation_bounds.maximum_entropy(
                energies[0],
                energies[1],
                last,
                entropy_start=float(entropy_start),
                inverse_temperature=beta,
                structure=structure,
            )
            for structure in STRUCTURES
        ),
    ]
    limit = certified_speed_limit(distances, spent, time, confidence=confidence)
    below = dissipation_bounds.distance_over_time(limit.w2_squared, time)
    sliced = bounds.sliced(first, last, generator=np.random.default_rng(seed))
    return Measured(
        time=time,
        w2_squared=[*distances, sliced, plans.member_cost(first, last), plans.assignment_cost(first, last)],
        dissipation=[*spent, below],
        limit=limit,
        means=[*_means(dynamics, state, energies[1]), from_mean("potential_drop", energies[0] - energies[1], "exact")],
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


def row(measured: Measured, inverse_temperature: float, entropy_start: float) -> dict[str, float]:
    """One row of the time courses.

    Args:
        measured: from `measure`.
        inverse_temperature: β.
        entropy_start: S₀.

    Returns:
        Numbers by name: means with their errors, brackets at 95 % each, and the certified limit.
    """
    numbers: dict[str, float] = {"time": measured.time}
    for mean in measured.means:
        numbers |= {mean.name: mean.value, f"{mean.name}_error": mean.standard_error}
    above = min((each for each in measured.dissipation if each.bounds_from("upper")), key=lambda each: each.value)
    # F(0) − F(t) = β⁻¹R, and S from the energy that went with it.
    entropic = min((each for each in measured.dissipation if "entropy" in each.name), key=lambda each: each.value)
    drop = numbers["potential_drop"]
    numbers["entropy_upper"] = inverse_temperature * (entropic.value - drop) + entropy_start
    numbers["free_energy_lower"] = numbers["potential"] - numbers["entropy_upper"] / inverse_temperature
    numbers["dissipation_upper"] = above.value
    for name, estimates in (("w2_squared", measured.w2_squared), ("dissipation", measured.dissipation)):
        for side in ("lower", "upper"):
            numbers[f"{name}_{side}_limit"] = extreme(estimates, side)
    numbers["speed_limit"] = measured.limit.speed_limit
    return numbers


def extreme(estimates: Sequence[Estimate], side: Any) -> float:
    """The tightest 95 % limit on one side, never below zero."""
    limits = [each.limit(side, 0.95) for each in estimates if each.bounds_from(side) and not each.caveat]
    return max(max(limits) if side == "lower" else min(limits), 0.0)


def as_json(estimate: Estimate) -> dict[str, Any]:
    """An estimate with its 95 % limits; what does not exist is null."""
    limits = {
        f"{side}_limit": estimate.limit(side, 0.95) if estimate.bounds_from(side) else None
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


def rising(rows: Sequence[Mapping[str, float]]) -> list[float]:
    """Times by which F has certainly risen, against Eq. (39): β⁻¹R from above falls below what was spent before.

    Args:
        rows: time courses.

    Returns:
        The times; empty for a sound run.
    """
    spent = np.maximum.accumulate([0.0, *(row["dissipation_lower_limit"] for row in rows)])[:-1]
    return [row["time"] for row, before in zip(rows, spent, strict=True) if row["dissipation_upper_limit"] < before]
