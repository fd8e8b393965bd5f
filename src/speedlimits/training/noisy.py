"""Run a study of noisy training: draw the start, follow Langevin dynamics, bracket 𝒲₂ and β⁻¹R, certify T_SL."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits.dissipation.equilibrium import annealed_importance, thermodynamic_integration
from speedlimits.dissipation.fluctuation import FluctuationTheorem, fluctuation_theorem
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.dynamics.noise import langevin
from speedlimits.dynamics.noise.annealing import anneal
from speedlimits.dynamics.noise.langevin import Langevin, LangevinState
from speedlimits.dynamics.state import from_arrays, to_arrays
from speedlimits.estimates import from_mean
from speedlimits.runs import noisy_store as store
from speedlimits.runs.config import RunConfig
from speedlimits.runs.noisy import NoisyConfig
from speedlimits.runs.provenance import provenance
from speedlimits.training.noisy_estimates import Measured, as_json, measure, rising, row
from speedlimits.training.problem import build

# Steps per limit of stability where the step is left to us: Euler–Maruyama's variances are then 5 % off at most.
SHARE = 0.1
DECADES = 3
# A loss that moves at rest by more standard errors than this has not settled.
SETTLED = 4.0


def train_noisy(
    config: NoisyConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    progress: Callable[[float, float], None] = lambda share, loss: None,
) -> dict[str, Any]:
    """Run the study into a folder.

    Args:
        config: the study.
        out: the folder: ``config.toml``, ``provenance.json``, ``checkpoint.safetensors`` (the ensemble) and
            ``summary.json``.
        resume: go on with the run that is there: it ends in the same bits as one that was never stopped.
        force: replace the run that is there.
        progress: called with the share done and the mean loss at every record.

    Returns:
        The contents of ``summary.json``.

    Raises:
        RunFolderError: if the folder cannot be used.
        DivergenceError: if a member leaves the finite numbers.
        ValueError: if a name is unknown or the step is beyond the limit of stability.
    """
    path = Path(out)
    loss = _loss(config)
    dynamics, steps = _dynamics(config, loss)
    with store.writing(path, config, resume=resume, force=force):
        if not (path / "provenance.json").exists():
            store.write_json(path / "provenance.json", provenance(device="cpu", workers=1))
        thetas = langevin.prior(dynamics, config.members, loss.initial.numel(), seed=config.seed)
        start = langevin.init(dynamics, thetas, seed=config.seed + 1)
        entropy = 0.5 * thetas.shape[1] * math.log(2 * math.pi * math.e * dynamics.start_variance)
        state, rows = start, []
        if (kept := store.read_checkpoint(path)) is not None:
            state, rows = from_arrays(start, kept[0]), kept[1]
        measured = None
        stops = [stop for stop in _stops(steps, config.records) if stop > state.steps]
        for later in langevin.integrate(dynamics, state, stops):
            state = later
            measured = _look(config, dynamics, loss, start, state)
            rows.append(row(measured, config.inverse_temperature, entropy))
            store.write_checkpoint(path, to_arrays(state), rows)
            progress(state.steps / steps, rows[-1]["loss"])
        measured = measured or _look(config, dynamics, loss, start, state)
        summary = _summary(config, dynamics, start, state, measured, rows)
        store.write_json(path / "summary.json", summary)
    return summary


def _loss(config: NoisyConfig) -> FlatLoss:
    """The loss of the network and data that a plain study of these names has."""
    names = ("dataset", "samples", "model", "width", "depth", "activation")
    return build(RunConfig(**{name: getattr(config, name) for name in names}), config.seed).loss


def _dynamics(config: NoisyConfig, loss: FlatLoss) -> tuple[Langevin, int]:
    """The dynamics and its number of steps: a whole one, so that they end at T."""
    wanted = Langevin(
        loss=loss,
        inverse_temperature=config.inverse_temperature,
        time_step=config.time,
        prior_precision=config.kappa,
        scheme=config.scheme,
    )
    probes = langevin.prior(wanted, 3, loss.initial.numel(), seed=config.seed)
    size = SHARE * langevin.stable_time_step(wanted, probes) if config.step == "auto" else float(config.step)
    steps = max(1, math.ceil(config.time / size - 1e-9))
    dynamics = dataclasses.replace(wanted, time_step=config.time / steps)
    langevin.check_stable(dynamics, probes)
    return dynamics, steps


def _look(
    config: NoisyConfig, dynamics: Langevin, loss: FlatLoss, start: LangevinState, state: LangevinState
) -> Measured:
    return measure(dynamics, start, state, blocks=loss.sizes, confidence=config.confidence, seed=config.seed)


def _stops(steps: int, records: int) -> list[int]:
    wanted = steps * np.logspace(-DECADES, 0, records)
    return np.unique(np.maximum(wanted.round().astype(int), 1)).tolist()


def _summary(
    config: NoisyConfig,
    dynamics: Langevin,
    start: LangevinState,
    state: LangevinState,
    measured: Measured,
    rows: Sequence[dict[str, float]],
) -> dict[str, Any]:
    limit = measured.limit
    average, effective, computable = _fluctuations(dynamics, start, state)
    # Only these schemes know the probabilities of their paths.
    computable = computable and config.scheme != "leimkuhler-matthews"
    means = {mean.name: as_json(mean) for mean in measured.means}
    return {
        **dataclasses.asdict(config),
        "parameters": start.thetas.shape[1],
        "prior_precision": config.kappa,
        "time_step": dynamics.time_step,
        "steps": state.steps,
        "acceptance": state.accepted / (state.steps * len(state.thetas)),
        "loss_start": float(start.losses.mean()),
        "loss": means["loss"],
        "effective_temperature": means["effective_temperature"],
        "temperature": 1.0 / config.inverse_temperature,
        "w2_squared": [as_json(each) for each in measured.w2_squared],
        "dissipation": [as_json(each) for each in measured.dissipation],
        "dissipation_to_equilibrium": _to_equilibrium(config, dynamics, start),
        "speed_limit": limit.speed_limit,
        "certified": limit.certified,
        "reasons": list(limit.limit.reasons),
        "pair": [limit.w2_squared.name, limit.dissipation.name],
        "w2_squared_limit": limit.w2_squared_limit,
        "dissipation_limit": limit.dissipation_limit,
        "verdict": str(limit),
        "fluctuation_theorem": {
            "average": average.value if computable else None,
            "standard_error": average.standard_error if computable else None,
            "effective_members": effective,
        },
        "free_energy_rises_at": rising(rows),
        "series": list(rows),
    }


def _fluctuations(dynamics: Langevin, start: LangevinState, state: LangevinState) -> FluctuationTheorem:
    """⟨e^{−ΔS}⟩ with the reversed paths started from p₀ itself, whose density is known."""
    change = state.thetas.square().sum(1) - start.thetas.square().sum(1)
    boundary = dynamics.inverse_temperature * dynamics.prior_precision * change
    return fluctuation_theorem((boundary + state.path_ratio).cpu().numpy())


def _to_equilibrium(config: NoisyConfig, dynamics: Langevin, start: LangevinState) -> list[dict[str, Any]]:
    """β⁻¹R_∞ by annealing both ways and by thermodynamic integration."""
    # Dense where the loss falls fastest, at small strength.
    strengths = np.linspace(0.0, 1.0, config.strengths) ** 3
    steps = config.anneal_steps
    forward = anneal(dynamics, start.thetas, strengths, steps=steps, seed=config.seed + 2)
    rest = anneal(dynamics, forward.thetas, np.ones(2), steps=5 * steps, seed=config.seed + 3)
    reverse = anneal(dynamics, rest.thetas, strengths[::-1].copy(), steps=steps, seed=config.seed + 4)
    beta, losses = config.inverse_temperature, forward.losses.numpy()
    estimates = [
        annealed_importance(forward.log_weights.numpy(), losses[0], beta),
        annealed_importance(reverse.log_weights.numpy(), losses[0], beta, direction="reverse"),
        *thermodynamic_integration(strengths, losses),
    ]
    fall = from_mean("fall of the loss at rest", (rest.losses[0] - rest.losses[-1]).numpy(), "exact")
    if abs(fall.value) > SETTLED * fall.standard_error:
        missed = f"; here they are not: at rest the loss still changes by {-fall.value:.3g}"
        estimates = [dataclasses.replace(each, caveat=each.caveat and each.caveat + missed) for each in estimates]
    return [as_json(each) for each in estimates]
