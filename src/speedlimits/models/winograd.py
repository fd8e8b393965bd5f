r"""3×3 convolutions by Winograd's products: 36 multiplications for 4×4 pixels, where the sum over 3×3 takes 144.

A polynomial is known by its values at enough points. Four results of a three-tap filter on six pixels are the
product of two polynomials transposed (Toom and Cook), and so :math:`y = A\,[(G w) \odot (B x)]` in each direction with
six values. Over channels, the product :math:`\odot` is one matrix product for each of the 6×6 values.
Source: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", 2016, arXiv:1509.09308, F(4×4, 3×3).
"""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from numpy.polynomial import polynomial
from torch import Tensor, nn
from torch.overrides import has_torch_function

# Where the polynomials are taken, and at infinity. In float32 their error is half that of the usual 0, ±1, ±2, and some
# twice that of the direct sum (`tests/models/test_winograd.py`).
POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)
TAPS, RESULTS, VALUES = 3, 4, 6
# Channels, in and out, from which the four times fewer multiplications are worth the way there and back.
FEWEST_CHANNELS = 64


def convolution(
    x: Float[Tensor, "samples inputs height width"], weight: Float[Tensor, "outputs inputs 3 3"]
) -> Float[Tensor, "samples outputs height width"]:
    """A 3×3 convolution with zeros around the image, in the way that is fastest for its size.

    On CPUs and from 64 channels on this is Winograd's: a gradient of Myrtle-5 is 1.3 times as fast at 64 channels, 1.9
    times at 128 (`benchmarks/results/winograd.json`). It differs from the direct sum by rounding, 1e-6 in float32.
    Anywhere else it is torch's own, which chooses for itself on GPUs.

    Args:
        x: images; channels last in memory is the order that Winograd's products need.
        weight: the filters.

    Returns:
        As `torch.nn.functional.conv2d(x, weight, padding=1)`.
    """
    wide = min(weight.shape[:2]) >= FEWEST_CHANNELS
    # Whoever listens to torch's functions, as the tangent kernel's factors do, is to hear of a convolution.
    if wide and x.device.type == "cpu" and not has_torch_function((x, weight)):
        return by_products(x, weight)
    return nn.functional.conv2d(x, weight, padding=1)


def by_products(
    x: Float[Tensor, "samples inputs height width"], weight: Float[Tensor, "outputs inputs 3 3"]
) -> Float[Tensor, "samples outputs height width"]:
    """A 3×3 convolution with zeros around the image, by Winograd's products.

    Args:
        x: images of any size.
        weight: the filters.

    Returns:
        As `torch.nn.functional.conv2d(x, weight, padding=1)`, to rounding; channels last in memory.
    """
    (samples, inputs, height, width), outputs = x.shape, len(weight)
    down, across = -(-height // RESULTS), -(-width // RESULTS)
    to_rows, to_columns, to_filters, to_results = (
        torch.from_numpy(matrix).to(x) for matrix in (_tiles(height), _tiles(width), *_filters_and_results())
    )
    tiles = to_rows @ (to_columns @ x.permute(0, 2, 3, 1)).reshape(samples, height, -1)
    tiles = tiles.reshape(samples, VALUES, down, VALUES, across, inputs).permute(1, 3, 0, 2, 4, 5)
    filters = to_filters @ weight.permute(2, 3, 1, 0).reshape(TAPS**2, -1)
    products = tiles.reshape(VALUES**2, -1, inputs) @ filters.reshape(VALUES**2, inputs, outputs)
    results = (to_results @ products.reshape(VALUES**2, -1)).reshape(RESULTS, RESULTS, samples, down, across, outputs)
    results = results.permute(2, 3, 0, 4, 1, 5).reshape(samples, RESULTS * down, RESULTS * across, outputs)
    return results.permute(0, 3, 1, 2)[..., :height, :width]


def _transforms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B (6, 6) for pixels, G (6, 3) for filters and A (4, 6) for results, in one direction."""
    pixels, filters = np.zeros((VALUES, VALUES)), np.zeros((VALUES, TAPS))
    results = np.zeros((RESULTS, VALUES))
    for k, point in enumerate(POINTS):
        others = polynomial.polyfromroots([other for other in POINTS if other != point])
        scale = polynomial.polyval(point, others)
        pixels[k, :-1] = others
        filters[k] = point ** np.arange(TAPS) / scale
        results[:, k] = point ** np.arange(RESULTS)
    pixels[-1] = polynomial.polyfromroots(POINTS)
    filters[-1, -1] = results[-1, -1] = 1.0
    return pixels, filters, results


# Arrays, not tensors: one made under inference or a transform of functions would be of no use outside.
@lru_cache
def _tiles(length: int) -> np.ndarray:
    """B along one side, (6·tiles, length), by value and then by tile: zeros around the image included."""
    pixels, _, _ = _transforms()
    tiles = -(-length // RESULTS)
    there = np.zeros((VALUES, tiles, length + 2 * RESULTS))
    for tile in range(tiles):
        there[:, tile, tile * RESULTS : tile * RESULTS + VALUES] = pixels
    # The first of a tile's pixels is the neighbour of its first result.
    return there[:, :, 1 : length + 1].reshape(-1, length)


@lru_cache
def _filters_and_results() -> tuple[np.ndarray, np.ndarray]:
    """G and A in both directions, (36, 9) and (16, 36)."""
    _, filters, results = _transforms()
    return np.kron(filters, filters), np.kron(results, results)
