r"""The empirical neural tangent kernel Θ = J Jᵀ of any model, Eq. (50), in blocks and layer by layer.

For a dense layer :math:`\Theta = (aa^\top)\circ(bb^\top)`, with its inputs a and the outputs' gradients b with respect
to what it gives: the Jacobian itself is never formed. For a convolution it is formed for some units at a time.
"""

from collections.abc import Iterator, Mapping
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float64
from scipy.linalg import eigh
from torch import Tensor, nn

from speedlimits._checks import check_finite, check_one_of, check_positive, check_shape, check_symmetric
from speedlimits.dynamics.samples import Inputs, count, split, take
from speedlimits.kernel.factors import Factor, Jacobian
from speedlimits.kernel.function import WeightFunction, check_rounding

Pairing = Literal["all", "each", "trace"]
Matrix = Float64[np.ndarray, "rows columns"]
Square = Float64[np.ndarray, "rows rows"]
# A layer's inputs, and its gradients with the outputs arranged for one of the pairings.
Grouped = tuple[Tensor | None, Tensor]

# Rows of a tile of the result: three of them in float64 stay in a core's cache.
TILE = 512
# Bytes beside a small result.
ROOM = 3 * 2**26
# Columns of a Jacobian formed at once: enough that multiplying costs more than forming.
COLUMNS = 1024


def empirical_kernel(
    model: nn.Module,
    inputs: Inputs,
    others: Inputs | None = None,
    *,
    weights: Mapping[str, Tensor | np.ndarray] | None = None,
    outputs: Pairing = "all",
    memory: float | None = None,
    dtype: torch.dtype = torch.float64,
) -> Float64[np.ndarray, "..."]:
    r"""The tangent kernel of a model between samples.

    .. math:: \Theta_{(\mu o),(\nu o')} = \sum_i \partial_{\theta_i} f_o(x_\mu)\,\partial_{\theta_i} f_{o'}(x_\nu)

    over the trainable weights θ. Right for any module in evaluation mode whose outputs for one sample depend on
    that sample alone; fast where the weights are those of dense and convolutional layers, shared or not.

    Args:
        model: f, in evaluation mode.
        inputs: x_μ, n samples; a tuple for a model of several inputs.
        others: x_ν, m samples for a cross kernel; by default the same.
        weights: values in the place of the model's own, by name, such as a run's snapshot.
        outputs: ``"all"`` pairs of outputs, ``"each"`` output with itself, or the ``"trace"`` over them.
        memory: bytes to use beside the result, about; by default 192 MiB, or as much as the result if that is more:
            with less, layers are differentiated more often.
        dtype: of passes and products; float32 takes about half the time and leaves the eigenvalues below some 1e-7 of
            the largest to rounding. Sums over layers are float64 always, and so is the result.

    Returns:
        Of n samples with c outputs: the (n·c, m·c) matrix over (sample, output) pairs, the sample first; for
        ``"each"`` the (c, n, m) stack; for ``"trace"`` the (n, m) sum of that stack.

    Raises:
        ValueError: if the model holds batch normalisation or dropout in training mode or no trainable weights, the
            inputs hold no sample, an output or a derivative is not finite, or ``dtype`` is neither float64 nor float32,
            or too coarse: with it the kernel of four samples is off by more than 1e-4 in norm.
    """
    check_one_of("outputs", outputs, ("all", "each", "trace"))
    check_one_of("dtype", dtype, (torch.float64, torch.float32))
    if memory is not None:
        check_positive("memory", memory)
    function = WeightFunction(model, weights)
    left = function.inputs(inputs)
    right = None if others is None else function.inputs(others)
    jacobian = Jacobian(function, take(left, slice(4)))
    if dtype == torch.float32:
        exact = _kernel(jacobian, jacobian.probe, None, outputs, memory)
        function = WeightFunction(model, weights, dtype)
        left, right = function.inputs(left), None if right is None else function.inputs(right)
        jacobian = jacobian.of(function)
        error = _kernel(jacobian, jacobian.probe, None, outputs, memory) - exact
        check_rounding("the kernel of four samples", float(error.norm() / (exact.norm() or 1.0)))
    return _kernel(jacobian, left, right, outputs, memory).cpu().numpy()


def eigenmodes(kernel: Square) -> tuple[Float64[np.ndarray, " rows"], Square]:
    """Eigenvalues of a kernel, the largest first, and its eigenvectors in the columns.

    Args:
        kernel: Θ, symmetric.

    Returns:
        λ_k, those below zero by rounding set to zero, and the vectors u_k: the residual's modes are Δ_k = u_kᵀ(f − y).

    Raises:
        ValueError: if the matrix is not square, finite and symmetric, or has an eigenvalue below zero by more than
            rounding.
    """
    check_shape("kernel", kernel, (len(kernel), len(kernel)))
    check_symmetric("kernel", kernel)
    eigenvalues, vectors = eigh(kernel, driver="evd")
    rounding = 8 * len(kernel) * np.finfo(float).eps * eigenvalues[-1]
    if eigenvalues[0] < -rounding:
        raise ValueError(f"`kernel` must have no negative eigenvalue; its smallest is {eigenvalues[0]:.17g}.")
    return np.maximum(eigenvalues[::-1], 0.0), vectors[:, ::-1]


def kernel_drift(kernel: Matrix, later: Matrix) -> float:
    r"""How far a kernel has turned, which NTK theory holds fixed.

    .. math:: 1 - \frac{\langle K, K'\rangle}{|K||K'|}

    Args:
        kernel: K.
        later: K', between the same samples.

    Returns:
        0 where they are proportional, 1 where they have nothing in common.

    Raises:
        ValueError: if the shapes differ or one of them is zero or not finite.
    """
    check_shape("later", later, kernel.shape)
    for name, matrix in (("kernel", kernel), ("later", later)):
        check_finite(name, matrix)
        if not matrix.any():
            raise ValueError(f"`{name}` must not be zero everywhere.")
    # From the difference of the normalised kernels: 1 − cos would lose half the digits of a small drift.
    difference = kernel / np.linalg.norm(kernel) - later / np.linalg.norm(later)
    return float(0.5 * np.sum(difference**2))


def _kernel(
    jacobian: Jacobian, left: Inputs, others: Inputs | None, outputs: Pairing, memory: float | None
) -> Float64[Tensor, "..."]:
    """All blocks of it; without other samples only those on the diagonal and above, mirrored."""
    right = left if others is None else others
    groups, paired = {"all": (1, jacobian.outputs), "each": (jacobian.outputs, 1), "trace": (1, 1)}[outputs]
    shape = groups, count(left), paired, count(right), paired
    kernel = torch.zeros(shape, dtype=torch.float64, device=jacobian.device)
    # A quarter each for two blocks, for the factors that one of them is made from, and for what is formed of it.
    block, step = _sizes(jacobian, outputs, paired, 0.25 * (memory or max(ROOM, kernel.nbytes)))
    for i in range(0, count(left), block):
        rows = _block(jacobian, take(left, slice(i, i + block)), outputs, step)
        for j in range(i if others is None else 0, count(right), block):
            diagonal = others is None and j == i
            columns = rows if diagonal else _block(jacobian, take(right, slice(j, j + block)), outputs, step)
            _accumulate(kernel[:, i : i + block, :, j : j + block], rows, columns, diagonal=diagonal)
    result = kernel.view(groups, count(left) * paired, count(right) * paired)
    if others is None:
        _mirror(result)
    return result if outputs == "each" else result[0]


def _sizes(jacobian: Jacobian, outputs: Pairing, paired: int, memory: float) -> tuple[int, int]:
    """How many samples make a block, and how many have their factors at once."""
    probe = _block(jacobian, jacobian.probe, outputs, count(jacobian.probe))
    kept = sum(b.nbytes + (0 if a is None else a.nbytes) for a, b in probe) / count(jacobian.probe)
    size = max(kept, jacobian.itemsize * paired * COLUMNS)
    return max(1, int(memory / size)), max(1, int(memory / max(size, jacobian.bytes_per_sample)))


def _block(jacobian: Jacobian, inputs: Inputs, outputs: Pairing, step: int) -> list[Grouped]:
    """Each layer's factors for some samples, or its Jacobian where that is smaller."""
    pieces = [
        [_smaller(grouped) for grouped in _grouped(jacobian.factors(part), outputs)] for part in split(inputs, step)
    ]
    if len(pieces) == 1:
        return pieces[0]
    return [
        (None if layer[0][0] is None else torch.cat([a for a, _ in layer]), torch.cat([b for _, b in layer], dim=2))
        for layer in zip(*pieces, strict=True)
    ]


def _smaller(grouped: Grouped) -> Grouped:
    a, b = grouped
    if a is None or b.numel() // a.shape[1] * a.shape[2] >= b.numel() + a.numel():
        return grouped
    # A convolution with few weights and many pixels. (outputs × units, positions) times (positions, inputs).
    planes = [plane.permute(1, 0, 3, 2).flatten(1, 2) @ a for plane in b]
    rows = torch.stack([plane.view(len(a), b.shape[1], -1) for plane in planes])
    return None, rows.transpose(1, 2)[:, :, :, None]


def _grouped(factors: list[Factor], outputs: Pairing) -> list[Grouped]:
    """Gradients as (groups, paired outputs, samples, positions, units): only the outputs of one group meet."""
    grouped = []
    for factor in factors:
        b = factor.gradients
        if outputs == "trace":
            # Σ_o b_o b_oᵀ is one product of rows in which all outputs stand side by side.
            b = b.permute(1, 2, 0, 3).flatten(2)[None, None]
        else:
            b = b[None] if outputs == "all" else b[:, None]
        grouped.append((factor.inputs, b))
    return grouped


def _accumulate(kernel: Tensor, rows: list[Grouped], columns: list[Grouped], *, diagonal: bool) -> None:
    """Add the products of two blocks; of a block with itself the lower triangle is left out."""
    ways = [_cheapest_way(row, kernel.shape[2]) for row in rows]
    pairs = list(zip(rows, columns, strict=True))
    dense = [pair for way, pair in zip(ways, pairs, strict=True) if way == "dense"]
    if dense:
        for tile, i, j in _tiles(kernel, max(1, TILE // kernel.shape[2]), diagonal=diagonal):
            tile += _dense_tile(dense, i, j).permute(0, 2, 1, 4, 3)
    for way, pair in zip(ways, pairs, strict=True):
        if way == "overlaps":
            room = pair[0][1][0, :, 0].numel()
            for tile, i, j in _tiles(kernel, max(1, int((COLUMNS * TILE / room) ** 0.5)), diagonal=diagonal):
                tile += _overlap_tile(*pair, i, j)
        elif way == "formed":
            _add_formed(kernel, *pair, diagonal=diagonal)


def _cheapest_way(grouped: Grouped, paired: int) -> str:
    """How to multiply a layer with itself, from the multiplications that each pair of samples takes."""
    a, b = grouped
    if a is None:
        return "formed"
    positions, units, inputs = a.shape[1], b.shape[4], a.shape[2]
    if positions == 1:
        return "dense"
    overlaps = positions**2 * (inputs + paired * units) + paired**2 * positions * units
    # The overlaps move about as much memory as they multiply.
    return "overlaps" if 2 * overlaps < paired**2 * units * inputs else "formed"


def _tiles(kernel: Tensor, step: int, *, diagonal: bool) -> Iterator[tuple[Tensor, slice, slice]]:
    """Cut a block by samples.

    Yields:
        Each tile, with its rows and columns; of a block on the diagonal none wholly below it.
    """
    for i in range(0, kernel.shape[1], step):
        for j in range(i if diagonal else 0, kernel.shape[3], step):
            yield kernel[:, i : i + step, :, j : j + step], slice(i, i + step), slice(j, j + step)


def _dense_tile(pairs: list[tuple[Grouped, Grouped]], rows: slice, columns: slice) -> Tensor:
    """Σ (a aᵀ)∘(b bᵀ) over layers, its outputs before its samples: the product then runs along memory."""
    total: Tensor | None = None
    for (a, b), (other_a, other_b) in pairs:
        assert a is not None
        assert other_a is not None
        left, right = b[:, :, rows, 0], other_b[:, :, columns, 0]
        products = torch.bmm(left.flatten(1, 2), right.flatten(1, 2).mT)
        products = products.view(*left.shape[:3], *right.shape[1:3])
        overlaps = (a[rows, 0] @ other_a[columns, 0].T)[:, None]
        total = products.mul_(overlaps) if total is None else total.addcmul_(products, overlaps)
    assert total is not None
    return total


def _overlap_tile(row: Grouped, column: Grouped, rows: slice, columns: slice) -> Tensor:
    """Σ_pq b_p (a_p·a_q) b_q: for few positions of many inputs, cheaper than forming the Jacobian."""
    (a, b), (other_a, other_b) = row, column
    assert a is not None
    assert other_a is not None
    left, right = a[rows], other_a[columns]
    n, positions, m = len(left), left.shape[1], len(right)
    overlaps = (left.flatten(0, 1) @ right.flatten(0, 1).T).view(n, positions, m * positions)
    tiles = []
    for group, other in zip(b[:, :, rows], other_b[:, :, columns], strict=True):
        paired, units = len(group), group.shape[3]
        # (outputs × units, positions) times (positions, other samples × positions), for each sample.
        half = group.permute(1, 0, 3, 2).flatten(1, 2) @ overlaps
        half = half.view(n, paired, units, m, positions).permute(3, 0, 1, 2, 4).reshape(m, n * paired, -1)
        whole = half @ other.permute(1, 3, 2, 0).flatten(1, 2)
        tiles.append(whole.view(m, n, paired, paired).permute(1, 2, 0, 3))
    return torch.stack(tiles)


def _add_formed(kernel: Tensor, row: Grouped, column: Grouped, *, diagonal: bool) -> None:
    for group, plane in enumerate(kernel):
        block = plane.view(plane.shape[0] * plane.shape[1], plane.shape[2] * plane.shape[3])
        for left, right in zip(_formed(*row, group), _formed(*column, group), strict=True):
            for i in range(0, len(block), TILE):
                j = i if diagonal else 0
                tile = block[i : i + TILE, j:]
                if left.dtype == block.dtype:
                    tile.addmm_(left[i : i + TILE], right[j:].T)
                else:
                    tile += left[i : i + TILE] @ right[j:].T


def _formed(a: Tensor | None, b: Tensor, group: int) -> Iterator[Tensor]:
    """The Jacobian of one layer, formed for some units at a time.

    Yields:
        Its columns of those units, over (sample, output) rows.
    """
    rows = b[group].transpose(0, 1)  # samples, outputs, positions, units
    units = COLUMNS if a is None else max(1, COLUMNS // a.shape[2])
    for part in rows.split(units, dim=3):
        if a is None:
            yield part.flatten(2).flatten(0, 1)
        else:
            # (outputs × units, positions) times (positions, inputs) for each sample.
            products = part.transpose(2, 3).flatten(1, 2) @ a
            yield products.view(rows.shape[0] * rows.shape[1], -1)


def _mirror(kernel: Tensor) -> None:
    """Copy the upper triangle to the lower one, without a second matrix."""
    for i in range(0, kernel.shape[1], TILE):
        for j in range(0, i, TILE):
            kernel[:, i : i + TILE, j : j + TILE] = kernel[:, j : j + TILE, i : i + TILE].mT
        tile = kernel[:, i : i + TILE, i : i + TILE]
        tile.copy_(tile.triu() + tile.triu(1).mT)
