"""The largest eigenvalue of a symmetric operator, from a start that may be close already."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

Flat = Float[Tensor, " numbers"]

# A Hessian-vector product runs the backward pass twice.
GRADIENTS_PER_PRODUCT = 2


@dataclass(frozen=True, eq=False)
class Ritz:
    """An eigenvalue from below.

    Args:
        value: λ, at most the largest.
        vector: of length 1.
        products: with the operator, that it took.
    """

    value: float
    vector: Flat
    products: int


def largest(product: Callable[[Flat], Flat], start: Flat, *, tolerance: float, products: int) -> Ritz:
    r"""The largest eigenvalue, by locally optimal conjugate gradients.

    Each product widens the space of the last vector and the last change by the residual r = Hv − λv, and the best
    vector of these three dimensions is the next one (Knyazev 2001). By the minimax principle no λ on the way exceeds
    the largest eigenvalue. Six vectors are kept.

    Args:
        product: u ↦ Hu, symmetric.
        start: any vector but zero.
        tolerance: stop when a product changes λ by less than this share.
        products: stop at the latest after so many.

    Returns:
        The eigenvalue of largest value, not of largest size; NaN where a product is not finite.
    """
    vector = start / start.norm()
    basis, images = [vector], [product(vector)]
    value, used = float(vector @ images[0]), 1
    while used < products:
        widened = _orthonormal(images[0] - value * basis[0], basis)
        if widened is None:
            break
        basis, images, used = [*basis, widened], [*images, product(widened)], used + 1
        frame, image = torch.stack(basis), torch.stack(images)
        small = (frame.double() @ image.double().T).cpu()
        if not bool(small.isfinite().all()):
            return Ritz(float("nan"), vector, used)
        values, vectors = torch.linalg.eigh((small + small.T) / 2)
        best = vectors[:, -1].to(frame)
        # What changes is the next conjugate direction.
        change = best.clone()
        change[0] = 0.0
        previous, value = value, float(values[-1])
        vector, move = best @ frame, change @ frame
        basis, images = [vector / vector.norm()], [best @ image / vector.norm()]
        kept = _orthonormal(move, basis)
        if kept is not None:
            # The same combination that makes `kept` of `move` and `vector` makes its image.
            along = float(move @ basis[0])
            size = float((move - along * basis[0]).norm())
            basis.append(kept)
            images.append((change @ image - along * images[0]) / size)
        if abs(value - previous) <= tolerance * abs(value):
            break
    return Ritz(value, basis[0], used)


def _orthonormal(vector: Flat, basis: list[Flat]) -> Flat | None:
    """What of a vector stands upright on all others; None where that is rounding."""
    size = float(vector.norm())
    for _ in range(2):
        for each in basis:
            vector = vector - (vector @ each) * each
    rest = float(vector.norm())
    return vector / rest if rest > 1e-6 * size and rest > 0.0 else None
