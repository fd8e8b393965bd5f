"""Many networks at once: one loss evaluated for every row of an ensemble, in chunks that fit the memory."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import grad, grad_and_value, vmap

from speedlimits._checks import check_integer
from speedlimits.dynamics.loss import FlatLoss, Loss, half_squared_error
from speedlimits.dynamics.passes import twice_differentiable

Ensemble = Float[Tensor, "members parameters"]
Members = Float[Tensor, " members"]

# Weights whose gradients are taken at a time, all members together: their activations take a few times as much.
WEIGHTS = 1 << 22


def members_at_once(parameters: int) -> int:
    """How many members to evaluate at a time."""
    return max(1, WEIGHTS // parameters)


def losses_and_gradients(loss: Loss, thetas: Ensemble, *, chunk: int | None = None) -> tuple[Members, Ensemble]:
    """L and ∇L of every member, one gradient evaluation each: by the model's own ``side_by_side``, or by vmap.

    A model that has such a method, as `FCN`, runs many networks at once; that saves what `torch.func.vmap` takes.

    Args:
        loss: a function of a flat weight vector made of torch operations alone, as `FlatLoss`.
        thetas: a member in each row.
        chunk: members at a time; by default so many that four million weights are.

    Returns:
        The losses and the gradients.
    """
    chunk = members_at_once(thetas.shape[1]) if chunk is None else chunk
    check_integer("chunk", chunk, minimum=1)
    if isinstance(loss, FlatLoss) and _runs_side_by_side(loss):
        pieces = [_at_once(loss, piece) for piece in thetas.split(chunk)]
        losses, gradients = zip(*pieces, strict=True)
        return (losses[0], gradients[0]) if len(pieces) == 1 else (torch.cat(losses), torch.cat(gradients))
    with twice_differentiable():
        # vmap makes lists as long as its chunk.
        gradients, losses = vmap(grad_and_value(loss), chunk_size=min(chunk, len(thetas)))(thetas)
    return losses, gradients


def _runs_side_by_side(loss: FlatLoss) -> bool:
    """Whether the model has a way of its own to run many networks, and all of its weights are trained."""
    # A subclass with a forward pass of its own has inherited the way of another network.
    owner = next(kind for kind in type(loss.model).__mro__ if "forward" in vars(kind))
    trained = all(weight.requires_grad for weight in loss.model.parameters())
    return "side_by_side" in vars(owner) and trained and isinstance(loss.inputs, Tensor)


def _at_once(loss: FlatLoss, thetas: Ensemble) -> tuple[Members, Ensemble]:
    with loss.passes():
        outputs, back = loss.model.side_by_side(loss.many(thetas), loss.inputs)  # type: ignore[operator]
    if loss.criterion is half_squared_error:
        slopes = outputs.sub_(loss.targets)
        losses = 0.5 * slopes.square().sum((1, 2))
    else:
        slopes, losses = vmap(grad_and_value(loss.criterion), in_dims=(0, None))(outputs, loss.targets)
    return losses, torch.cat([slope.flatten(1) for slope in back(slopes)], dim=1)


def losses_of(loss: Loss, thetas: Ensemble, *, chunk: int | None = None) -> Members:
    """L of every member, without gradients.

    Args:
        loss: as of `losses_and_gradients`.
        thetas: a member in each row.
        chunk: members at a time.

    Returns:
        The losses.
    """
    return vmap(loss, chunk_size=members_at_once(thetas.shape[1]) if chunk is None else chunk)(thetas)


def laplacians(loss: Loss, thetas: Ensemble, *, generator: torch.Generator, chunk: int | None = None) -> Members:
    r"""Hutchinson's unbiased estimate of ΔL of every member, one Hessian-vector product each.

    .. math:: \Delta L \approx z^{\mathsf T}\nabla\nabla L\,z, \qquad z_i = \pm 1

    Args:
        loss: twice differentiable.
        thetas: a member in each row.
        generator: draws the signs, on the CPU.
        chunk: members at a time.

    Returns:
        The estimates.
    """
    signs = torch.randint(0, 2, thetas.shape, generator=generator).to(thetas) * 2 - 1

    def along(theta: Tensor, sign: Tensor) -> Tensor:
        slope = lambda place: grad(loss)(place).dot(sign)  # noqa: E731
        return grad(slope)(theta).dot(sign)

    with twice_differentiable():
        return vmap(along, chunk_size=members_at_once(thetas.shape[1]) if chunk is None else chunk)(thetas, signs)
