"""The sketch of the weights: unbiased, its error as stated, linear, and independent of how the weights are cut up."""

import numpy as np
import pytest
import torch

from speedlimits.recorder.sketch import ROWS, Sketch

NUMBERS = 60_000


def shapes() -> dict[str, torch.Tensor]:
    """Changes of the weights of many shapes; rows of matrices do not fit the buckets."""
    generator = torch.Generator().manual_seed(0)
    return {
        "spread": torch.randn(NUMBERS, generator=generator),
        "rank one": torch.outer(torch.randn(60, generator=generator), torch.randn(1000, generator=generator)).flatten(),
        "constant": torch.ones(NUMBERS),
        "growing": torch.linspace(0, 1, NUMBERS) ** 3,
    }


@pytest.mark.parametrize("name", shapes())
def test_squared_distance_is_unbiased_with_the_stated_error(name):
    """Over seeds, |S(δ)|² has the mean |δ|² and the variance 2Σ_buckets Σ_{i≠j} δ_i²δ_j²; spread, that is 2/k."""
    change = shapes()[name]
    truth = float(change.double().square().sum())
    ratios, stated = [], []
    for seed in range(200):
        sketch = Sketch([change], size=256, seed=seed)
        ratios.append(float(sketch([change]).square().sum()) / truth)
        if name == "spread":
            stated.append(2 / sketch.size)
    error = np.std(ratios) / np.sqrt(len(ratios))
    assert abs(np.mean(ratios) - 1) < 4 * error
    assert np.var(ratios) < 1.3 * 2 / 251 * (1 if name != "growing" else 2)
    if stated:
        assert np.var(ratios) == pytest.approx(stated[0], rel=0.3)


def test_one_weight_alone_is_exact():
    """A change of a single weight lies in one bucket, whatever its sign."""
    weights = torch.zeros(NUMBERS)
    sketch = Sketch([weights], size=256)
    start = sketch([weights])
    weights[31_234] = -2.5
    assert float((sketch([weights]) - start).square().sum()) == 6.25


def test_is_linear_in_every_type():
    """S(a) − S(b) = S(a − b) to float64's rounding: float32 weights lose nothing on the way."""
    generator = torch.Generator().manual_seed(1)
    a = [torch.randn(shape, generator=generator) for shape in [(300, 70), (70,), (70, 90), (11,)]]
    b = [weight + 1e-5 * torch.randn(weight.shape, generator=generator) for weight in a]
    sketch = Sketch(a, size=512)
    difference = Sketch([weight.double() for weight in a], size=512)(
        [x.double() - y.double() for x, y in zip(a, b, strict=True)]
    )
    torch.testing.assert_close(sketch(a) - sketch(b), difference, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64, torch.complex64])
def test_other_types(dtype):
    """Low precision, high precision and complex weights are sketched by their own values."""
    weights = torch.randn(9000, generator=torch.Generator().manual_seed(2), dtype=torch.float32).to(dtype)
    sketch = Sketch([weights], size=64)
    moved = float(sketch([weights]).square().sum())
    wide = torch.view_as_real(weights) if weights.is_complex() else weights
    assert moved == pytest.approx(float(wide.double().square().sum()), rel=6 * np.sqrt(2 / 61))


def test_few_weights_are_themselves():
    """With fewer weights than buckets the sketch is exact."""
    weights = [torch.arange(6.0).reshape(2, 3), torch.tensor(7.0)]
    sketch = Sketch(weights, size=4096)
    assert sketch.exact
    assert sketch(weights).tolist() == [0, 1, 2, 3, 4, 5, 7]


def test_memory_does_not_grow_with_the_weights():
    """Besides a number for each k weights, everything a sketch keeps has the size of a few blocks."""
    kept = {}
    for numbers in (10**6, 4 * 10**6):
        sketch = Sketch([torch.zeros(numbers)], size=1000)
        tensors = [*sketch._signs.values(), sketch._numbers]
        kept[numbers] = sum(tensor.numel() for tensor in tensors)
        assert sketch._flips.numel() <= numbers / sketch.size + ROWS
    assert len(set(kept.values())) == 1


def test_same_seed_same_sketch_other_seed_other_signs():
    """Two sketches can be compared when their seeds agree."""
    weights = [torch.randn(5000, generator=torch.Generator().manual_seed(3))]
    assert torch.equal(Sketch(weights, 64, seed=5)(weights), Sketch(weights, 64, seed=5)(weights))
    assert not torch.equal(Sketch(weights, 64, seed=5)(weights), Sketch(weights, 64, seed=6)(weights))


@pytest.mark.usefixtures("as_user")
@pytest.mark.parametrize(
    ("arguments", "named"), [({"size": 1}, "size"), ({"size": 2.5}, "size"), ({"seed": -1}, "seed")]
)
def test_refusals_name_the_argument(arguments, named):
    """An error names what was wrong."""
    with pytest.raises(ValueError, match=f"`{named}`"):
        Sketch([torch.zeros(10)], **arguments)


def test_no_weights():
    """Nothing to sketch is an error."""
    with pytest.raises(ValueError, match="`weights`"):
        Sketch([])
