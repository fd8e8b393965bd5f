"""Other ways to the empirical tangent kernel: the two recipes of torch.func's tutorial, nngeometry and curvlinops.

All give the matrix over (sample, output) pairs, the sample first. The recipes need torch alone; nngeometry and
curvlinops-for-pytorch are measured where they are installed.
"""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call, jacrev, jvp, vjp, vmap

from speedlimits.kernel.empirical import empirical_kernel

Weights = dict[str, Tensor]


def ours(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """This project, with its own choice of memory."""
    return empirical_kernel(model, inputs)


def contraction(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """Jacobians of every weight for all samples, then one contraction a weight: the tutorial's first way."""
    weights, outputs = _function(model)
    rows = vmap(jacrev(outputs), (None, 0))(weights, inputs)
    kernel = sum(torch.einsum("Naf,Mbf->NMab", row.flatten(2), row.flatten(2)) for row in rows.values())
    assert isinstance(kernel, Tensor)
    return _matrix(kernel)


def products(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """One product of the kernel for every pair of samples and output: the tutorial's second way."""
    weights, outputs = _function(model)

    def pair(left: Tensor, right: Tensor) -> Tensor:
        output, backwards, *_ = vjp(lambda weights: outputs(weights, left), weights)

        def row(vector: Tensor) -> Tensor:
            return jvp(lambda weights: outputs(weights, right), (weights,), backwards(vector))[1]

        return vmap(row)(torch.eye(output.numel(), dtype=output.dtype))

    return _matrix(vmap(vmap(pair, (None, 0)), (0, None))(inputs, inputs))


def nngeometry(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """Nngeometry's Gram matrix, all samples in one batch."""
    from nngeometry import GramMatrix  # type: ignore[import-not-found]
    from torch.utils.data import DataLoader, TensorDataset

    data = TensorDataset(inputs, torch.zeros(len(inputs), dtype=torch.int64))
    loader = DataLoader(data, batch_size=len(inputs))
    gram = GramMatrix(model, loader, function=lambda x, _: model(x)).to_torch()
    return _matrix(gram.detach().permute(1, 3, 0, 2))


def curvlinops(model: nn.Module, inputs: Tensor) -> np.ndarray:
    """The products of curvlinops' Jacobian and its transpose with unit vectors, 512 at a time."""
    from curvlinops import (  # type: ignore[import-not-found]
        JacobianLinearOperator,
        TransposedJacobianLinearOperator,
    )

    outputs = len(model(inputs[:1])[0])
    data = [(inputs, torch.zeros(len(inputs), outputs, dtype=inputs.dtype))]
    weights = list(model.parameters())
    forwards = JacobianLinearOperator(model, weights, data, check_deterministic=False)
    backwards = TransposedJacobianLinearOperator(model, weights, data, check_deterministic=False)
    units = torch.eye(len(inputs) * outputs, dtype=inputs.dtype).split(512, dim=1)
    return torch.cat([forwards @ (backwards @ part) for part in units], dim=1).detach().numpy()


CONTESTANTS: dict[str, Callable[[nn.Module, Tensor], np.ndarray]] = {
    "speedlimits": ours,
    "torch.func, contraction": contraction,
    "torch.func, products": products,
    "nngeometry": nngeometry,
    "curvlinops": curvlinops,
}


def _function(model: nn.Module) -> tuple[Weights, Callable[[Weights, Tensor], Tensor]]:
    weights = {name: weight.detach() for name, weight in model.named_parameters()}
    return weights, lambda weights, sample: functional_call(model, weights, (sample[None],))[0]


def _matrix(kernel: Tensor) -> np.ndarray:
    """From (sample, sample, output, output) to pairs."""
    samples, outputs = kernel.shape[1:3]
    return kernel.transpose(1, 2).reshape(samples * outputs, -1).numpy()
