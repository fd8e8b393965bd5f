"""Train with noise: draw the start, follow Langevin dynamics, bracket 𝒲₂ and β⁻¹R, certify T_SL."""

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from speedlimits._numbers import plain
from speedlimits.dissipation.equilibrium import annealed_importance, thermodynamic_integration
from speedlimits.dissipation.fluctuation import fluctuation_theorem
from speedlimits.dynamics.loss import FlatLoss
from speedlimits.dynamics.noise import doubled, langevin
from speedlimits.dynamics.noise.annealing import anneal
from speedlimits.dynamics.noise.doubled import DoubledState
from speedlimits.dynamics.noise.langevin import Langevin, LangevinState
from speedlimits.dynamics.noise.stability import check_stable, stable_time_step
from speedlimits.dynamics.state import from_arrays, to_arrays
from speedlimits.dynamics.threads import one_thread
from speedlimits.estimates import from_mean
from speedlimits.runs.noisy import NoisyConfig, NoisyFolder, NoisyRun
from speedlimits.runs.provenance import begin
from speedlimits.training.fresh_starts import Fresh
from speedlimits.training.noisy_estimates import (
    Measured,
    as_json,
    check_enough_members,
    measure,
    rise_reason,
    rising,
    row,
)
from speedlimits.training.problem import Problem
from speedlimits.training.sources import Source

# Steps per limit of stability where the step is left to us: Euler–Maruyama's variances are then 5 % off at most.
SHARE = 0.1
# Members whose sharpness gives the limit of stability.
PROBES = 9
FEW_PROBES = 3
# A run of more steps is a slip in `step`.
MOST_STEPS = 10_000_000
DECADES = 3
# Names of the twin's arrays in the checkpoint begin so.
TWIN = "doubled."
# A loss that moves at rest by more standard errors than this has not settled.
SETTLED = 4.0


@one_thread()
def train_noisy(
    config: NoisyConfig,
    out: str | Path,
    *,
    resume: bool = False,
    force: bool = False,
    changed: bool = False,
    progress: Callable[[float, float], None] = lambda share, loss: None,
) -> NoisyRun:
    """Train an ensemble with noise and write its run folder.

    Args:
        config: the run.
        out: the folder: ``config.toml``, ``provenance.json``, ``checkpoint.safetensors`` (the ensemble) and
            ``summary.json``.
        resume: go on with the run that is there: it ends in the same bits as one that was never stopped.
        force: replace the run that is there.
        changed: go on although the problem has changed, as of `train_run`.
        progress: called with the share done and the mean loss at every record.

    Returns:
        The finished run.

    Raises:
        RunFolderError: if the folder cannot be used.
        DivergenceError: if a member leaves the finite numbers.
        ValueError: if a name is unknown or the step is beyond the limit of stability.
    """
    out = Path(out)
    check_enough_members(config)
    source = Source.of(config).checked(config, config.seed)
    ensemble = _Ensemble.drawn(config, source.build(config, config.seed), source.name)
    with NoisyFolder.writing(out, config, resume=resume, force=force) as folder:
        if folder.ended():
            return NoisyRun.of(folder)
        begin(folder, {"workers": 1}, source.facts(), device="cpu", changed=changed)
        state, measured = ensemble.begun(), None
        rows: list[dict[str, float | None]] = []
        if (kept := folder.read_checkpoint()) is not None:
            state, rows = _restored(state, kept[0]), kept[1]
        stops = [stop for stop in _stops(ensemble.steps, config.records) if stop > state.single.steps]
        for later in doubled.integrate(ensemble.dynamics, state, stops):
            state, measured = later, ensemble.measure(later)
            rows.append(row(measured, config.inverse_temperature, ensemble.entropy))
            folder.write_checkpoint(_arrays(state), rows)
            progress(state.single.steps / ensemble.steps, float(later.single.losses.mean()))
        summary = ensemble.summary(state, measured or ensemble.measure(state), rows)
        # Numbers that do not exist are null.
        folder.write_json("summary.json", plain(summary))
        folder.close()
    return NoisyRun.of(folder)


@dataclass(frozen=True)
class _Ensemble:
    """The networks at their start, and what will move them."""

    config: NoisyConfig
    problem: Problem
    name: str | None
    dynamics: Langevin
    steps: int
    stable: float
    start: LangevinState
    fresh: Fresh

    @classmethod
    def drawn(cls, config: NoisyConfig, problem: Problem, name: str | None) -> "_Ensemble":
        """Exact draws from p₀: the problem's own weights only tell how many there are."""
        dynamics, steps, stable = _dynamics(config, problem.flat_loss)
        thetas = langevin.prior(dynamics, config.members, problem.theta0.numel(), seed=config.seed)
        start = langevin.init(dynamics, thetas, seed=_stream(config, 1))
        fresh = Fresh.drawn(dynamics, config.members, problem.theta0.numel(), seed=_stream(config, 5))
        return cls(config, problem, problem.name or name, dynamics, steps, stable, start, fresh)

    @property
    def entropy(self) -> float:
        """S₀ of the Gaussian start."""
        return 0.5 * self.start.thetas.shape[1] * math.log(2 * math.pi * math.e * self.dynamics.start_variance)

    def begun(self) -> DoubledState:
        """The ensemble and its twin at their start; without a twin where its step would be too long for a limit."""
        return doubled.init(self.dynamics, self.start, twin=self._share(self.stable) <= doubled.LARGEST_SHARE)

    def _share(self, stable: float) -> float:
        """The step as a share of the limit of stability."""
        return self.dynamics.time_step / stable

    def measure(self, state: DoubledState) -> Measured:
        """All estimates at one time."""
        config = self.config
        share = self._share(min(self.stable, stable_time_step(self.dynamics, state.single.thetas, members=FEW_PROBES)))
        return measure(
            self.dynamics,
            self.start,
            state,
            self.fresh,
            share=share,
            blocks=self.problem.flat_loss.sizes,
            confidence=config.confidence,
            seed=config.seed,
        )

    def summary(self, both: DoubledState, measured: Measured, rows: list[dict[str, float | None]]) -> dict[str, Any]:
        """The contents of ``summary.json``."""
        config, state = self.config, both.single
        rises = rising(rows)
        limit = measured.limit.with_reasons(rise_reason(rises))
        means = {mean.name: as_json(mean) for mean in measured.means}
        return {
            # Those of a problem of one's own have no names.
            "dataset": None,
            "model": None,
            **config.to_dict(),
            "name": self.name,
            "loss_name": self.problem.loss_name,
            "samples": self.problem.samples,
            "parameters": self.start.thetas.shape[1],
            "prior_precision": config.kappa,
            "time_step": self.dynamics.time_step,
            "share_of_stability": measured.share,
            "steps": state.steps,
            "refined_steps": state.refined,
            "acceptance": state.accepted / (state.steps * len(state.thetas)),
            "loss_start": float(self.fresh.losses.mean()),
            "fresh_starts": self.fresh.losses.size,
            "loss": means["loss"],
            "effective_temperature": means["effective_temperature"],
            "temperature": 1.0 / config.inverse_temperature,
            "w2_squared": [as_json(each) for each in measured.w2_squared],
            "dissipation": [as_json(each) for each in measured.dissipation],
            "dissipation_to_equilibrium": _to_equilibrium(config, self.dynamics, self.start),
            "speed_limit": limit.speed_limit,
            "certified": limit.certified,
            "reasons": list(limit.limit.reasons),
            "pair": [limit.w2_squared.name, limit.dissipation.name],
            "w2_squared_limit": limit.w2_squared_limit,
            "dissipation_limit": limit.dissipation_limit,
            "verdict": str(limit),
            "fluctuation_theorem": self._fluctuations(state),
            "free_energy_rises_at": rises,
            "series": rows,
        }

    def _fluctuations(self, state: LangevinState) -> dict[str, float | None]:
        """⟨e^{−ΔS}⟩ with the reversed paths started from p₀ itself, whose density is known."""
        dynamics = self.dynamics
        change = state.thetas.square().sum(1) - self.start.thetas.square().sum(1)
        boundary = dynamics.inverse_temperature * dynamics.prior_precision * change
        average, effective, computable = fluctuation_theorem((boundary + state.path_ratio).cpu().numpy())
        # Only these schemes know the probabilities of their paths.
        computable = computable and dynamics.scheme != "leimkuhler-matthews"
        return {
            "average": average.value if computable else None,
            "standard_error": average.standard_error if computable else None,
            "effective_members": effective,
        }


def _dynamics(config: NoisyConfig, loss: FlatLoss) -> tuple[Langevin, int, float]:
    """The dynamics, its even number of steps, such that they end at T, and the limit of stability at the start."""
    wanted = Langevin(
        loss=loss,
        inverse_temperature=config.inverse_temperature,
        time_step=config.time,
        prior_precision=config.kappa,
        scheme=config.scheme,
    )
    probes = langevin.prior(wanted, PROBES, loss.initial.numel(), seed=config.seed)
    stable = stable_time_step(wanted, probes)
    size = SHARE * stable if config.step == "auto" else float(config.step)
    if not config.time / size <= MOST_STEPS:
        raise ValueError(
            f"`step` must be at least T/{MOST_STEPS:.0e} = {config.time / MOST_STEPS:.4g}; step = {size:.4g}."
        )
    steps = 2 * max(1, math.ceil(0.5 * config.time / size - 1e-9))
    dynamics = dataclasses.replace(wanted, time_step=config.time / steps)
    if config.step != "auto":
        check_stable(dataclasses.replace(wanted, time_step=size), stable)
    return dynamics, steps, stable


def _stops(steps: int, records: int) -> list[int]:
    """Numbers of steps at which to look, even: the twin takes half as many."""
    wanted = 0.5 * steps * np.logspace(-DECADES, 0, records)
    return (2 * np.unique(np.maximum(wanted.round().astype(int), 1))).tolist()


def _arrays(state: DoubledState) -> dict[str, np.ndarray]:
    """Both ensembles as arrays of one file."""
    twin = {} if state.doubled is None else to_arrays(state.doubled)
    return to_arrays(state.single) | {TWIN + name: array for name, array in twin.items()}


def _restored(begun: DoubledState, arrays: dict[str, np.ndarray]) -> DoubledState:
    """The state that `_arrays` was given."""
    twin = {name.removeprefix(TWIN): array for name, array in arrays.items() if name.startswith(TWIN)}
    own = {name: array for name, array in arrays.items() if not name.startswith(TWIN)}
    return DoubledState(
        single=from_arrays(begun.single, own),
        doubled=None if begun.doubled is None else from_arrays(begun.doubled, twin),
    )


def _stream(config: NoisyConfig, number: int) -> int:
    """The seed of one of the run's streams of random numbers: no two streams share one, nor do neighbouring runs."""
    return int(np.random.SeedSequence((config.seed, number)).generate_state(1)[0])


def _to_equilibrium(config: NoisyConfig, dynamics: Langevin, start: LangevinState) -> list[dict[str, Any]]:
    """β⁻¹R_∞ by annealing both ways and by thermodynamic integration."""
    # Dense where the loss falls fastest, at small strength.
    strengths = np.linspace(0.0, 1.0, config.strengths) ** 3
    steps = config.anneal_steps
    forward = anneal(dynamics, start.thetas, strengths, steps=steps, seed=_stream(config, 2))
    rest = anneal(dynamics, forward.thetas, np.ones(2), steps=5 * steps, seed=_stream(config, 3))
    reverse = anneal(dynamics, rest.thetas, strengths[::-1].copy(), steps=steps, seed=_stream(config, 4))
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
