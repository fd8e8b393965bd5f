r"""Langevin dynamics of an ensemble of networks, Eqs. (1), (2), with several integrators.

.. math:: d\theta = -\nabla V\,dt + \sqrt{2\beta^{-1}}\,d\mathcal B, \qquad V = \kappa|\theta|^2 + L(\theta), \qquad
          p_0 \propto e^{-\beta\kappa|\theta|^2}

The paper has the prior precision κ = 1. Integrators:

- ``"euler-maruyama"``, Eqs. (27), (28): weak order 1; its equilibrium is off by O(h), for curvature k the variance is
  1/(βk(1 − hk/2)). Entropy production along its paths is known exactly (`dissipation.path_measure`).
- ``"leimkuhler-matthews"`` (2013): the noise is the mean of two neighbouring draws; equilibrium to second order, and
  exact for quadratic potentials.
- ``"metropolis"`` (Metropolis-adjusted Langevin; Roberts & Tweedie 1996): Euler–Maruyama steps, accepted or refused
  such that equilibrium is exact at any step.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from speedlimits._checks import check_integer, check_non_negative, check_one_of, check_positive, check_seed
from speedlimits.dynamics.noise.ensemble import Loss, losses_and_gradients
from speedlimits.dynamics.noise.refinement import TOO_STEEP, refine
from speedlimits.dynamics.noise.state import Draws, Ensemble, LangevinState, Members
from speedlimits.errors import DivergenceError

# Weights, of all members together, that one operation is done on.
BLOCK = 1 << 15
SCHEMES = ("euler-maruyama", "leimkuhler-matthews", "metropolis")


@dataclass(frozen=True, kw_only=True)
class Langevin:
    """Eq. (1) with η = 1, discretised.

    Args:
        loss: L, a function of a flat weight vector.
        inverse_temperature: β [1/loss], positive and finite.
        time_step: h [time].
        prior_precision: κ [loss]; the start has the variance 1/(2βκ).
        strength: λ in V = κ|θ|² + λL; 1 but for annealing.
        scheme: one of `SCHEMES`.
        chunk: members to evaluate at a time; None lets their size decide.

    Raises:
        ValueError: if β, h or κ is not positive and finite, λ negative or the scheme unknown.
    """

    loss: Loss
    inverse_temperature: float
    time_step: float
    prior_precision: float = 1.0
    strength: float = 1.0
    scheme: str = "euler-maruyama"
    chunk: int | None = None

    def __post_init__(self) -> None:
        check_positive("inverse_temperature", self.inverse_temperature)
        check_positive("time_step", self.time_step)
        check_positive("prior_precision", self.prior_precision)
        check_non_negative("strength", self.strength)
        check_one_of("scheme", self.scheme, SCHEMES)

    @property
    def start_variance(self) -> float:
        """1/(2βκ), that of each weight at the start, Eq. (18)."""
        return 0.5 / (self.inverse_temperature * self.prior_precision)

    def potentials(self, thetas: Ensemble, losses: Members) -> Members:
        """V = κ|θ|² + λL, Eq. (2), of each member whose loss is known."""
        return self.prior_precision * thetas.square().sum(1) + self.strength * losses

    def forces(self, thetas: Ensemble, gradients: Ensemble) -> Ensemble:
        """The force −∇V on each member whose ∇L is known."""
        return (-2.0 * self.prior_precision * thetas).add_(gradients, alpha=-self.strength)


def prior(dynamics: Langevin, members: int, parameters: int, *, seed: int) -> Ensemble:
    """Exact draws from the start, e^{−βκ|θ|²}/𝒵₀, Eq. (18).

    Args:
        dynamics: gives β and κ.
        members: number of rows.
        parameters: number of weights.
        seed: of the draw.

    Returns:
        The ensemble, on the CPU.

    Raises:
        ValueError: if a number is not a positive integer, or the seed has more than 32 bits.

    Note:
        Erratum of §2, text before Eq. (2): the start is e^{−β|θ|²}, not e^{−|θ|²}; Eq. (4) needs it.
    """
    check_integer("members", members, minimum=1)
    check_integer("parameters", parameters, minimum=1)
    check_seed("seed", seed)
    generator = torch.Generator().manual_seed(seed)
    draws = torch.randn(members, parameters, generator=generator, dtype=torch.float64)
    return math.sqrt(dynamics.start_variance) * draws


def init(dynamics: Langevin, thetas: Ensemble, *, seed: int) -> LangevinState:
    """The state at the start.

    Args:
        dynamics: what will move the ensemble.
        thetas: members at the start.
        seed: of all noise to come.

    Returns:
        The state.

    Raises:
        ValueError: if all members start from one point, where R is infinite, or a loss is not finite.
    """
    check_seed("seed", seed)
    if len(thetas) > 1 and bool((thetas == thetas[0]).all()):
        raise ValueError(
            "`thetas` must start from a law with width; all members are equal, and from a point ⟨ln p(0)⟩, with it "
            "R, is infinite at every finite β."
        )
    losses, gradients = losses_and_gradients(dynamics.loss, thetas, chunk=dynamics.chunk)
    generator = np.random.Generator(np.random.SFC64(seed))
    state = LangevinState(
        steps=0,
        thetas=thetas,
        losses=losses,
        gradients=gradients,
        noise=_normal(thetas, generator) if dynamics.scheme == "leimkuhler-matthews" else torch.zeros_like(thetas[:0]),
        path_ratio=torch.zeros_like(losses),
        accepted=0,
        random=_state_of(generator),
    )
    return _checked(dynamics, state)


def draw(dynamics: Langevin, state: LangevinState) -> Draws:
    """The random numbers of the next step.

    Args:
        dynamics: gives the scheme.
        state: where the generator stands.

    Returns:
        The numbers.
    """
    generator = _generator(state.random)
    noise, uniform = _normal(state.thetas, generator), None
    if dynamics.scheme == "metropolis":
        uniform = torch.from_numpy(generator.random(len(state.thetas))).to(state.thetas.device)
    return Draws(noise=noise, uniform=uniform, random=_state_of(generator))


def step(dynamics: Langevin, state: LangevinState, draws: Draws | None = None) -> LangevinState:
    """One step of every member.

    A member on which this step is too long, `TOO_STEEP`, is moved along the same noise in shorter ones, `refine`.

    Args:
        dynamics: potential, temperature and scheme.
        state: from `init` or `step`.
        draws: the random numbers; by default from `draw`.

    Returns:
        The state one time step later.

    Raises:
        DivergenceError: if a member leaves the finite numbers.
    """
    draws = draw(dynamics, state) if draws is None else draws
    thetas = _moved(dynamics, state, draws)
    losses, gradients = losses_and_gradients(dynamics.loss, thetas, chunk=dynamics.chunk)
    after = replace(
        state,
        steps=state.steps + 1,
        thetas=thetas,
        losses=losses,
        gradients=gradients,
        noise=draws.noise if len(state.noise) else state.noise,
        accepted=state.accepted + len(thetas),
        random=draws.random,
    )
    ratio, steep = _ratios(dynamics, state, after)
    if draws.uniform is not None:
        heat = _heat(dynamics, state, after)
        accepted = draws.uniform.log() < heat - ratio
        after = _accepted(state, after, accepted)
        # Accepted so, a step and its reversal have the ratio of detailed balance.
        return _checked(dynamics, replace(after, path_ratio=state.path_ratio + torch.where(accepted, heat, 0.0)))
    if bool(steep.any()):
        after = _refined(dynamics, state, after, _kick(state, draws, slice(None)), steep)
    if len(state.noise) or bool(steep.any()):
        ratio = torch.where((~steep) & (not len(state.noise)), ratio, _heat(dynamics, state, after))
    return _checked(dynamics, replace(after, path_ratio=state.path_ratio + ratio))


def _moved(dynamics: Langevin, state: LangevinState, draws: Draws) -> Ensemble:
    """Every member one time step later."""
    size, moved = dynamics.time_step, torch.empty_like(state.thetas)
    for rows in _blocks(moved):
        forces = dynamics.forces(state.thetas[rows], state.gradients[rows])
        torch.add(state.thetas[rows], forces, alpha=size, out=moved[rows])
        moved[rows].add_(_kick(state, draws, rows), alpha=math.sqrt(2.0 * size / dynamics.inverse_temperature))
    return moved


def _ratios(
    dynamics: Langevin, before: LangevinState, after: LangevinState
) -> tuple[Members, Bool[Tensor, " members"]]:
    """Each member's ln p(θ'|θ)/p(θ|θ') of one step, and whether the step is `TOO_STEEP`.

    Eqs. (29), (37), as in `dissipation.path_measure`, in one product: (β/2)(f + f')·δ + (βh/4)(|f'|² − |f|²).
    """
    size, ratio, steep = dynamics.time_step, torch.empty_like(after.losses), torch.empty_like(after.losses).bool()
    for rows in _blocks(after.thetas):
        moved = after.thetas[rows] - before.thetas[rows]
        forces, following = (dynamics.forces(state.thetas[rows], state.gradients[rows]) for state in (before, after))
        change = following.sub_(forces)
        # torch's products of rows take five times as long as its norms.
        steep[rows] = ~(size * change.norm(dim=1) <= TOO_STEEP * moved.norm(dim=1))
        moved.add_(change, alpha=0.5 * size)
        ratio[rows] = forces.mul_(2.0).add_(change).mul_(moved).sum(1)
    return ratio.mul_(0.5 * dynamics.inverse_temperature), steep


def _blocks(ensemble: Ensemble) -> Iterator[slice]:
    """Members, so many at a time that what is computed of them stays in a core's cache; elsewhere all at once."""
    members, parameters = ensemble.shape
    rows = max(1, BLOCK // parameters) if ensemble.device.type == "cpu" else members
    return (slice(row, row + rows) for row in range(0, members, rows))


def _kick(state: LangevinState, draws: Draws, rows: slice) -> Ensemble:
    """The noise of some members' step: the draw, or its mean with the one before."""
    return (state.noise[rows] + draws.noise[rows]).mul_(0.5) if len(state.noise) else draws.noise[rows]


def _refined(
    dynamics: Langevin, before: LangevinState, after: LangevinState, kick: Ensemble, steep: Tensor
) -> LangevinState:
    """The state after a step, with the steep members moved in shorter ones."""
    rows = steep.nonzero()[:, 0]

    def evaluate(thetas: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        losses, gradients = losses_and_gradients(dynamics.loss, thetas, chunk=dynamics.chunk)
        return losses, gradients, dynamics.forces(thetas, gradients)

    start, forces = before.thetas[rows], dynamics.forces(before.thetas[rows], before.gradients[rows])
    push = math.sqrt(2.0 / (dynamics.inverse_temperature * dynamics.time_step)) * kick[rows]
    thetas, losses, gradients = refine(evaluate, start, forces, push, dynamics.time_step)
    return replace(
        after,
        thetas=after.thetas.index_copy(0, rows, thetas),
        losses=after.losses.index_copy(0, rows, losses),
        gradients=after.gradients.index_copy(0, rows, gradients),
        refined=before.refined + len(rows),
    )


def integrate(dynamics: Langevin, state: LangevinState, stops: Iterable[int]) -> Iterator[LangevinState]:
    """The states after given numbers of steps.

    Args:
        dynamics: what moves the ensemble.
        state: where to go on from.
        stops: numbers of steps since the start, increasing.

    Yields:
        The state at each stop not before the given one.

    Raises:
        DivergenceError: if a member leaves the finite numbers.
    """
    for stop in stops:
        if stop < state.steps:
            continue
        while state.steps < stop:
            state = step(dynamics, state)
        yield state


def _normal(like: Tensor, generator: np.random.Generator) -> Tensor:
    """Standard normal numbers, drawn on the CPU so that every device gets the same."""
    return torch.from_numpy(generator.standard_normal(like.shape)).to(like.device)


def _generator(random: Tensor) -> np.random.Generator:
    # NumPy's SFC64, not torch's generator: twice as fast, and the noise is a third of a small network's step.
    bits = np.random.SFC64(0)
    bits.state = {**bits.state, "state": {"state": random.numpy().view(np.uint64)}}
    return np.random.Generator(bits)


def _state_of(generator: np.random.Generator) -> Tensor:
    words: np.ndarray = generator.bit_generator.state["state"]["state"]
    return torch.from_numpy(words.view(np.int64).copy())


def _heat(dynamics: Langevin, before: LangevinState, after: LangevinState) -> Members:
    """β(V − V′) of each member's step."""
    drop = dynamics.potentials(before.thetas, before.losses) - dynamics.potentials(after.thetas, after.losses)
    return dynamics.inverse_temperature * drop


def _accepted(before: LangevinState, after: LangevinState, accepted: Tensor) -> LangevinState:
    """The new state of members whose step was accepted, the old one of the others."""
    column = accepted[:, None]
    return replace(
        after,
        thetas=torch.where(column, after.thetas, before.thetas),
        losses=torch.where(accepted, after.losses, before.losses),
        gradients=torch.where(column, after.gradients, before.gradients),
        accepted=before.accepted + int(accepted.sum()),
    )


def _checked(dynamics: Langevin, state: LangevinState) -> LangevinState:
    finite = torch.isfinite(state.losses + state.thetas.sum(1))
    if not bool(finite.all()):
        raise DivergenceError(
            f"member {int(torch.argmin(finite.int()))} left the finite numbers at step {state.steps} of "
            f"{dynamics.time_step:.4g}; a smaller time step may help."
        )
    return state
