r"""The Gauss–Newton part of a loss's Hessian at one θ, :math:`A = J^{\mathsf T} J`, by the eigenmodes of a kernel.

J is the Jacobian of all outputs of all samples, weighted by a root of the loss's own curvature in them: 1 for the
squared error. The kernel :math:`JJ^{\mathsf T} = U\Lambda U^{\mathsf T}` is that of Eq. (50) then. A function w of A is
:math:`w(0) + J^{\mathsf T} U\,\frac{w(\Lambda)-w(0)}{\Lambda}\,U^{\mathsf T} J`: no matrix of weights by weights.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor
from torch.func import grad, jacrev, vmap

from speedlimits.dynamics.loss import Flat, FlatLoss, half_squared_error, value_and_gradient
from speedlimits.dynamics.passes import twice_differentiable
from speedlimits.dynamics.samples import as_tuple, like, take
from speedlimits.errors import last_line

# Samples whose Jacobian is taken at once.
CHUNK = 16
# Of the largest eigenvalue: below, an eigenvalue is rounding.
ROUNDING = 1e-13

Rows = Float64[Tensor, "rows parameters"]


@dataclass(frozen=True)
class Modes:
    """A at one θ.

    Args:
        jacobian: J, a row for each output of each sample.
        vectors: U, in columns.
        eigenvalues: Λ, ascending, not negative [1/time].
    """

    jacobian: Rows
    vectors: Float64[Tensor, "rows rows"]
    eigenvalues: Float64[Tensor, " rows"]

    @classmethod
    def of(cls, jacobian: Rows) -> "Modes":
        """Those of a Jacobian."""
        eigenvalues, vectors = torch.linalg.eigh(jacobian @ jacobian.T)
        return cls(jacobian, vectors, eigenvalues.clamp(min=0.0))

    def product(self, x: Tensor) -> Tensor:
        """Ax."""
        return self.jacobian.T @ (self.jacobian @ x)

    def apply(self, values: Tensor, at_zero: float, x: Tensor) -> Tensor:
        """w(A)x.

        Args:
            values: w at each eigenvalue.
            at_zero: w(0), for all that J does not see.
            x: one vector of weights.

        Returns:
            The vector.
        """
        return self.back(self.quotients(values, at_zero) * self.parts(x)).add_(x, alpha=at_zero)

    def parts(self, x: Tensor) -> Tensor:
        """UᵀJx."""
        return self.vectors.T @ (self.jacobian @ x)

    def back(self, parts: Tensor) -> Tensor:
        """JᵀU times such parts."""
        return self.jacobian.T @ (self.vectors @ parts)

    def quotients(self, values: Tensor, at_zero: float) -> Tensor:
        """(w(λ) − w(0))/λ, zero where λ is rounding."""
        seen = self.eigenvalues > ROUNDING * self.eigenvalues[-1]
        return torch.where(seen, (values - at_zero) / torch.where(seen, self.eigenvalues, 1.0), 0.0)


def jacobian(loss: FlatLoss, theta: Flat) -> Rows:
    """J, at the cost of a gradient for each output of a sample.

    Args:
        loss: L(θ), fit for it by `check_separable`.
        theta: where.

    Returns:
        The rows, sample by sample. Where the loss is not convex in the outputs, its curvature counts as zero.
    """
    rows, outputs = _rows(loss, theta)
    if loss.criterion is not half_squared_error:
        width = rows.shape[1]
        curvature = vmap(jacrev(grad(_one(loss))), chunk_size=CHUNK)(outputs, loss.targets).view(-1, width, width)
        values, vectors = torch.linalg.eigh(curvature)
        rows = values.clamp(min=0.0).sqrt()[:, :, None] * vectors.mT @ rows
    return rows.flatten(0, 1).double()


def check_separable(loss: FlatLoss) -> None:
    """Raise unless J gives the gradient of two samples.

    Args:
        loss: L(θ).

    Raises:
        ValueError: if torch cannot run the model sample by sample, it mixes samples, or the criterion is no sum over
            them.
    """
    inputs = take(loss.inputs, slice(2))
    few = FlatLoss(loss.model, inputs, loss.targets[:2], criterion=loss.criterion)
    try:
        rows, outputs = _rows(few, loss.initial)
        slopes = vmap(grad(_one(few)))(outputs, few.targets).flatten(1)
    except RuntimeError as error:
        raise ValueError(
            f"`loss` must be differentiable sample by sample for the method 'etd'; {last_line(error)}"
        ) from error
    expected = value_and_gradient(few, loss.initial)[1]
    apart = torch.linalg.vector_norm(torch.einsum("sop,so->p", rows, slopes) - expected)
    if not apart <= torch.finfo(expected.dtype).eps ** 0.5 * torch.linalg.vector_norm(expected):
        raise ValueError(
            "`loss` must be a sum over samples, each of its own outputs, for the method 'etd'; the gradient of two "
            "samples is not the sum of theirs."
        )


def _rows(loss: FlatLoss, theta: Flat) -> tuple[Tensor, Tensor]:
    """The Jacobian of the outputs, (samples, outputs, parameters), and the outputs."""

    def outputs(weights: Flat, sample: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        found = loss.outputs(weights, like(loss.inputs, [part[None] for part in sample]))[0]
        return found.flatten(), found

    with twice_differentiable():
        side_by_side = vmap(jacrev(outputs, has_aux=True), in_dims=(None, 0), chunk_size=CHUNK)
        return side_by_side(theta, as_tuple(loss.inputs))


def _one(loss: FlatLoss) -> Callable[[Tensor, Tensor], Tensor]:
    """The loss of one sample, of its outputs and targets."""
    return lambda outputs, targets: loss.criterion(outputs[None], targets[None])
