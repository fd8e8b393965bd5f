r"""A step of noisy training in shorter ones, for members on which the loss is too steep for the common step.

The noise is additive, so a step's Brownian path may be replaced by the straight line between its ends (Wong and Zakai
1965). The member follows :math:`\dot\theta = -\nabla V + \sqrt{2/(\beta h)}\,\xi` through it, in Euler steps so short
that the force changes no more than the velocity is. The noise is that of the common step, whatever the number of parts.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from speedlimits.errors import DivergenceError

# h·|Δf| over |δ|, an average of h·λ along the step: at 2 Euler's steps begin to grow.
TOO_STEEP = 1.5
# The same inside a refined step.
FINE = 1.0
# Where force and noise hold each other, the velocity is known to this fraction of either.
RESTING = 1e-3
# Parts below this fraction of the step are taken as they are: across a kink no part is fine.
SHORTEST = 2.0**-30
# Parts of one step that are tried before giving up.
MOST_PARTS = 200_000

# Of an ensemble: losses, gradients, forces.
Evaluate = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]


def refine(
    evaluate: Evaluate, thetas: Tensor, forces: Tensor, push: Tensor, time: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Carry members through one step of time.

    Args:
        evaluate: gives losses, gradients and forces of an ensemble.
        thetas: a member in each row.
        forces: on each member.
        push: the noise as a constant force on each member.
        time: h, of the whole step.

    Returns:
        Weights, losses and gradients at its end.

    Raises:
        DivergenceError: if a member does not get there.
    """
    thetas, forces = thetas.clone(), forces.clone()
    losses, gradients = torch.empty_like(thetas[:, 0]), torch.empty_like(thetas)
    left = torch.full_like(losses, time)
    parts = torch.full_like(losses, 0.5 * time)
    for _ in range(MOST_PARTS):
        rows = (left > 0).nonzero()[:, 0]
        if not len(rows):
            return thetas, losses, gradients
        part = torch.minimum(parts[rows], left[rows])
        velocities = forces[rows] + push[rows]
        tried = thetas[rows] + part[:, None] * velocities
        loss, gradient, force = evaluate(tried)
        rest = RESTING * push[rows].norm(dim=1)
        change = (force - forces[rows]).norm(dim=1) / (velocities.norm(dim=1) + rest)
        taken = (change <= FINE) | ((part <= SHORTEST * time) & torch.isfinite(loss))
        parts[rows] = part * torch.where(taken, torch.where(change < 0.5 * FINE, 1.5, 1.0), 0.5)
        done = rows[taken]
        thetas[done], forces[done] = tried[taken], force[taken]
        losses[done], gradients[done] = loss[taken], gradient[taken]
        left[done] = torch.where(part >= left[rows], 0.0, left[rows] - part)[taken]
        if bool((parts[rows] < SHORTEST**2 * time).any()):
            break
    raise DivergenceError(f"a member is too steep to be moved by {time:.4g}, even in {MOST_PARTS} parts.")
