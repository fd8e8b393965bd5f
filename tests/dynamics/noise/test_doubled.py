"""Twin ensembles at the steps h and 2h: what doubling changes is what the step costs."""

import numpy as np
import pytest
import torch

from speedlimits.dynamics.noise import doubled, langevin
from speedlimits.estimates import from_mean
from speedlimits.training.noisy_estimates import with_step_error

KAPPA, STIFF = 0.5, 4.0


def spring(theta: torch.Tensor) -> torch.Tensor:
    """L = ½·4·θ²: with κ = ½ the curvature of V is 5."""
    return 0.5 * STIFF * theta.square().sum()


def twins(size: float, time: float, members: int = 4000, scheme: str = "euler-maruyama") -> doubled.DoubledState:
    """Both ensembles of a spring at a time."""
    dynamics = langevin.Langevin(
        loss=spring, inverse_temperature=1.0, time_step=size, prior_precision=KAPPA, scheme=scheme
    )
    start = langevin.init(dynamics, langevin.prior(dynamics, members, 1, seed=0), seed=1)
    *_, state = doubled.integrate(dynamics, doubled.init(dynamics, start), [2 * round(0.5 * time / size)])
    return state


def test_single_ensemble_is_that_of_plain_steps():
    """The twin changes nothing: the ensemble at h has the bits of `langevin.integrate`."""
    dynamics = langevin.Langevin(loss=spring, inverse_temperature=1.0, time_step=0.05, prior_precision=KAPPA)
    start = langevin.init(dynamics, langevin.prior(dynamics, 50, 1, seed=0), seed=1)
    *_, plain = langevin.integrate(dynamics, start, [8])
    *_, both = doubled.integrate(dynamics, doubled.init(dynamics, start), [8])
    assert torch.equal(plain.thetas, both.single.thetas)
    assert torch.equal(plain.random, both.single.random)
    assert both.doubled is not None
    assert both.doubled.steps == 4


@pytest.mark.parametrize("scheme", langevin.SCHEMES)
def test_twins_stay_together(scheme):
    """The same noise: members of the twins differ by much less than members do among themselves."""
    state = twins(0.01, 0.4, scheme=scheme)
    assert state.doubled is not None
    apart = (state.single.thetas - state.doubled.thetas).std()
    assert apart < 0.25 * state.single.thetas.std()


@pytest.mark.parametrize("share", [0.05, 0.1, doubled.LARGEST_SHARE])
def test_doubling_shows_the_error_of_the_step(share):
    """The variance of a spring at rest, 1/(βk(1 − hk/2)) by the step h: the truth 1/(βk) lies within the room left."""
    stiffness = 2 * KAPPA + STIFF
    state = twins(share * 2 / stiffness, 3.0)
    assert state.doubled is not None
    squares = [each.thetas[:, 0].square().numpy() for each in (state.single, state.doubled)]
    both = with_step_error(from_mean("square", squares[0], "exact"), from_mean("square", squares[1], "exact"))
    assert both.alternatives[0].value < 1 / stiffness < both.value
    # Three times a value less twice that at the doubled step, in closed form.
    law = lambda h: 1 / (stiffness * (1 - 0.5 * h * stiffness))  # noqa: E731
    size = share * 2 / stiffness
    assert both.alternatives[0].value == pytest.approx(
        3 * law(size) - 2 * law(2 * size), abs=4 * both.alternatives[0].standard_error
    )
    assert both.limit("lower", 0.95) < 1 / stiffness < both.limit("upper", 0.95)


def test_without_a_twin_there_is_one_ensemble():
    """A step too long to be doubled is taken alone."""
    dynamics = langevin.Langevin(loss=spring, inverse_temperature=1.0, time_step=0.1, prior_precision=KAPPA)
    start = langevin.init(dynamics, langevin.prior(dynamics, 20, 1, seed=0), seed=1)
    *_, alone = doubled.integrate(dynamics, doubled.init(dynamics, start, twin=False), [4])
    assert alone.doubled is None
    assert np.isfinite(alone.single.thetas.numpy()).all()
